//! Scaled point: what a branch computes in, so that cores without an FPU run it at integer speed.
//!
//! ```text
//! vector of i32 ── Multiplier ──► vector of i32 (or i16, i8): multiplied by a real number, rounded
//! ```
//! A vector is integers and one `f32` scale ([`Scaled`]); going from one scale to another is a multiplication by a 16-bit
//! number and two shifts. The multiplication is `mul_q16`, which is one instruction on a core with DSP (`SMULWB`), two on
//! an M3, and seven on an M0+.

use crate::arch::{Backend, Native};
pub(crate) use crate::arch::{Multiplier, bit_length, exponent, power_of_two, sqrt};

/// Vectors whose largest magnitude is below this are zero: keeps every reciprocal finite and every product normal.
pub(crate) const TINY: f32 = 1e-30;
/// Vectors whose largest magnitude is above this are refused: keeps every product of two scales finite.
pub(crate) const HUGE: f32 = 1e30;

/// A vector in fixed point: `value = integer * scale`.
pub(crate) struct Scaled<'a> {
    pub(crate) integers: &'a mut [i32],
    /// Zero or a normal number when a result can be trusted.
    pub(crate) scale: f32,
}

impl Scaled<'_> {
    /// Adds a vector of 16-bit integers in units of `scale`, as exactly as the coarser of both units allows; returns the scale of
    /// the sum, `None` when a scale is beyond all reason.
    ///
    /// The sum keeps this vector's unit, unless the other's is so much larger that it would not fit.
    ///
    /// # Shapes
    /// `other`: as many as the integers.
    pub(crate) fn add(&mut self, other: &[i16], scale: f32) -> Option<f32> {
        if let Some(ratio) = Scaled::multiplier_of_i16(scale, self.scale) {
            Native::add_scaled(self.integers, other, ratio);
            return Some(self.scale);
        }
        let bound = Native::abs_max(self.integers);
        let ratio = Multiplier::new(self.scale / scale, bound)?;
        for (x, &other) in self.integers.iter_mut().zip(other) {
            *x = ratio.apply(*x) + i32::from(other);
        }
        Some(scale)
    }

    /// Multiplier from 16-bit integers in units of `scale` to another unit; `None` when they would not fit.
    #[inline]
    pub(crate) fn multiplier_of_i16(scale: f32, unit: f32) -> Option<Multiplier> {
        const LARGEST: u32 = 1 << 15;
        if scale < TINY {
            return Some(Multiplier::ZERO);
        }
        // Of an infinite quotient nothing is kept, as of one beyond 12 bits: 15 bits times it fit 27.
        let quotient = scale / unit;
        if quotient < 4096.0 { Multiplier::new(quotient, LARGEST) } else { None }
    }
}
