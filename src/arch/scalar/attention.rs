//! Scores of a query, their weights, and weighted sums of values, in plain Rust.

use super::{mul_q16, probability, signed_bytes};

/// [`Backend::scaled_dots`](super::Backend::scaled_dots) from a token on, and what the largest score was before it.
#[inline(always)]
pub(crate) fn scaled_dots(
    keys: &[u32],
    width: usize,
    mantissas: &[i16],
    query: &[i16],
    scores: &mut [i16],
    (done, mut max): (usize, i16),
) -> i16 {
    let keys = signed_bytes(keys).chunks_exact(width.max(1));
    for ((score, key), &mantissa) in scores.iter_mut().zip(keys).zip(mantissas).skip(done) {
        *score = mul_q16(dot(key, query), mantissa) as i16;
        max = max.max(*score);
    }
    max
}

/// [`Backend::weigh`](super::Backend::weigh), four at a time.
#[inline(always)]
pub(crate) fn weigh(scores: &mut [i16], max: i16, shift: u32, mantissas: &[i16]) -> u32 {
    let tokens = scores.len().min(mantissas.len());
    let (scores, mantissas) = (scores.get_mut(..tokens).unwrap_or(&mut []), mantissas.get(..tokens).unwrap_or(&[]));
    let mut sum = 0;
    let mut one = |score: &mut i16, mantissa: i16| {
        let power = probability(*score, max, shift);
        sum += power;
        *score = ((power * u32::from(mantissa.cast_unsigned())) >> 16) as i16;
    };
    let (chunks, rest) = scores.as_chunks_mut::<4>();
    let (mantissa_chunks, mantissa_rest) = mantissas.as_chunks::<4>();
    for (scores, mantissas) in chunks.iter_mut().zip(mantissa_chunks) {
        scores.iter_mut().zip(mantissas).for_each(|(score, &mantissa)| one(score, mantissa));
    }
    rest.iter_mut().zip(mantissa_rest).for_each(|(score, &mantissa)| one(score, mantissa));
    sum
}

/// [`Backend::weighted_sums`](super::Backend::weighted_sums) from a row on.
#[inline(always)]
pub(crate) fn weighted_sums(values: &[u32], stride: usize, weights: &[i16], sums: &mut [i32], done: usize) {
    let values = signed_bytes(values).chunks_exact(stride.max(1));
    for (sum, values) in sums.iter_mut().zip(values).skip(done) {
        *sum = dot(values, weights);
    }
}

/// The sum of products, four at a time; numbers beyond the shorter one's last four do not count.
#[inline(always)]
fn dot(bytes: &[i8], numbers: &[i16]) -> i32 {
    let mut sum = 0;
    for (&[a, b, c, d], &[e, f, g, h]) in bytes.as_chunks::<4>().0.iter().zip(numbers.as_chunks::<4>().0) {
        sum += i32::from(a) * i32::from(e) + i32::from(b) * i32::from(f);
        sum += i32::from(c) * i32::from(g) + i32::from(d) * i32::from(h);
    }
    sum
}
