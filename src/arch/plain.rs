//! Every packing of an int8 matrix, multiplied in plain Rust: what the kernels must equal, and what runs on the host.

use super::{Packing, as_i16, signed_bytes};

/// Every packing, in plain Rust; activations of any integer type.
#[inline]
pub(crate) fn dots_q8<X: Copy + Into<i32>>(packing: Packing, weights: &[u32], cols: usize, x: &[X], out: &mut [i32]) {
    let x = x.get(..cols).unwrap_or(x);
    // Telling the compiler that no chunk is empty spares a panic.
    let blocks = weights.chunks_exact(cols.max(1));
    for (block, out) in blocks.zip(out.as_chunks_mut::<4>().0) {
        *out = match packing {
            Packing::Host => rows(block, cols, x),
            Packing::M0 => squares(block, x),
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

/// Two rows by two columns in a word, 128 added to every byte, as `Packing::M0` has them.
#[inline]
fn squares<X: Copy + Into<i32>>(block: &[u32], x: &[X]) -> [i32; 4] {
    let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
    for (&[low, high], &[x0, x1]) in block.as_chunks::<2>().0.iter().zip(x.as_chunks::<2>().0) {
        let (x0, x1) = (x0.into(), x1.into());
        let byte = |word: u32, index: u32| i32::from((word >> (8 * index)) as u8) - 128;
        sum0 += byte(low, 2) * x0 + byte(low, 0) * x1;
        sum1 += byte(low, 3) * x0 + byte(low, 1) * x1;
        sum2 += byte(high, 2) * x0 + byte(high, 0) * x1;
        sum3 += byte(high, 3) * x0 + byte(high, 1) * x1;
    }
    [sum0, sum1, sum2, sum3]
}

/// Pairs of rows in 16 bits, as `Packing::M4` has them.
#[inline]
fn row_pairs<X: Copy + Into<i32>>(block: &[u32], x: &[X]) -> [i32; 4] {
    let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
    let pairs = as_i16(block).as_chunks::<4>().0;
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
