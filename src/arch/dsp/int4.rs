//! An int4 matrix times one vector or two at a time.
//!
//! ```text
//! activations ── stream ──► for each group: what four sums begin with, then its activations ─┐
//! four rows by two columns in a word ────────────────────────────────────────────────────────┴─► nibble_rows ──► sums × scale
//! ```
//! A half word holds one column of four rows, `n3 << 12 | n2 + 8 << 8 | n1 + 8 << 4 | n0 + 8`, so that one `SMLAD` adds to the sums of
//! several rows at once; further ones with the upper rows masked away let the sums be told apart.

use super::GROUP;
use super::loops::{extension, lines, reset};
use core::arch::naked_asm;
use core::mem::MaybeUninit;

/// Words of a group: 16 of weights, one of scales.
const GROUP_WORDS: usize = GROUP / 2 + 1;

/// Words of the activations of a group as the loops take them: what four sums begin with, then 16 words of activations.
const STREAM_WORDS: usize = 20;

/// Columns of one vector that go through the matrix at a time. The stream on the stack takes 2.5 bytes for each.
const PIECE: usize = 512;

/// `out[r] = sum over groups of scale[r][group] * sum(w[r][c] * x[c])`.
///
/// Whoever calls it has found that `cols` is a multiple of 16 and `rows` (of `out`) one of 4, neither 0, that `weights` holds all
/// blocks of four rows and `x` at least `cols` activations. About 1.5 KB of stack.
///
/// # Shapes
/// `weights: [rows / 4]` blocks, packed; `x: [cols]` as pairs of 16 bits; `out: [rows]`.
///
/// # Safety
/// `cols` is a multiple of 16 and `out.len()` one of 4, neither 0; `weights` holds all blocks of four rows, `x` at least `cols`
/// activations (two in a word).
pub(super) unsafe fn one_vector_q4(weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
    let half = usize::from(!cols.is_multiple_of(GROUP));
    let groups = cols.div_ceil(GROUP);
    let mut stream = [const { MaybeUninit::<u32>::uninit() }; PIECE / GROUP * STREAM_WORDS];
    let mut start = 0;
    while start < groups {
        let piece = (groups - start).min(PIECE / GROUP);
        // Words that the half group lacks, of weights and of activations, before and within this piece.
        let (before, within) = if start == 0 { (0, half * GROUP / 4) } else { (half * GROUP / 4, 0) };
        let block = groups * GROUP_WORDS - half * GROUP / 4;
        let skip = block - (piece * GROUP_WORDS - within);
        // SAFETY: neither `piece` nor `out.len() / 4` is 0. `half_stream` reads 8 words of activations and writes 12; `stream_1` reads
        // 16 words for each of the other groups from group `start` on and writes all that `nibble_rows` reads of the stream,
        // which has room for `PIECE` columns. `nibble_rows` reads the `piece` groups from `start` on of each block of `block`
        // words, and writes four sums for each block (which it reads before if an earlier piece has written them). The slices
        // hold it all, as the caller has found.
        unsafe {
            let stream = stream.as_mut_ptr().cast::<u32>();
            let first = start * (GROUP / 2) - before;
            let skipped = usize::from(within > 0);
            if within > 0 {
                half_stream(x, stream);
            }
            if piece > skipped {
                let words = stream.add(skipped * (STREAM_WORDS - GROUP / 4));
                call!(stream_1(x.as_ptr().add(first + skipped * GROUP / 4), words, piece - skipped));
            }
            let weights = weights.as_ptr().add(start * GROUP_WORDS - before);
            let flags = u32::from(start > 0) | u32::from(within > 0) << 1;
            call!(nibble_rows(weights, stream, out.as_mut_ptr(), out.len(), piece, skip, flags));
        }
        start += piece;
    }
}

/// [`stream_1`] of a group of 16 columns.
///
/// # Safety
/// `stream` has room for 12 words; `x` holds at least 8.
unsafe fn half_stream(x: &[u32], stream: *mut u32) {
    let words = x.get(..GROUP / 4).unwrap_or(&[]);
    let sum: i32 = words.iter().map(|&word| i32::from(word as i16) + (word.cast_signed() >> 16)).sum();
    let first = -8 * sum;
    let third = 273 * first;
    let begin = [first, 17 * first, third, third];
    for (index, word) in begin.iter().map(|word| word.cast_unsigned()).chain(words.iter().copied()).enumerate() {
        // SAFETY: four words and at most eight; the caller says that there is room.
        unsafe { stream.add(index).write(word) };
    }
}

/// Activations of one vector into a stream: for each group, what the four sums begin with, then the activations.
///
/// Three of four nibbles are stored plus 8, so every sum is too large by a multiple of 8 * sum(x); it begins that much below.
/// ```text
/// nibble 0, nibble 1 alone: 8 sum(x), 17 * 8 sum(x) together with nibble 0;   with nibble 2: 273 * 8 sum(x);   nibble 3: none
///
/// r0 activations   r1 stream   r2 groups left   r3 (-8, -8)   r4-r11 activations   r12 -8 sum(x)   lr start of the group
/// ```
/// 28 instructions for a group.
///
/// # Safety
/// `x` is valid for reads of `16 * groups` words, `stream` for writes of `20 * groups`; `groups` is not 0.
#[unsafe(naked)]
unsafe extern "C" fn stream_1(x: *const u32, stream: *mut u32, groups: usize) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "mvn r3, #7",
        "pkhbt r3, r3, r3, lsl #16",
        "2:",
        "mov lr, r1",
        "adds r1, r1, #16",
        "ldm r0!, {{r4-r11}}",
        "smuad r12, r4, r3",
        "smlad r12, r5, r3, r12",
        "smlad r12, r6, r3, r12",
        "smlad r12, r7, r3, r12",
        "smlad r12, r8, r3, r12",
        "smlad r12, r9, r3, r12",
        "smlad r12, r10, r3, r12",
        "smlad r12, r11, r3, r12",
        "stm r1!, {{r4-r11}}",
        "ldm r0!, {{r4-r11}}",
        "smlad r12, r4, r3, r12",
        "smlad r12, r5, r3, r12",
        "smlad r12, r6, r3, r12",
        "smlad r12, r7, r3, r12",
        "smlad r12, r8, r3, r12",
        "smlad r12, r9, r3, r12",
        "smlad r12, r10, r3, r12",
        "smlad r12, r11, r3, r12",
        "stm r1!, {{r4-r11}}",
        "mov r4, r12",
        "add r5, r4, r4, lsl #4",
        "add r6, r5, r4, lsl #8",
        "mov r7, r6",
        "stm lr, {{r4-r7}}",
        "subs r2, r2, #1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
        reset!(),
    )
}

/// Four rows by eight columns of nibbles: 30 instructions for 32 products.
macro_rules! eight_nibble_columns {
    () => {
        concat!(
            lines!("ldm r1!, {{r2, r3, r12, lr}}", "ldm r0!, {{r8-r11}}"),
            two_nibble_columns!("r8", "r2"),
            two_nibble_columns!("r9", "r3"),
            two_nibble_columns!("r10", "r12"),
            two_nibble_columns!("r11", "lr"),
        )
    };
}

/// Four rows by two columns: every sum takes what the masks have left of the nibbles above and the row's own.
macro_rules! two_nibble_columns {
    ($weights:literal, $x:literal) => {
        lines!(
            concat!("smlad r7, ", $weights, ", ", $x, ", r7"),
            concat!("bic ", $weights, ", ", $weights, ", #0xf000f000"),
            concat!("smlad r6, ", $weights, ", ", $x, ", r6"),
            concat!("uxtb16 ", $weights, ", ", $weights),
            concat!("smlad r5, ", $weights, ", ", $x, ", r5"),
            concat!("and ", $weights, ", ", $weights, ", #0x000f000f"),
            concat!("smlad r4, ", $weights, ", ", $x, ", r4"),
        )
    };
}

/// Matrix times vector, int4: `rows` sums over `groups` groups, with `skip` words after the groups of each block of four rows.
/// With flag 1 they are added to what `out` holds, with flag 2 the first group has 16 columns.
///
/// ```text
/// r0 weights   r1 stream   r2 r3 r12 lr eight activations   r8-r11 four rows by eight columns
/// r4 row 0   r5 16 * row 1 + row 0   r6 256 * row 2 + r5   r7 4096 * row 3 + r6
/// at the end of a group: r3 scales (0, 2)   r2 scales (1, 3)   r8-r11 scaled sums
/// stack: 0-12 scaled sums   16 out   20 end of out   24 stream   28 end of the stream   32 skip in bytes   36 flags
/// ```
/// 139 instructions for a group of 128 products; 12 for each block of rows.
///
/// # Safety
/// `rows` is a multiple of 4, neither it nor `groups` is 0. `weights` is valid for reads of the `groups` groups of `rows / 4` blocks,
/// `skip` words between them; `stream` for what [`stream_1`] and [`half_stream`] write for so many groups; `out` for reads and
/// writes of `rows` numbers.
#[unsafe(naked)]
unsafe extern "C" fn nibble_rows(
    weights: *const u32,
    stream: *const u32,
    out: *mut i32,
    rows: usize,
    groups: usize,
    skip: usize,
    flags: u32,
) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "ldrd r4, r5, [sp, #36]",
        "ldr r6, [sp, #44]",
        "sub sp, sp, #44",
        "add r3, r2, r3, lsl #2",
        "strd r2, r3, [sp, #16]",
        // 80 bytes of stream for a group, 48 for half of one.
        "add r4, r4, r4, lsl #2",
        "add r4, r1, r4, lsl #4",
        "lsls r7, r6, #30",
        "it mi",
        "submi r4, r4, #32",
        "strd r1, r4, [sp, #24]",
        "lsls r5, r5, #2",
        "strd r5, r6, [sp, #32]",
        "2:",
        "ldr r1, [sp, #24]",
        "ldr r2, [sp, #36]",
        "cmp r2, #0",
        "bne 6f",
        "strd r2, r2, [sp]",
        "strd r2, r2, [sp, #8]",
        "3:",
        "ldm r1!, {{r4-r7}}",
        eight_nibble_columns!(),
        eight_nibble_columns!(),
        "4:",
        eight_nibble_columns!(),
        eight_nibble_columns!(),
        "ldr r2, [r0], #4",
        "ldm sp, {{r8-r11}}",
        "uxtb16 r3, r2",
        "uxtb16 r2, r2, ror #8",
        "subs r7, r7, r6",
        "subs r6, r6, r5",
        "subs r5, r5, r4",
        "asrs r7, r7, #12",
        "asrs r6, r6, #8",
        "asrs r5, r5, #4",
        // The sum of a group is at most 7 * 127 * 32 = 28448: a half.
        "smlabb r8, r4, r3, r8",
        "smlabb r9, r5, r2, r9",
        "smlabt r10, r6, r3, r10",
        "smlabt r11, r7, r2, r11",
        "stm sp, {{r8-r11}}",
        "ldr r2, [sp, #28]",
        "cmp r1, r2",
        "bne 3b",
        "ldrd r2, r3, [sp, #16]",
        "stm r2!, {{r8-r11}}",
        "str r2, [sp, #16]",
        "ldr r12, [sp, #32]",
        "add r0, r0, r12",
        "cmp r2, r3",
        "bne 2b",
        "add sp, sp, #44",
        "pop {{r4-r11, pc}}",
        // A later piece of long rows begins with the sums of the pieces before; the loop begins in its middle with half a group.
        "6:",
        "movs r3, #0",
        "cmp r2, #2",
        "beq 5f",
        "ldr r2, [sp, #16]",
        "ldm r2, {{r8-r11}}",
        "stm sp, {{r8-r11}}",
        "b 3b",
        "5:",
        "strd r3, r3, [sp]",
        "strd r3, r3, [sp, #8]",
        "ldm r1!, {{r4-r7}}",
        "b 4b",
        reset!(),
    )
}
