//! Matrices of `f64`, with the few operations that a network consists of.

use alloc::vec::Vec;

use thumbformer_checkpoint::{Tensor, Tensors, Weights};

/// Rows of equal width: a weight matrix `[out, in]`, or a sequence of vectors `[seq, width]`.
#[derive(Clone)]
pub(crate) struct Matrix {
    pub(crate) width: usize,
    pub(crate) data: Vec<f64>,
}

/// `weight x + bias`.
#[derive(Clone)]
pub(crate) struct Linear {
    pub(crate) weight: Matrix,
    bias: Option<Vec<f64>>,
}

impl Linear {
    /// A projection with its bias, if it has one; `None` where there is no projection.
    pub(crate) fn of(tensors: &Tensors, tensor: Tensor, layer: usize) -> Option<Self> {
        Some(Self::new(tensors.get(tensor, layer)?, tensor.bias().and_then(|bias| tensors.get(bias, layer))))
    }

    pub(crate) fn new(weight: &Weights, bias: Option<&Weights>) -> Self {
        Self { weight: Matrix::from(weight), bias: bias.map(vector) }
    }

    /// Applies the projection `[out, in]` to every row of `x`.
    pub(crate) fn apply(&self, x: &Matrix) -> Matrix {
        let mut out = x.project(&self.weight);
        if let Some(bias) = &self.bias {
            out.add_to_every_row(bias);
        }
        out
    }
}

impl Matrix {
    pub(crate) fn rows(rows: impl Iterator<Item = Vec<f64>>) -> Self {
        let rows: Vec<Vec<f64>> = rows.collect();
        Self { width: rows.first().map_or(0, Vec::len), data: rows.concat() }
    }

    pub(crate) fn len(&self) -> usize {
        self.data.len() / self.width
    }

    pub(crate) fn row(&self, index: usize) -> &[f64] {
        &self.data[index * self.width..(index + 1) * self.width]
    }

    pub(crate) fn row_mut(&mut self, index: usize) -> &mut [f64] {
        &mut self.data[index * self.width..(index + 1) * self.width]
    }

    /// `self * weights^T`: the projection `[out, in]` of every row.
    pub(crate) fn project(&self, weights: &Matrix) -> Matrix {
        let outputs = weights.len();
        let mut data = Vec::with_capacity(self.len() * outputs);
        for row in self.data.chunks(self.width) {
            for weights in weights.data.chunks(4 * weights.width) {
                let mut rows = weights.chunks(row.len());
                match [rows.next(), rows.next(), rows.next(), rows.next()] {
                    [Some(a), Some(b), Some(c), Some(d)] => data.extend(dots([a, b, c, d], row)),
                    fewer => data.extend(fewer.into_iter().flatten().map(|weights| dot(weights, row))),
                }
            }
        }
        Matrix { width: outputs, data }
    }

    /// Applies a function to every number.
    pub(crate) fn map(self, function: impl Fn(f64) -> f64) -> Matrix {
        Matrix { width: self.width, data: self.data.into_iter().map(function).collect() }
    }

    pub(crate) fn add_to_every_row(&mut self, other: &[f64]) {
        for row in self.data.chunks_mut(self.width) {
            row.iter_mut().zip(other).for_each(|(x, other)| *x += other);
        }
    }

    pub(crate) fn add(&mut self, other: &Matrix) {
        self.data.iter_mut().zip(&other.data).for_each(|(x, other)| *x += other);
    }
}

impl From<&Weights> for Matrix {
    fn from(tensor: &Weights) -> Self {
        Self { width: tensor.shape.last().copied().unwrap_or(0), data: vector(tensor) }
    }
}

pub(crate) fn vector(tensor: &Weights) -> Vec<f64> {
    tensor.data.iter().copied().map(f64::from).collect()
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// [`dot`] of four vectors with one, each in the order of `dot`: additions of one sum wait for each other, those of four do not.
pub(crate) fn dots(a: [&[f64]; 4], b: &[f64]) -> [f64; 4] {
    let mut sums = [-0.0; 4];
    let [a0, a1, a2, a3] = a;
    for ((((a0, a1), a2), a3), b) in a0.iter().zip(a1).zip(a2).zip(a3).zip(b) {
        for (sum, a) in sums.iter_mut().zip([a0, a1, a2, a3]) {
            *sum += a * b;
        }
    }
    sums
}

/// Softmax in place. The maximum is subtracted first, which does not change the result and keeps `exp` from overflowing.
pub(crate) fn softmax(x: &mut [f64]) {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    x.iter_mut().for_each(|x| *x = libm::exp(*x - max));
    let sum: f64 = x.iter().sum();
    x.iter_mut().for_each(|x| *x /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projection_is_the_dot_product_of_every_row_to_the_bit() {
        let matrix = |rows: usize, width: usize, step: f64| Matrix {
            width,
            data: (0..rows * width).map(|i| libm::sin(i as f64 * step) / 3.0).collect(),
        };
        for (rows, width) in [(1, 1), (3, 5), (4, 8), (5, 7), (8, 3), (11, 16)] {
            let (weights, x) = (matrix(rows, width, 0.7), matrix(3, width, 1.3));
            let found = x.project(&weights);
            for row in 0..3 {
                for output in 0..rows {
                    let expected = dot(weights.row(output), x.row(row));
                    assert_eq!(found.row(row)[output].to_bits(), expected.to_bits(), "{rows} x {width}");
                }
            }
        }
    }
}
