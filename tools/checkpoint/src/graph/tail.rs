//! Recognition of what follows the blocks: pooling, norm, pooler, hidden layers, head.

use thumbformer::{DenseActivation, Outputs};

use super::array::transposed;
use super::atoms::{Atoms, Made};
use super::lin::{Factor, Lin, close};
use super::{Mismatch, Reduction, Unary};

/// The streams that the outputs are computed from.
#[derive(Clone, Debug)]
pub(super) enum Pooled {
    /// These rows, one output for each.
    Rows(Vec<usize>),
    /// These rows, one after the other, as one vector.
    Joined(Vec<usize>),
    /// The mean of these rows.
    Mean(Vec<usize>),
}

/// A linear layer behind the pooling, and the activation that follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dense {
    pub linear: usize,
    pub activation: DenseActivation,
}

/// Parts behind the blocks.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    /// In the order of computation.
    pub layers: Vec<Dense>,
    /// A norm between pooling and those.
    pub norm: Option<usize>,
    pub pooled: Pooled,
    /// The stream that is pooled, all of it.
    pub stream: Lin,
    pub outputs: Outputs,
    pub notes: Vec<String>,
}

impl Atoms {
    /// Recognises what comes before an output.
    pub(super) fn tail(&self, output: &Lin) -> Result<Tail, Mismatch> {
        let mut value = output.matrix();
        let (mut outputs, mut notes) = (Outputs::Classes, Vec::new());
        match value.single().map(|part| self.made(part.atom)) {
            Some(Made::Softmax { x, .. }) if value.atom().is_some() => {
                value = x.clone();
                notes.push("the softmax at the end is left out: the outputs are the scores before it".into());
            }
            Some(Made::Act { f: Unary::Sigmoid, x }) if value.atom().is_some() => {
                (value, outputs) = (x.reshaped(value.shape.clone()), Outputs::Labels);
                notes.push("the sigmoid at the end is left out: the outputs are labels' scores before it".into());
            }
            _ => {}
        }
        let mut layers = Vec::new();
        let mut norm = None;
        let mut rows: Option<Vec<usize>> = None;
        loop {
            value = self.select(value, &mut rows)?;
            let (activation, inner) = self.activation_of(&value);
            if let Some(linear) = inner.atom()
                && let Some(x) = self.linear_input(linear)
                && self.blocks(&value).is_err()
            {
                layers.push(Dense { linear, activation });
                value = x.clone();
                continue;
            }
            // A norm of a pooled vector; one of the whole stream is the blocks'.
            if norm.is_none()
                && rows.is_none()
                && let Some((atom, x)) = self.norm_of(&value)
                && (x.shape[0] == 1 || self.mean(x).is_some())
                && self.blocks(&value).is_err()
            {
                norm = Some(atom);
                value = x.clone();
                continue;
            }
            break;
        }
        layers.reverse();
        let (pooled, stream) = self.pooled(&value, rows)?;
        Ok(Tail { layers, norm, pooled, stream, outputs, notes })
    }

    /// Rows of an atom that commute with what is computed for each row.
    fn select(&self, value: Lin, rows: &mut Option<Vec<usize>>) -> Result<Lin, Mismatch> {
        let Some(part) = value.single().filter(|part| part.factor == Factor::All(1.0) && !part.is_whole()) else {
            return Ok(value);
        };
        let atom = &self.list[part.atom];
        let by_row = matches!(atom.made, Made::Linear { .. } | Made::Act { .. });
        if !by_row || rows.is_some() || value.shape.last() != Some(&atom.width) {
            return Ok(value);
        }
        match self.unselected(&value) {
            Some((full, chosen)) => {
                *rows = Some(chosen);
                Ok(full)
            }
            None => Ok(value),
        }
    }

    /// The activation that a value is of, and its argument.
    fn activation_of(&self, value: &Lin) -> (DenseActivation, Lin) {
        let found = value.atom().and_then(|atom| match self.made(atom) {
            Made::Act { f, x } => dense_activation(*f).map(|activation| (activation, x.clone())),
            _ => None,
        });
        found.unwrap_or((DenseActivation::None, value.clone()))
    }

    /// The rows whose mean a vector is, if it is one.
    fn mean(&self, value: &Lin) -> Option<Lin> {
        let part = value.single()?;
        let Made::Reduce { how: Reduction::Sum, x } = self.made(part.atom) else { return None };
        let &[width, count] = &x.shape[..] else { return None };
        let is_mean = matches!(part.factor, Factor::All(factor) if close(factor * count as f64, 1.0));
        if !is_mean || !part.is_in_order() || value.len() != width {
            return None;
        }
        let (shape, places) = transposed(&[width, count], &[1, 0]);
        Some(x.pick(shape, &places))
    }

    fn pooled(&self, value: &Lin, rows: Option<Vec<usize>>) -> Result<(Pooled, Lin), Mismatch> {
        let all = |stream: &Lin| (0..stream.shape[0]).collect::<Vec<_>>();
        if let Some(mean) = self.mean(value).filter(|_| rows.is_none()) {
            return match self.unselected(&mean) {
                Some((stream, chosen)) => Ok((Pooled::Mean(chosen), stream)),
                None => Err(self.no_stream(&mean)),
            };
        }
        if let Some(rows) = rows {
            return Ok((Pooled::Rows(rows), value.clone()));
        }
        match self.unselected(value) {
            Some((stream, chosen)) if chosen.len() == value.shape[0] => Ok((Pooled::Rows(chosen), stream)),
            Some((stream, chosen)) => Ok((Pooled::Joined(chosen), stream)),
            None => match self.blocks(value) {
                Ok(_) => Ok((Pooled::Rows(all(value)), value.clone())),
                Err(error) if value.parts.len() > 1 || self.norm_of(value).is_some() => Err(error),
                Err(_) => Err(self.no_stream(value)),
            },
        }
    }

    fn no_stream(&self, value: &Lin) -> Mismatch {
        let last = value.parts.iter().map(|part| part.atom).max();
        let found = last.map_or("a constant".into(), |atom| self.describe(atom));
        let expected =
            "vectors of the last block: all of them, their mean, the first, the last, or those of class tokens";
        Mismatch::new(last.map(|atom| self.list[atom].node), found, expected)
    }
}

/// The activation outside the blocks.
pub(super) fn dense_activation(f: Unary) -> Option<DenseActivation> {
    Some(match f {
        Unary::Tanh => DenseActivation::Tanh,
        Unary::Relu => DenseActivation::Relu,
        Unary::Gelu => DenseActivation::Gelu,
        Unary::GeluTanh => DenseActivation::GeluTanh,
        Unary::Silu => DenseActivation::Silu,
        _ => return None,
    })
}
