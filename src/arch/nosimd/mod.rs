//! Cores without SIMD: an int8 matrix times a vector in assembly, for `Packing::M0`, two columns for each multiplication; and rows
//! of the KV cache times a vector of 16 bits.
//!
//! ```text
//! word = 2 rows by 2 columns, w + 128 ─┬─ even bytes ─► pair of the even row ─┐
//!                                      └─ odd bytes ──► pair of the odd row ──┤
//! activations ── prepare ──► X, C of a pair ─────────────────────────────────┴─► pair * X + C, >> 16 ──► sum of the row
//! ```
//! A pair of weights of one row, `A = w1 + 2^16 * w0`, times a pair of activations, `X = x0 + 2^16 * x1`, is, modulo 2^32,
//! `w1 * x0 + 2^16 * (w0 * x0 + w1 * x1)`: the upper half is the dot product of two columns, the lower half a by-product.
//! (`w1 * x0` is signed and borrows from the upper half; adding 0x8000 before the shift makes the lower half non-negative, so
//! the shift by 16 is exact.)
//!
//! Weights have 128 added, as a mask cannot extend a sign. That adds `128 * 0x10001 * X` to the product, which depends on `X`
//! alone, so it is computed once per pair of columns: `C` takes it out again. The upper half is at most 2 * 128 * 127, which
//! fits 16 bits with a sign.

#[cfg(not(thumbformer_long_multiply))]
mod armv6m;
#[cfg(thumbformer_long_multiply)]
mod armv7m;

#[cfg(not(thumbformer_long_multiply))]
mod int4_armv6m;
#[cfg(thumbformer_long_multiply)]
mod int4_armv7m;

use super::scalar::attention;
#[cfg(thumbformer_long_multiply)]
use super::thumb2;
use super::{Backend, GROUP, MAX_COLUMNS_Q4, PACKED_COLUMNS, Packing, as_i16_mut, block_words, first_group, mul_q16};
#[cfg(not(thumbformer_long_multiply))]
use armv6m::{kernel_q8, kernel_rows, prepare_q8};
#[cfg(thumbformer_long_multiply)]
use armv7m::{kernel_q8, kernel_rows, prepare_q8};
use core::mem::MaybeUninit;
#[cfg(not(thumbformer_long_multiply))]
use int4_armv6m::{kernel_q4, prepare_q4};
#[cfg(thumbformer_long_multiply)]
use int4_armv7m::{kernel_q4, prepare_q4};

/// The backend of cores without SIMD.
pub(crate) struct NoSimd;

impl Backend for NoSimd {
    const NAME: &'static str = "nosimd";
    const PACKING: Option<Packing> = Some(Packing::M0);
    type Activation = i16;

    fn activations(words: &mut [u32]) -> &mut [i16] {
        as_i16_mut(words)
    }

    fn dots_q8(_packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        dots_q8(weights, cols, x, out);
    }

    fn dots_q4(_packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        dots_q4(weights, cols, x, out);
    }

    #[cfg(thumbformer_long_multiply)]
    fn abs_max(x: &[i32]) -> u32 {
        thumb2::abs_max(x)
    }

    #[cfg(thumbformer_long_multiply)]
    fn sum(x: &[i32]) -> i64 {
        thumb2::sum(x)
    }

    #[cfg(thumbformer_long_multiply)]
    fn sum_of_squares(x: &[i32], shift: u32) -> u64 {
        thumb2::sum_of_squares(x, shift)
    }

    #[inline]
    fn scaled_dots(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> i16 {
        let done = scaled_dots(keys, width, mantissas, query, scores);
        attention::scaled_dots(keys, width, mantissas, query, scores, done)
    }

    #[inline]
    fn weigh(scores: &mut [i16], max: i16, shift: u32, mantissas: &[i16]) -> u32 {
        // Nearly always nothing is to be shifted, and then a loop needs neither the shift nor the bound after it.
        if shift == 0 {
            attention::weigh(scores, max, 0, mantissas)
        } else {
            attention::weigh(scores, max, shift, mantissas)
        }
    }

    #[inline]
    fn weighted_sums(values: &[u32], stride: usize, weights: &mut [i16], sums: &mut [i32]) {
        let done = row_dots(values, stride, weights, sums);
        attention::weighted_sums(values, stride, weights, sums, done);
    }
}

/// Columns prepared at a time: 1 KiB of the stack, so that the columns of a matrix are not limited by it.
const CHUNK: usize = 256;
/// Rows that share one reading of the activations: as many as the registers have room for.
const ROWS: usize = 4;
/// Columns of one turn of the loop.
const COLUMNS: usize = 16;

/// Arguments of a kernel besides its three pointers. The kernels read the fields by their offsets: keep the order.
#[repr(C)]
struct Shape {
    /// Offset 0: where the prepared activations end.
    prepared_end: *const u32,
    /// Offset 4: bytes of weights between the end of this chunk in one block of rows and its start in the next.
    skip: usize,
    /// Offset 8: where the sums end.
    out_end: *const i32,
    /// Offset 12, int4 only: not 0 when there is one group, of 16 columns.
    half: usize,
}

/// `out[r] = sum(w[r][c] * x[c])`; slices that are too short give zeros.
///
/// # Shapes
/// `out`: padded rows; `weights`: packed, `cols` padded columns; `x`: `[cols]`, `i16` in natural order, each in -127..=127.
fn dots_q8(weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
    out.fill(0);
    let blocks = out.len() / ROWS;
    let fits = cols.is_multiple_of(COLUMNS)
        && out.len().is_multiple_of(ROWS)
        && x.len() >= cols / 2
        && blocks.checked_mul(cols).is_some_and(|words| weights.len() >= words);
    if !fits || cols == 0 || blocks == 0 {
        return;
    }
    let mut prepared = [MaybeUninit::<u32>::uninit(); CHUNK];
    let prepared = prepared.as_mut_ptr().cast::<u32>();
    let mut start = 0;
    while start < cols {
        let width = (cols - start).min(CHUNK);
        // SAFETY: `width` is a multiple of 16 and at least 16 (`cols` and `CHUNK` are multiples of 16), and at most `CHUNK`, so
        // the `width` words written stay inside `prepared`; `start + width <= cols`, so the `width / 2` words read are in `x`;
        // each block of 4 rows has `cols` words of weights, of which the kernel reads `width` from `start` on, and the last
        // block ends at `blocks * cols <= weights.len()`; `out` is not empty and a multiple of 4. Words are aligned.
        unsafe {
            let sums = out.as_mut_ptr_range();
            let shape = Shape {
                prepared_end: prepared.add(width),
                skip: (cols - width) * size_of::<u32>(),
                out_end: sums.end,
                half: 0,
            };
            call!(prepare_q8(x.as_ptr().add(start / 2), prepared, shape.prepared_end));
            call!(kernel_q8(weights.as_ptr().add(start), prepared, sums.start, &raw const shape));
        }
        start += width;
    }
}

/// `out[r] = rows[r] · x` for as many chunks of rows as there are; returns how many rows that were, 0 where a shape does not fit.
///
/// # Shapes
/// `rows`: `[_, stride]` int8, `stride` a multiple of 4; `x`: a multiple of 4, at most `stride`.
fn row_dots(rows: &[u32], stride: usize, x: &[i16], out: &mut [i32]) -> usize {
    let blocks = (rows.len() / stride.max(1)).min(out.len() / ROWS);
    let sound = stride.is_multiple_of(4) && x.len().is_multiple_of(4) && x.len() <= stride;
    if !sound || x.is_empty() || blocks == 0 || !x.as_ptr().cast::<u32>().is_aligned() {
        return 0;
    }
    // SAFETY: neither `x.len()` nor `blocks` is 0; the kernel reads `x.len()` bytes of each of `4 * blocks` rows of `stride` bytes,
    // of which `rows` has `blocks * stride` words, and all of `x`, which is aligned to words, and writes `4 * blocks` sums, for
    // which there is room.
    unsafe { call!(kernel_rows(rows.as_ptr().cast(), stride, x.as_ptr(), x.len(), out.as_mut_ptr(), blocks)) };
    ROWS * blocks
}

/// `scores[t] = (keys[t] · query) * mantissas[t] / 2^16` for as many chunks of tokens as there are; returns how many tokens that were,
/// and the largest.
///
/// # Shapes
/// As of `Backend::scaled_dots`.
fn scaled_dots(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> (usize, i16) {
    let (mut done, mut max) = (0, i16::MIN);
    let (mantissas, scores) = (mantissas.as_chunks::<ROWS>().0, scores.as_chunks_mut::<ROWS>().0);
    if mantissas.is_empty() {
        return (done, max);
    }
    const TOKENS: usize = 32;
    let mut dots = [0; TOKENS];
    let keys = keys.chunks((TOKENS / 4 * width).max(1));
    for ((keys, mantissas), scores) in keys.zip(mantissas.chunks(TOKENS / ROWS)).zip(scores.chunks_mut(TOKENS / ROWS)) {
        let Some(dots) = dots.get_mut(..ROWS * mantissas.len().min(scores.len())) else { break };
        let now = row_dots(keys, width, query, dots);
        let dots = dots.as_chunks::<ROWS>().0.iter().take(now / ROWS);
        for ((scores, mantissas), dots) in scores.iter_mut().zip(mantissas).zip(dots) {
            for ((score, &mantissa), &dot) in scores.iter_mut().zip(mantissas).zip(dots) {
                *score = mul_q16(dot, mantissa) as i16;
                max = max.max(*score);
            }
        }
        done += now;
    }
    (done, max)
}

/// Words of four rows of a group: 16 of weights, 1 of scales.
const GROUP_WORDS: usize = GROUP / 2 + 1;
/// Words of a prepared group: two starting values, then 16 pairs of activations.
const PREPARED_GROUP: usize = GROUP / 2 + 2;

/// `out[r] = sum over groups of scale * sum(w[r][c] * x[c])`; slices that are too short give zeros.
///
/// # Shapes
/// As of [`dots_q8`], at most 2048 columns.
fn dots_q4(weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
    out.fill(0);
    let blocks = out.len() / ROWS;
    let block = block_words(cols);
    let fits = cols.is_multiple_of(PACKED_COLUMNS)
        && cols <= MAX_COLUMNS_Q4
        && out.len().is_multiple_of(ROWS)
        && x.len() >= cols / 2
        && blocks.checked_mul(block).is_some_and(|words| weights.len() >= words);
    if !fits || cols == 0 || blocks == 0 {
        return;
    }
    let mut prepared = [MaybeUninit::<u32>::uninit(); CHUNK / GROUP * PREPARED_GROUP];
    let prepared = prepared.as_mut_ptr().cast::<u32>();
    // Columns and words of weights that are done; half a group goes alone.
    let (mut start, mut done) = (0, 0);
    while start < cols {
        let half = start == 0 && first_group(cols) < GROUP;
        let width = if half { GROUP / 2 } else { (cols - start).min(CHUNK) };
        let groups = width.div_ceil(GROUP);
        let words = if half { GROUP / 4 + 1 } else { groups * GROUP_WORDS };
        // SAFETY: `width` is 16 or a multiple of 32, at most `CHUNK`, so the 18 words written for each group (10 for a half one)
        // stay inside `prepared`; `start + width <= cols`, so the `width / 2` words read are in `x`; each block of 4 rows has
        // `block` words of weights, of which the kernel reads `words` from `done` on, and the last block ends at
        // `blocks * block <= weights.len()`; `out` is not empty and a multiple of 4. Words are aligned.
        unsafe {
            let end = prepared.add(if half { GROUP / 4 + 2 } else { groups * PREPARED_GROUP });
            let sums = out.as_mut_ptr_range();
            let shape = Shape {
                prepared_end: end,
                skip: (block - words) * size_of::<u32>(),
                out_end: sums.end,
                half: usize::from(half),
            };
            if half {
                prepare_half(x, prepared);
            } else {
                call!(prepare_q4(x.as_ptr().add(start / 2), prepared, end));
            }
            call!(kernel_q4(weights.as_ptr().add(done), prepared, sums.start, &raw const shape));
        }
        start += width;
        done += words;
    }
}

/// `prepare_q4` of a group of 16 columns.
///
/// # Safety
/// `prepared` has room for 10 words.
unsafe fn prepare_half(x: &[u32], prepared: *mut u32) {
    // As a signed sum: a negative lower half borrows from the upper one.
    let pair = |word: u32| (word as i16 as u32).wrapping_add(word & 0xffff_0000);
    let pairs = x.iter().take(GROUP / 4).map(|&word| pair(word));
    let sum = pairs.clone().fold(0, u32::wrapping_add).wrapping_mul(0x1_0001);
    let start = 0x8000_u32.wrapping_sub(sum.wrapping_mul(8));
    for (index, word) in [start.wrapping_mul(0x1111), start].into_iter().chain(pairs).enumerate() {
        // SAFETY: two words and at most eight; the caller says that there is room.
        unsafe { prepared.add(index).write(word) };
    }
}
