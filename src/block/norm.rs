//! Norms: of the stream as a branch sees it (pre-LN), or of the stream itself after a branch (post-LN).
//!
//! ```text
//! stream, f32 ──► block fixed point ─┬─► sum of squares ──────────────► one scale ─┐
//!                                    └─► × gain ──► largest magnitude ──► int8 ────┴─► what meets the first matrix
//! ```
//! The norm itself only changes the scale: integers that are as large as int8 allows are the same with or without it. Where
//! queries and keys are normed, each head of them is one by itself.

use crate::arch::{Backend, Native};
use crate::image::Image;
use crate::kernels::matrix::Batch;
use crate::kernels::quantize::{BLOCK_BITS, quantize_within, to_block};
use crate::kernels::scaled::{Multiplier, Scaled, TINY, bit_length, power_of_two, sqrt};
use crate::observe::{Observer, Point};
use crate::options;
use crate::state::regions::Scratch;
use crate::tensors::Tensor;
use crate::weights::Vector;

/// RMSNorm (Zhang & Sennrich 2019): `gain * x / sqrt(mean(x^2) + eps)`, or LayerNorm (Ba et al. 2016):
/// `gain * (x - mean(x)) / sqrt(variance(x) + eps) + bias`.
pub(crate) struct Norm<'a> {
    pub(crate) kind: options::Norm,
    /// `[d_model]`.
    pub(crate) gain: Vector<'a>,
    /// `[d_model]`.
    pub(crate) bias: Option<Vector<'a>>,
    pub(crate) eps: f32,
}

impl<'a> Norm<'a> {
    /// The norm of an image with these tensors.
    pub(crate) fn of(image: &Image<'a>, gain: Tensor, bias: Tensor, layer: usize) -> Norm<'a> {
        Norm {
            kind: image.dims.options.norm,
            gain: image.vector(gain, layer),
            bias: image.optional_vector(bias, layer),
            eps: image.dims.norm_eps,
        }
    }
}

impl Norm<'_> {
    /// Leaves the normed streams in the scratch's activations; `None` when a value is not finite.
    ///
    /// # Shapes
    /// `streams: [tokens, d_model]`.
    pub(crate) fn forward(
        &self,
        streams: &[f32],
        scratch: &mut Scratch<'_>,
        point: Point,
        layer: usize,
        observer: &mut impl Observer,
    ) -> Option<Batch> {
        let width = self.gain.integers.len().max(1);
        let mut streams = streams.chunks_exact(width);
        let integers = scratch.integers.get_mut(..width)?;
        Batch::new(width, streams.len(), scratch.activations, |_, words| {
            let (normed, largest) = self.normed(streams.next()?, integers)?;
            observer.vector(point, layer, &normed.observed());
            quantize_within(&normed, largest, words)
        })
    }

    /// Norms a stream in place, as post-LN does; `None` when a value is not finite.
    ///
    /// # Shapes
    /// `stream: [d_model]`.
    pub(crate) fn in_place(&self, stream: &mut [f32], scratch: &mut Scratch<'_>) -> Option<()> {
        let (normed, _) = self.normed(stream, scratch.integers.get_mut(..stream.len())?)?;
        for (x, &integer) in stream.iter_mut().zip(normed.integers.iter()) {
            *x = integer as f32 * normed.scale;
        }
        Some(())
    }

    /// One stream, normed, in fixed point; its largest magnitude where that is known.
    ///
    /// # Shapes
    /// `stream`, `integers`: `[d_model]`.
    fn normed<'i>(&self, stream: &[f32], integers: &'i mut [i32]) -> Option<(Scaled<'i>, Option<u32>)> {
        let block = to_block(stream, integers)?;
        let (squares, shift, unit) = match self.kind {
            // 15 bits of each value: the sum of 65536 squares fits 46.
            options::Norm::Rms => (Native::sum_of_squares(integers, 8), 8, block * 256.0),
            options::Norm::Layer => subtract_mean(integers, block),
        };
        let inverse = inverse(squares, integers.len(), unit, self.eps);
        // The integers are in units of 2^-shift of those that were squared, and the gain's multiplication divides by 2^16.
        let mut normed = Scaled { integers, scale: self.gain.scale * power_of_two(16 - shift) * inverse };
        let Some(bias) = &self.bias else {
            Native::scale_rows(normed.integers, self.gain.integers);
            return Some((normed, None));
        };
        let Some(ratio) = Scaled::multiplier_of_i16(bias.scale, normed.scale) else {
            Native::scale_rows(normed.integers, self.gain.integers);
            normed.scale = normed.add(bias.integers, bias.scale)?;
            return Some((normed, None));
        };
        let largest = Native::scale_and_add(normed.integers, self.gain.integers, bias.integers, ratio);
        Some((normed, largest))
    }
}

/// Bits behind the point of a head's normed values, in units of the gain's scale: with a gain of 16 bits and the root of the
/// widest head they stay below 2^24.
const HEAD_BITS: i32 = 4;

/// Norms each head of a token's queries or keys by itself, in place, as an RMSNorm; `None` when a value is beyond all reason.
///
/// # Shapes
/// `heads`: any number of heads `[head_dim]`; `gain`: `[head_dim]`.
#[inline(never)] // most models have none
pub(crate) fn norm_heads(heads: &mut Scaled<'_>, gain: &Vector<'_>, eps: f32) -> Option<()> {
    if heads.scale < TINY {
        heads.integers.fill(0);
    }
    for head in heads.integers.chunks_exact_mut(gain.integers.len().max(1)) {
        // As a stream in block fixed point: 15 bits of each value are squared.
        let shift = BLOCK_BITS - bit_length(Native::abs_max(head));
        head.iter_mut().for_each(|x| *x = if shift < 0 { *x >> -shift } else { *x << shift });
        let unit = heads.scale * power_of_two(8 - shift);
        let inverse = inverse(Native::sum_of_squares(head, 8), head.len(), unit, eps);
        Native::scale_rows(head, gain.integers);
        // The gain's multiplication divides by 2^16.
        let ratio = Multiplier::new(inverse * power_of_two(8 + HEAD_BITS), 1 << (BLOCK_BITS - 1))?;
        Native::rescale_in_place(head, ratio);
    }
    heads.scale = gain.scale * power_of_two(-HEAD_BITS);
    Some(())
}

/// `1 / sqrt(mean + eps)` of a sum of squares in units of `unit^2`.
#[inline(always)]
fn inverse(squares: u64, count: usize, unit: f32, eps: f32) -> f32 {
    let mean = squares as f32 / count.max(1) as f32;
    // In two steps, each of which stays clear of subnormals for every norm that has an effect.
    let eps = if unit > 0.0 { eps / unit / unit } else { 0.0 };
    if mean + eps > 0.0 { 1.0 / sqrt(mean + eps) } else { 0.0 }
}

/// Takes the mean off; returns the sum of squares, by how many bits the integers were shifted for it, and the unit after that.
///
/// The rest can be much smaller than the mean was, so it is brought up to the 24 bits that it had.
fn subtract_mean(integers: &mut [i32], block: f32) -> (u64, i32, f32) {
    // 15 bits of each value are squared.
    const SHIFT: u32 = 9;
    let (sum, count) = (Native::sum(integers), integers.len().max(1));
    // A long division is a long way on most cores.
    let mean = match i32::try_from(sum) {
        Ok(sum) => sum / count as i32,
        Err(_) => (sum / count as i64) as i32,
    };
    let mut squares = Native::subtract_mean(integers, mean, SHIFT);
    // The largest has 23 bits: a mean below an eighth of it leaves as many but one. All are below 2^24.
    let left = if mean.abs() < 1 << 19 { 0 } else { (24 - bit_length(Native::abs_max(integers))).max(0) };
    if left > 0 {
        integers.iter_mut().for_each(|x| *x <<= left);
        squares = Native::sum_of_squares(integers, SHIFT);
    }
    (squares, SHIFT as i32, block * power_of_two(SHIFT as i32 - left))
}
