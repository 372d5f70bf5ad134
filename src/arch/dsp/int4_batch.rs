//! An int4 matrix times two vectors at a time.
//!
//! ```text
//! two vectors ── stream_2 ──► for each group: what eight sums begin with, then a word of the one and of the other by turns ─┐
//! four rows by two columns in a word ───────────────────────────────────────────────────────────────────────────────────────┴─► sums
//! ```

use super::GROUP;
use super::loops::{extension, lines, reset};
use core::arch::naked_asm;
use core::mem::MaybeUninit;

/// Words of a group: 16 of weights, one of scales.
const GROUP_WORDS: usize = GROUP / 2 + 1;

/// Words of the activations of a group of two vectors: what eight sums begin with, then 32 words of activations.
const STREAM_WORDS_TWO_VECTORS: usize = 40;

/// Columns of two vectors that go through the matrix at a time. The stream on the stack takes 5 bytes for each.
const PIECE_TWO_VECTORS: usize = 256;

/// Two vectors. Whoever calls it has found that `groups` and `rows` are not 0, `rows` a multiple of 4, and that `weights` holds
/// `rows / 4 * groups` groups, `x` at least `2 * 32 * groups` activations and `out` `2 * rows` sums. About 1.5 KB of stack.
///
/// # Safety
/// `cols = 32 * groups` and `rows`, a multiple of 4, are not 0; `weights` holds `rows / 4` blocks of `17 * groups` words, `x` two
/// vectors of `cols` activations (two in a word), `out` `2 * rows` sums.
pub(super) unsafe fn two_vectors_q4(weights: &[u32], groups: usize, x: &[u32], rows: usize, out: &mut [i32]) {
    let mut stream = [const { MaybeUninit::<u32>::uninit() }; PIECE_TWO_VECTORS / GROUP * STREAM_WORDS_TWO_VECTORS];
    let mut start = 0;
    while start < groups {
        let piece = (groups - start).min(PIECE_TWO_VECTORS / GROUP);
        let skip = (groups - piece) * GROUP_WORDS;
        // SAFETY: neither `piece` nor `rows` is 0, and `rows` is a multiple of 4. `stream_2` reads 16 words of each of two
        // vectors for each of `piece` groups from group `start` on and writes all that `nibble_rows_by_two` reads of the
        // stream, which has room for `PIECE_TWO_VECTORS` columns. That one reads the `piece` groups from `start` on of each of
        // `rows / 4` blocks of `groups` groups, and writes `rows` sums for each of two vectors (which it reads before if an
        // earlier piece has written them).
        unsafe {
            let stream = stream.as_mut_ptr().cast();
            let first = x.as_ptr().add(start * (GROUP / 2));
            call!(stream_2(first, first.add(groups * (GROUP / 2)), stream, piece));
            let weights = weights.as_ptr().add(start * GROUP_WORDS);
            call!(nibble_rows_by_two(weights, stream, out.as_mut_ptr(), rows, piece, skip, u32::from(start > 0)));
        }
        start += piece;
    }
}

/// Eight words of a stream, four of each vector, added to the sums on the way.
macro_rules! stream_four_words_of_two {
    () => {
        lines!(
            "ldm r0!, {{r4, r6, r8, r10}}",
            "ldm r1!, {{r5, r7, r9, r11}}",
            "smlad r12, r4, r3, r12",
            "smlad r12, r6, r3, r12",
            "smlad r12, r8, r3, r12",
            "smlad r12, r10, r3, r12",
            "smlad lr, r5, r3, lr",
            "smlad lr, r7, r3, lr",
            "smlad lr, r9, r3, lr",
            "smlad lr, r11, r3, lr",
            "stm r2!, {{r4-r11}}",
        )
    };
}

/// Activations of two vectors into a stream: for each group, what the eight sums begin with (see `int4::stream_1`), then a word of
/// the one and a word of the other by turns.
///
/// ```text
/// r0 r1 vectors   r2 stream   r3 (-8, -8)   r4 r6 r8 r10 four words of the first, r5 r7 r9 r11 of the second vector
/// r12 -8 sum(x) of the first, lr of the second vector   stack: 0 end of the first vector
/// ```
/// 60 instructions for a group of both vectors.
///
/// # Safety
/// `first` and `second` are valid for reads of `16 * groups` words, `stream` for writes of `40 * groups`; `groups` is not 0.
#[unsafe(naked)]
unsafe extern "C" fn stream_2(first: *const u32, second: *const u32, stream: *mut u32, groups: usize) {
    naked_asm!(
        extension!(),
        "add r12, r0, r3, lsl #6",
        "push {{r4-r11, lr}}",
        "str r12, [sp, #-4]!",
        "mvn r3, #7",
        "pkhbt r3, r3, r3, lsl #16",
        "2:",
        "adds r2, r2, #32",
        "mov r12, #0",
        "mov lr, #0",
        stream_four_words_of_two!(),
        stream_four_words_of_two!(),
        stream_four_words_of_two!(),
        stream_four_words_of_two!(),
        "mov r4, r12",
        "add r5, r4, r4, lsl #4",
        "add r6, r5, r4, lsl #8",
        "mov r7, r6",
        "mov r8, lr",
        "add r9, r8, r8, lsl #4",
        "add r10, r9, r8, lsl #8",
        "mov r11, r10",
        "sub r12, r2, #160",
        "stm r12, {{r4-r11}}",
        "ldr r12, [sp]",
        "cmp r0, r12",
        "bne 2b",
        "add sp, sp, #4",
        "pop {{r4-r11, pc}}",
        reset!(),
    )
}

/// Four rows by eight columns by two vectors: 50 instructions for 64 products.
macro_rules! eight_nibble_columns_by_two {
    () => {
        concat!(four_nibble_columns_by_two!(), four_nibble_columns_by_two!())
    };
}

/// Four rows by four columns by two vectors: 25 instructions for 32 products.
macro_rules! four_nibble_columns_by_two {
    () => {
        concat!(lines!("ldm r0!, {{r2, r3}}"), two_nibble_columns_by_two!("r2"), two_nibble_columns_by_two!("r3"),)
    };
}

/// Four rows by two columns by two vectors, as in `int4::two_nibble_columns`.
macro_rules! two_nibble_columns_by_two {
    ($weights:literal) => {
        lines!(
            "ldm r1!, {{r12, lr}}",
            concat!("smlad r7, ", $weights, ", r12, r7"),
            concat!("smlad r11, ", $weights, ", lr, r11"),
            concat!("bic ", $weights, ", ", $weights, ", #0xf000f000"),
            concat!("smlad r6, ", $weights, ", r12, r6"),
            concat!("smlad r10, ", $weights, ", lr, r10"),
            concat!("uxtb16 ", $weights, ", ", $weights),
            concat!("smlad r5, ", $weights, ", r12, r5"),
            concat!("smlad r9, ", $weights, ", lr, r9"),
            concat!("and ", $weights, ", ", $weights, ", #0x000f000f"),
            concat!("smlad r4, ", $weights, ", r12, r4"),
            concat!("smlad r8, ", $weights, ", lr, r8"),
        )
    };
}

/// Matrix times two vectors, Q4: `rows` sums of each over `groups` groups, with `skip` words after the groups of each block of
/// four rows; with `accumulate`, added to what `out` holds.
///
/// ```text
/// r0 weights   r1 stream   r2 r3 four rows by two columns each   r12 lr two activations of each vector
/// r4 row 0   r5 16 * row 1 + row 0   r6 256 * row 2 + r5   r7 4096 * row 3 + r6   of the first vector; r8-r11 of the second
/// at the end of a group: r3 scales (0, 2)   r2 scales (1, 3)   r12 lr two of the scaled sums
/// stack: 0-28 scaled sums   32-60 eight zeros   64 stream   68 end of the stream   72 out   76 rows in bytes   80 end of out
///        84 skip in bytes   88 address of the zeros, or 0 to accumulate
/// ```
/// 232 instructions for a group of 256 products; 14 for each block of rows.
///
/// # Safety
/// `rows` is a multiple of 4, neither it nor `groups` is 0. `weights` is valid for reads of `rows / 4` blocks of `17 * groups` words,
/// `skip` words between them; `stream` for `40 * groups` words as [`stream_2`] writes them; `out` for reads and writes of
/// `2 * rows` numbers.
#[unsafe(naked)]
unsafe extern "C" fn nibble_rows_by_two(
    weights: *const u32,
    stream: *const u32,
    out: *mut i32,
    rows: usize,
    groups: usize,
    skip: usize,
    accumulate: u32,
) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "ldrd r4, r5, [sp, #36]",
        "ldr r6, [sp, #44]",
        "sub sp, sp, #92",
        "movs r7, #0",
        "strd r7, r7, [sp, #32]",
        "strd r7, r7, [sp, #40]",
        "strd r7, r7, [sp, #48]",
        "strd r7, r7, [sp, #56]",
        // 160 bytes of stream for a group.
        "add r4, r4, r4, lsl #2",
        "add r4, r1, r4, lsl #5",
        "strd r1, r4, [sp, #64]",
        "lsls r3, r3, #2",
        "strd r2, r3, [sp, #72]",
        "adds r2, r2, r3",
        "lsls r5, r5, #2",
        "strd r2, r5, [sp, #80]",
        "add r3, sp, #32",
        "cmp r6, #0",
        "it ne",
        "movne r3, #0",
        "str r3, [sp, #88]",
        "2:",
        "ldr r1, [sp, #64]",
        "ldr r2, [sp, #88]",
        "cbnz r2, 4f",
        "ldrd r2, r3, [sp, #72]",
        "add r3, r2, r3",
        "ldm r2, {{r4-r7}}",
        "ldm r3, {{r8-r11}}",
        "stm sp, {{r4-r11}}",
        "b 3f",
        "4:",
        "ldm r2, {{r4-r11}}",
        "stm sp, {{r4-r11}}",
        "3:",
        "ldm r1!, {{r4-r11}}",
        eight_nibble_columns_by_two!(),
        eight_nibble_columns_by_two!(),
        eight_nibble_columns_by_two!(),
        eight_nibble_columns_by_two!(),
        "ldr r2, [r0], #4",
        "uxtb16 r3, r2",
        "uxtb16 r2, r2, ror #8",
        "subs r7, r7, r6",
        "subs r6, r6, r5",
        "subs r5, r5, r4",
        "asrs r7, r7, #12",
        "asrs r6, r6, #8",
        "asrs r5, r5, #4",
        "sub r11, r11, r10",
        "sub r10, r10, r9",
        "sub r9, r9, r8",
        "asr r11, r11, #12",
        "asr r10, r10, #8",
        "asr r9, r9, #4",
        "ldrd r12, lr, [sp]",
        "smlabb r4, r4, r3, r12",
        "smlabb r5, r5, r2, lr",
        "ldrd r12, lr, [sp, #8]",
        "smlabt r6, r6, r3, r12",
        "smlabt r7, r7, r2, lr",
        "ldrd r12, lr, [sp, #16]",
        "smlabb r8, r8, r3, r12",
        "smlabb r9, r9, r2, lr",
        "ldrd r12, lr, [sp, #24]",
        "smlabt r10, r10, r3, r12",
        "smlabt r11, r11, r2, lr",
        "stm sp, {{r4-r11}}",
        "ldr r2, [sp, #68]",
        "cmp r1, r2",
        "bne 3b",
        "ldrd r2, r3, [sp, #72]",
        "add r3, r2, r3",
        "stm r2!, {{r4-r7}}",
        "stm r3, {{r8-r11}}",
        "str r2, [sp, #72]",
        "ldrd r3, r12, [sp, #80]",
        "add r0, r0, r12",
        "cmp r2, r3",
        "bne 2b",
        "add sp, sp, #92",
        "pop {{r4-r11, pc}}",
        reset!(),
    )
}
