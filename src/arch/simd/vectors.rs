//! Vectors of 32-bit integers in `core::simd`.
//!
//! ```text
//! x ── Multiplier ──► rescaled: bytes, halves, in place, an activation's argument
//! x ── reduced ──► the largest, sums
//! ```

use super::{ACTIVATION_BITS, Backend, Multiplier, STEP_BITS, Scalar, Tail, mul_q16};
use core::simd::cmp::SimdOrd;
use core::simd::num::{SimdInt, SimdUint};
use core::simd::{Simd, i32x4, simd_swizzle};

/// A [`Multiplier`] for four lanes.
struct Rescale {
    left: i32x4,
    multiplier: i32x4,
    half: i32x4,
    right: i32x4,
}

impl Rescale {
    #[inline(always)]
    fn new(ratio: Multiplier) -> Rescale {
        let half = if ratio.right_shift == 0 { 0 } else { 1 << (ratio.right_shift - 1) };
        Rescale {
            left: Simd::splat(ratio.left_shift.cast_signed()),
            multiplier: Simd::splat(ratio.multiplier.into()),
            half: Simd::splat(half),
            right: Simd::splat(ratio.right_shift.cast_signed()),
        }
    }

    /// `Multiplier::apply`. The halves apart: with one number for all lanes the compiler does not see the upper half of a product.
    #[inline(always)]
    fn apply(&self, x: i32x4) -> i32x4 {
        let x = x << self.left;
        let low = ((x & Simd::splat(0xffff)) * self.multiplier) >> Simd::splat(16);
        ((x >> Simd::splat(16)) * self.multiplier + low + self.half) >> self.right
    }
}

/// A [`Multiplier`] for many vectors: the upper half of a product is one instruction, which [`Rescale`] takes six for. A few more
/// before the first vector, so that it does not pay for heads of eight numbers.
///
/// A multiplier that is the same in all turns of a loop the compiler widens to 64 bits before it, and then does not see the
/// upper half. So neighbours change places in every turn: all are equal, which it must not know.
struct LongRescale {
    left: i32x4,
    /// In the upper half.
    multiplier: i32x4,
    half: i32x4,
    right: i32x4,
}

impl LongRescale {
    #[inline(always)]
    fn new(ratio: Multiplier) -> LongRescale {
        let Rescale { left, multiplier, half, right } = Rescale::new(ratio);
        let multiplier = *core::hint::black_box(&(multiplier << Simd::splat(16)));
        LongRescale { left, multiplier, half, right }
    }

    /// `Multiplier::apply`.
    #[inline(always)]
    fn apply(&mut self, x: i32x4) -> i32x4 {
        let x = x << self.left;
        let product = ((x.cast::<i64>() * self.multiplier.cast::<i64>()) >> Simd::splat(32)).cast::<i32>();
        self.multiplier = simd_swizzle!(self.multiplier, [1, 0, 3, 2]);
        (product + self.half) >> self.right
    }
}

/// `activation` of four numbers.
#[inline(always)]
fn activated(x: i32x4, tail: &Tail) -> i32x4 {
    const STEP: i32 = (ACTIVATION_BITS - STEP_BITS) as i32;
    let magnitude = x.abs();
    let index = (magnitude >> Simd::splat(STEP)).simd_min(Simd::splat(255));
    let words = Simd::<u32, 4>::gather_or_default(tail, index.cast::<usize>());
    let fraction = magnitude & Simd::splat((1 << STEP) - 1);
    let slope = words.cast::<i32>() >> Simd::splat(16);
    let tail = (words & Simd::splat(0xffff)).cast::<i32>() + ((slope * fraction) >> Simd::splat(STEP));
    (x & !(x >> Simd::splat(31))) - tail
}

/// [`Backend::scale_rows`].
pub(super) fn scale_rows(x: &mut [i32], multipliers: &[i16]) {
    let (vectors, rest) = x.as_chunks_mut::<4>();
    let (multiplier_vectors, multiplier_rest) = multipliers.as_chunks::<4>();
    for (x, &multipliers) in vectors.iter_mut().zip(multiplier_vectors) {
        let multipliers = Simd::<i16, 4>::from_array(multipliers).cast::<i32>();
        *x = mul_q16(i32x4::from_array(*x), multipliers).to_array();
    }
    Scalar::scale_rows(rest, multiplier_rest);
}

/// [`Backend::add_scaled`].
pub(super) fn add_scaled(x: &mut [i32], other: &[i16], ratio: Multiplier) {
    let (vectors, rest) = x.as_chunks_mut::<4>();
    let (other_vectors, other_rest) = other.as_chunks::<4>();
    // Of 15 bits by 29, halves apart: the product of the shifted multiplier is the same.
    let multiplier = i32::from(ratio.multiplier) << ratio.left_shift;
    let (upper, lower) = (Simd::splat(multiplier >> 16), Simd::splat(multiplier & 0xffff));
    let scale = Rescale::new(ratio);
    for (x, &other) in vectors.iter_mut().zip(other_vectors) {
        let other = Simd::<i16, 4>::from_array(other).cast::<i32>();
        let product = other * upper + ((other * lower) >> Simd::splat(16));
        *x = (i32x4::from_array(*x) + ((product + scale.half) >> scale.right)).to_array();
    }
    Scalar::add_scaled(rest, other_rest, ratio);
}

/// [`Backend::sum_of_squares`].
pub(super) fn sum_of_squares(x: &[i32], shift: u32) -> u64 {
    let (vectors, rest) = x.as_chunks::<4>();
    let mut sum = Scalar::sum_of_squares(rest, shift);
    for &x in vectors {
        let x = i32x4::from_array(x) >> Simd::splat(shift.cast_signed());
        // The square of -2^15 has 31 bits: four of them do not fit a word.
        sum += (x * x).cast::<u64>().reduce_sum();
    }
    sum
}

/// [`Backend::sum`].
pub(super) fn sum(x: &[i32]) -> i64 {
    let (vectors, rest) = x.as_chunks::<4>();
    let sums = vectors.iter().map(|&x| i32x4::from_array(x).cast::<i64>().reduce_sum());
    sums.sum::<i64>() + Scalar::sum(rest)
}

/// [`Backend::abs_max`].
pub(super) fn abs_max(x: &[i32]) -> u32 {
    let (vectors, rest) = x.as_chunks::<4>();
    let (mut most, mut least) = (i32x4::splat(0), i32x4::splat(0));
    for &x in vectors {
        let x = i32x4::from_array(x);
        (most, least) = (most.simd_max(x), least.simd_min(x));
    }
    // The magnitude of a negative number, less one, is its complement.
    let largest = most.reduce_max().max(!least.reduce_min());
    (largest.cast_unsigned() + 1).max(Scalar::abs_max(rest))
}

/// [`Backend::rescale`].
pub(super) fn rescale(x: &[i32], ratio: Multiplier, out: &mut [i8]) {
    let (vectors, rest) = x.as_chunks::<4>();
    let (out_vectors, out_rest) = out.as_chunks_mut::<4>();
    let mut scale = LongRescale::new(ratio);
    for (out, &x) in out_vectors.iter_mut().zip(vectors) {
        *out = scale.apply(i32x4::from_array(x)).cast::<i8>().to_array();
    }
    out_rest.iter_mut().zip(rest).for_each(|(out, &x)| *out = ratio.apply(x) as i8);
}

/// [`Backend::rescale_i16`].
pub(super) fn rescale_i16(x: &[i32], ratio: Multiplier, out: &mut [i16]) {
    let (vectors, rest) = x.as_chunks::<4>();
    let (out_vectors, out_rest) = out.as_chunks_mut::<4>();
    let scale = Rescale::new(ratio);
    for (out, &x) in out_vectors.iter_mut().zip(vectors) {
        *out = scale.apply(i32x4::from_array(x)).cast::<i16>().to_array();
    }
    Scalar::rescale_i16(rest, ratio, out_rest);
}

/// [`Backend::rescale_i8`].
pub(super) fn rescale_i8(x: &[i32], ratio: Multiplier, out: &mut [i8]) {
    let (vectors, rest) = x.as_chunks::<4>();
    let (out_vectors, out_rest) = out.as_chunks_mut::<4>();
    let scale = Rescale::new(ratio);
    for (out, &x) in out_vectors.iter_mut().zip(vectors) {
        *out = scale.apply(i32x4::from_array(x)).cast::<i8>().to_array();
    }
    Scalar::rescale_i8(rest, ratio, out_rest);
}

/// [`Backend::rescale_in_place`].
pub(super) fn rescale_in_place(x: &mut [i32], ratio: Multiplier) {
    let (vectors, rest) = x.as_chunks_mut::<4>();
    let scale = Rescale::new(ratio);
    for x in vectors {
        *x = scale.apply(i32x4::from_array(*x)).to_array();
    }
    Scalar::rescale_in_place(rest, ratio);
}

/// [`Backend::magnitudes`].
pub(super) fn magnitudes(x: &[i32]) -> u32 {
    let (vectors, rest) = x.as_chunks::<4>();
    let mut sum = Scalar::magnitudes(rest);
    for &x in vectors {
        sum += ((i32x4::from_array(x).abs() >> Simd::splat(7)) + Simd::splat(1)).reduce_sum().cast_unsigned();
    }
    sum
}

/// [`Backend::activate`].
pub(super) fn activate(x: &mut [i32], ratio: Multiplier, tail: &Tail) {
    let (vectors, rest) = x.as_chunks_mut::<4>();
    let mut scale = LongRescale::new(ratio);
    for x in vectors {
        *x = activated(scale.apply(i32x4::from_array(*x)), tail).to_array();
    }
    Scalar::activate(rest, ratio, tail);
}

/// [`Backend::activate_times`].
pub(super) fn activate_times(gate: &mut [i32], up: &[i32], ratio: Multiplier, shifts: (u32, u32), tail: &Tail) {
    let (vectors, rest) = gate.as_chunks_mut::<4>();
    let (up_vectors, up_rest) = up.as_chunks::<4>();
    let mut scale = LongRescale::new(ratio);
    let (gate_shift, up_shift) = (Simd::splat(shifts.0.cast_signed()), Simd::splat(shifts.1.cast_signed()));
    for (gate, &up) in vectors.iter_mut().zip(up_vectors) {
        let x = activated(scale.apply(i32x4::from_array(*gate)), tail);
        *gate = ((x >> gate_shift) * (i32x4::from_array(up) >> up_shift)).to_array();
    }
    Scalar::activate_times(rest, up_rest, ratio, shifts, tail);
}
