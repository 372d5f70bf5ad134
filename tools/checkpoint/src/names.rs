//! Table of an importer: the name of each tensor in a file, and its storage there.
//!
//! ```text
//! rows: Tensor ─► "layers.#.attn.q" ─┐
//! Config ─► Dims ─► shape ───────────┴─► Source: the file's tensor ─► transposed, cut, reordered ─► Tensors
//! ```
//! The options determine which tensors there are and which may have a bias, by the core's table.

use thumbformer::{Dims, Encoding, Part, Presence, Tensor};

use crate::{Config, Error, Tensors, Weights};

/// Presence of the biases of a kind of tensor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bias {
    /// No layer has the bias: one in the file has no place.
    Absent,
    /// All layers have the bias: a missing one is an error.
    Required,
    /// All layers have the bias if the file has that of layer 0.
    AsInFile,
    /// All layers have the bias if the file has that of any: a missing one is 0.
    OrZero,
}

impl Bias {
    /// Required or absent, by a setting.
    pub(crate) fn of(present: bool) -> Self {
        if present { Bias::Required } else { Bias::Absent }
    }
}

/// A file that tensors are taken from by name.
pub(crate) trait Source {
    /// True if the file has a tensor with this name.
    fn has(&self, name: &str) -> bool;

    /// Takes a tensor of known name and shape.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Weights, Error>;
}

/// A tensor in a file; `#` in its name stands for the layer's number.
pub(crate) struct Row {
    tensor: Tensor,
    weight: String,
    bias: String,
    has_bias: Bias,
    /// Dimensions in the file, where they differ.
    shape: Option<Vec<usize>>,
    /// True if the matrix is stored as `[in, out]`.
    transposed: bool,
    /// Tensors whose rows are one matrix in the file, in order; the row's own is one of them.
    stacked: &'static [Tensor],
    /// Rows in front of the tensor's own, which are left out.
    offset: usize,
    /// True if pairs of rotary positions are rows `2 i` and `2 i + 1` of a head.
    adjacent: bool,
    /// Number of tensors that are its rows, one for each head; `@` in the name stands for the head's number.
    heads: Option<usize>,
}

impl Row {
    /// A tensor `name.weight`, and its bias `name.bias` if it has one.
    pub(crate) fn new(tensor: Tensor, name: impl AsRef<str>, has_bias: Bias) -> Row {
        let name = name.as_ref();
        Row { has_bias, ..Row::pair(tensor, &format!("{name}.weight"), &format!("{name}.bias")) }
    }

    /// A tensor and its bias under names of their own; the bias as the file has it.
    pub(crate) fn pair(tensor: Tensor, weight: &str, bias: &str) -> Row {
        let (weight, bias) = (weight.into(), bias.into());
        Row {
            tensor,
            weight,
            bias,
            has_bias: Bias::AsInFile,
            shape: None,
            transposed: false,
            stacked: &[],
            offset: 0,
            adjacent: false,
            heads: None,
        }
    }

    /// A tensor without bias.
    pub(crate) fn alone(tensor: Tensor, name: impl AsRef<str>) -> Row {
        Row { has_bias: Bias::Absent, ..Row::pair(tensor, name.as_ref(), "") }
    }

    /// Sets the dimensions in the file, where they differ.
    pub(crate) fn shape(self, shape: Vec<usize>) -> Row {
        Row { shape: Some(shape), ..self }
    }

    /// Sets whether the matrix is stored as `[in, out]`.
    pub(crate) fn transposed(self, transposed: bool) -> Row {
        Row { transposed, ..self }
    }

    /// The file's matrix holds the rows of these tensors, in order; so does its bias.
    pub(crate) fn stacked(self, stacked: &'static [Tensor]) -> Row {
        Row { stacked, ..self }
    }

    /// Leaves out the first rows of the file's matrix.
    pub(crate) fn offset(self, offset: usize) -> Row {
        Row { offset, ..self }
    }

    /// Pairs of rotary positions are rows `2 i` and `2 i + 1` of a head in the file.
    pub(crate) fn adjacent(self) -> Row {
        Row { adjacent: true, ..self }
    }

    /// True if the row is that of the module `name`.
    pub(crate) fn reads(&self, name: &str) -> bool {
        self.weight.strip_suffix(".weight") == Some(name)
    }

    /// The rows of each head are a tensor of their own.
    pub(crate) fn heads(self, heads: usize) -> Row {
        Row { heads: Some(heads), ..self }
    }

    fn read(&self, source: &mut impl Source, dims: &Dims, layer: usize, tensors: &mut Tensors) -> Result<(), Error> {
        let named = |name: &str, layer: usize| name.replace('#', &layer.to_string());
        let mut weights = self.take(source, &named(&self.weight, layer), (self.tensor, layer), dims)?;
        if self.transposed {
            weights = transpose(weights);
        }
        if self.adjacent {
            weights = adjacent_to_halves(weights, dims.head_dim);
        }
        tensors.insert(self.tensor, layer, self.cut(weights, (self.tensor, layer), dims));
        let Some(bias) = self.tensor.bias().filter(|bias| bias.presence(&dims.options) != Presence::Never) else {
            return Ok(());
        };
        let has_bias = match self.has_bias {
            Bias::Absent => false,
            Bias::Required => true,
            Bias::AsInFile => source.has(&named(&self.bias, 0).replace('@', "0")),
            Bias::OrZero => (0..dims.n_layers.max(dims.n_hidden())).any(|layer| source.has(&named(&self.bias, layer))),
        };
        if has_bias && self.has_bias == Bias::OrZero && !source.has(&named(&self.bias, layer)) {
            let shape = shape(dims, bias, layer);
            let name = named(&self.bias, layer);
            let zeros = Weights { name, data: vec![0.0; shape.iter().product()], shape };
            tensors.insert(bias, layer, zeros);
        } else if has_bias {
            let mut weights = self.take(source, &named(&self.bias, layer), (bias, layer), dims)?;
            if self.adjacent {
                weights = adjacent_to_halves(weights, dims.head_dim);
            }
            tensors.insert(bias, layer, self.cut(weights, (bias, layer), dims));
        }
        Ok(())
    }

    /// A tensor as the file holds it.
    fn take(
        &self,
        source: &mut impl Source,
        name: &str,
        (tensor, layer): (Tensor, usize),
        dims: &Dims,
    ) -> Result<Weights, Error> {
        let mut shape = shape(dims, tensor, layer);
        let rows = |stacked: &[Tensor]| -> usize { stacked.iter().map(|part| dims.shape(*part, layer).0).sum() };
        if !self.stacked.is_empty() {
            shape[0] = rows(self.stacked);
        }
        shape[0] += self.offset;
        if self.transposed {
            shape.reverse();
        }
        if let Some(heads) = self.heads {
            let mut part = shape.clone();
            part[0] /= heads.max(1);
            let mut data = Vec::new();
            for head in 0..heads {
                data.extend(source.take(&name.replace('@', &head.to_string()), &part)?.data);
            }
            return Ok(Weights { name: name.into(), shape, data });
        }
        match &self.shape {
            Some(stored) if tensor == self.tensor => Ok(Weights { shape, ..source.take(name, stored)? }),
            _ => source.take(name, &shape),
        }
    }

    /// The part of a tensor that holds several.
    fn cut(&self, weights: Weights, (tensor, layer): (Tensor, usize), dims: &Dims) -> Weights {
        if self.stacked.is_empty() && self.offset == 0 {
            return weights;
        }
        let before = self.stacked.iter().take_while(|part| **part != self.tensor);
        let before = self.offset + before.map(|part| dims.shape(*part, layer).0).sum::<usize>();
        let shape = shape(dims, tensor, layer);
        let width = if shape.len() == 1 { 1 } else { shape[1] };
        let data = weights.data[before * width..][..shape.iter().product()].to_vec();
        Weights { shape, data, ..weights }
    }
}

/// Queries, keys and values as one matrix.
pub(crate) const QKV: &[Tensor] = &[Tensor::Query, Tensor::Key, Tensor::Value];

/// Dimensions of a tensor in memory.
pub(crate) fn shape(dims: &Dims, tensor: Tensor, layer: usize) -> Vec<usize> {
    let (rows, cols) = dims.shape(tensor, layer);
    if tensor.encoding() == Encoding::Vector && rows == 1 { vec![cols] } else { vec![rows, cols] }
}

/// Reads all tensors of a table that have a meaning with the options: before the layers, of each layer, after the layers.
pub(crate) fn read(source: &mut impl Source, config: &Config, rows: &[Row]) -> Result<Tensors, Error> {
    read_with(source, config, &[], rows)
}

/// As [`read`], with the width of each layer's MLP where they differ.
pub(crate) fn read_with(
    source: &mut impl Source,
    config: &Config,
    widths: &[usize],
    rows: &[Row],
) -> Result<Tensors, Error> {
    let mut tensors = Tensors::default();
    let mut dims = config.dims();
    let hidden = dims.n_hidden();
    for (part, layers) in
        [(Part::Before, 1), (Part::Layer, config.n_layers), (Part::HeadLayer, hidden), (Part::After, 1)]
    {
        for layer in 0..layers {
            dims.d_ff = widths.get(layer).copied().unwrap_or(config.d_ff);
            let here =
                |row: &&Row| row.tensor.part() == part && row.tensor.presence(&config.options) != Presence::Never;
            for row in rows.iter().filter(here) {
                row.read(source, &dims, layer, &mut tensors)?;
            }
        }
    }
    Ok(tensors)
}

fn transpose(weights: Weights) -> Weights {
    let [rows, columns] = [weights.shape[0], weights.shape[1]];
    let data = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
    Weights { data: data.map(|index| weights.data[index]).collect(), shape: vec![columns, rows], name: weights.name }
}

/// Moves rows `2 i` and `2 i + 1` of a head to rows `i` and `i + head_dim / 2`. The products of queries and keys stay the
/// same, as the rows of both are moved alike.
pub(crate) fn adjacent_to_halves(weights: Weights, head_dim: usize) -> Weights {
    // A bias has one number for each row.
    let width = weights.shape.get(1).copied().unwrap_or(1);
    let mut data = Vec::with_capacity(weights.data.len());
    for head in weights.data.chunks(head_dim * width) {
        for parity in 0..2 {
            head.chunks(width).skip(parity).step_by(2).for_each(|row| data.extend_from_slice(row));
        }
    }
    Weights { data, ..weights }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thumbformer::Options;

    #[test]
    fn adjacent_pairs_become_halves_within_each_head() {
        let weights = Weights { name: "wq".into(), shape: vec![8, 1], data: (0..8).map(|x| x as f32).collect() };
        assert_eq!(adjacent_to_halves(weights, 4).data, [0., 2., 1., 3., 4., 6., 5., 7.]);
    }

    /// One matrix, whatever the name.
    struct One(Weights);

    impl Source for One {
        fn has(&self, _: &str) -> bool {
            false
        }

        fn take(&mut self, _: &str, shape: &[usize]) -> Result<Weights, Error> {
            assert_eq!(shape, self.0.shape);
            Ok(self.0.clone())
        }
    }

    #[test]
    fn a_transposed_matrix_is_cut_into_queries_keys_and_values() {
        let data = (0..12).map(|x| x as f32).collect();
        let mut stored = One(Weights { name: "c_attn".into(), shape: vec![2, 6], data });
        let mut config = Config::new(Options::LLAMA, 2, 1, 2);
        config.n_layers = 1;
        let row = |tensor: &Tensor| Row::new(*tensor, "c_attn", Bias::Absent).transposed(true).stacked(QKV);
        let rows: Vec<Row> = QKV.iter().map(row).collect();
        let found = read(&mut stored, &config, &rows).unwrap();
        let data = |tensor| found[(tensor, 0)].data.clone();
        assert_eq!(data(Tensor::Query), [0., 6., 1., 7.]);
        assert_eq!(data(Tensor::Key), [2., 8., 3., 9.]);
        assert_eq!(data(Tensor::Value), [4., 10., 5., 11.]);
    }
}
