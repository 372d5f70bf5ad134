//! An int8 matrix times four vectors at a time: 0.75 instructions for a product in the loop, where one vector takes 0.84.
//!
//! ```text
//! four vectors ── weave_4 ──► a0 b0 c0 d0 a1 b1 … ─┐
//! two rows by two columns in a word ───────────────┴─► pair_by_four ──► eight sums
//! ```

use super::loops::{extension, lines, reset};
use super::{Backend, Dsp};
use core::arch::naked_asm;
use core::mem::MaybeUninit;

/// Columns of four vectors that go through the matrix at a time; a multiple of 16, at most `LONGEST_Q8`. The interleaved
/// activations on the stack take 8 bytes for each.
const PIECE_FOUR_VECTORS: usize = 256;

/// Four vectors. `out[v * rows + r] = sum(w[r][c] * x[v][c]) * multipliers[r] >> 16`, the sum exact for up to 65,536 columns.
///
/// Whoever calls it has found that `cols` is a multiple of 16 and the number of rows, of which there are as many as multipliers, one
/// of 4, neither 0, that `weights` holds `rows / 4 * cols` words, `x` at least `4 * cols` activations and `out` `4 * rows` sums.
/// About 2.3 KB of stack.
///
/// # Safety
/// `cols` is a multiple of 16, `multipliers.len()` one of 4, neither 0; `weights` holds `multipliers.len() / 4 * cols` words, `x` at
/// least `4 * cols` activations (two in a word), `out` at least `4 * multipliers.len()` sums.
pub(super) unsafe fn four_vectors_q8(weights: &[u32], cols: usize, x: &[u32], multipliers: &[i16], out: &mut [i32]) {
    let mut woven = [const { MaybeUninit::<u32>::uninit() }; 2 * PIECE_FOUR_VECTORS];
    let rows = multipliers.len();
    let in_pieces = cols > PIECE_FOUR_VECTORS;
    if in_pieces {
        out.fill(0);
    }
    let scale = if in_pieces { core::ptr::null() } else { multipliers.as_ptr() };
    let mut start = 0;
    while start < cols {
        let width = (cols - start).min(PIECE_FOUR_VECTORS);
        // SAFETY: `width` is a multiple of 16 and not 0, as `cols` and `PIECE_FOUR_VECTORS` are; `rows` is a multiple of 4 and
        // not 0. `weave_4` reads `width / 2` words of each of four vectors from column `start` on and writes `2 * width` words,
        // which `woven` has room for and `pair_by_four` reads. That one reads `width` words from `start` on of each of
        // `rows / 4` blocks of `cols` words, and writes `rows` sums for each of four vectors (which it reads before where there
        // are several pieces; where there is one, it reads `rows` multipliers, with LDR, which takes any alignment on these
        // cores).
        unsafe {
            let woven = woven.as_mut_ptr().cast();
            call!(weave_4(x.as_ptr().add(start / 2), cols / 2, woven, width / 2));
            let weights = weights.as_ptr().add(start);
            call!(pair_by_four(weights, woven, out.as_mut_ptr(), rows, width, cols - width, scale));
        }
        start += width;
    }
    if in_pieces {
        out.chunks_exact_mut(rows.max(1)).for_each(|out| Dsp::scale_rows(out, multipliers));
    }
}

/// Activations of four vectors, `stride` words apart, in the order in which the loop takes them; `count` words of each, even.
///
/// ```text
/// vector 0: a0 a1 a2 ...   1: b0 b1 b2 ...   2: c0 c1 c2 ...   3: d0 d1 d2 ...    ──►   a0 b0 c0 d0 a1 b1 c1 d1 a2 ...
///
/// r0-r3 vectors   r12 destination   lr end of vector 0   r4-r7 a word of each vector   r8-r11 the next of each
/// ```
/// 7 instructions for 8 words.
///
/// # Safety
/// `x` is valid for reads of `3 * stride + count` words and `woven` for writes of `4 * count`; `count` is even and not 0.
#[unsafe(naked)]
unsafe extern "C" fn weave_4(x: *const u32, stride: usize, woven: *mut u32, count: usize) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "mov r12, r2",
        "add lr, r0, r3, lsl #2",
        "lsls r4, r1, #2",
        "adds r1, r0, r4",
        "adds r2, r1, r4",
        "adds r3, r2, r4",
        "2:",
        "ldm r0!, {{r4, r8}}",
        "ldm r1!, {{r5, r9}}",
        "ldm r2!, {{r6, r10}}",
        "ldm r3!, {{r7, r11}}",
        "stm r12!, {{r4-r11}}",
        "cmp r0, lr",
        "bne 2b",
        "pop {{r4-r11, pc}}",
        reset!(),
    )
}

/// Two rows by sixteen columns by four vectors: 96 instructions for 128 products.
macro_rules! pair_by_sixteen_columns {
    () => {
        concat!(pair_by_four_columns!(), pair_by_four_columns!(), pair_by_four_columns!(), pair_by_four_columns!(),)
    };
}

/// Two rows by four columns by four vectors.
macro_rules! pair_by_four_columns {
    () => {
        concat!(pair_by_two_columns!(), pair_by_two_columns!())
    };
}

/// Two rows by two columns by four vectors. The words of the other two rows lie between.
macro_rules! pair_by_two_columns {
    () => {
        lines!(
            "ldr r2, [r0], #8",
            "ldm r1!, {{r12, lr}}",
            "sxtb16 r3, r2",
            "smlad r5, r2, r12, r5",
            "smlad r4, r3, r12, r4",
            "smlad r7, r2, lr, r7",
            "smlad r6, r3, lr, r6",
            "ldm r1!, {{r12, lr}}",
            "smlad r9, r2, r12, r9",
            "smlad r8, r3, r12, r8",
            "smlad r11, r2, lr, r11",
            "smlad r10, r3, lr, r10",
        )
    };
}

/// Matrix times four vectors, Q8: `rows` sums of each over `cols` columns, with `skip` words after the columns of each block of
/// four rows; scaled, or without multipliers added to what `out` holds.
///
/// ```text
/// r0 weights   r1 woven activations   r2 two rows by two columns   r3 the lower row alone   r12 lr activations of two vectors
/// r4 lower row   r5 256 * upper row + lower row, vector 0;   r6 r7 vector 1;   r8 r9 vector 2;   r10 r11 vector 3
/// stack: 0 first activation   4-32 eight zeros   36 end of activations   40 out   44 rows in bytes   48 end of out
///        52 from the end of this pair of rows to the next   56 the same of the other pair   60 multipliers
/// ```
/// 96 instructions for 128 products and 3 for the loop; 36 for each pair of rows, scaling included.
///
/// # Safety
/// `rows` is a multiple of 4 and `cols` one of 16, neither 0. `weights` is valid for reads of `rows / 4` blocks of `cols` words,
/// `skip` words between them; `woven` for `2 * cols` words as [`weave_4`] writes them; `out` for reads and writes of `4 * rows`
/// numbers; `multipliers` is null or valid for `rows` numbers, of any alignment.
#[unsafe(naked)]
unsafe extern "C" fn pair_by_four(
    weights: *const u32,
    woven: *const u32,
    out: *mut i32,
    rows: usize,
    cols: usize,
    skip: usize,
    multipliers: *const i16,
) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "ldrd r4, r5, [sp, #36]",
        "ldr r6, [sp, #44]",
        "sub sp, sp, #68",
        "movs r7, #0",
        "strd r1, r7, [sp]",
        "strd r7, r7, [sp, #8]",
        "strd r7, r7, [sp, #16]",
        "strd r7, r7, [sp, #24]",
        "add r1, r1, r4, lsl #3",
        "strd r7, r1, [sp, #32]",
        "lsls r3, r3, #2",
        "strd r2, r3, [sp, #40]",
        "adds r2, r2, r3",
        "str r2, [sp, #48]",
        // From rows 0 and 1 back to the second word of the block; from rows 2 and 3 to the first word of the next block.
        "lsls r4, r4, #2",
        "rsb r4, r4, #4",
        "lsls r5, r5, #2",
        "subs r5, r5, #4",
        "strd r4, r5, [sp, #52]",
        "str r6, [sp, #60]",
        "2:",
        "ldm sp, {{r1, r4-r11}}",
        "3:",
        pair_by_sixteen_columns!(),
        "ldr r2, [sp, #36]",
        "cmp r1, r2",
        "bne 3b",
        "subs r5, r5, r4",
        "asrs r5, r5, #8",
        "subs r7, r7, r6",
        "asrs r7, r7, #8",
        "sub r9, r9, r8",
        "asr r9, r9, #8",
        "sub r11, r11, r10",
        "asr r11, r11, #8",
        "ldr r3, [sp, #60]",
        "ldrd r2, r12, [sp, #40]",
        "cbz r3, 5f",
        "ldr r1, [r3], #4",
        "str r3, [sp, #60]",
        "smulwb r4, r4, r1",
        "smulwt r5, r5, r1",
        "smulwb r6, r6, r1",
        "smulwt r7, r7, r1",
        "smulwb r8, r8, r1",
        "smulwt r9, r9, r1",
        "smulwb r10, r10, r1",
        "smulwt r11, r11, r1",
        "4:",
        "add r3, r2, r12",
        "strd r4, r5, [r2], #8",
        "strd r6, r7, [r3]",
        "add r3, r3, r12",
        "strd r8, r9, [r3]",
        "add r3, r3, r12",
        "strd r10, r11, [r3]",
        "str r2, [sp, #40]",
        "ldr r1, [sp, #48]",
        "ldrd r3, r4, [sp, #52]",
        "add r0, r0, r3",
        "strd r4, r3, [sp, #52]",
        "cmp r2, r1",
        "bne 2b",
        "add sp, sp, #68",
        "pop {{r4-r11, pc}}",
        "5:",
        "ldrd r1, r3, [r2]",
        "adds r4, r4, r1",
        "adds r5, r5, r3",
        "add lr, r2, r12",
        "ldrd r1, r3, [lr]",
        "adds r6, r6, r1",
        "adds r7, r7, r3",
        "add lr, lr, r12",
        "ldrd r1, r3, [lr]",
        "add r8, r8, r1",
        "add r9, r9, r3",
        "add lr, lr, r12",
        "ldrd r1, r3, [lr]",
        "add r10, r10, r1",
        "add r11, r11, r3",
        "b 4b",
        reset!(),
    )
}
