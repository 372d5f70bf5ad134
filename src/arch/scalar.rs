//! Plain Rust: what every other backend must equal, and what runs on cores without SIMD.

use super::{Backend, Packing, exp2_negative, mul_q16, signed_bytes};

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
    fn dots_q8(_packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        super::small::dots_q8(weights, cols, x, out);
    }

    #[cfg(not(thumbformer_small))]
    fn dots_q8(packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        super::plain::dots_q8(packing, weights, cols, signed_bytes(x), out);
    }

    #[cfg(thumbformer_small)]
    fn dots_q4(_packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        super::small::dots_q4(weights, cols, x, out);
    }

    #[cfg(not(thumbformer_small))]
    fn dots_q4(packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        super::int4::dots_q4(packing, weights, cols, signed_bytes(x), out);
    }

    #[cfg(all(thumbformer_small, thumbformer_long_multiply))]
    fn abs_max(x: &[i32]) -> u32 {
        super::thumb2::abs_max(x)
    }

    #[cfg(all(thumbformer_small, thumbformer_long_multiply))]
    fn sum(x: &[i32]) -> i64 {
        super::thumb2::sum(x)
    }

    #[cfg(all(thumbformer_small, thumbformer_long_multiply))]
    fn sum_of_squares(x: &[i32], shift: u32) -> u64 {
        super::thumb2::sum_of_squares(x, shift)
    }

    #[cfg_attr(thumbformer_backend = "dsp", inline(never))] // a few odd ones only
    #[cfg_attr(not(thumbformer_backend = "dsp"), inline)]
    fn scaled_dots(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> i16 {
        #[cfg(thumbformer_small)]
        let (done, mut max) = super::small::scaled_dots(keys, width, mantissas, query, scores);
        #[cfg(not(thumbformer_small))]
        let (done, mut max) = (0, i16::MIN);
        let keys = signed_bytes(keys).chunks_exact(width.max(1));
        for ((score, key), &mantissa) in scores.iter_mut().zip(keys).zip(mantissas).skip(done) {
            *score = mul_q16(dot(key, query), mantissa) as i16;
            max = max.max(*score);
        }
        max
    }

    #[cfg_attr(thumbformer_backend = "dsp", inline(never))] // a few odd ones only
    #[cfg_attr(not(thumbformer_backend = "dsp"), inline)]
    fn weigh(scores: &mut [i16], max: i16, left: u32, mantissas: &[i16]) -> u32 {
        // Nearly always nothing is to be shifted, and then a loop needs neither the shift nor the bound after it. Other cores are here
        // for a few odd tokens only.
        if cfg!(thumbformer_small) && left == 0 {
            weigh(scores, max, 0, mantissas)
        } else {
            weigh(scores, max, left, mantissas)
        }
    }

    #[cfg_attr(thumbformer_backend = "dsp", inline(never))] // a few odd ones only
    #[cfg_attr(not(thumbformer_backend = "dsp"), inline)]
    fn weighted_sums(values: &[u32], stride: usize, weights: &mut [i16], sums: &mut [i32]) {
        #[cfg(thumbformer_small)]
        let done = super::small::row_dots(values, stride, weights, sums);
        #[cfg(not(thumbformer_small))]
        let done = 0;
        let values = signed_bytes(values).chunks_exact(stride.max(1));
        for (sum, values) in sums.iter_mut().zip(values).skip(done) {
            *sum = dot(values, weights);
        }
    }
}

/// [`Backend::weigh`], four at a time.
#[inline(always)]
fn weigh(scores: &mut [i16], max: i16, left: u32, mantissas: &[i16]) -> u32 {
    let tokens = scores.len().min(mantissas.len());
    let (scores, mantissas) = (scores.get_mut(..tokens).unwrap_or(&mut []), mantissas.get(..tokens).unwrap_or(&[]));
    let mut sum = 0;
    let mut one = |score: &mut i16, mantissa: i16| {
        let power = probability(*score, max, left);
        sum += power;
        *score = ((power * u32::from(mantissa.cast_unsigned())) >> 16) as i16;
    };
    let (fours, rest) = scores.as_chunks_mut::<4>();
    let (mantissa_fours, mantissa_rest) = mantissas.as_chunks::<4>();
    for (scores, mantissas) in fours.iter_mut().zip(mantissa_fours) {
        scores.iter_mut().zip(mantissas).for_each(|(score, &mantissa)| one(score, mantissa));
    }
    rest.iter_mut().zip(mantissa_rest).for_each(|(score, &mantissa)| one(score, mantissa));
    sum
}

/// The sum of products, four at a time; numbers beyond the shorter one's last four do not count.
#[inline(always)]
fn dot(bytes: &[i8], halves: &[i16]) -> i32 {
    let mut sum = 0;
    for (&[a, b, c, d], &[e, f, g, h]) in bytes.as_chunks::<4>().0.iter().zip(halves.as_chunks::<4>().0) {
        sum += i32::from(a) * i32::from(e) + i32::from(b) * i32::from(f);
        sum += i32::from(c) * i32::from(g) + i32::from(d) * i32::from(h);
    }
    sum
}

/// `2^((score - max) / 2^(8 - left))` in 15 bits.
#[inline(always)]
pub(crate) fn probability(score: i16, max: i16, left: u32) -> u32 {
    // Below 2^16, as both are of 16 bits; beyond 2^16 the power is zero.
    let distance = (i32::from(max) - i32::from(score)).cast_unsigned() & 0xffff;
    exp2_negative((distance << left.min(15)).min(0xffff))
}
