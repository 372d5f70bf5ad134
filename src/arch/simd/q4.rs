//! An int4 matrix times a vector, on Helium: two rows in a byte cost as much as one.
//!
//! ```text
//! v = 16 * n[r + 4] + n[r]            one byte, two integers of -7..=7
//! both = sum(v * x)                   VMLAVA.S8
//! low  = sum((v << 4) * x) / 16       VMLAVA.S8: the shift throws the upper integer away
//! high = (both - low) / 16
//! out[r] += scale * low, out[r + 4] += scale * high          for each group of columns, four rows in a register
//! ```
//! All divisions are exact. The order of the words is that of `Packing::M55`.

use super::{GROUP, block_words, dot, vector};
use core::simd::num::SimdUint;
use core::simd::{Simd, i8x16, i32x4};

/// Columns of the group that a row begins with, where the columns are an odd multiple of this.
const HALF: usize = GROUP / 2;
/// Words of a group of eight rows: eight vectors of integers, eight scales.
const EIGHT: usize = 34;
/// Words of a half group of eight rows.
const EIGHT_HALF: usize = 18;
/// Words of a group of four rows.
const FOUR: usize = 17;
/// Words of a half group of four rows.
const FOUR_HALF: usize = 9;

/// `out[r] = sum(scale[r][g] * sum(n[r][c] * x[c]))`, the inner sum over the columns of group `g`.
///
/// # Shapes
/// `weights`: packed, `cols` padded columns; `x: [cols]`; `out`: rows, a multiple of 4.
#[inline(never)] // in another function's registers the sums do not fit
pub(crate) fn dots(weights: &[u32], cols: usize, x: &[i8], out: &mut [i32]) {
    let words = block_words(cols);
    let done = rows8(weights, cols, x, out);
    let rest = weights.get(words * (done / 4)..).unwrap_or(&[]);
    if let Some(out) = out.get_mut(done..).and_then(<[i32]>::first_chunk_mut::<4>) {
        let (half_x, x) = halves_and_groups(cols, x);
        *out = four_rows(rest.get(..words).unwrap_or(rest), half_x, x);
    }
}

/// In a row the half group comes first, in the words last: so the full ones begin where a block does.
#[inline(always)]
fn halves_and_groups(cols: usize, x: &[i8]) -> (&[[i8; HALF]], &[[i8; GROUP]]) {
    let (half_x, x) = x.get(..cols).unwrap_or(x).split_at_checked(cols % GROUP).unwrap_or((&[], x));
    (half_x.as_chunks::<HALF>().0, x.as_chunks::<GROUP>().0)
}

/// The rows of all whole blocks; how many those were.
///
/// # Shapes
/// As of [`dots`].
#[inline(always)]
fn rows8(weights: &[u32], cols: usize, x: &[i8], out: &mut [i32]) -> usize {
    let (half_x, x) = halves_and_groups(cols, x);
    let blocks = out.as_chunks_mut::<8>().0;
    for (block, out) in weights.chunks_exact((2 * block_words(cols)).max(1)).zip(blocks.iter_mut()) {
        *out = eight_rows(block, half_x, x);
    }
    8 * blocks.len()
}

/// `(both, 16 * low)` of a pair of rows by sixteen columns.
#[inline(always)]
fn pair(w: [u32; 4], x: i8x16) -> (i32, i32) {
    let w = vector(w);
    (dot(w, x), dot(w << Simd::splat(4), x))
}

/// `(both, 16 * low)` of a pair of rows by a group.
#[inline(always)]
fn pair_of_group(w0: [u32; 4], w1: [u32; 4], x0: i8x16, x1: i8x16) -> (i32, i32) {
    let ((both0, low0), (both1, low1)) = (pair(w0, x0), pair(w1, x1));
    (both0 + both1, low0 + low1)
}

/// Adds the scaled sums of four pairs of rows. A function that takes so many sums would get them through memory.
macro_rules! add_scaled {
    ($low:ident, $high:ident, [$scale_low:expr, $scale_high:expr], [$p0:expr, $p1:expr, $p2:expr, $p3:expr]) => {
        let ((both0, low0), (both1, low1), (both2, low2), (both3, low3)) = ($p0, $p1, $p2, $p3);
        let low = i32x4::from_array([low0, low1, low2, low3]) >> Simd::splat(4);
        let high = (i32x4::from_array([both0, both1, both2, both3]) - low) >> Simd::splat(4);
        $low += low * Simd::<u8, 4>::from_array($scale_low.to_le_bytes()).cast();
        $high += high * Simd::<u8, 4>::from_array($scale_high.to_le_bytes()).cast();
    };
}

/// Eight rows, row `r` in a byte with row `r + 4`.
///
/// # Shapes
/// `block`: full groups, then the half one; `half_x: [0 or 1]`; `x: [groups]`.
#[inline(always)]
fn eight_rows(block: &[u32], half_x: &[[i8; HALF]], x: &[[i8; GROUP]]) -> [i32; 8] {
    let (mut low, mut high) = (i32x4::splat(0), i32x4::splat(0));
    let (groups, half) = block.as_chunks::<EIGHT>();
    for (group, x) in groups.iter().zip(x) {
        let (&[w0, w1, w2, w3, w4, w5, w6, w7], &[s0, s1]) = group.as_chunks::<4>() else { continue };
        let (&[x0, x1], []) = x.as_chunks::<16>() else { continue };
        let (x0, x1) = (i8x16::from_array(x0), i8x16::from_array(x1));
        let (pair0, pair1) = (pair_of_group(w0, w1, x0, x1), pair_of_group(w2, w3, x0, x1));
        let (pair2, pair3) = (pair_of_group(w4, w5, x0, x1), pair_of_group(w6, w7, x0, x1));
        add_scaled!(low, high, [s0, s1], [pair0, pair1, pair2, pair3]);
    }
    // One turn or none; in a loop the compiler does not widen the activations outside of it, away from `vmlava`.
    for (group, &x) in half.as_chunks::<EIGHT_HALF>().0.iter().zip(half_x) {
        let (&[w0, w1, w2, w3], &[s0, s1]) = group.as_chunks::<4>() else { continue };
        let x = i8x16::from_array(x);
        add_scaled!(low, high, [s0, s1], [pair(w0, x), pair(w1, x), pair(w2, x), pair(w3, x)]);
    }
    let ([a, b, c, d], [e, f, g, h]) = (low.to_array(), high.to_array());
    [a, b, c, d, e, f, g, h]
}

/// The last four rows where there are not eight, row `r` in a byte with row `r + 2`.
///
/// # Shapes
/// As of [`eight_rows`].
#[inline(never)] // at most once in a matrix
fn four_rows(block: &[u32], half_x: &[[i8; HALF]], x: &[[i8; GROUP]]) -> [i32; 4] {
    let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
    macro_rules! add_scaled {
        ($scales:expr, $pair0:expr, $pair1:expr) => {
            let ([s0, s1, s2, s3], (both0, low0), (both1, low1)) =
                (($scales).to_le_bytes().map(i32::from), $pair0, $pair1);
            let (low0, low1) = (low0 >> 4, low1 >> 4);
            sum0 += s0 * low0;
            sum1 += s1 * low1;
            sum2 += s2 * ((both0 - low0) >> 4);
            sum3 += s3 * ((both1 - low1) >> 4);
        };
    }
    let (groups, half) = block.as_chunks::<FOUR>();
    for (group, x) in groups.iter().zip(x) {
        let (&[w0, w1, w2, w3], &[scales]) = group.as_chunks::<4>() else { continue };
        let (&[x0, x1], []) = x.as_chunks::<16>() else { continue };
        let (x0, x1) = (i8x16::from_array(x0), i8x16::from_array(x1));
        add_scaled!(scales, pair_of_group(w0, w1, x0, x1), pair_of_group(w2, w3, x0, x1));
    }
    for (group, &x) in half.as_chunks::<FOUR_HALF>().0.iter().zip(half_x) {
        let (&[w0, w1], &[scales]) = group.as_chunks::<4>() else { continue };
        let x = i8x16::from_array(x);
        add_scaled!(scales, pair(w0, x), pair(w1, x));
    }
    [sum0, sum1, sum2, sum3]
}
