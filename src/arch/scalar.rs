//! Plain Rust: what every other backend must equal, and what runs on cores without SIMD.

use super::{Backend, Packing, exp2_negative, halves, mul_wide, signed_bytes};

/// The scalar backend.
pub(crate) struct Scalar;

impl Backend for Scalar {
    const NAME: &'static str = "scalar";
    #[cfg(thumbformer_small)]
    const PACKING: Option<Packing> = Some(Packing::M0);
    #[cfg(not(thumbformer_small))]
    const PACKING: Option<Packing> = None;

    #[cfg(thumbformer_small)]
    type Activation = i16;
    #[cfg(not(thumbformer_small))]
    type Activation = i8;

    #[cfg(thumbformer_small)]
    fn dots_q8(packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        if packing != Packing::M0 || !super::small::dots_q8(weights, cols, halves(x), out) {
            dots_q8(packing, weights, cols, halves(x), out);
        }
    }

    #[cfg(not(thumbformer_small))]
    fn dots_q8(packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        dots_q8(packing, weights, cols, signed_bytes(x), out);
    }

    #[inline]
    fn scaled_dots(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> i16 {
        let mut max = i16::MIN;
        let keys = signed_bytes(keys).chunks_exact(width.max(1));
        for ((score, key), &mantissa) in scores.iter_mut().zip(keys).zip(mantissas) {
            let dot = key.iter().zip(query).map(|(&k, &q)| i32::from(k) * i32::from(q)).sum();
            *score = mul_wide(dot, mantissa) as i16;
            max = max.max(*score);
        }
        max
    }

    #[inline]
    fn weigh(scores: &mut [i16], max: i16, left: u32, mantissas: &[i16]) -> u32 {
        let mut sum = 0;
        for (score, &mantissa) in scores.iter_mut().zip(mantissas) {
            let power = probability(*score, max, left);
            sum += power;
            *score = ((power * u32::from(mantissa.cast_unsigned())) >> 16) as i16;
        }
        sum
    }

    #[inline]
    fn weighted_sums(values: &[u32], stride: usize, weights: &[i16], sums: &mut [i32]) {
        for (sum, values) in sums.iter_mut().zip(signed_bytes(values).chunks_exact(stride.max(1))) {
            *sum = values.iter().zip(weights).map(|(&value, &weight)| i32::from(value) * i32::from(weight)).sum();
        }
    }
}

/// `2^((score - max) / 2^(8 - left))` in 15 bits.
#[inline(always)]
pub(crate) fn probability(score: i16, max: i16, left: u32) -> u32 {
    // Below 2^16, as both are of 16 bits; beyond 2^16 the power is zero.
    let distance = (i32::from(max) - i32::from(score)).cast_unsigned() & 0xffff;
    exp2_negative((distance << left.min(15)).min(0xffff))
}

/// Every packing, in plain Rust; activations of any integer type.
#[inline]
pub(crate) fn dots_q8<X: Copy + Into<i32>>(packing: Packing, weights: &[u32], cols: usize, x: &[X], out: &mut [i32]) {
    let x = x.get(..cols).unwrap_or(x);
    // Telling the compiler that no chunk is empty spares a panic.
    let blocks = weights.chunks_exact(cols.max(1));
    for (block, out) in blocks.zip(out.as_chunks_mut::<4>().0) {
        *out = match packing {
            Packing::Host => rows(block, cols, x),
            Packing::M0 => columns(block, x),
            Packing::M4 => row_pairs(block, x),
            Packing::M55 => vectors(block, x),
        };
    }
}

/// Four rows one after the other, as `Packing::Host` has them.
#[inline]
fn rows<X: Copy + Into<i32>>(block: &[u32], cols: usize, x: &[X]) -> [i32; 4] {
    let (row0, rest) = split(signed_bytes(block), cols);
    let (row1, rest) = split(rest, cols);
    let (row2, row3) = split(rest, cols);
    // Named accumulators: an array of them collapses to memory at opt-level "s".
    let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
    for ((((&x, &w0), &w1), &w2), &w3) in x.iter().zip(row0).zip(row1).zip(row2).zip(row3) {
        let x = x.into();
        sum0 += i32::from(w0) * x;
        sum1 += i32::from(w1) * x;
        sum2 += i32::from(w2) * x;
        sum3 += i32::from(w3) * x;
    }
    [sum0, sum1, sum2, sum3]
}

#[inline(always)]
fn split(rows: &[i8], at: usize) -> (&[i8], &[i8]) {
    rows.split_at_checked(at).unwrap_or((&[], &[]))
}

/// Columns of four bytes with 128 added, as `Packing::M0` has them.
#[inline]
fn columns<X: Copy + Into<i32>>(block: &[u32], x: &[X]) -> [i32; 4] {
    let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
    for (&word, &x) in block.iter().zip(x) {
        let (word, x) = (word ^ 0x8080_8080, x.into());
        sum0 += i32::from(word as i8) * x;
        sum1 += i32::from((word >> 8) as i8) * x;
        sum2 += i32::from((word >> 16) as i8) * x;
        sum3 += i32::from((word >> 24) as i8) * x;
    }
    [sum0, sum1, sum2, sum3]
}

/// Pairs of rows in 16 bits, as `Packing::M4` has them.
#[inline]
fn row_pairs<X: Copy + Into<i32>>(block: &[u32], x: &[X]) -> [i32; 4] {
    let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
    let pairs = halves(block).as_chunks::<4>().0;
    for (&[low0, low1, high0, high1], &[x0, x1]) in pairs.iter().zip(x.as_chunks::<2>().0) {
        for (low, high, x) in [(low0, high0, x0.into()), (low1, high1, x1.into())] {
            sum0 += i32::from(low as i8) * x;
            sum1 += i32::from(low.wrapping_sub(i16::from(low as i8)) >> 8) * x;
            sum2 += i32::from(high as i8) * x;
            sum3 += i32::from(high.wrapping_sub(i16::from(high as i8)) >> 8) * x;
        }
    }
    [sum0, sum1, sum2, sum3]
}

/// Sixteen columns of each row in turn, as `Packing::M55` has them.
#[inline]
fn vectors<X: Copy + Into<i32>>(block: &[u32], x: &[X]) -> [i32; 4] {
    let mut sums = [0; 4];
    for (vectors, x) in signed_bytes(block).as_chunks::<64>().0.iter().zip(x.as_chunks::<16>().0) {
        for (sum, vector) in sums.iter_mut().zip(vectors.as_chunks::<16>().0) {
            *sum += vector.iter().zip(x).map(|(&w, &x)| i32::from(w) * x.into()).sum::<i32>();
        }
    }
    sums
}
