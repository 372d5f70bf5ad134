//! `core::simd`: one source that the compiler turns into SSE or AVX on the host. Any core can be forced to it; what it makes of a
//! Cortex-M55's Helium is slower than the backend `helium`.
//!
//! ```text
//! i8x16 · i8x16 ── cast to i32, multiply, reduce_sum ──► VMLAVA.S8: sixteen products and their sum in one instruction
//! u16x8 · u16x8 ── cast to u32, multiply, >> 16 ───────► VMULH.U16
//! ```
//! Loops are written out by hand over named sums: arrays of accumulators collapse to memory at opt-level "s".
//!
//! ```text
//! Simd ─┬─ q8, q4     matrices
//!       ├─ attention  scores of a query, weighted sums of values
//!       └─ vectors    what comes between
//! ```

mod attention;
mod q4;
mod q8;
#[cfg(test)]
mod tests;
mod vectors;

use super::scalar::{Scalar, matrix};
use super::{
    ACTIVATION_BITS, Backend, GROUP, MAX_COLUMNS_Q4, Multiplier, Packing, STEP_BITS, Tail, block_words,
    mul_q16 as mul_q16_one, signed_bytes, signed_bytes_mut,
};
use core::simd::cmp::SimdOrd;
use core::simd::num::{SimdInt, SimdUint};
use core::simd::{Simd as Lanes, ToBytes, i8x8, i8x16, i16x8, i32x4, u16x8, u32x4};

/// The portable SIMD backend.
pub(crate) struct Simd;

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

/// `sum(w[i] * x[i])` of eight 8-bit and eight 16-bit integers, which is `VMLAVA.S16`.
#[inline(always)]
fn dot_halves(w: [i8; 8], x: [i16; 8]) -> i32 {
    (i8x8::from_array(w).cast::<i32>() * i16x8::from_array(x).cast::<i32>()).reduce_sum()
}

/// `a * b / 2^16`.
#[inline(always)]
fn high(a: u16x8, b: u16x8) -> u16x8 {
    ((a.cast::<u32>() * b.cast::<u32>()) >> Lanes::splat(16)).cast()
}

/// `a * b / 2^16` with `b` of 16 bits: the upper half of a product of 32 bits, which is `VMULH.S32`.
#[inline(always)]
fn mul_q16(a: i32x4, b: i32x4) -> i32x4 {
    ((a.cast::<i64>() * (b << Lanes::splat(16)).cast::<i64>()) >> Lanes::splat(32)).cast()
}

/// `exp2_negative` of eight numbers of 16 bits, by the polynomial that the table is made from.
#[inline(always)]
fn exp2_negative(x: u16x8) -> u16x8 {
    // Twice the fraction in 15 bits: a product by it, halved, is its upper half.
    let fraction = x << Lanes::splat(8);
    let power = Lanes::splat(7535) - high(fraction, Lanes::splat(1276));
    let power = Lanes::splat(22_642) - high(fraction, power);
    let power = Lanes::splat(32_765) - high(fraction, power);
    power >> (x >> Lanes::splat(8)).simd_min(Lanes::splat(15))
}

impl Backend for Simd {
    const NAME: &'static str = "simd";
    const PACKING: Option<Packing> = if cfg!(target_arch = "arm") { Some(Packing::M55) } else { None };
    type Activation = i8;

    fn activations(words: &mut [u32]) -> &mut [i8] {
        signed_bytes_mut(words)
    }

    fn dots_q8(packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        dots(packing, weights, cols, signed_bytes(x), out);
    }

    fn matvec_q8(packing: Packing, weights: &[u32], cols: usize, x: &[u32], multipliers: &[i16], out: &mut [i32]) {
        // Apart: scaling four sums when they are ready takes more instructions around the loops than it saves.
        Self::dots_q8(packing, weights, cols, x, out);
        Self::scale_rows(out, multipliers);
    }

    fn dots_q4(packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        match packing {
            Packing::M55 if cols <= MAX_COLUMNS_Q4 => q4::dots(weights, cols, signed_bytes(x), out),
            _ => matrix::dots_q4(packing, weights, cols, signed_bytes(x), out),
        }
    }

    fn abs_max(x: &[i32]) -> u32 {
        vectors::abs_max(x)
    }

    fn rescale(x: &[i32], ratio: Multiplier, out: &mut [i8]) {
        vectors::rescale(x, ratio, out);
    }

    fn rescale_i16(x: &[i32], ratio: Multiplier, out: &mut [i16]) {
        vectors::rescale_i16(x, ratio, out);
    }

    fn rescale_i8(x: &[i32], ratio: Multiplier, out: &mut [i8]) {
        vectors::rescale_i8(x, ratio, out);
    }

    fn rescale_in_place(x: &mut [i32], ratio: Multiplier) {
        vectors::rescale_in_place(x, ratio);
    }

    fn scale_rows(x: &mut [i32], multipliers: &[i16]) {
        vectors::scale_rows(x, multipliers);
    }

    fn add_scaled(x: &mut [i32], other: &[i16], ratio: Multiplier) {
        vectors::add_scaled(x, other, ratio);
    }

    fn sum_of_squares(x: &[i32], shift: u32) -> u64 {
        vectors::sum_of_squares(x, shift)
    }

    fn sum(x: &[i32]) -> i64 {
        vectors::sum(x)
    }

    fn magnitudes(x: &[i32]) -> u32 {
        vectors::magnitudes(x)
    }

    fn activate(x: &mut [i32], ratio: Multiplier, tail: &Tail) {
        vectors::activate(x, ratio, tail);
    }

    fn activate_times(gate: &mut [i32], up: &[i32], ratio: Multiplier, shifts: (u32, u32), tail: &Tail) {
        vectors::activate_times(gate, up, ratio, shifts, tail);
    }

    fn rotate(low: &mut [i32], high: &mut [i32], cosines: &[i16], sines: &[i16]) {
        let ((low, low_rest), (high, high_rest)) = (low.as_chunks_mut::<4>(), high.as_chunks_mut::<4>());
        let ((cosines, cos_rest), (sines, sin_rest)) = (cosines.as_chunks::<4>(), sines.as_chunks::<4>());
        for (((low, high), &cos), &sin) in low.iter_mut().zip(high).zip(cosines).zip(sines) {
            let (x, y) = (i32x4::from_array(*low), i32x4::from_array(*high));
            let cos = Lanes::<i16, 4>::from_array(cos).cast::<i32>();
            let sin = Lanes::<i16, 4>::from_array(sin).cast::<i32>();
            *low = (mul_q16(x, cos) - mul_q16(y, sin)).to_array();
            *high = (mul_q16(y, cos) + mul_q16(x, sin)).to_array();
        }
        Scalar::rotate(low_rest, high_rest, cos_rest, sin_rest);
    }

    fn scaled_dots(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> i16 {
        attention::scaled_dots(keys, width, mantissas, query, scores)
    }

    fn weigh(scores: &mut [i16], max: i16, shift: u32, mantissas: &[i16]) -> u32 {
        let tokens = mantissas.len().min(scores.len());
        let (scores, mantissas) = (scores.get_mut(..tokens).unwrap_or(&mut []), mantissas.get(..tokens).unwrap_or(&[]));
        if shift != 0 {
            return Scalar::weigh(scores, max, shift, mantissas);
        }
        let (vectors, rest) = scores.as_chunks_mut::<8>();
        let (mantissa_vectors, mantissa_rest) = mantissas.as_chunks::<8>();
        let mut sum = 0;
        for (scores, &mantissas) in vectors.iter_mut().zip(mantissa_vectors) {
            let distance = Lanes::splat(max) - i16x8::from_array(*scores);
            let power = exp2_negative(distance.cast());
            sum += power.cast::<u32>().reduce_sum();
            *scores = high(power, i16x8::from_array(mantissas).cast()).cast().to_array();
        }
        sum + Scalar::weigh(rest, max, shift, mantissa_rest)
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
        _ => matrix::dots_q8(packing, weights, cols, x, out),
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
