//! Attention, recognised from the product of probabilities and values back to its projections.

use super::Mismatch;
use super::array::transposed;
use super::atoms::{Atoms, Made};
use super::lin::{CLOSE, Factor, Lin, Map, close};

/// Scores that are lower than this by a mask have the probability 0.
pub(super) const HIDDEN: f64 = -9.0e3;

/// Heads of queries, keys or values.
#[derive(Clone, Debug)]
pub(super) struct Heads {
    /// The linear layer.
    pub linear: usize,
    /// Its column for each head's number, `[heads, head_dim]`.
    pub columns: Vec<usize>,
    /// The norm of each head, if there is one.
    pub norm: Option<usize>,
    /// Angle from one position to the next, `[head_dim / 2]`, if they are rotated.
    pub angles: Option<Vec<f64>>,
    /// Factor of all numbers.
    factor: f64,
}

/// Attention.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    pub query: Heads,
    pub key: Heads,
    pub value: Heads,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub head_dim: usize,
    pub seq: usize,
    /// Factor of the scores.
    pub scale: f64,
    pub is_causal: bool,
    /// Positions that a position sees, where that is fewer than all before it.
    pub window: Option<usize>,
}

impl Atoms {
    /// Attention, where `a` are the probabilities of a softmax; both are `[batch, m, k]` and `[batch, k, n]`.
    pub(super) fn attention(&mut self, a: &Lin, b: &Lin) -> Option<Result<Lin, Mismatch>> {
        let part = a.single().filter(|part| part.is_in_order())?;
        let Made::Softmax { x: scores, is_log: false } = self.made(part.atom).clone() else { return None };
        // Keras hides once more what the scores' mask has made 0.
        let is_hidden = |index: usize| scores.offset.as_ref().is_some_and(|offset| offset[index] <= HIDDEN);
        let is_kept = |index: usize| match part.factor(index) {
            0.0 => is_hidden(index),
            factor => factor == 1.0,
        };
        if scores.len() != a.len() || !(0..a.len()).all(is_kept) {
            return None;
        }
        let found = self.attention_of(&scores, b);
        Some(found.map(|attention| {
            let (n_heads, head_dim, seq) = (attention.n_heads, attention.head_dim, attention.seq);
            let width = n_heads * head_dim;
            let whole = self.add(Made::Attention(attention.into()), seq, width, vec![seq, n_heads, head_dim]);
            let (shape, places) = transposed(&whole.shape, &[1, 0, 2]);
            whole.pick(shape, &places)
        }))
    }

    fn attention_of(&self, scores: &Lin, values: &Lin) -> Result<Attention, Mismatch> {
        let here = Some(self.node);
        let wrong = |found: &str, expected: &str| Mismatch::new(here, found, expected);
        let &[batch, seq, head_dim] = &values.shape[..] else { return Err(wrong("values without heads", "heads")) };
        let [part] = &scores.parts[..] else {
            return Err(wrong("a softmax of several products", "of queries times keys, scaled and masked"));
        };
        let Made::Product { a, b } = self.made(part.atom) else {
            return Err(wrong("a softmax of something else", "of queries times keys, scaled and masked"));
        };
        let (mut a, mut b) = (a.clone(), b.clone());
        let mut is_in_order = part.is_in_order();
        if let (Map::At(places), true) = (&part.map, part.size == batch * seq * seq) {
            let turned = |value: &Lin| {
                let (shape, places) = transposed(&value.shape, &[0, 2, 1]);
                value.pick(shape, &places)
            };
            // Keys times queries, and their product turned.
            if places[..] == transposed(&[batch, seq, seq], &[0, 2, 1]).1[..] {
                (a, b, is_in_order) = (turned(&b), turned(&a), true);
            }
        }
        let is_square = a.shape[..] == [batch, seq, a.shape[2]] && b.shape[..] == [batch, a.shape[2], seq];
        if !is_square || a.shape[2] != head_dim || !is_in_order {
            let found = format!("queries {:?}, keys {:?} and values {:?}", a.shape, b.shape, values.shape);
            return Err(wrong(&found, "self-attention: as many queries as keys, of one width"));
        }
        let (shape, places) = transposed(&b.shape, &[0, 2, 1]);
        let keys = b.pick(shape, &places);
        let query = self.heads(&a, "queries")?;
        let key = self.heads(&keys, "keys")?;
        let value = self.heads(values, "values")?;
        if value.angles.is_some() || value.norm.is_some() || !close(value.factor, 1.0) {
            return Err(wrong(
                "values that are scaled, normalised or rotated",
                "values as a linear layer computes them",
            ));
        }
        let agree = match (&query.angles, &key.angles) {
            (None, None) => true,
            (Some(a), Some(b)) => a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5 * a.abs()),
            _ => false,
        };
        if !agree || query.norm.is_some() != key.norm.is_some() {
            return Err(wrong("queries and keys that are rotated or normalised differently", "the same for both"));
        }
        let (is_causal, window, factor) = self.mask(scores, batch, seq)?;
        let scale = factor * query.factor * key.factor;
        if scale.is_nan() || scale <= 0.0 {
            return Err(wrong(&format!("scores times {scale}"), "a positive scale"));
        }
        let (n_heads, mut key, mut value) = (batch, key, value);
        let kv = |heads: &Heads| distinct(&heads.columns, head_dim);
        let n_kv_heads = kv(&key).max(kv(&value)).max(1);
        if !n_heads.is_multiple_of(n_kv_heads) {
            return Err(wrong(&format!("{n_kv_heads} heads of keys for {n_heads} of queries"), "a divisor"));
        }
        for heads in [&mut key, &mut value] {
            let of = |head: usize| heads.columns[head * head_dim..][..head_dim].to_vec();
            let group = n_heads / n_kv_heads;
            if (0..n_heads).any(|head| of(head) != of(head / group * group)) {
                return Err(wrong("heads of keys in another order", "each for the next heads of queries"));
            }
            heads.columns = (0..n_kv_heads).flat_map(|head| of(head * group)).collect();
        }
        Ok(Attention { query, key, value, n_heads, n_kv_heads, head_dim, seq, scale, is_causal, window })
    }

    /// True for a causal mask, its window, and the factor of what is seen.
    fn mask(&self, scores: &Lin, heads: usize, seq: usize) -> Result<(bool, Option<usize>, f64), Mismatch> {
        let part = &scores.parts[0];
        let offset = |index: usize| scores.offset.as_ref().map_or(0.0, |offset| offset[index]);
        let is_hidden = |index: usize| offset(index) <= HIDDEN;
        let wrong = |found: String| {
            let expected = "a mask that hides or shows: none, causal, or causal with a sliding window";
            Err(Mismatch::new(Some(self.node), found, expected))
        };
        let mut factor = None;
        for index in 0..heads * seq * seq {
            if is_hidden(index) {
                continue;
            }
            if offset(index) != 0.0 {
                return wrong(format!("a score with {} added to it", offset(index)));
            }
            if !close(*factor.get_or_insert(part.factor(index)), part.factor(index)) {
                return wrong("scores of different scales".into());
            }
        }
        let Some(factor) = factor else { return wrong("a mask that hides everything".into()) };
        let see = |row: usize, column: usize| !is_hidden(row * seq + column);
        if (0..heads * seq * seq).any(|index| is_hidden(index) != is_hidden(index % (seq * seq))) {
            return wrong("a mask of its own for each head".into());
        }
        if (0..seq * seq).all(|index| see(index / seq, index % seq)) {
            return Ok((false, None, factor));
        }
        // The last position's window is the widest.
        let window = (0..seq).filter(|&column| see(seq - 1, column)).count();
        let causal = |row: usize, column: usize| column <= row && column + window > row;
        if (0..seq * seq).all(|index| see(index / seq, index % seq) == causal(index / seq, index % seq)) {
            return Ok((true, Some(window).filter(|&window| window < seq), factor));
        }
        let hidden = (0..seq * seq).filter(|&index| !see(index / seq, index % seq)).count();
        wrong(format!("a mask that hides {hidden} of {} scores, not those after a position", seq * seq))
    }

    /// Heads `[heads, seq, head_dim]` as columns of a linear layer, by position.
    fn heads(&self, value: &Lin, what: &str) -> Result<Heads, Mismatch> {
        let (seq, head_dim) = (value.shape[1], value.shape[2]);
        let wrong = |found: &str| {
            let expected = format!("{what} of a linear layer, a position's own row for each");
            Err(Mismatch::new(Some(self.node), format!("{what} {found}"), expected))
        };
        let Some(first) = value.parts.first().filter(|_| value.offset.is_none()) else { return wrong("of constants") };
        if value.parts.iter().any(|part| part.atom != first.atom) {
            return wrong("of several layers");
        }
        let norm = match self.made(first.atom) {
            Made::Norm { x, .. } => match x.single() {
                Some(part) if part.factor == Factor::All(1.0) => Some(part.clone()),
                _ => return wrong("of a norm that reads more than a linear layer"),
            },
            _ => None,
        };
        let linear = norm.as_ref().map_or(first.atom, |part| part.atom);
        if !matches!(self.made(linear), Made::Linear { .. }) || self.list[linear].rows != seq {
            return wrong("that are not a linear layer of the sequence");
        }
        let width = self.list[linear].width;
        // Row and column in the linear layer.
        let source = |place: usize| {
            let place = norm.as_ref().map_or(place, |part| part.place(place));
            (place / width, place % width)
        };
        let own = |part: &super::lin::Part, index: usize| source(part.place(index));
        let mut rotation = Rotation::new(value.shape[0], head_dim);
        let mut factor = None;
        for (head, row, column) in indices(&value.shape) {
            let index = (head * seq + row) * head_dim + column;
            for part in value.parts.iter().filter(|part| part.factor(index) != 0.0) {
                let (position, from) = own(part, index);
                if position != row {
                    return wrong("of other positions");
                }
                if norm.is_some() && part.place(index) % head_dim != column && value.parts.len() == 1 {
                    return wrong("normalised in another order");
                }
                if value.parts.len() == 1 && !close(*factor.get_or_insert(part.factor(index)), part.factor(index)) {
                    return wrong("of different scales");
                }
                rotation.entries.push(((head, row, column), from, part.factor(index)));
            }
        }
        let (columns, angles, scale) = if value.parts.len() == 1 {
            match rotation.plain() {
                Some(columns) => (columns, None, factor.unwrap_or(1.0)),
                None => return wrong("of columns that differ by position"),
            }
        } else {
            match rotation.rotated(seq) {
                Some((columns, angles, scale)) => (columns, Some(angles), scale),
                None => return wrong("that are mixed in another way than by rotation of pairs"),
            }
        };
        let norm = norm.map(|_| first.atom);
        if norm.is_some_and(|atom| self.list[atom].width != head_dim) {
            return wrong("normalised over another width than a head's");
        }
        Ok(Heads { linear, columns, norm, angles, factor: scale })
    }
}

impl super::lin::Part {
    /// True if the elements stand as the atom's.
    pub(super) fn is_in_order(&self) -> bool {
        self.map == super::lin::Map::Same
    }
}

/// Number of distinct heads, counted from the first one on until they repeat.
fn distinct(columns: &[usize], head_dim: usize) -> usize {
    let heads: std::collections::BTreeSet<&[usize]> = columns.chunks(head_dim.max(1)).collect();
    heads.len()
}

/// All indices of `[heads, seq, head_dim]`.
fn indices(shape: &[usize]) -> impl Iterator<Item = (usize, usize, usize)> {
    let (seq, width) = (shape[1], shape[2]);
    (0..shape[0] * seq * width).map(move |index| (index / (seq * width), index / width % seq, index % width))
}

/// Columns and factors of heads, as they are found.
struct Rotation {
    heads: usize,
    head_dim: usize,
    /// Head, position and number in the head; column of the linear layer, factor.
    entries: Vec<((usize, usize, usize), usize, f64)>,
}

impl Rotation {
    fn new(heads: usize, head_dim: usize) -> Rotation {
        Rotation { heads, head_dim, entries: Vec::new() }
    }

    /// The column of every number, if all positions have the same.
    fn plain(&self) -> Option<Vec<usize>> {
        let mut columns = vec![usize::MAX; self.heads * self.head_dim];
        for &((head, _, number), column, _) in &self.entries {
            let own = &mut columns[head * self.head_dim + number];
            if *own != usize::MAX && *own != column {
                return None;
            }
            *own = column;
        }
        (!columns.contains(&usize::MAX)).then_some(columns)
    }

    /// Columns, angles of one position and a factor, if pairs are rotated by multiples of an angle; halves of a head are the pairs.
    fn rotated(&self, seq: usize) -> Option<(Vec<usize>, Vec<f64>, f64)> {
        let (width, half) = (self.head_dim, self.head_dim / 2);
        // At position 0 nothing is rotated: the factor and the own column of each number.
        let mut own = vec![usize::MAX; self.heads * width];
        let mut scale: Option<f64> = None;
        for &((head, position, number), column, factor) in &self.entries {
            if position == 0 && factor.abs() > 1e-12 {
                let slot = &mut own[head * width + number];
                if *slot != usize::MAX || !close(*scale.get_or_insert(factor), factor) {
                    return None;
                }
                *slot = column;
            }
        }
        let scale = scale?;
        if own.contains(&usize::MAX) || !width.is_multiple_of(2) {
            return None;
        }
        // Cosine, partner and signed sine of each number.
        let mut table = vec![(0.0, usize::MAX, 0.0); self.heads * seq * width];
        for &((head, position, number), column, factor) in &self.entries {
            let slot = &mut table[(head * seq + position) * width + number];
            if column == own[head * width + number] {
                slot.0 += factor / scale;
            } else if slot.1 == usize::MAX || slot.1 == column {
                (slot.1, slot.2) = (column, slot.2 + factor / scale);
            } else {
                return None;
            }
        }
        let pair = |pair: usize, halves: bool| if halves { (pair, pair + half) } else { (2 * pair, 2 * pair + 1) };
        let rotates = |halves: bool| {
            let angle = |index: usize| {
                let (first, _) = pair(index, halves);
                let (cos, _, sin) = table[width * usize::from(seq > 1) + first];
                (-sin).atan2(cos)
            };
            let angles: Vec<f64> = (0..half).map(angle).collect();
            let fits = |head: usize, position: usize, index: usize| {
                let (first, second) = pair(index, halves);
                let (sin, cos) = (angles[index] * position as f64).sin_cos();
                let near = |a: f64, b: f64| (a - b).abs() < 4.0 * CLOSE * (1.0 + position as f64);
                let of = |number: usize| table[(head * seq + position) * width + number];
                let partner = |number: usize, other: usize| {
                    let (_, column, sin) = of(number);
                    column == own[head * width + other] || (column == usize::MAX && sin == 0.0)
                };
                near(of(first).0, cos)
                    && near(of(second).0, cos)
                    && near(of(first).2, -sin)
                    && near(of(second).2, sin)
                    && partner(first, second)
                    && partner(second, first)
            };
            let all =
                (0..self.heads * seq * half).all(|index| fits(index / (seq * half), index / half % seq, index % half));
            (all && seq > 1).then_some(angles)
        };
        if let Some(angles) = rotates(true) {
            return Some((own, angles, scale));
        }
        let angles = rotates(false)?;
        let order = |number: usize| if number < half { 2 * number } else { 2 * (number - half) + 1 };
        let columns = (0..self.heads * width).map(|i| own[i / width * width + order(i % width)]).collect();
        Some((columns, angles, scale))
    }
}
