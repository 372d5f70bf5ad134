//! Bounds of the accumulators: the largest magnitude of every sum of integers, from dimensions alone.
//!
//! ```text
//! largest dimensions that Dims::check and parse let through ──► bound of each accumulator ≤ what its type holds, or no build
//! ```
//! Each bound grows with the dimensions, so the largest ones decide for all. Kernels that add modulo 2^32 in another order, or
//! several sums in one word, end with the same number: what counts is the whole sum.

use crate::arch::MAX_COLUMNS_Q4;
use crate::dims::{MAX_CONTEXT, MAX_HEAD_DIM, MAX_WIDTH};
use crate::kernels::softmax::{KEY_BITS, LARGEST_QUERY, value_bits};

/// Magnitude of an int8 weight, activation, key or value.
const INT8: u64 = 127;
/// Magnitude of an int4 weight.
const INT4: u64 = 7;
/// Largest scale of a group.
const GROUP_SCALE: u64 = 255;
/// Largest multiplier of a row, of 2^16.
const ROW: u64 = 1 << 15;
/// Largest bias: 15 bits and a sign, times 2^12 at most.
const BIAS: u64 = 1 << 27;

/// Sum of an int8 matrix' row with so many columns.
const fn product_q8(cols: usize) -> u64 {
    INT8 * INT8 * cols as u64
}

/// [`product_q8`] times the row's multiplier, rounded down, and a bias.
const fn linear_q8(cols: usize) -> u64 {
    (product_q8(cols) * ROW).div_ceil(1 << 16) + BIAS
}

/// Sum of an int4 matrix' row with so many columns.
const fn product_q4(cols: usize) -> u64 {
    INT4 * INT8 * GROUP_SCALE * cols as u64
}

/// [`product_q4`] and a bias.
const fn linear_q4(cols: usize) -> u64 {
    product_q4(cols) + BIAS
}

/// Sum of the magnitudes of a query, in units of 128, one more for each.
const fn magnitudes(head_dim: usize) -> u64 {
    head_dim as u64 * ((larger(linear_q8(MAX_WIDTH), linear_q4(MAX_COLUMNS_Q4)) >> 7) + 1)
}

/// Product of a query and a key before the key's mantissa is multiplied in.
const fn score() -> u64 {
    INT8 * LARGEST_QUERY as u64
}

/// [`score`] times the key's mantissa, of 2^16.
const fn scaled_score() -> u64 {
    (score() * ((1 << KEY_BITS) - 1)).div_ceil(1 << 16)
}

/// Sum of so many probabilities of 15 bits.
const fn probabilities(tokens: usize) -> u64 {
    (tokens as u64) << 15
}

/// Weighted sum of so many values: a weight is a probability times the value's mantissa, of 2^16.
const fn weighted_sum(tokens: usize) -> u64 {
    tokens as u64 * INT8 * (((1 << value_bits(tokens)) - 1) >> 1)
}

/// Sum of the squares of a stream, 15 bits and a sign of each.
const fn squares(width: usize) -> u64 {
    (width as u64) << 30
}

/// Sum of a stream in block fixed point, 23 bits and a sign of each.
const fn sum(width: usize) -> u64 {
    (width as u64) << 23
}

const fn larger(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

/// True if each of these is at most what an accumulator of so many bits holds.
const fn all_fit<const N: usize>(bounds: [u64; N], bits: u32) -> bool {
    let mut i = 0;
    while i < N {
        if bounds[i] >= 1 << bits {
            return false;
        }
        i += 1;
    }
    true
}

/// True if the weighted sums of every context fit: more tokens take bits from the mantissas.
const fn weighted_sums_fit() -> bool {
    let mut tokens = 1;
    while tokens <= MAX_CONTEXT {
        if weighted_sum(tokens) >= 1 << 31 {
            return false;
        }
        tokens += 1;
    }
    true
}

// `i32`.
const _: () = assert!(all_fit([product_q8(MAX_WIDTH), score() * ((1 << KEY_BITS) - 1)], 31));
const _: () = assert!(weighted_sums_fit());
// What multiplications by a ratio take, shifted left: 30 bits.
const _: () = assert!(all_fit([linear_q8(MAX_WIDTH), linear_q4(MAX_COLUMNS_Q4)], 30));
// `i16`.
const _: () = assert!(scaled_score() < 1 << 15);
// `u32`.
const _: () = assert!(all_fit([magnitudes(MAX_HEAD_DIM), probabilities(MAX_CONTEXT)], 32));
// `u64` and `i64`.
const _: () = assert!(all_fit([squares(MAX_WIDTH), sum(MAX_WIDTH)], 63));

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::arch::{Backend, GROUP, Native, PACKED_ROWS, Packing, activation_stride, activations, pack_q4, pack_q8};
    use std::vec;
    use std::vec::Vec;

    /// The packings that the backend reads.
    fn packings() -> impl Iterator<Item = Packing> {
        Packing::ALL.into_iter().filter(|&packing| Native::PACKING.is_none_or(|only| only == packing))
    }

    /// So many activations, all of them the same.
    #[allow(clippy::useless_conversion)] // 16 bits in some backends
    fn vector(cols: usize, x: i8) -> Vec<u32> {
        let mut words = vec![0; activation_stride(cols)];
        activations(&mut words).fill(x.into());
        words
    }

    fn bytes(count: usize, byte: i8) -> Vec<u32> {
        vec![u32::from_le_bytes([byte.cast_unsigned(); 4]); count / 4]
    }

    #[test]
    fn rows_of_the_largest_matrices_reach_their_bounds() {
        for (w, x) in [(127_i8, 127_i8), (127, -127), (-127, 127), (-127, -127)] {
            let sign = i64::from(w.signum() * x.signum());
            for packing in packings() {
                let mut out = [0; PACKED_ROWS];
                let weights = pack_q8(packing, PACKED_ROWS, MAX_WIDTH, &vec![w; PACKED_ROWS * MAX_WIDTH]);
                Native::dots_q8(packing, &weights, MAX_WIDTH, &vector(MAX_WIDTH, x), &mut out);
                let bound = sign * product_q8(MAX_WIDTH).cast_signed();
                assert_eq!(out.map(i64::from), [bound; PACKED_ROWS], "{packing:?} {w} {x}");
                Native::scale_rows(&mut out, &[i16::MIN; PACKED_ROWS]);
                let ratio = crate::arch::Multiplier::new(4095.99, 1 << 15).unwrap();
                let most = -sign as i16;
                Native::add_scaled(&mut out, &[if most > 0 { i16::MAX } else { i16::MIN }; PACKED_ROWS], ratio);
                let (found, bound) = (u64::from(out[0].unsigned_abs()), linear_q8(MAX_WIDTH));
                assert!(
                    out[0].signum() == i32::from(most) && found <= bound && found + (1 << 16) > bound,
                    "{found} {bound}"
                );

                let mut out = [0; PACKED_ROWS];
                let (integers, scales) =
                    (vec![w / 18; PACKED_ROWS * MAX_COLUMNS_Q4], vec![255; PACKED_ROWS * MAX_COLUMNS_Q4 / GROUP]);
                let weights = pack_q4(packing, PACKED_ROWS, MAX_COLUMNS_Q4, &integers, &scales);
                Native::dots_q4(packing, &weights, MAX_COLUMNS_Q4, &vector(MAX_COLUMNS_Q4, x), &mut out);
                let bound = sign * product_q4(MAX_COLUMNS_Q4).cast_signed();
                assert_eq!(out.map(i64::from), [bound; PACKED_ROWS], "int4 {packing:?} {w} {x}");
            }
        }
    }

    #[test]
    fn scores_and_their_sums_reach_their_bounds() {
        const WIDTH: usize = MAX_HEAD_DIM;
        // Magnitudes as large as a query's may be together.
        let mut query = [32; WIDTH];
        query[..116].fill(33);
        assert_eq!(query.iter().map(|&q| i64::from(q)).sum::<i64>(), LARGEST_QUERY as i64);
        for key in [127, -127] {
            let mut scores = [0; 1];
            let mantissa = [(1 << KEY_BITS) - 1];
            Native::scaled_dots(&bytes(WIDTH, key), WIDTH, &mantissa, &query, &mut scores);
            let exact = i64::from(key.signum()) * (score() * ((1 << KEY_BITS) - 1)).cast_signed();
            assert_eq!(i64::from(scores[0]), exact >> 16);
            assert!(u64::from(scores[0].unsigned_abs()) <= scaled_score());
        }
        let largest = larger(linear_q8(MAX_WIDTH), linear_q4(MAX_COLUMNS_Q4)) as i32;
        for x in [largest, -largest] {
            assert_eq!(u64::from(Native::magnitudes(&[x; WIDTH])), magnitudes(WIDTH));
        }
    }

    #[test]
    fn weighted_sums_of_every_number_of_bits_reach_their_bounds() {
        for tokens in [4, 512, 516, 1024, 1028, 2048, 4096, 8192, 16_384, MAX_CONTEXT] {
            let mantissas = vec![((1 << value_bits(tokens)) - 1) as i16; tokens];
            let mut weights = vec![77; tokens];
            let sum = Native::weigh(&mut weights, 77, 0, &mantissas);
            assert!(
                u64::from(sum) <= probabilities(tokens) && u64::from(sum) + 8 * tokens as u64 > probabilities(tokens)
            );
            for value in [127, -127] {
                let mut sums = [0; 1];
                Native::weighted_sums(&bytes(tokens, value), tokens, &mut weights.clone(), &mut sums);
                let exact: i64 = weights.iter().map(|&weight| i64::from(weight) * i64::from(value)).sum();
                assert_eq!(i64::from(sums[0]), exact, "{tokens}");
                let (found, bound) = (exact.unsigned_abs(), weighted_sum(tokens));
                assert!(
                    found <= bound && found + found / 100 + 2 * 127 * tokens as u64 > bound,
                    "{tokens}: {found} {bound}"
                );
            }
        }
    }

    #[test]
    fn sums_of_the_widest_stream_reach_their_bounds() {
        for x in [(1 << 23) - 1, -(1 << 23)] {
            let stream = vec![x; MAX_WIDTH];
            assert_eq!(Native::sum(&stream), i64::from(x) * MAX_WIDTH as i64);
            assert!(Native::sum(&stream).unsigned_abs() <= sum(MAX_WIDTH));
            let exact = (i64::from(x >> 8) * i64::from(x >> 8)).unsigned_abs() * MAX_WIDTH as u64;
            assert_eq!(Native::sum_of_squares(&stream, 8), exact);
            assert!(exact <= squares(MAX_WIDTH));
        }
    }
}
