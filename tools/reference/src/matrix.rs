//! Matrices of `f64`, with the few operations that a network consists of.

use alloc::vec;
use alloc::vec::Vec;

use thumbformer_checkpoint::{Tensor, Tensors, Weights};

use crate::exp::exp;

/// Sums that are computed side by side: those of two rows fill a host's registers, and no addition waits for the one before.
pub(crate) const LANES: usize = 8;

/// Rows of equal width: a table, or a sequence of vectors `[seq, width]`.
#[derive(Clone)]
pub(crate) struct Matrix {
    pub(crate) width: usize,
    pub(crate) data: Vec<f64>,
}

/// A weight matrix `[out, in]` in panels `[ceil(out / LANES)][in][LANES]`, zeros behind the last output.
pub(crate) struct Panels {
    outputs: usize,
    width: usize,
    data: Vec<[f64; LANES]>,
}

/// `weight x + bias`.
pub(crate) struct Linear {
    weight: Panels,
    bias: Option<Vec<f64>>,
}

impl Linear {
    /// A projection with its bias, if it has one; `None` where there is no projection.
    pub(crate) fn of(tensors: &Tensors, tensor: Tensor, layer: usize) -> Option<Self> {
        Some(Self::new(tensors.get(tensor, layer)?, tensor.bias().and_then(|bias| tensors.get(bias, layer))))
    }

    pub(crate) fn new(weight: &Weights, bias: Option<&Weights>) -> Self {
        let width = weight.shape.last().copied().unwrap_or(0);
        let outputs = weight.data.len() / width.max(1);
        let weight = Panels::new(outputs, width, |output, input| weight.data[output * width + input].into());
        Self { weight, bias: bias.map(vector) }
    }

    /// Applies the projection `[out, in]` to every row of `x`.
    pub(crate) fn apply(&self, x: &Matrix) -> Matrix {
        let mut out = self.weight.project(x);
        if let Some(bias) = &self.bias {
            out.add_to_every_row(bias);
        }
        out
    }

    /// The weights of one output.
    pub(crate) fn row(&self, output: usize) -> Vec<f64> {
        self.weight.panel(output / LANES).iter().map(|lanes| lanes[output % LANES]).collect()
    }
}

impl Panels {
    /// The matrix of `weight(output, input)`.
    pub(crate) fn new(outputs: usize, width: usize, weight: impl Fn(usize, usize) -> f64) -> Self {
        let mut data = vec![[0.0; LANES]; outputs.div_ceil(LANES) * width];
        for output in 0..outputs {
            let panel = &mut data[output / LANES * width..][..width];
            panel.iter_mut().enumerate().for_each(|(input, lanes)| lanes[output % LANES] = weight(output, input));
        }
        Self { outputs, width, data }
    }

    /// Weights of the outputs from `LANES * index` on.
    pub(crate) fn panel(&self, index: usize) -> &[[f64; LANES]] {
        &self.data[index * self.width..(index + 1) * self.width]
    }

    /// `x * self^T`: the projection of every row. A panel stays in the cache while all rows go through it.
    pub(crate) fn project(&self, x: &Matrix) -> Matrix {
        let mut out = Matrix { width: self.outputs, data: vec![0.0; x.len() * self.outputs] };
        for start in (0..self.outputs).step_by(LANES) {
            let panel = self.panel(start / LANES);
            for (x, out) in x.data.chunks(2 * x.width).zip(out.data.chunks_mut(2 * self.outputs)) {
                let sums = products(pair(x, self.width), panel);
                out.chunks_mut(self.outputs).zip(&sums).for_each(|(out, sums)| put(sums, &mut out[start..]));
            }
        }
        out
    }
}

/// Two rows of this width; an odd last one twice.
pub(crate) fn pair(rows: &[f64], width: usize) -> [&[f64]; 2] {
    let (first, second) = rows.split_at(width);
    [first, if second.is_empty() { first } else { second }]
}

/// Sums of products of each row with each lane of a panel, in the order of [`dot`].
#[inline]
pub(crate) fn products([a, b]: [&[f64]; 2], panel: &[[f64; LANES]]) -> [[f64; LANES]; 2] {
    let mut sums = [[-0.0; LANES]; 2];
    for ((weights, a), b) in panel.iter().zip(a).zip(b) {
        for (sums, x) in sums.iter_mut().zip([a, b]) {
            sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += x * weight);
        }
    }
    sums
}

/// Writes a panel's sums, as far as there are outputs.
#[inline]
pub(crate) fn put(sums: &[f64; LANES], out: &mut [f64]) {
    match out.first_chunk_mut() {
        Some(out) => *out = *sums,
        None => out.iter_mut().zip(sums).for_each(|(out, sum)| *out = *sum),
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

/// The sum, every [`LANES`]-th number by itself first.
pub(crate) fn sum(x: &[f64]) -> f64 {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x);
    }
    sums.iter().chain(rest).sum()
}

/// The largest number; NaN is none.
pub(crate) fn max(x: &[f64]) -> f64 {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let larger = |a: f64, b: f64| if b > a { b } else { a };
    let mut most = [f64::NEG_INFINITY; LANES];
    for chunk in chunks {
        most.iter_mut().zip(chunk).for_each(|(most, &x)| *most = larger(*most, x));
    }
    most.iter().chain(rest).copied().fold(f64::NEG_INFINITY, larger)
}

/// Softmax in place. The maximum is subtracted first, which does not change the result and keeps `exp` from overflowing.
pub(crate) fn softmax(x: &mut [f64]) {
    let max = max(x);
    x.iter_mut().for_each(|x| *x = exp(*x - max));
    let scale = 1.0 / sum(x);
    x.iter_mut().for_each(|x| *x *= scale);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, width: usize, step: f64) -> Matrix {
        Matrix { width, data: (0..rows * width).map(|i| libm::sin(i as f64 * step) / 3.0).collect() }
    }

    #[test]
    fn a_projection_is_the_dot_product_of_every_row_to_the_bit() {
        for (rows, outputs, width) in [(1, 1, 1), (3, 3, 5), (2, 8, 4), (5, 7, 5), (3, 3, 8), (4, 17, 16), (3, 16, 9)] {
            let (weights, x) = (matrix(outputs, width, 0.7), matrix(rows, width, 1.3));
            let found = Panels::new(outputs, width, |output, input| weights.row(output)[input]).project(&x);
            for row in 0..rows {
                for output in 0..outputs {
                    let expected = dot(weights.row(output), x.row(row));
                    let found = found.row(row)[output];
                    assert_eq!(found.to_bits(), expected.to_bits(), "{rows} rows, {outputs} x {width}");
                }
            }
        }
    }

    #[test]
    fn softmax_is_the_quotient_of_exponentials_and_hides_no_nan() {
        for length in 1..40 {
            let x = matrix(1, length, 0.9).data;
            let exponentials: Vec<f64> = x.iter().map(|&x| libm::exp(x)).collect();
            let total: f64 = exponentials.iter().sum();
            let mut found = x.clone();
            softmax(&mut found);
            for (found, exponential) in found.iter().zip(&exponentials) {
                assert!((found - exponential / total).abs() < 1e-15, "{length}: {found}");
            }
            for index in 0..length {
                let mut broken = x.clone();
                broken[index] = f64::NAN;
                softmax(&mut broken);
                assert!(broken.iter().all(|x| x.is_nan()), "{length}, NaN at {index}");
            }
        }
    }
}
