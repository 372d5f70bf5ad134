//! Scores of a query and weighted sums of values, in `core::simd`: int8 by int16.
//!
//! ```text
//! query [width] · eight keys ──► eight sums ──► times mantissas ──► scores        vectors of 8: width 8, 16, 32 by themselves
//! weights [tokens] · four rows of values ──► four sums                            one load of weights for four of values
//! ```

use super::{Backend, Scalar, dot_halves as dot, mul_q16, mul_q16_one, signed_bytes};
use core::simd::cmp::SimdOrd;
use core::simd::num::SimdInt;
use core::simd::{Simd, i16x8, i32x4};

/// [`Backend::scaled_dots`].
#[inline(never)]
pub(super) fn scaled_dots(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> i16 {
    let (queries, rest) = query.as_chunks::<8>();
    if queries.is_empty() || !rest.is_empty() || query.len() != width {
        return Scalar::scaled_dots(keys, width, mantissas, query, scores);
    }
    let keys = signed_bytes(keys).as_chunks::<8>().0;
    let (done, mut max) = match queries.len() {
        1 => chunks8(eight_by_8, keys, queries, mantissas, scores),
        2 => chunks8(eight_by_16, keys, queries, mantissas, scores),
        4 => chunks8(eight_by_32, keys, queries, mantissas, scores),
        _ => (0, i16::MIN),
    };
    let keys = keys.chunks_exact(queries.len()).skip(done);
    let scores = scores.get_mut(done..).unwrap_or(&mut []).iter_mut();
    for ((score, &mantissa), key) in scores.zip(mantissas.get(done..).unwrap_or(&[])).zip(keys) {
        let sum = key.iter().zip(queries).map(|(&key, &query)| dot(key, query)).sum();
        *score = mul_q16_one(sum, mantissa) as i16;
        max = max.max(*score);
    }
    max
}

/// Scores of eight keys at a time; returns how many there were, and the largest.
///
/// # Shapes
/// `keys: [tokens * N]`; `queries: [N]`.
#[inline(always)]
fn chunks8<const N: usize>(
    eight: impl Fn(&[[[i8; 8]; N]; 8], &[[i16; 8]; N], &[i16; 8], &mut [i16; 8]),
    keys: &[[i8; 8]],
    queries: &[[i16; 8]],
    mantissas: &[i16],
    scores: &mut [i16],
) -> (usize, i16) {
    let Some(query) = queries.first_chunk::<N>() else { return (0, i16::MIN) };
    let mut max = i16x8::splat(i16::MIN);
    let mut done = 0;
    let tokens = keys.as_chunks::<N>().0.as_chunks::<8>().0.iter().zip(mantissas.as_chunks::<8>().0);
    for ((keys, mantissas), scores) in tokens.zip(scores.as_chunks_mut::<8>().0) {
        eight(keys, query, mantissas, scores);
        max = max.simd_max(i16x8::from_array(*scores));
        done += 8;
    }
    (done, max.reduce_max())
}

/// Scores of eight keys of so many vectors.
///
/// Not inlined: in a loop the compiler would widen the query to 32 bits once for all keys, and then there are no products
/// of 16 bits. A macro: what is generic over the vectors does not stay in registers at opt-level "s". Sums of a key's vectors
/// are added as vectors: of sums that are added as numbers the compiler makes one sum of 32-bit products.
macro_rules! eight {
    ($name:ident, $vectors:literal, [$($index:literal),+]) => {
        #[inline(never)]
        fn $name(
            [k0, k1, k2, k3, k4, k5, k6, k7]: &[[[i8; 8]; $vectors]; 8],
            query: &[[i16; 8]; $vectors],
            &[m0, m1, m2, m3, m4, m5, m6, m7]: &[i16; 8],
            scores: &mut [i16; 8],
        ) {
            let (mut low, mut high) = (i32x4::splat(0), i32x4::splat(0));
            $(
                let x = query[$index];
                let sums = [dot(k0[$index], x), dot(k1[$index], x), dot(k2[$index], x), dot(k3[$index], x)];
                low += i32x4::from_array(sums);
                let sums = [dot(k4[$index], x), dot(k5[$index], x), dot(k6[$index], x), dot(k7[$index], x)];
                high += i32x4::from_array(sums);
            )+
            let low = mul_q16(low, Simd::<i16, 4>::from_array([m0, m1, m2, m3]).cast());
            let high = mul_q16(high, Simd::<i16, 4>::from_array([m4, m5, m6, m7]).cast());
            let ([a, b, c, d], [e, f, g, h]) = (low.cast::<i16>().to_array(), high.cast::<i16>().to_array());
            *scores = [a, b, c, d, e, f, g, h];
        }
    };
}
eight!(eight_by_8, 1, [0]);
eight!(eight_by_16, 2, [0, 1]);
eight!(eight_by_32, 4, [0, 1, 2, 3]);

/// [`Backend::weighted_sums`].
#[inline(never)]
pub(super) fn weighted_sums(values: &[u32], stride: usize, weights: &mut [i16], sums: &mut [i32]) {
    let tokens = weights.len();
    if !tokens.is_multiple_of(4) || tokens > stride {
        return Scalar::weighted_sums(values, stride, weights, sums);
    }
    let (vectors, rest) = weights.as_chunks::<8>();
    let (chunks, last) = sums.as_chunks_mut::<4>();
    // Four rows of `stride` bytes are `stride` words.
    for (four, block) in chunks.iter_mut().zip(values.chunks_exact(stride.max(1))) {
        let block = signed_bytes(block);
        // All of one length, so that one counter does for the loop.
        let row = |index: usize| block.get(index * stride..).and_then(|row| row.get(..tokens));
        let (Some(row0), Some(row1), Some(row2), Some(row3)) = (row(0), row(1), row(2), row(3)) else { continue };
        let ((row0, rest0), (row1, rest1)) = (row0.as_chunks::<8>(), row1.as_chunks::<8>());
        let ((row2, rest2), (row3, rest3)) = (row2.as_chunks::<8>(), row3.as_chunks::<8>());
        let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
        for ((((&v0, &v1), &v2), &v3), &weights) in row0.iter().zip(row1).zip(row2).zip(row3).zip(vectors) {
            sum0 += dot(v0, weights);
            sum1 += dot(v1, weights);
            sum2 += dot(v2, weights);
            sum3 += dot(v3, weights);
        }
        if !rest.is_empty() {
            sum0 += dot_of_four(rest0, rest);
            sum1 += dot_of_four(rest1, rest);
            sum2 += dot_of_four(rest2, rest);
            sum3 += dot_of_four(rest3, rest);
        }
        *four = [sum0, sum1, sum2, sum3];
    }
    if !last.is_empty() {
        // Few heads are so odd: what defines the sums does for their last ones.
        let values = values.get(chunks.len() * stride..).unwrap_or(&[]);
        Scalar::weighted_sums(values, stride, weights, last);
    }
}

/// Four products; none where there are not four.
#[inline(always)]
fn dot_of_four(values: &[i8], weights: &[i16]) -> i32 {
    let (Some(&values), Some(&weights)) = (values.first_chunk::<4>(), weights.first_chunk::<4>()) else { return 0 };
    (Simd::<i8, 4>::from_array(values).cast::<i32>() * Simd::<i16, 4>::from_array(weights).cast()).reduce_sum()
}
