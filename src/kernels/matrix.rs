//! Matrix times a batch of vectors: exact integer dot products, scaled by integers as far as a row or a group has a scale of its
//! own.
//!
//! ```text
//! int8 vectors, a scale each ─┐
//! int8 or int4 matrix ────────┴─► fixed point, a scale each
//! ```

use super::scaled::{HUGE, Multiplier, Scaled};
use crate::arch::{self, Backend, Bias, MAX_BATCH, Native, PACKED_ROWS};
use crate::weights::{Kind, Linear, Matrix, Vector};

/// Divisor of a row's multiplier.
const MULTIPLIED: f32 = 65_536.0;

/// The scales of a batch of int8 vectors, which lie one after the other in the scratch's activations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    scales: [f32; MAX_BATCH],
    tokens: usize,
}

impl Batch {
    /// Makes a batch: `quantize` is called for each token with its words and returns the scale.
    ///
    /// # Shapes
    /// `words`: room for `tokens` vectors `[width]`.
    #[inline]
    pub(crate) fn new(
        width: usize,
        tokens: usize,
        words: &mut [u32],
        mut quantize: impl FnMut(usize, &mut [u32]) -> Option<f32>,
    ) -> Option<Batch> {
        let mut scales = [0.0; MAX_BATCH];
        let stride = arch::activation_stride(width);
        let mut rest = words;
        for (token, scale) in scales.iter_mut().enumerate().take(tokens) {
            let (words, later) = core::mem::take(&mut rest).split_at_mut_checked(stride)?;
            *scale = quantize(token, words)?;
            rest = later;
        }
        Some(Batch { scales, tokens })
    }

    /// Number of vectors.
    pub(crate) const fn tokens(&self) -> usize {
        self.tokens
    }
}

/// A batch of vectors in fixed point: the rows of a matrix times each of the batch.
pub(crate) struct Products<'a> {
    /// `[tokens, stride]`.
    integers: &'a mut [i32],
    rows: usize,
    stride: usize,
    /// The vectors that were multiplied, for their scales.
    batch: Batch,
    /// Scale of the matrix.
    unit: f32,
}

impl Products<'_> {
    /// The vector of one token, `[rows]`; `None` beyond the batch, and when its unit is beyond all reason.
    #[inline]
    pub(crate) fn token(&mut self, token: usize) -> Option<Scaled<'_>> {
        let scale = *self.batch.scales.get(token)? * self.unit;
        let usable = scale <= HUGE;
        if !usable {
            return None;
        }
        let integers = self.integers.chunks_exact_mut(self.stride.max(1)).nth(token)?;
        Some(Scaled { integers: integers.get_mut(..self.rows)?, scale })
    }

    /// Outputs of the matrix.
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a bias to every vector; `None` when a unit is beyond all reason.
    fn add(&mut self, bias: &Vector<'_>) -> Option<()> {
        let mut scales = [0.0; MAX_BATCH];
        for (token, scale) in scales.iter_mut().enumerate().take(self.batch.tokens) {
            *scale = self.token(token)?.add(bias.integers, bias.scale)?;
        }
        self.batch.scales = scales;
        self.unit = 1.0;
        Some(())
    }
}

/// `y = w · x + bias` for each vector of a batch; `None` when a unit is beyond all reason, or `y` has no room for the padded rows.
///
/// # Shapes
/// As of [`matmul`].
#[inline]
pub(crate) fn linear<'y>(y: &'y mut [i32], linear: &Linear<'_>, words: &[u32], x: &Batch) -> Option<Products<'y>> {
    let Some(bias) = &linear.bias else { return matmul(y, &linear.matrix, words, x) };
    let w = &linear.matrix;
    if let Kind::Int8 { multipliers } = w.kind
        && let Some((batch, ratios)) = bias_ratios(x, w.scale * MULTIPLIED, bias)
    {
        let stride = w.rows.next_multiple_of(PACKED_ROWS);
        let y = y.get_mut(..x.tokens * stride)?;
        let bias = Bias { integers: bias.integers, ratios: &ratios };
        Native::linear_q8(w.packing, w.words, w.width, words, multipliers, &bias, y);
        return Some(Products { integers: y, rows: w.rows, stride, batch, unit: 1.0 });
    }
    let mut products = matmul(y, w, words, x)?;
    products.add(bias)?;
    Some(products)
}

/// Multipliers of a bias before it is added to each vector, and the scales of the sums; `None` where a sum has another
/// scale than the product ([`Scaled::add`]), or none.
fn bias_ratios(x: &Batch, unit: f32, bias: &Vector<'_>) -> Option<(Batch, [Multiplier; MAX_BATCH])> {
    let (mut batch, mut ratios) = (*x, [Multiplier::ZERO; MAX_BATCH]);
    for (scale, ratio) in batch.scales.iter_mut().zip(&mut ratios).take(x.tokens) {
        *scale *= unit;
        let usable = *scale <= HUGE;
        if !usable {
            return None;
        }
        *ratio = Scaled::multiplier_of_i16(bias.scale, *scale)?;
    }
    Some((batch, ratios))
}

/// `y = w · x` for each vector of a batch; integers below 2^29.
///
/// int8: `y[r] = sum(w[r][c] * x[c]) * multipliers[r] / 2^16`; int4: `y[r] = sum over groups of scale[r][g] * sum(w[r][c] * x[c])`.
///
/// `None` when `y` has no room for the padded rows.
///
/// # Shapes
/// `w: [rows, cols]`; `x: [tokens, cols]` in `words`; `y: [tokens, padded rows]`.
#[inline]
pub(crate) fn matmul<'y>(y: &'y mut [i32], w: &Matrix<'_>, words: &[u32], x: &Batch) -> Option<Products<'y>> {
    let stride = w.rows.next_multiple_of(PACKED_ROWS);
    let y = y.get_mut(..x.tokens * stride)?;
    let unit = match w.kind {
        Kind::Int8 { multipliers } => {
            Native::matmul_q8(w.packing, w.words, w.width, words, multipliers, y);
            w.scale * MULTIPLIED
        }
        Kind::Int4 => {
            Native::matmul_q4(w.packing, w.words, w.width, words, stride, y);
            w.scale
        }
    };
    Some(Products { integers: y, rows: w.rows, stride, batch: *x, unit })
}
