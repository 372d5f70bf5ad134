//! Norms: what a branch sees of the stream. They read the stream and hand the branch int8, never in place.
//!
//! ```text
//! stream, f32 ──► block fixed point ─┬─► sum of squares ──────────────► one scale ─┐
//!                                    └─► × gain ──► largest magnitude ──► int8 ────┴─► what meets the first matrix
//! ```
//! The norm itself only changes the scale: integers that are as large as int8 allows are the same with or without it.

use crate::arch::mul_wide;
use crate::kernels::fixed::Fixed;
use crate::kernels::matrix::Batch;
use crate::kernels::quantize::{quantize, to_block};
use crate::observe::{Observer, Point};
use crate::state::Scratch;
use crate::weights::Vector;

/// RMSNorm (Zhang & Sennrich 2019): `gain * x / sqrt(mean(x^2) + eps)`.
pub(crate) struct RmsNorm<'a> {
    /// `[d_model]`.
    pub(crate) gain: Vector<'a>,
    pub(crate) eps: f32,
}

impl RmsNorm<'_> {
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
            let normed = self.normed(streams.next()?, integers)?;
            observer.vector(point, layer, &normed.observed());
            quantize(&normed, words)
        })
    }

    /// One stream, normed, in fixed point.
    ///
    /// # Shapes
    /// `stream`, `integers`: `[d_model]`.
    fn normed<'i>(&self, stream: &[f32], integers: &'i mut [i32]) -> Option<Fixed<'i>> {
        let block = to_block(stream, integers)?;
        // 15 bits of each value: the sum of 65536 squares fits 46.
        let squares = integers.iter().map(|&x| u64::from((x >> 8).unsigned_abs().pow(2))).sum::<u64>();
        let unit = block * 256.0;
        let mean = squares as f32 / integers.len().max(1) as f32;
        // In two steps, each of which stays clear of subnormals for every norm that has an effect.
        let eps = if unit > 0.0 { self.eps / unit / unit } else { 0.0 };
        let inverse = if mean + eps > 0.0 { 1.0 / libm::sqrtf(mean + eps) } else { 0.0 };
        for (x, &gain) in integers.iter_mut().zip(self.gain.integers) {
            *x = mul_wide(*x, gain);
        }
        Some(Fixed { integers, scale: self.gain.scale * 256.0 * inverse })
    }
}
