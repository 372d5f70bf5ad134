//! A sequence of vectors, and the layers that work on each vector alone: matrix and norm.

use super::multiply::{View, multiply};
use thumbformer_checkpoint::{Config, Norm as Kind, Tensor, Tensors, Weights};

/// A sequence of vectors, `[seq, width]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rows {
    pub(super) width: usize,
    pub(super) data: Vec<f32>,
}

impl Rows {
    pub(super) fn zeros(len: usize, width: usize) -> Rows {
        Rows { width, data: vec![0.0; len * width] }
    }

    pub(super) fn len(&self) -> usize {
        self.data.len() / self.width.max(1)
    }

    pub(super) fn iter(&self) -> std::slice::ChunksExact<'_, f32> {
        self.data.chunks_exact(self.width.max(1))
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::ChunksExactMut<'_, f32> {
        self.data.chunks_exact_mut(self.width.max(1))
    }

    pub(super) fn view(&self) -> View<'_> {
        View::new(&self.data, self.len(), self.width, self.width)
    }

    /// Some columns of all rows.
    pub(super) fn columns(&self, first: usize, count: usize) -> View<'_> {
        View::new(&self.data[first..], self.len(), count, self.width)
    }

    pub(super) fn add(&mut self, other: &Rows) {
        self.data.iter_mut().zip(&other.data).for_each(|(x, other)| *x += other);
    }
}

/// Gradients of the loss by each weight of the trained matrices, by [`Linear::slot`].
pub(super) type Gradients = Vec<Vec<f32>>;

/// `y = weight x + bias`.
#[derive(Clone)]
pub(super) struct Linear {
    inputs: usize,
    outputs: usize,
    /// `[outputs, inputs]`.
    weight: Vec<f32>,
    /// `[inputs, outputs]`.
    transposed: Vec<f32>,
    bias: Option<Vec<f32>>,
    /// Index of its gradient; `None` where the matrix is not trained.
    pub(super) slot: Option<usize>,
}

impl Linear {
    /// A projection of the checkpoint, with its bias.
    pub(super) fn of(tensors: &Tensors, tensor: Tensor, layer: usize) -> Linear {
        Linear::new(&tensors[(tensor, layer)], tensor.bias().and_then(|bias| tensors.get(bias, layer)))
    }

    pub(super) fn new(weight: &Weights, bias: Option<&Weights>) -> Linear {
        let (outputs, inputs) = (weight.shape[0], weight.shape[1]);
        let bias = bias.map(|bias| bias.data.clone());
        let mut linear = Linear { inputs, outputs, weight: Vec::new(), transposed: Vec::new(), bias, slot: None };
        linear.set(weight.data.clone());
        linear
    }

    /// Replaces the weights by others of the same shape.
    pub(super) fn set(&mut self, weight: Vec<f32>) {
        let column = |col| weight.iter().skip(col).step_by(self.inputs).copied();
        self.transposed = (0..self.inputs).flat_map(column).collect();
        self.weight = weight;
    }

    #[cfg(test)]
    pub(super) fn weight(&self) -> &[f32] {
        &self.weight
    }

    pub(super) fn forward(&self, x: &Rows) -> Rows {
        let mut y = Rows::zeros(x.len(), self.outputs);
        if let Some(bias) = &self.bias {
            y.iter_mut().for_each(|row| row.copy_from_slice(bias));
        }
        multiply(
            x.view(),
            View::new(&self.transposed, self.inputs, self.outputs, self.outputs),
            &mut y.data,
            self.outputs,
        );
        y
    }

    /// Gradient of `x`; the gradient of the weights is added to its slot.
    pub(super) fn backward(&self, x: &Rows, dy: &Rows, gradients: &mut Gradients) -> Rows {
        if let Some(slot) = self.slot {
            multiply(dy.view().transposed(), x.view(), &mut gradients[slot], self.inputs);
        }
        self.backward_input(dy)
    }

    /// Gradient of `x` alone.
    pub(super) fn backward_input(&self, dy: &Rows) -> Rows {
        let mut dx = Rows::zeros(dy.len(), self.inputs);
        multiply(dy.view(), View::new(&self.weight, self.outputs, self.inputs, self.inputs), &mut dx.data, self.inputs);
        dx
    }
}

/// A norm with its gain and bias, neither trained.
#[derive(Clone)]
pub(super) struct Norm {
    kind: Kind,
    eps: f32,
    gain: Vec<f32>,
    bias: Option<Vec<f32>>,
}

/// Values for the backward pass of a norm.
pub(super) struct Normed {
    /// The rows before gain and bias.
    unit: Rows,
    /// Factor of each row.
    scales: Vec<f32>,
}

impl Norm {
    /// A norm of the checkpoint, with its bias.
    pub(super) fn new(config: &Config, tensors: &Tensors, gain: Tensor, layer: usize) -> Norm {
        let bias = gain.bias().and_then(|bias| tensors.get(bias, layer));
        Norm {
            kind: config.options.norm,
            eps: config.norm_eps,
            gain: tensors[(gain, layer)].data.clone(),
            bias: bias.map(|bias| bias.data.clone()),
        }
    }

    pub(super) fn forward(&self, x: &Rows) -> (Rows, Normed) {
        let mut unit = x.clone();
        let mut scales = Vec::with_capacity(x.len());
        for row in unit.iter_mut() {
            let mean = if self.kind == Kind::Layer { mean(row) } else { 0.0 };
            row.iter_mut().for_each(|x| *x -= mean);
            let square = row.iter().map(|x| x * x).sum::<f32>() / row.len() as f32;
            let scale = 1.0 / (square + self.eps).sqrt();
            row.iter_mut().for_each(|x| *x *= scale);
            scales.push(scale);
        }
        let mut y = unit.clone();
        for row in y.iter_mut() {
            row.iter_mut().zip(&self.gain).for_each(|(y, gain)| *y *= gain);
            row.iter_mut().zip(self.bias.iter().flatten()).for_each(|(y, bias)| *y += bias);
        }
        (y, Normed { unit, scales })
    }

    /// `dx = scale * (g - mean(g) - unit * mean(g * unit))` with `g = dy * gain`; RMSNorm subtracts no mean.
    pub(super) fn backward(&self, normed: &Normed, dy: &Rows) -> Rows {
        let mut dx = dy.clone();
        for ((row, unit), scale) in dx.iter_mut().zip(normed.unit.iter()).zip(&normed.scales) {
            row.iter_mut().zip(&self.gain).for_each(|(g, gain)| *g *= gain);
            let along = row.iter().zip(unit).map(|(g, unit)| g * unit).sum::<f32>() / row.len() as f32;
            let mean = if self.kind == Kind::Layer { mean(row) } else { 0.0 };
            row.iter_mut().zip(unit).for_each(|(g, unit)| *g = scale * (*g - mean - unit * along));
        }
        dx
    }
}

fn mean(row: &[f32]) -> f32 {
    row.iter().sum::<f32>() / row.len() as f32
}
