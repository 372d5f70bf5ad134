//! Armv7-M (Cortex-M3): MLA and shifted operands, but no SIMD.

use super::Shape;
use core::arch::naked_asm;

/// Turns pairs of `i16` into what the Q8 kernel multiplies and adds: `X = x0 + 2^16 * x1` as a signed sum, and
/// `C = 0x8000 - 128 * 0x10001 * X`, which rounds and takes out the bias of the weights.
///
/// Shapes: `x` has as many words as there are pairs, `prepared` two words per pair, a multiple of 16 words, at least
/// 16.
///
/// ```text
/// r0 x, read            r3 0x8000          r4 X, r5 C of one pair
/// r1 prepared, written  r12 0x10001 * X    r6 X, r7 C of the next
/// r2 end of prepared
/// ```
///
/// # Safety
/// `x` is readable and `prepared..end` writable for these shapes, both aligned to 4 bytes.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn prepare_q8(x: *const u32, prepared: *mut u32, end: *const u32) {
    naked_asm!(
        "push {{r4, r5, r6, r7}}",
        "mov r3, #0x8000",
        "2:",
        ".rept 4",
        "ldm r0!, {{r4, r6}}",
        // In the natural order a negative x0 does not borrow from x1; flip its sign bit and subtract it, and it does.
        "eors r4, r3",
        "subs r4, r4, r3",
        "eors r6, r3",
        "subs r6, r6, r3",
        "add r12, r4, r4, lsl #16",
        "sub r5, r3, r12, lsl #7",
        "add r12, r6, r6, lsl #16",
        "sub r7, r3, r12, lsl #7",
        "stm r1!, {{r4, r5, r6, r7}}",
        ".endr",
        "cmp r1, r2",
        "bne 2b",
        "pop {{r4, r5, r6, r7}}",
        "bx lr",
    )
}

/// Adds the Q8 products of the prepared columns to `out`, for all rows.
///
/// Shapes: `weights` per block of 4 rows one word per column, then `skip` bytes to the next; `prepared` two words per
/// pair of columns; `out` a multiple of 4.
///
/// One word of weights is 2 rows by 2 columns: the even bytes are the pair of the even row, the odd bytes of the odd
/// row.
///
/// ```text
/// r0 weights    r2 X   r4..r7 sums of rows 0..3               r12 pair of rows 1, 3
/// r1 prepared   r3 C   r8, r9 words of rows 0, 1 and 2, 3     lr  0x00ff00ff
///                      r10, r11 the same of the next pair of columns
/// stack: [0] start of prepared, [4] out, [8] Shape, [12] end of prepared
/// ```
///
/// # Safety
/// The pointers are valid and aligned to 4 bytes for these shapes, and neither `prepared` nor `out` is empty.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn kernel_q8(
    weights: *const u32,
    prepared: *const u32,
    out: *mut i32,
    shape: *const Shape,
) {
    naked_asm!(
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "ldr r4, [r3, #0]",
        "push {{r1, r2, r3, r4}}",
        "mov lr, #0x00ff00ff",
        "2:", // A block of 4 rows: its sums go on from where the columns before this chunk left them.
        "ldrd r1, r12, [sp, #0]",
        "ldm r12, {{r4, r5, r6, r7}}",
        "3:", // 16 columns.
        ".rept 4",
        "ldm r0!, {{r8, r9, r10, r11}}",
        "ldm r1!, {{r2, r3}}",
        "and r12, lr, r8, lsr #8",
        "mla r12, r12, r2, r3",
        "add r5, r5, r12, asr #16",
        "and r8, r8, lr",
        "mla r8, r8, r2, r3",
        "add r4, r4, r8, asr #16",
        "and r12, lr, r9, lsr #8",
        "mla r12, r12, r2, r3",
        "add r7, r7, r12, asr #16",
        "and r9, r9, lr",
        "mla r9, r9, r2, r3",
        "add r6, r6, r9, asr #16",
        "ldm r1!, {{r2, r3}}",
        "and r12, lr, r10, lsr #8",
        "mla r12, r12, r2, r3",
        "add r5, r5, r12, asr #16",
        "and r10, r10, lr",
        "mla r10, r10, r2, r3",
        "add r4, r4, r10, asr #16",
        "and r12, lr, r11, lsr #8",
        "mla r12, r12, r2, r3",
        "add r7, r7, r12, asr #16",
        "and r11, r11, lr",
        "mla r11, r11, r2, r3",
        "add r6, r6, r11, asr #16",
        ".endr",
        "ldr r12, [sp, #12]",
        "cmp r1, r12",
        "bne 3b",
        "ldrd r1, r2, [sp, #4]",
        "stm r1!, {{r4, r5, r6, r7}}",
        "str r1, [sp, #4]",
        "ldrd r3, r12, [r2, #4]",
        "add r0, r3",
        "cmp r1, r12",
        "bne 2b",
        "add sp, #16",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
    )
}

/// Dot products of rows of `i8` that lie `stride` bytes apart with `x`, four rows at a time.
///
/// Shapes: `rows`: `4 * blocks` of `stride` bytes, `x`: `cols`, a multiple of 4, at most `stride`; `out`: `4 * blocks`. Neither
/// `cols` nor `blocks` is 0.
///
/// ```text
/// r0 row 0   r1 stride        r2 x, lr its start, r3 its end   r4..r7 sums of rows 0..3   r8 one of x
/// r10 out    r11 blocks left  r12 3 * stride                   r9 one of a row
/// ```
/// 38 instructions for 16 products, 11 for each four rows.
///
/// # Safety
/// `rows` and `x` are readable and `out` writable for these shapes, `x` aligned to 2 bytes and `out` to 4.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn kernel_rows(
    rows: *const i8,
    stride: usize,
    x: *const i16,
    cols: usize,
    out: *mut i32,
    blocks: usize,
) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldrd r10, r11, [sp, #36]",
        "add r12, r1, r1, lsl #1",
        "add r3, r2, r3, lsl #1",
        "mov lr, r2",
        "2:",
        "movs r4, #0",
        "movs r5, #0",
        "movs r6, #0",
        "movs r7, #0",
        "mov r2, lr",
        "3:", // 4 columns.
        ".rept 4",
        "ldrsh r8, [r2], #2",
        "ldrsb r9, [r0, r1]",
        "mla r5, r9, r8, r5",
        "ldrsb r9, [r0, r1, lsl #1]",
        "mla r6, r9, r8, r6",
        "ldrsb r9, [r0, r12]",
        "mla r7, r9, r8, r7",
        "ldrsb r9, [r0], #1",
        "mla r4, r9, r8, r4",
        ".endr",
        "cmp r2, r3",
        "bne 3b",
        "stm r10!, {{r4-r7}}",
        "sub r8, r3, lr",
        "sub r0, r0, r8, lsr #1",
        "add r0, r0, r1, lsl #2",
        "subs r11, r11, #1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
    )
}
