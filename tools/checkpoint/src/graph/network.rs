//! Recognition of the blocks: branches are taken off the stream from its end, until the embedding remains.

use std::rc::Rc;

use thumbformer::{Activation, NormPlace};

use super::atoms::{Atoms, Made};
use super::attention::Attention;
use super::lin::{Lin, Part};
use super::{Mismatch, Unary};

/// An MLP, its linear layers by their atoms.
#[derive(Clone, Debug)]
pub(super) struct Mlp {
    pub gate: Option<usize>,
    pub up: usize,
    pub down: usize,
    pub activation: Activation,
}

/// A branch of a block.
#[derive(Clone, Debug)]
pub(super) enum Branch {
    Attention { attention: Rc<Attention>, output: usize },
    Mlp(Mlp),
}

/// A block, its norms by their atoms.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub attention_norm: usize,
    pub attention: Rc<Attention>,
    pub output: usize,
    pub mlp_norm: usize,
    pub mlp: Mlp,
}

/// The blocks of a network, the norm behind them, and the stream before them.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pub layers: Vec<Layer>,
    pub place: NormPlace,
    pub final_norm: Option<usize>,
    pub stream: Lin,
}

impl Atoms {
    /// An atom's input where it is a linear layer.
    pub(super) fn linear_input(&self, atom: usize) -> Option<&Lin> {
        match self.made(atom) {
            Made::Linear { x, .. } => Some(x),
            _ => None,
        }
    }

    /// The norm and its input, where the value is a norm and nothing else.
    pub(super) fn norm_of(&self, value: &Lin) -> Option<(usize, &Lin)> {
        let atom = value.atom()?;
        match self.made(atom) {
            Made::Norm { x, .. } => Some((atom, x)),
            _ => None,
        }
    }

    /// The activation and the linear layer behind it.
    fn activated(&self, value: &Lin) -> Option<(Activation, usize)> {
        let Made::Act { f, x } = self.made(value.atom()?) else { return None };
        let activation = match f {
            Unary::Relu => Activation::Relu,
            Unary::Gelu => Activation::Gelu,
            Unary::GeluTanh => Activation::GeluTanh,
            Unary::Silu => Activation::Silu,
            _ => return None,
        };
        let linear = x.atom()?;
        self.linear_input(linear).map(|_| (activation, linear))
    }

    /// The branch that ends in this part of the stream, and its input.
    pub(super) fn branch(&self, part: &Part) -> Option<(Branch, Lin)> {
        if !part.is_whole() {
            return None;
        }
        let last = part.atom;
        let inner = self.linear_input(last)?.atom()?;
        if let Made::Attention(attention) = self.made(inner) {
            let inputs =
                [&attention.query, &attention.key, &attention.value].map(|heads| self.linear_input(heads.linear));
            let [Some(query), Some(key), Some(value)] = inputs else { return None };
            if !query.same(key) || !query.same(value) {
                return None;
            }
            return Some((Branch::Attention { attention: attention.clone(), output: last }, query.clone()));
        }
        if let Made::Mul { a, b } = self.made(inner) {
            for (a, b) in [(a, b), (b, a)] {
                let (Some((activation, gate)), Some(up)) = (self.activated(a), b.atom()) else { continue };
                let (Some(x), Some(up_x)) = (self.linear_input(gate), self.linear_input(up)) else { continue };
                if x.same(up_x) {
                    return Some((Branch::Mlp(Mlp { gate: Some(gate), up, down: last, activation }), x.clone()));
                }
            }
            return None;
        }
        let (activation, up) = self.activated(self.linear_input(last)?)?;
        Some((Branch::Mlp(Mlp { gate: None, up, down: last, activation }), self.linear_input(up)?.clone()))
    }

    /// The last branch of a stream: where its norm stands, the norm, the branch, and the stream before it.
    fn last_branch(&self, stream: &Lin) -> Option<(NormPlace, usize, Branch, Lin)> {
        for (index, part) in stream.parts.iter().enumerate().rev() {
            if let Some((branch, input)) = self.branch(part)
                && let Some((norm, x)) = self.norm_of(&input)
            {
                let rest = stream.without(index);
                if x.same(&rest) {
                    return Some((NormPlace::Pre, norm, branch, rest));
                }
            }
        }
        let (norm, x) = self.norm_of(stream)?;
        for (index, part) in x.parts.iter().enumerate().rev() {
            if let Some((branch, input)) = self.branch(part) {
                let rest = x.without(index);
                if input.same(&rest) {
                    return Some((NormPlace::Post, norm, branch, rest));
                }
            }
        }
        None
    }

    /// The blocks before this stream.
    pub(super) fn blocks(&self, stream: &Lin) -> Result<Blocks, Mismatch> {
        let mut stream = stream.matrix();
        let mut final_norm = None;
        if self.last_branch(&stream).is_none()
            && let Some((norm, x)) = self.norm_of(&stream)
            && self.last_branch(x).is_some()
        {
            (final_norm, stream) = (Some(norm), x.clone());
        }
        let mut layers = Vec::new();
        let mut place = None;
        let mut mlp: Option<(usize, Mlp)> = None;
        while let Some((here, norm, branch, rest)) = self.last_branch(&stream) {
            let node = |expected: &str| {
                let last = stream.parts.iter().map(|part| self.list[part.atom].node).max();
                Err(Mismatch::new(last, "a branch of another kind", expected))
            };
            if *place.get_or_insert(here) != here {
                return node("norms before all branches, or after all of them");
            }
            match (branch, mlp.take()) {
                (Branch::Mlp(found), None) => mlp = Some((norm, found)),
                (Branch::Attention { attention, output }, Some((mlp_norm, mlp))) => {
                    layers.push(Layer { attention_norm: norm, attention, output, mlp_norm, mlp });
                }
                (Branch::Mlp(_), Some(_)) => return node("attention before each MLP"),
                (Branch::Attention { .. }, None) => return node("an MLP after each attention"),
            }
            stream = rest;
        }
        layers.reverse();
        match (place, mlp) {
            (Some(place), None) => Ok(Blocks { layers, place, final_norm, stream }),
            (_, found) => Err(self.stuck(&stream, found.is_some())),
        }
    }

    /// The reason that no branch is found at the end of a stream.
    fn stuck(&self, stream: &Lin, after_mlp: bool) -> Mismatch {
        let latest = |value: &Lin| value.parts.iter().map(|part| part.atom).max_by_key(|&atom| self.list[atom].node);
        let mut last = latest(stream);
        // What a norm or linear layer at the end is of says more.
        while let Some(Made::Norm { x, .. } | Made::Linear { x, .. }) = last.map(|atom| self.made(atom)) {
            last = match latest(x) {
                Some(inner) if !matches!(self.made(inner), Made::Frames) => Some(inner),
                _ => break,
            };
        }
        let node = last.map(|atom| self.list[atom].node);
        let found = last.map_or("a constant".into(), |atom| self.describe(atom));
        let what = if after_mlp { "attention before the MLP" } else { "a block's last branch" };
        let expected = format!(
            "{what}: x + f(norm(x)), or norm(x + f(x)), where f is attention or an MLP with ReLU, GELU or SiLU"
        );
        Mismatch::new(node, found, expected)
    }

    /// An atom in words.
    pub(super) fn describe(&self, atom: usize) -> String {
        match self.made(atom) {
            Made::Frames => "the input".into(),
            Made::Tokens => "tokens".into(),
            Made::Embed { .. } => "an embedding".into(),
            Made::Linear { x, .. } => {
                let inner = x.parts.first().map(|part| match self.made(part.atom) {
                    Made::Linear { .. } => "a linear layer".to_string(),
                    _ => self.describe(part.atom),
                });
                format!("a linear layer of {}", inner.unwrap_or("a constant".into()))
            }
            Made::Norm { .. } => "a norm".into(),
            Made::Act { f, .. } => format!("a function {f:?}"),
            Made::Mul { .. } => "a product of computed numbers".into(),
            Made::Reduce { .. } => "a sum or maximum".into(),
            Made::Product { .. } => "a product of computed matrices".into(),
            Made::Softmax { .. } => "a softmax".into(),
            Made::Attention(_) => "attention".into(),
        }
    }

    /// The whole stream that a value's rows are taken from, and which rows.
    pub(super) fn unselected(&self, value: &Lin) -> Option<(Lin, Vec<usize>)> {
        for part in value.parts.iter().rev() {
            let atom = &self.list[part.atom];
            let (rows, width) = (atom.rows, atom.width);
            if width == 0 || !value.len().is_multiple_of(width) {
                continue;
            }
            let whole = Lin::whole(part.atom, vec![rows, width]);
            let full = match self.branch(&whole.parts[0]) {
                _ if value.parts.len() == 1 => whole,
                Some((_, input)) => match self.norm_of(&input) {
                    Some((_, x)) => x.plus(&whole),
                    None => continue,
                },
                None => continue,
            };
            let chosen: Vec<usize> = (0..value.len() / width).map(|row| part.place(row * width) / width).collect();
            let places: Vec<u32> =
                chosen.iter().flat_map(|row| (0..width).map(move |column| (row * width + column) as u32)).collect();
            if full.pick(value.shape.clone(), &places).same(value) {
                return Some((full, chosen));
            }
        }
        None
    }
}
