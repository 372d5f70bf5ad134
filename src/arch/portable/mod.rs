//! `core::simd`: one source that the compiler turns into Helium on Cortex-M55 and into SSE or AVX on the host.
//!
//! ```text
//! i8x16 · i8x16 ── cast to i32, multiply, reduce_sum ──► VMLAVA.S8: sixteen products and their sum in one instruction
//! u16x8 · u16x8 ── cast to u32, multiply, >> 16 ───────► VMULH.U16
//! ```
//! Loops are written out by hand over named sums: arrays of accumulators collapse to memory at opt-level "s".
//!
//! ```text
//! Portable ─┬─ q8, q4     matrices
//!           └─ attention  scores of a query, weighted sums of values
//! ```

mod attention;
mod q4;
mod q8;
#[cfg(test)]
mod tests;

use super::scalar::Scalar;
use super::{
    Backend, GROUP, Packing, Ratio, Tail, activation, block_words, mul_wide as mul_wide_one, plain, signed_bytes,
};
use core::simd::cmp::SimdOrd;
use core::simd::num::{SimdInt, SimdUint};
use core::simd::{Simd, ToBytes, i8x16, i16x8, i32x4, simd_swizzle, u16x8, u32x4};

/// The portable SIMD backend.
pub(crate) struct Portable;

/// Sixteen bytes. Words are known to be aligned, and loads of them reach farther from one address than loads of bytes.
#[inline(always)]
fn vector(words: [u32; 4]) -> i8x16 {
    u32x4::from_array(words).to_le_bytes().cast()
}

/// `sum(w[i] * x[i])` of one vector. Both sides stay sign-unknown, which is what `vmlava.s8` is made from.
#[inline(always)]
fn dot(w: i8x16, x: i8x16) -> i32 {
    let sum = (w.cast::<i32>() * x.cast::<i32>()).reduce_sum();
    // The compiler makes one sum of the products of two vectors added, which no instruction does: ten times as many of them.
    // It keeps its hands off a sum that something else is said of.
    // SAFETY: the product of two numbers of -128..=127 is at most 128 * 128.
    unsafe { core::hint::assert_unchecked(sum <= 16 * 128 * 128) };
    sum
}

/// `a * b / 2^16`.
#[inline(always)]
fn high(a: u16x8, b: u16x8) -> u16x8 {
    ((a.cast::<u32>() * b.cast::<u32>()) >> Simd::splat(16)).cast()
}

/// `a * b / 2^16` with `b` of 16 bits: the upper half of a product of 32 bits, which is `VMULH.S32`.
#[inline(always)]
fn mul_wide(a: i32x4, b: i32x4) -> i32x4 {
    ((a.cast::<i64>() * (b << Simd::splat(16)).cast::<i64>()) >> Simd::splat(32)).cast()
}

/// A [`Ratio`] for four lanes.
struct Rescale {
    left: i32x4,
    multiplier: i32x4,
    half: i32x4,
    right: i32x4,
}

impl Rescale {
    #[inline(always)]
    fn new(ratio: Ratio) -> Rescale {
        let half = if ratio.right == 0 { 0 } else { 1 << (ratio.right - 1) };
        Rescale {
            left: Simd::splat(ratio.left.cast_signed()),
            multiplier: Simd::splat(ratio.multiplier.into()),
            half: Simd::splat(half),
            right: Simd::splat(ratio.right.cast_signed()),
        }
    }

    /// `Ratio::apply`. The halves apart: with one number for all lanes the compiler does not see the upper half of a product.
    #[inline(always)]
    fn apply(&self, x: i32x4) -> i32x4 {
        let x = x << self.left;
        let low = ((x & Simd::splat(0xffff)) * self.multiplier) >> Simd::splat(16);
        ((x >> Simd::splat(16)) * self.multiplier + low + self.half) >> self.right
    }
}

/// `exp2_negative` of eight numbers of 16 bits, by the polynomial that the table is made from.
#[inline(always)]
fn exp2_negative(x: u16x8) -> u16x8 {
    // Twice the fraction in 15 bits: a product by it, halved, is its upper half.
    let fraction = x << Simd::splat(8);
    let power = Simd::splat(7535) - high(fraction, Simd::splat(1276));
    let power = Simd::splat(22_642) - high(fraction, power);
    let power = Simd::splat(32_765) - high(fraction, power);
    power >> (x >> Simd::splat(8)).simd_min(Simd::splat(15))
}

/// A [`Ratio`] for many vectors: the upper half of a product is one instruction, which [`Rescale`] takes six for. A few more
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
    fn new(ratio: Ratio) -> LongRescale {
        let Rescale { left, multiplier, half, right } = Rescale::new(ratio);
        let multiplier = *core::hint::black_box(&(multiplier << Simd::splat(16)));
        LongRescale { left, multiplier, half, right }
    }

    /// `Ratio::apply`.
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
    const STEP: i32 = (activation::ACTIVATION_BITS - activation::STEP_BITS) as i32;
    let magnitude = x.abs();
    let index = (magnitude >> Simd::splat(STEP)).simd_min(Simd::splat(255));
    let words = Simd::<u32, 4>::gather_or_default(tail, index.cast::<usize>());
    let fraction = magnitude & Simd::splat((1 << STEP) - 1);
    let slope = words.cast::<i32>() >> Simd::splat(16);
    let tail = (words & Simd::splat(0xffff)).cast::<i32>() + ((slope * fraction) >> Simd::splat(STEP));
    (x & !(x >> Simd::splat(31))) - tail
}

impl Backend for Portable {
    const NAME: &'static str = "portable";
    const PACKING: Option<Packing> = if cfg!(target_arch = "arm") { Some(Packing::M55) } else { None };
    type Activation = i8;

    fn dots_q8(packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        dots(packing, weights, cols, signed_bytes(x), out);
    }

    fn matvec_q8(packing: Packing, weights: &[u32], cols: usize, x: &[u32], multipliers: &[i16], out: &mut [i32]) {
        // Apart: scaling four sums when they are ready takes more instructions around the loops than it saves.
        Self::dots_q8(packing, weights, cols, x, out);
        Self::scale_rows(out, multipliers);
    }

    fn scale_rows(x: &mut [i32], multipliers: &[i16]) {
        let (vectors, rest) = x.as_chunks_mut::<4>();
        let (multiplier_vectors, multiplier_rest) = multipliers.as_chunks::<4>();
        for (x, &multipliers) in vectors.iter_mut().zip(multiplier_vectors) {
            let multipliers = Simd::<i16, 4>::from_array(multipliers).cast::<i32>();
            *x = mul_wide(i32x4::from_array(*x), multipliers).to_array();
        }
        Scalar::scale_rows(rest, multiplier_rest);
    }

    fn add_scaled(x: &mut [i32], other: &[i16], ratio: Ratio) {
        let (vectors, rest) = x.as_chunks_mut::<4>();
        let (other_vectors, other_rest) = other.as_chunks::<4>();
        // Of 15 bits by 29, halves apart: the product of the shifted multiplier is the same.
        let multiplier = i32::from(ratio.multiplier) << ratio.left;
        let (upper, lower) = (Simd::splat(multiplier >> 16), Simd::splat(multiplier & 0xffff));
        let scale = Rescale::new(ratio);
        for (x, &other) in vectors.iter_mut().zip(other_vectors) {
            let other = Simd::<i16, 4>::from_array(other).cast::<i32>();
            let product = other * upper + ((other * lower) >> Simd::splat(16));
            *x = (i32x4::from_array(*x) + ((product + scale.half) >> scale.right)).to_array();
        }
        Scalar::add_scaled(rest, other_rest, ratio);
    }

    fn squares(x: &[i32], shift: u32) -> u64 {
        let (vectors, rest) = x.as_chunks::<4>();
        let mut sum = Scalar::squares(rest, shift);
        for &x in vectors {
            let x = i32x4::from_array(x) >> Simd::splat(shift.cast_signed());
            // Four squares of 30 bits: without a sign they fit a word.
            sum += u64::from((x * x).cast::<u32>().reduce_sum());
        }
        sum
    }

    fn sum(x: &[i32]) -> i64 {
        let (vectors, rest) = x.as_chunks::<4>();
        let sums = vectors.iter().map(|&x| i32x4::from_array(x).cast::<i64>().reduce_sum());
        sums.sum::<i64>() + Scalar::sum(rest)
    }

    fn dots_q4(packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        match packing {
            Packing::M55 if cols <= super::MAX_COLUMNS_Q4 => q4::dots(weights, cols, signed_bytes(x), out),
            _ => super::int4::dots_q4(packing, weights, cols, signed_bytes(x), out),
        }
    }

    fn largest(x: &[i32]) -> u32 {
        let (vectors, rest) = x.as_chunks::<4>();
        let (mut most, mut least) = (i32x4::splat(0), i32x4::splat(0));
        for &x in vectors {
            let x = i32x4::from_array(x);
            (most, least) = (most.simd_max(x), least.simd_min(x));
        }
        // The magnitude of a negative number, less one, is its complement.
        let largest = most.reduce_max().max(!least.reduce_min());
        (largest.cast_unsigned() + 1).max(Scalar::largest(rest))
    }

    fn rescale(x: &[i32], ratio: Ratio, out: &mut [i8]) {
        let (vectors, rest) = x.as_chunks::<4>();
        let (out_vectors, out_rest) = out.as_chunks_mut::<4>();
        let mut scale = LongRescale::new(ratio);
        for (out, &x) in out_vectors.iter_mut().zip(vectors) {
            *out = scale.apply(i32x4::from_array(x)).cast::<i8>().to_array();
        }
        out_rest.iter_mut().zip(rest).for_each(|(out, &x)| *out = ratio.apply(x) as i8);
    }

    fn rescale_halves(x: &[i32], ratio: Ratio, out: &mut [i16]) {
        let (vectors, rest) = x.as_chunks::<4>();
        let (out_vectors, out_rest) = out.as_chunks_mut::<4>();
        let scale = Rescale::new(ratio);
        for (out, &x) in out_vectors.iter_mut().zip(vectors) {
            *out = scale.apply(i32x4::from_array(x)).cast::<i16>().to_array();
        }
        Scalar::rescale_halves(rest, ratio, out_rest);
    }

    fn rescale_bytes(x: &[i32], ratio: Ratio, out: &mut [i8]) {
        let (vectors, rest) = x.as_chunks::<4>();
        let (out_vectors, out_rest) = out.as_chunks_mut::<4>();
        let scale = Rescale::new(ratio);
        for (out, &x) in out_vectors.iter_mut().zip(vectors) {
            *out = scale.apply(i32x4::from_array(x)).cast::<i8>().to_array();
        }
        Scalar::rescale_bytes(rest, ratio, out_rest);
    }

    fn rescale_in_place(x: &mut [i32], ratio: Ratio) {
        let (vectors, rest) = x.as_chunks_mut::<4>();
        let scale = Rescale::new(ratio);
        for x in vectors {
            *x = scale.apply(i32x4::from_array(*x)).to_array();
        }
        Scalar::rescale_in_place(rest, ratio);
    }

    fn magnitudes(x: &[i32]) -> u32 {
        let (vectors, rest) = x.as_chunks::<4>();
        let mut sum = Scalar::magnitudes(rest);
        for &x in vectors {
            sum += ((i32x4::from_array(x).abs() >> Simd::splat(7)) + Simd::splat(1)).reduce_sum().cast_unsigned();
        }
        sum
    }

    fn activate(x: &mut [i32], ratio: Ratio, tail: &Tail) {
        let (vectors, rest) = x.as_chunks_mut::<4>();
        let mut scale = LongRescale::new(ratio);
        for x in vectors {
            *x = activated(scale.apply(i32x4::from_array(*x)), tail).to_array();
        }
        Scalar::activate(rest, ratio, tail);
    }

    fn activate_times(gate: &mut [i32], up: &[i32], ratio: Ratio, shifts: (u32, u32), tail: &Tail) {
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

    fn rotate(low: &mut [i32], high: &mut [i32], cosines: &[i16], sines: &[i16]) {
        let ((low, low_rest), (high, high_rest)) = (low.as_chunks_mut::<4>(), high.as_chunks_mut::<4>());
        let ((cosines, cos_rest), (sines, sin_rest)) = (cosines.as_chunks::<4>(), sines.as_chunks::<4>());
        for (((low, high), &cos), &sin) in low.iter_mut().zip(high).zip(cosines).zip(sines) {
            let (x, y) = (i32x4::from_array(*low), i32x4::from_array(*high));
            let cos = Simd::<i16, 4>::from_array(cos).cast::<i32>();
            let sin = Simd::<i16, 4>::from_array(sin).cast::<i32>();
            *low = (mul_wide(x, cos) - mul_wide(y, sin)).to_array();
            *high = (mul_wide(y, cos) + mul_wide(x, sin)).to_array();
        }
        Scalar::rotate(low_rest, high_rest, cos_rest, sin_rest);
    }

    fn scaled_dots(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> i16 {
        attention::scaled_dots(keys, width, mantissas, query, scores)
    }

    fn weigh(scores: &mut [i16], max: i16, left: u32, mantissas: &[i16]) -> u32 {
        let tokens = mantissas.len().min(scores.len());
        let (scores, mantissas) = (scores.get_mut(..tokens).unwrap_or(&mut []), mantissas.get(..tokens).unwrap_or(&[]));
        if left != 0 {
            return Scalar::weigh(scores, max, left, mantissas);
        }
        let (vectors, rest) = scores.as_chunks_mut::<8>();
        let (mantissa_vectors, mantissa_rest) = mantissas.as_chunks::<8>();
        let mut sum = 0;
        for (scores, &mantissas) in vectors.iter_mut().zip(mantissa_vectors) {
            let distance = Simd::splat(max) - i16x8::from_array(*scores);
            let power = exp2_negative(distance.cast());
            sum += power.cast::<u32>().reduce_sum();
            *scores = high(power, i16x8::from_array(mantissas).cast()).cast().to_array();
        }
        sum + Scalar::weigh(rest, max, left, mantissa_rest)
    }

    fn weighted_sums(values: &[u32], stride: usize, weights: &mut [i16], sums: &mut [i32]) {
        attention::weighted_sums(values, stride, weights, sums);
    }
}

/// An int8 matrix times a vector.
#[inline]
fn dots(packing: Packing, weights: &[u32], cols: usize, x: &[i8], out: &mut [i32]) {
    let vectors = x.get(..cols).unwrap_or(x).as_chunks::<16>().0;
    match packing {
        Packing::M55 => q8::dots(weights, cols, x, out),
        Packing::Host if cols.is_multiple_of(16) => {
            let blocks = weights.chunks_exact(cols.max(1)).zip(out.as_chunks_mut::<4>().0);
            blocks.for_each(|(block, out)| *out = rows(signed_bytes(block).as_chunks::<16>().0, vectors));
        }
        _ => plain::dots_q8(packing, weights, cols, x, out),
    }
}

/// Four rows one after the other, as `Packing::Host` has them.
#[inline]
fn rows(block: &[[i8; 16]], x: &[[i8; 16]]) -> [i32; 4] {
    let mut rows = block.chunks_exact(x.len().max(1));
    core::array::from_fn(|_| {
        let row = rows.next().unwrap_or(&[]);
        row.iter().zip(x).map(|(&w, &x)| dot(i8x16::from_array(w), i8x16::from_array(x))).sum()
    })
}
