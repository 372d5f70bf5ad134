//! Atoms: what a network computes beyond sums, and how exporters' formulas for them are recognised as they are made.

use std::rc::Rc;

use super::array::{Array, count};
use super::attention::Attention;
use super::lin::{Factor, Lin, Map, Part, close};
use super::{Reduction, Unary};

/// A computation of one kind.
#[derive(Clone, Debug)]
pub(super) enum Made {
    /// Numbers of an input, in order.
    Frames,
    /// Token ids of an input.
    Tokens,
    /// Rows of a table `[vocab, width]` by token ids.
    Embed {
        table: Array,
        tokens: Lin,
    },
    /// Product of the rows of `x` with a matrix `[out, in]`, and a bias.
    Linear {
        x: Lin,
        weights: Rc<[f64]>,
        bias: Option<Rc<[f64]>>,
        name: Rc<str>,
    },
    /// A norm of each row, with gain and bias.
    Norm {
        x: Lin,
        is_rms: bool,
        eps: f64,
        gain: Option<Rc<[f64]>>,
        bias: Option<Rc<[f64]>>,
        name: Rc<str>,
    },
    /// A function of each element.
    Act {
        f: Unary,
        x: Lin,
    },
    Mul {
        a: Lin,
        b: Lin,
    },
    /// Sum or maximum of each row.
    Reduce {
        how: Reduction,
        x: Lin,
    },
    /// Products of matrices `[batch, m, k]` and `[batch, k, n]`.
    Product {
        a: Lin,
        b: Lin,
    },
    /// Softmax of each row, or its logarithm.
    Softmax {
        x: Lin,
        is_log: bool,
    },
    /// Attention, `[seq, n_heads * head_dim]`.
    Attention(Rc<Attention>),
}

/// An atom: a matrix of computed numbers.
#[derive(Clone, Debug)]
pub(super) struct Atom {
    pub made: Made,
    pub rows: usize,
    pub width: usize,
    /// Index of the node that made it, for messages.
    pub node: usize,
}

/// All atoms of a graph.
#[derive(Default)]
pub(super) struct Atoms {
    pub list: Vec<Atom>,
    /// Index of the node that is computed.
    pub node: usize,
}

/// The number 1 where rounding alone keeps it from that.
fn snap(factor: f64) -> f64 {
    if close(factor, 1.0) { 1.0 } else { factor }
}

impl Atoms {
    /// Adds an atom; its elements in this shape.
    pub(super) fn add(&mut self, made: Made, rows: usize, width: usize, shape: Vec<usize>) -> Lin {
        debug_assert_eq!(rows * width, count(&shape));
        self.list.push(Atom { made, rows, width, node: self.node });
        Lin::whole(self.list.len() - 1, shape)
    }

    pub(super) fn made(&self, atom: usize) -> &Made {
        &self.list[atom].made
    }

    /// Argument of the function `f`, where the value is that function of it and nothing else.
    pub(super) fn argument(&self, value: &Lin, f: Unary) -> Option<Lin> {
        let part = value.single().filter(|part| part.factor == Factor::All(1.0))?;
        match self.made(part.atom) {
            Made::Act { f: own, x } if *own == f => Some(self.seen(x, &part.map, value)),
            _ => None,
        }
    }

    /// An atom's argument, whose elements stand as the atom's, as they stand in a value that holds the atom by `map`.
    fn seen(&self, x: &Lin, map: &Map, value: &Lin) -> Lin {
        match map {
            Map::Same => x.reshaped(value.shape.clone()),
            Map::At(places) => x.pick(value.shape.clone(), places),
        }
    }

    /// Puts a value into the order of its first atom's elements, so that functions of elements commute with what moves them: the value in
    /// that order, its rows and width, and the places by which it was seen.
    fn settled(&self, value: &Lin) -> (Lin, usize, usize, Map) {
        let width = value.shape.last().copied().unwrap_or(1);
        let plain = || (value.matrix(), value.len() / width.max(1), width, Map::Same);
        let Some(part) = value.parts.first() else { return plain() };
        let (Map::At(places), true) = (&part.map, part.size == value.len()) else {
            let atom = &self.list[part.atom];
            return match part.map {
                Map::Same => (value.reshaped(vec![atom.rows, atom.width]), atom.rows, atom.width, Map::Same),
                Map::At(_) => plain(),
            };
        };
        let mut inverse = vec![u32::MAX; part.size];
        places.iter().enumerate().for_each(|(index, &place)| inverse[place as usize] = index as u32);
        if inverse.contains(&u32::MAX) {
            return plain();
        }
        let atom = &self.list[part.atom];
        (value.pick(vec![atom.rows, atom.width], &inverse), atom.rows, atom.width, part.map.clone())
    }

    /// An atom's elements by the places of [`Self::settled`].
    fn unsettled(&mut self, made: Made, (rows, width): (usize, usize), map: Map, shape: &[usize]) -> Lin {
        let whole = self.add(made, rows, width, vec![rows, width]);
        match map {
            Map::Same => whole.reshaped(shape.to_vec()),
            Map::At(places) => whole.pick(shape.to_vec(), &places),
        }
    }

    /// A function of each element.
    pub(super) fn unary(&mut self, f: Unary, value: &Lin) -> Lin {
        if f == Unary::Neg {
            return value.times(-1.0);
        }
        if let (Unary::Reciprocal, Some(part)) = (f, value.single())
            && let Factor::All(factor) = part.factor
            && factor != 1.0
        {
            return self.unary(f, &value.times(1.0 / factor)).times(1.0 / factor);
        }
        // Odd functions, of which formulas take the negative argument, too.
        if let (Unary::Erf | Unary::Tanh, Some(Part { factor: Factor::All(..0.0), .. })) = (f, value.single()) {
            return self.unary(f, &value.times(-1.0)).times(-1.0);
        }
        if f == Unary::Relu && self.is_never_negative(value) {
            return value.clone();
        }
        let (x, rows, width, map) = self.settled(value);
        self.unsettled(Made::Act { f, x }, (rows, width), map, &value.shape)
    }

    /// True if ReLU would change nothing.
    fn is_never_negative(&self, value: &Lin) -> bool {
        value.single().is_some_and(|part| {
            part.factor == Factor::All(1.0)
                && matches!(
                    self.made(part.atom),
                    Made::Act { f: Unary::Relu | Unary::Sigmoid, .. } | Made::Softmax { is_log: false, .. }
                )
        })
    }

    /// The product of two values of one shape.
    pub(super) fn mul(&mut self, a: &Lin, b: &Lin) -> Lin {
        if let Some(product) = self.known_product(a, b) {
            return product;
        }
        if let Some(product) = self.known_product(b, a) {
            return product;
        }
        for (a, b) in [(a, b), (b, a)] {
            // Factors of one part go outside.
            if let Some(part) = a.single()
                && part.factor != Factor::All(1.0)
            {
                let factor = part.factor.clone();
                let mut plain = a.clone();
                plain.parts[0].factor = Factor::All(1.0);
                return self.mul(&plain, b).scaled(&factor);
            }
        }
        let (settled, rows, width, map) = self.settled(a);
        let b = match &map {
            Map::Same => b.reshaped(settled.shape.clone()),
            Map::At(places) => {
                let mut inverse = vec![0; places.len()];
                places.iter().enumerate().for_each(|(index, &place)| inverse[place as usize] = index as u32);
                b.pick(settled.shape.clone(), &inverse)
            }
        };
        self.unsettled(Made::Mul { a: settled, b }, (rows, width), map, &a.shape)
    }

    fn known_product(&mut self, a: &Lin, b: &Lin) -> Option<Lin> {
        if let Some(ratio) = a.ratio(b) {
            return Some(self.unary(Unary::Square, b).times(ratio));
        }
        let (part, constant) = match &b.parts[..] {
            [part] => (part, b.uniform_offset()?),
            _ => return None,
        };
        let Factor::All(factor) = part.factor else { return None };
        let Made::Act { f, x } = self.made(part.atom).clone() else { return None };
        let x = self.seen(&x, &part.map, b);
        match f {
            Unary::Square => {
                let ratio = a.ratio(&x)?;
                let cube = self.unary(Unary::Cube, &x).times(ratio * factor);
                Some(if constant == 0.0 { cube } else { cube.plus(&x.times(ratio * constant)) })
            }
            Unary::Sigmoid if constant == 0.0 => {
                let ratio = a.ratio(&x)?;
                Some(self.unary(Unary::Silu, &x).times(snap(ratio * factor)))
            }
            Unary::Erf if close(constant, factor) => {
                let ratio = a.ratio(&x)?;
                let argument = self.snapped(&x.times(std::f64::consts::SQRT_2));
                let factor = snap(ratio * factor * std::f64::consts::SQRT_2);
                Some(self.unary(Unary::Gelu, &argument).times(factor))
            }
            Unary::Tanh if close(constant, factor) => {
                let (argument, scale) = self.gelu_argument(&x)?;
                let ratio = a.ratio(&argument)?;
                let argument = self.snapped(&argument);
                Some(self.unary(Unary::GeluTanh, &argument).times(snap(2.0 * ratio * factor * scale)))
            }
            Unary::Reciprocal if constant == 0.0 => {
                self.norm_by(a, &x).or_else(|| self.softmax_by(a, &x)).map(|value| value.times(factor))
            }
            _ => None,
        }
    }

    /// A value whose factors are exactly 1 where only rounding keeps them from it.
    fn snapped(&self, value: &Lin) -> Lin {
        let mut value = value.clone();
        for part in &mut value.parts {
            if let Factor::All(factor) = part.factor {
                part.factor = Factor::All(snap(factor));
            }
        }
        value
    }

    /// `x` and 1, where the value is `sqrt(2 / pi) (x + 0.044715 x^3)`.
    fn gelu_argument(&self, value: &Lin) -> Option<(Lin, f64)> {
        let is_cube = |atom: usize| matches!(self.made(atom), Made::Act { f: Unary::Cube, .. });
        let index = value.parts.iter().position(|part| is_cube(part.atom))?;
        let part = &value.parts[index];
        let (Made::Act { x, .. }, Factor::All(factor)) = (self.made(part.atom), &part.factor) else { return None };
        let x = self.seen(x, &part.map, value);
        let linear = value.without(index).ratio(&x)?;
        let scale = (2.0 / std::f64::consts::PI).sqrt();
        // The cube's own argument may be a multiple of x.
        (close(linear, scale) && ((factor / linear) / 0.044715 - 1.0).abs() < 1e-5).then_some((x, 1.0))
    }

    /// The norm `d / sqrt(mean(d^2) + eps)`, where `d` is or is not centred, by its root `x`.
    fn norm_by(&mut self, d: &Lin, x: &Lin) -> Option<Lin> {
        let width = *d.shape.last()?;
        let rows = d.len() / width.max(1);
        let part = x.single().filter(|part| part.factor == Factor::All(1.0))?;
        let Made::Act { f: Unary::Sqrt, x: root } = self.made(part.atom) else { return None };
        // One number for each row.
        (0..d.len()).all(|index| part.place(index) == index / width).then_some(())?;
        let (variance, eps) = match &root.parts[..] {
            [variance] => (variance.clone(), root.uniform_offset()?),
            _ => return None,
        };
        let Made::Reduce { how: Reduction::Sum, x: squares } = self.made(variance.atom) else { return None };
        let is_mean = matches!(variance.factor, Factor::All(factor) if close(factor * width as f64, 1.0));
        let in_order = (0..rows).all(|row| variance.place(row) == row);
        if root.len() != rows || squares.len() != rows * width || !is_mean || !in_order || eps <= 0.0 {
            return None;
        }
        let own = self.argument(squares, Unary::Square)?;
        let ratio = d.matrix().ratio(&own)?;
        let (x, is_rms) = match self.centred(&own.matrix()) {
            Some(x) => (x, false),
            None => (own.matrix(), true),
        };
        Some(self.norm(x, is_rms, eps, &d.shape).times(snap(ratio)))
    }

    /// A norm of the rows of a matrix, without gain and bias.
    pub(super) fn norm(&mut self, x: Lin, is_rms: bool, eps: f64, shape: &[usize]) -> Lin {
        let (rows, width) = (x.shape[0], x.shape[1]);
        let made = Made::Norm { x, is_rms, eps, gain: None, bias: None, name: "".into() };
        self.add(made, rows, width, shape.to_vec())
    }

    /// `x`, where the matrix is `x - mean(x)`, row by row.
    fn centred(&self, value: &Lin) -> Option<Lin> {
        let width = value.shape[1];
        let is_mean = |index: &usize| {
            let part = &value.parts[*index];
            let mean = matches!(part.factor, Factor::All(factor) if close(-factor * width as f64, 1.0));
            mean && matches!(self.made(part.atom), Made::Reduce { how: Reduction::Sum, .. })
                && (0..value.len()).all(|index| part.place(index) == index / width)
        };
        let index = (0..value.parts.len()).find(is_mean)?;
        let Made::Reduce { x, .. } = self.made(value.parts[index].atom) else { return None };
        let rest = value.without(index);
        (x.len() == rest.len() && x.same(&rest)).then_some(rest)
    }

    /// The softmax `exp(d) / sum(exp(d))`, where `x` is the sum.
    fn softmax_by(&mut self, a: &Lin, x: &Lin) -> Option<Lin> {
        let width = *a.shape.last()?;
        let exponent = self.argument(a, Unary::Exp)?;
        let part = x.single().filter(|part| part.factor == Factor::All(1.0))?;
        let Made::Reduce { how: Reduction::Sum, x: sum } = self.made(part.atom) else { return None };
        let in_order = (0..a.len()).all(|index| part.place(index) == index / width.max(1));
        if !in_order || sum.len() != a.len() || !self.argument(sum, Unary::Exp)?.same(&exponent) {
            return None;
        }
        let is_max = |part: &Part| {
            part.factor == Factor::All(-1.0) && matches!(self.made(part.atom), Made::Reduce { how: Reduction::Max, .. })
        };
        let x = match exponent.parts.iter().position(is_max) {
            Some(index) => exponent.without(index),
            None => exponent,
        };
        Some(self.softmax(&x, false))
    }

    /// Softmax over the last dimension.
    pub(super) fn softmax(&mut self, x: &Lin, is_log: bool) -> Lin {
        let matrix = x.matrix();
        let (rows, width) = (matrix.shape[0], matrix.shape[1]);
        self.add(Made::Softmax { x: matrix, is_log }, rows, width, x.shape.clone())
    }

    /// A sum or maximum over the last dimension of `[groups, members]`.
    pub(super) fn reduce(&mut self, how: Reduction, x: Lin, shape: Vec<usize>) -> Lin {
        let rows = x.shape[0];
        self.add(Made::Reduce { how, x }, rows, 1, shape)
    }

    /// Puts factors and constants of columns into the linear layer or norm that they follow.
    pub(super) fn absorbed(&mut self, value: Lin) -> Lin {
        if value.len() == 0 {
            return value;
        }
        if let Some(norm) = self.spread_norm(&value) {
            return self.absorbed(norm);
        }
        let [part] = &value.parts[..] else { return value };
        let (is_each, atom) = (matches!(part.factor, Factor::Each(_)), part.atom);
        if (!is_each && value.offset.is_none()) || part.size != value.len() {
            return value;
        }
        if !matches!(self.made(atom), Made::Linear { .. } | Made::Norm { .. }) {
            return value;
        }
        let (settled, rows, width, map) = self.settled(&value);
        let part = &settled.parts[0];
        if part.map != Map::Same || rows == 0 {
            return value;
        }
        let in_columns = |at: &dyn Fn(usize) -> f64| (0..rows * width).all(|index| at(index) == at(index % width));
        let constant = |index: usize| settled.offset.as_ref().map_or(0.0, |offset| offset[index]);
        if !in_columns(&|index| part.factor(index)) || !in_columns(&constant) {
            return value;
        }
        let factor = |column: usize| part.factor(column);
        let moved = |own: &Option<Rc<[f64]>>, absent: f64| -> Rc<[f64]> {
            let own = |column: usize| own.as_ref().map_or(absent, |own| own[column]);
            (0..width).map(|column| own(column) * factor(column) + constant(column)).collect()
        };
        let made = match self.made(atom).clone() {
            Made::Linear { x, weights, bias, name } => {
                let columns = weights.len() / width.max(1);
                let scaled = weights.iter().enumerate().map(|(index, weight)| weight * factor(index / columns.max(1)));
                let has_bias = bias.is_some() || settled.offset.is_some();
                Made::Linear { x, weights: scaled.collect(), bias: has_bias.then(|| moved(&bias, 0.0)), name }
            }
            Made::Norm { x, is_rms, eps, gain, bias, name } => {
                let own = |column: usize| gain.as_ref().map_or(1.0, |gain| gain[column]);
                let has_bias = bias.is_some() || settled.offset.is_some();
                let scaled = (0..width).map(|column| own(column) * factor(column)).collect();
                Made::Norm { x, is_rms, eps, gain: Some(scaled), bias: has_bias.then(|| moved(&bias, 0.0)), name }
            }
            _ => return value,
        };
        self.unsettled(made, (rows, width), map, &value.shape)
    }

    /// A norm as `x r - mean(x) r`, `r` the reciprocal of the root, both times the gain; Keras computes it so.
    fn spread_norm(&mut self, value: &Lin) -> Option<Lin> {
        let [a, b] = &value.parts[..] else { return None };
        let operands = |part: &Part| match self.made(part.atom) {
            Made::Mul { a, b } => Some([self.seen(a, &part.map, value), self.seen(b, &part.map, value)]),
            _ => None,
        };
        let (of_a, of_b) = (operands(a)?, operands(b)?);
        let ratio = b.factor(0) / a.factor(0);
        let len = value.len();
        if !(0..len).all(|index| close(b.factor(index), ratio * a.factor(index))) {
            return None;
        }
        let factor = a.factor.clone();
        for (root, x) in [(0, 1), (1, 0)] {
            for (other_root, mean) in [(0, 1), (1, 0)] {
                if !of_a[root].same(&of_b[other_root]) || of_a[root].len() != len {
                    continue;
                }
                let inner = of_a[x].plus(&of_b[mean].times(ratio)).reshaped(value.shape.clone());
                let root = of_a[root].reshaped(value.shape.clone());
                let Some(norm) = self.known_product(&inner, &root) else { continue };
                let norm = norm.scaled(&factor);
                return Some(match &value.offset {
                    Some(offset) => norm.plus_constant(offset),
                    None => norm,
                });
            }
        }
        None
    }

    /// Product of the rows with a matrix `[out, in]`.
    pub(super) fn linear(&mut self, value: &Lin, weights: Vec<f64>, out: usize, name: Rc<str>) -> Lin {
        let mut x = value.matrix();
        let (rows, width) = (x.shape[0], x.shape[1]);
        let mut weights = weights;
        // What is added to each column of the input is the matrix's bias: features are brought to one unit so.
        let of_input = matches!(&x.parts[..], [part] if matches!(self.made(part.atom), Made::Frames));
        let by_column = |offset: &Rc<[f64]>| (0..rows * width).all(|index| offset[index] == offset[index % width]);
        let mut bias: Option<Rc<[f64]>> = None;
        if let Some(offset) = x.offset.take_if(|offset| of_input && by_column(offset)) {
            let product = |row: &[f64]| row.iter().zip(offset.iter()).map(|(weight, offset)| weight * offset).sum();
            bias = Some(weights.chunks(width).map(product).collect());
        }
        if let Some(part) = x.single() {
            // Factors of columns, and columns in another order than the atom's, are those of the matrix.
            let atom = &self.list[part.atom];
            let by_column = (0..rows * width).all(|index| part.factor(index) == part.factor(index % width.max(1)));
            // A mean stays one.
            let is_sum = matches!(atom.made, Made::Reduce { .. });
            if by_column && !is_sum && part.factor != Factor::All(1.0) {
                weights.iter_mut().enumerate().for_each(|(index, weight)| *weight *= part.factor(index % width));
                x.parts[0].factor = Factor::All(1.0);
            }
            let part = &x.parts[0];
            let column = |index: usize| part.place(index) % atom.width;
            let row = |index: usize| part.place(index) / atom.width;
            let is_table = atom.width == width
                && !matches!(atom.made, Made::Frames)
                && (0..rows * width).all(|i| column(i) == column(i % width) && row(i) == row(i / width * width));
            let mut order = vec![usize::MAX; width];
            if is_table && part.map != Map::Same {
                (0..width).for_each(|index| order[column(index)] = index);
            }
            if is_table && part.map != Map::Same && !order.contains(&usize::MAX) {
                let at = |index: usize| weights[index / width * width + order[index % width]];
                weights = (0..out * width).map(at).collect();
                let places: Vec<u32> =
                    (0..rows * width).map(|i| (i / width * width + order[i % width]) as u32).collect();
                x = x.pick(vec![rows, width], &places);
            }
        }
        let mut shape = value.shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = out;
        }
        self.add(Made::Linear { x, weights: weights.into(), bias, name }, rows, out, shape)
    }
}
