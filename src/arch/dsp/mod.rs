//! The DSP extension of ARMv7E-M and ARMv8-M: two 16-bit products per instruction (`SMLAD`, Arm ARM DDI 0403E A7.7.146).
//!
//! ```text
//! word of 4 int8 ── SXTB16 ──► (byte 0, byte 2)          as int16 pairs
//!                └─ SXTB16, ROR 8 ──► (byte 1, byte 3)   two SMLAD for four products
//! ```
//! The loops are in `loops`; what is here checks every length, so that they need no bounds.

mod batch;
mod int4;
mod int4_batch;
mod loops;
mod scores;
mod sums;
mod vectors;

use super::scalar::{Scalar, attention, matrix};
use super::{
    Backend, GROUP, MAX_COLUMNS_Q4, Multiplier, PACKED_COLUMNS, Packing, TABLE, Tail, as_i16, as_i16_mut, block_words,
    thumb2,
};
use core::mem::MaybeUninit;
use loops::{rescale_chunks, row_pairs, scaled_dots_8, weigh_chunks};
use sums::weighted_sums_2;
use vectors::{
    activate_pairs, activate_times_all, add_chunks, rescale_chunks_to_i8, rescale_chunks_wide, scale_chunks,
};

/// The DSP backend.
pub(crate) struct Dsp;

impl Backend for Dsp {
    const NAME: &'static str = "dsp";
    const PACKING: Option<Packing> = Some(Packing::M4);
    type Activation = i16;

    fn activations(words: &mut [u32]) -> &mut [i16] {
        as_i16_mut(words)
    }

    fn dots_q8(_packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        matvec(weights, cols, x, None, out);
    }

    fn matvec_q8(_packing: Packing, weights: &[u32], cols: usize, x: &[u32], multipliers: &[i16], out: &mut [i32]) {
        matvec(weights, cols, x, Some(multipliers), out);
    }

    fn matmul_q8(_packing: Packing, weights: &[u32], cols: usize, x: &[u32], multipliers: &[i16], out: &mut [i32]) {
        let rows = multipliers.len();
        if out.len() == rows {
            return matvec(weights, cols, x, Some(multipliers), out);
        }
        let sound = cols.is_multiple_of(16) && cols > 0 && rows.is_multiple_of(4) && rows > 0;
        let sound = sound && weights.len() / cols >= rows / 4;
        let (mut x, mut out) = (x, out);
        while !out.is_empty() && rows > 0 {
            // One vector after the other where four are not to be had.
            let vectors = if sound && out.len() >= 4 * rows && x.len() >= 2 * cols { 4 } else { 1 };
            let Some((now, later)) = x.split_at_checked(vectors * (cols / 2)) else { return };
            let Some((out_now, out_later)) = core::mem::take(&mut out).split_at_mut_checked(vectors * rows) else {
                return;
            };
            if vectors == 4 {
                // SAFETY: columns, rows and the lengths of all slices were just found to be as it wants them.
                unsafe { batch::four_vectors_q8(weights, cols, now, multipliers, out_now) };
            } else {
                matvec(weights, cols, now, Some(multipliers), out_now);
            }
            (x, out) = (later, out_later);
        }
    }

    fn activate(x: &mut [i32], ratio: Multiplier, tail: &Tail) {
        let Some((left, multiplier)) = ratio.wide() else { return Scalar::activate(x, ratio, tail) };
        let (pairs, rest) = x.as_chunks_mut::<2>();
        if !pairs.is_empty() {
            // SAFETY: the loop reads and writes two integers for each of `pairs`, which is not empty, and reads the table below 256
            // words.
            unsafe { call!(activate_pairs(pairs.as_mut_ptr().cast(), pairs.len(), left, multiplier, tail.as_ptr())) };
        }
        Scalar::activate(rest, ratio, tail);
    }

    fn activate_times(gate: &mut [i32], up: &[i32], ratio: Multiplier, shifts: (u32, u32), tail: &Tail) {
        let Some((left, multiplier)) = ratio.wide() else {
            return Scalar::activate_times(gate, up, ratio, shifts, tail);
        };
        let count = gate.len().min(up.len());
        if count > 0 {
            let all = left | (shifts.0 & 31) << 8 | (shifts.1 & 31) << 16;
            // SAFETY: the loop reads and writes `count` integers, which is not 0, of `gate`, reads as many of `up`, and reads the
            // table below 256 words.
            unsafe {
                call!(activate_times_all(gate.as_mut_ptr(), up.as_ptr(), count, all, multiplier, tail.as_ptr()));
            };
        }
    }

    fn dots_q4(_packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        let rows = out.len();
        if fits_q4(weights, cols, x, rows, 1) {
            // SAFETY: columns, rows and the lengths of all slices were just found to be as it wants them.
            unsafe { int4::one_vector_q4(weights, cols, x, out) };
        } else {
            matrix::dots_q4(Packing::M4, weights, cols, as_i16(x), out);
        }
    }

    fn matmul_q4(packing: Packing, weights: &[u32], cols: usize, x: &[u32], rows: usize, out: &mut [i32]) {
        if out.len() == rows {
            return Self::dots_q4(packing, weights, cols, x, out);
        }
        let (mut x, mut out) = (x, out);
        while !out.is_empty() && rows > 0 {
            let pair = cols.is_multiple_of(GROUP) && out.len() >= 2 * rows && fits_q4(weights, cols, x, rows, 2);
            let vectors = if pair { 2 } else { 1 };
            let Some((now, later)) = x.split_at_checked(vectors * (cols / 2)) else { return };
            let Some((out_now, out_later)) = core::mem::take(&mut out).split_at_mut_checked(vectors * rows) else {
                return;
            };
            if pair {
                // SAFETY: columns, rows and the lengths of all slices were just found to be as it wants them.
                unsafe { int4_batch::two_vectors_q4(weights, cols / GROUP, now, rows, out_now) };
            } else {
                Self::dots_q4(packing, weights, cols, now, out_now);
            }
            (x, out) = (later, out_later);
        }
    }

    fn abs_max(x: &[i32]) -> u32 {
        thumb2::abs_max(x)
    }

    fn rescale(x: &[i32], ratio: Multiplier, out: &mut [i16]) {
        let (chunks, rest) = x.as_chunks::<4>();
        let (out_chunks, out_rest) = out.as_chunks_mut::<4>();
        let count = chunks.len().min(out_chunks.len());
        if count > 0 {
            let (x, out) = (chunks.as_ptr().cast(), out_chunks.as_mut_ptr().cast());
            // SAFETY: `count` is not 0; the loops read four integers and write four halves for each of it, which both slices
            // hold. Words of halves are written with STR, which takes any alignment on these cores.
            unsafe {
                match ratio.wide() {
                    Some((0, multiplier)) => call!(rescale_chunks_wide(x, out, count, multiplier)),
                    _ => {
                        call!(rescale_chunks(
                            x,
                            out,
                            count,
                            ratio.left_shift | ratio.right_shift << 8,
                            ratio.multiplier.into(),
                        ));
                    }
                }
            }
        }
        out_rest.iter_mut().zip(rest).for_each(|(out, &x)| *out = ratio.apply(x) as i16);
    }

    fn rescale_i16(x: &[i32], ratio: Multiplier, out: &mut [i16]) {
        Self::rescale(x, ratio, out);
    }

    fn rescale_i8(x: &[i32], ratio: Multiplier, out: &mut [i8]) {
        let (chunks, rest) = x.as_chunks::<4>();
        let (out_chunks, out_rest) = out.as_chunks_mut::<4>();
        match ratio.wide() {
            Some((0, multiplier)) if chunks.len() == out_chunks.len() && !chunks.is_empty() => {
                let (x, out) = (chunks.as_ptr().cast(), out_chunks.as_mut_ptr().cast());
                // SAFETY: the loop reads four integers and writes four bytes for each of `chunks`, which is not empty and as long as
                // `out_chunks`. Bytes are written four at a time with STR, which takes any alignment on these cores.
                unsafe { call!(rescale_chunks_to_i8(x, out, chunks.len(), multiplier)) };
                Scalar::rescale_i8(rest, ratio, out_rest);
            }
            _ => Scalar::rescale_i8(x, ratio, out),
        }
    }

    fn sum_of_squares(x: &[i32], shift: u32) -> u64 {
        thumb2::sum_of_squares(x, shift)
    }

    fn sum(x: &[i32]) -> i64 {
        thumb2::sum(x)
    }

    fn scale_rows(x: &mut [i32], multipliers: &[i16]) {
        let (chunks, rest) = x.as_chunks_mut::<4>();
        let (multiplier_chunks, multiplier_rest) = multipliers.as_chunks::<4>();
        let count = chunks.len().min(multiplier_chunks.len());
        if count > 0 {
            // SAFETY: `count` is not 0; the loop reads and writes four integers and reads four halves for each of it, which both
            // slices hold. Words of halves are read with LDR, which takes any alignment on these cores.
            unsafe { call!(scale_chunks(chunks.as_mut_ptr().cast(), multiplier_chunks.as_ptr().cast(), count)) };
        }
        Scalar::scale_rows(rest, multiplier_rest);
    }

    fn add_scaled(x: &mut [i32], other: &[i16], ratio: Multiplier) {
        let count = x.len().min(other.len());
        let (Some(x), Some(other)) = (x.get_mut(..count), other.get(..count)) else { return };
        let (chunks, rest) = x.as_chunks_mut::<4>();
        let (other_chunks, other_rest) = other.as_chunks::<4>();
        let count = chunks.len().min(other_chunks.len());
        if count > 0 {
            // Where the number is to be shifted, it is by 16, as it has 16 bits, and the multiplier by less. A ratio that is no wide
            // product is so small that nothing of 16 bits remains.
            let (upper, multiplier) = match ratio.wide() {
                Some((0, multiplier)) => (0, multiplier),
                Some((left, _)) => (1, i32::from(ratio.multiplier) << left),
                None => (0, 0),
            };
            // SAFETY: as in `scale_rows`.
            unsafe {
                call!(add_chunks(chunks.as_mut_ptr().cast(), other_chunks.as_ptr().cast(), count, multiplier, upper))
            };
        }
        Scalar::add_scaled(rest, other_rest, ratio);
    }

    fn scaled_dots(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> i16 {
        let tokens = mantissas.len().min(scores.len());
        // Heads of 8 numbers go by pairs of tokens, all others by chunks.
        let done = tokens & if width == 8 { !1 } else { !3 };
        if done == 0 {
            return odd_scores(keys, width, mantissas, query, scores);
        }
        let fits = matches!(width, 8 | 16 | 32) && query.len() == width && keys.len() / (width / 4) >= done;
        let (done, max) = if fits {
            let (keys, mantissas, scores) = (keys.as_ptr(), mantissas.as_ptr(), scores.as_mut_ptr());
            // SAFETY: there is a pair or a four; the loops read `width` bytes of keys and a mantissa and write a score for each of
            // `done` tokens, which the slices were just found to hold, and read `width` halves of the query. All pointers are
            // aligned for what lies there; words of halves are read and written with LDR and STR, which take any alignment on
            // these cores.
            let max = unsafe {
                match width {
                    8 => call!(scaled_dots_8(keys, mantissas, scores, done / 2, query.as_ptr())),
                    16 => call!(scores::four_tokens_16(keys, mantissas, scores, done, query.as_ptr())),
                    _ => call!(scores::four_tokens_32(keys, mantissas, scores, done, query.as_ptr())),
                }
            };
            (done, max)
        } else {
            chunks_of_scores(keys, width, mantissas.get(..tokens).unwrap_or(&[]), query, scores)
        };
        let max = (max as i16).max((max >> 16) as i16);
        if done == tokens {
            return max;
        }
        let last = keys.get(done * width / 4..).unwrap_or(&[]);
        let (mantissas, scores) = (mantissas.get(done..).unwrap_or(&[]), scores.get_mut(done..).unwrap_or(&mut []));
        max.max(odd_scores(last, width, mantissas, query, scores))
    }

    fn weigh(scores: &mut [i16], max: i16, shift: u32, mantissas: &[i16]) -> u32 {
        let tokens = mantissas.len().min(scores.len());
        if shift != 0 || tokens < 4 {
            return odd_weights(scores, max, shift, mantissas);
        }
        let whole = tokens & !3;
        let maxima = u32::from(max.cast_unsigned()) * 0x0001_0001;
        // SAFETY: `whole / 4` is not 0; the loop reads 4 mantissas and reads and writes 4 scores for each of it, which the
        // slices hold. Words of halves are read and written with LDR and STR, which take any alignment on these cores.
        let sum = unsafe { call!(weigh_chunks(scores.as_mut_ptr(), mantissas.as_ptr(), whole / 4, maxima)) };
        if whole == tokens {
            return sum;
        }
        let (scores, mantissas) = (scores.get_mut(whole..).unwrap_or(&mut []), mantissas.get(whole..).unwrap_or(&[]));
        sum + odd_weights(scores, max, shift, mantissas)
    }

    fn weighted_sums(values: &[u32], stride: usize, weights: &mut [i16], sums: &mut [i32]) {
        let (chunks, words) = (weights.len() / 4, stride / 4);
        let start: *mut u32 = weights.as_mut_ptr().cast();
        let sound = stride.is_multiple_of(4) && weights.len().is_multiple_of(4) && start.is_aligned();
        let pairs = (values.len() / words.max(1)).min(sums.len()) / 2;
        if !sound || chunks == 0 || chunks > words || pairs == 0 {
            return odd_sums(values, stride, weights, sums);
        }
        // An odd last row comes first, as the order of the weights does not stay.
        if let Some(last) = sums.get_mut(2 * pairs..).filter(|last| !last.is_empty()) {
            odd_sums(values.get(2 * pairs * words..).unwrap_or(&[]), stride, weights, last);
        }
        // SAFETY: neither `pairs` nor `chunks` is 0; the loop reads `chunks` words of each of `2 * pairs` rows of `stride / 4` words,
        // reads and writes `2 * chunks` aligned words of weights, and writes `2 * pairs` sums, which the slices were just found to
        // hold.
        unsafe { call!(weighted_sums_2(values.as_ptr(), start, sums.as_mut_ptr(), pairs, chunks, stride)) };
    }
}

/// Scores of a few odd tokens; apart, as it is called at several places.
#[inline(never)]
fn odd_scores(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> i16 {
    attention::scaled_dots(keys, width, mantissas, query, scores, (0, i16::MIN))
}

/// Weights of a few odd tokens.
#[inline(never)]
fn odd_weights(scores: &mut [i16], max: i16, shift: u32, mantissas: &[i16]) -> u32 {
    attention::weigh(scores, max, shift, mantissas)
}

/// Sums of a few odd rows.
#[inline(never)]
fn odd_sums(values: &[u32], stride: usize, weights: &[i16], sums: &mut [i32]) {
    attention::weighted_sums(values, stride, weights, sums, 0);
}

/// Scores of as many chunks of tokens as there are; returns how many tokens that were and the largest scores of each place of a
/// pair.
fn chunks_of_scores(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> (usize, u32) {
    let (chunks, count) = (mantissas.len() / 4, width / 4);
    let sound = width == query.len() && width.is_multiple_of(4) && 0 < count && width <= WIDEST;
    if !sound || chunks == 0 || keys.len() < chunks * width || scores.len() < 4 * chunks {
        return (0, 0x8000_8000);
    }
    let mut pairs = [const { MaybeUninit::uninit() }; WIDEST / 2];
    for (pairs, &[q0, q1, q2, q3]) in pairs.as_chunks_mut::<2>().0.iter_mut().zip(query.as_chunks::<4>().0) {
        let pair = |low: i16, high: i16| u32::from(low.cast_unsigned()) | u32::from(high.cast_unsigned()) << 16;
        *pairs = [MaybeUninit::new(pair(q0, q2)), MaybeUninit::new(pair(q1, q3))];
    }
    let (keys, mantissas, scores, query) =
        (keys.as_ptr(), mantissas.as_ptr(), scores.as_mut_ptr(), pairs.as_ptr().cast());
    // SAFETY: neither `count` nor `chunks` is 0; the loops read `4 * chunks` keys of `count` words, `2 * count` words of the query,
    // which were just written, and `4 * chunks` mantissas and write as many scores, which the slices were just found to hold. Words
    // of halves are read and written with LDR and STR, which take any alignment on these cores; all other words are aligned.
    let max = unsafe {
        let mut shape = scores::Shape { query, count, mantissas, scores, chunks };
        call!(scores::scaled_dots_4(keys, &raw mut shape, width))
    };
    (4 * chunks, max)
}

/// Numbers of the widest head that has a fast way; wider ones are rare and take the plain loop.
const WIDEST: usize = 128;

/// True if an int4 product of this shape lies within its slices, and within the columns that the kernels are exact for.
fn fits_q4(weights: &[u32], cols: usize, x: &[u32], rows: usize, vectors: usize) -> bool {
    let sound = cols > 0 && cols.is_multiple_of(PACKED_COLUMNS) && cols <= MAX_COLUMNS_Q4;
    let blocks = rows / 4;
    sound
        && blocks > 0
        && rows.is_multiple_of(4)
        && x.len() >= vectors * cols / 2
        && weights.len() / block_words(cols) >= blocks
}

/// Matrix times vector, scaled by row where there are multipliers.
fn matvec(weights: &[u32], cols: usize, x: &[u32], multipliers: Option<&[i16]>, out: &mut [i32]) {
    let blocks = out.len() / 4;
    let sound = cols.is_multiple_of(16) && cols > 0 && blocks > 0;
    let enough = multipliers.is_none_or(|multipliers| multipliers.len() >= 4 * blocks);
    if !sound || !enough || 2 * x.len() < cols || weights.len() / blocks < cols {
        // No image that is packed in another way is accepted.
        matrix::dots_q8(Packing::M4, weights, cols, as_i16(x), out);
        return Dsp::scale_rows(out, multipliers.unwrap_or(&[]));
    }
    if cols <= LONGEST {
        let multipliers = multipliers.map_or(core::ptr::null(), <[i16]>::as_ptr);
        // SAFETY: `blocks` and `cols` are not 0 and `cols` is a multiple of 16; the loop reads `blocks * cols` words of weights
        // and `cols / 2` words of activations, four multipliers for each block unless the pointer is null, and writes
        // `4 * blocks` sums, which the slices were just found to hold. Words are aligned; multipliers are read with LDR, which
        // takes any alignment on these cores.
        unsafe { call!(row_pairs(weights.as_ptr(), x.as_ptr(), out.as_mut_ptr(), blocks, cols, multipliers)) };
        return;
    }
    for (block, out) in weights.chunks_exact(cols).zip(out.as_chunks_mut::<4>().0) {
        *out = [0; 4];
        for (weights, x) in block.chunks(LONGEST).zip(x.chunks(LONGEST / 2)) {
            let mut sums = [0; 4];
            // SAFETY: as above, for one block of rows and `weights.len()` columns, a multiple of 16 as both `cols` and
            // `LONGEST` are; of a piece that is not the last, `x` has half as many words, of the last at least as many.
            unsafe {
                call!(row_pairs(weights.as_ptr(), x.as_ptr(), sums.as_mut_ptr(), 1, weights.len(), core::ptr::null()));
            };
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
        }
    }
    Dsp::scale_rows(out, multipliers.unwrap_or(&[]));
}

/// Columns that the sums of a pair of rows have room for: 127 * 127 * 512 * 257 < 2^31.
const LONGEST: usize = 512;
