//! Fixed point: what a branch computes in, so that cores without an FPU run it at integer speed.
//!
//! ```text
//! vector of i32 ── Ratio ──► vector of i32 (or i16, i8): multiplied by a real number, rounded
//! ```
//! A vector is integers and one `f32` scale ([`Fixed`]); going from one scale to another is a multiplication by a 16-bit
//! number and two shifts. The multiplication is `mul_wide`, which is one instruction on a core with DSP (`SMULWB`), two on
//! an M3, and seven on an M0+.

pub(crate) use crate::arch::{Ratio, bit_length, exponent, power_of_two};
use crate::observe::Vector;

/// A vector in fixed point: `value = integer * scale`.
pub(crate) struct Fixed<'a> {
    pub(crate) integers: &'a mut [i32],
    /// Zero or a normal number when a result can be trusted.
    pub(crate) scale: f32,
}

impl Fixed<'_> {
    /// The vector as an observer sees it.
    pub(crate) fn observed(&self) -> Vector<'_> {
        Vector::Fixed { integers: self.integers, scale: self.scale }
    }
}
