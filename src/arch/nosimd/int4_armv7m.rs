//! An int4 matrix times a vector for Armv7-M: a whole group of columns is summed in the halves of a word before anything is taken out of
//! them, so that two columns of a row take one multiplication and nothing else but a shift and a mask.

use super::Shape;
use core::arch::naked_asm;

/// Turns groups of 32 `i16` into what the Q4 kernel needs: the starting values of the sums, then 16 pairs
/// `X = x0 + 2^16 * x1` as signed sums.
///
/// Rows 1, 2, 3 start from `S = 0x8000 - 8 * 0x10001 * (sum of the X)`, which rounds and takes out the bias of the
/// weights; row 0 from `0x1111 * S`, because its products are mixed with those of the other rows (see `kernel_q4`).
///
/// Shapes: `x` has 16 words per group, `prepared` 18 words per group: `[0x1111 * S, S, X0, ..., X15]`, at least one
/// group.
///
/// ```text
/// r0 x, read            r3 0x8000            r4..r7 four pairs X
/// r1 prepared, written  r12 sum of the X
/// r2 end of prepared
/// ```
///
/// # Safety
/// `x` is readable and `prepared..end` writable for these shapes, both aligned to 4 bytes.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn prepare_q4(x: *const u32, prepared: *mut u32, end: *const u32) {
    naked_asm!(
        "push {{r4, r5, r6, r7}}",
        "mov r3, #0x8000",
        "2:",
        "adds r1, #8", // The starting values come first, but are known last.
        "mov r12, #0",
        ".rept 4",
        "ldm r0!, {{r4, r5, r6, r7}}",
        // In the natural order a negative x0 does not borrow from x1; flip its sign bit and subtract it, and it does.
        "eors r4, r3",
        "subs r4, r4, r3",
        "add r12, r4",
        "eors r5, r3",
        "subs r5, r5, r3",
        "add r12, r5",
        "eors r6, r3",
        "subs r6, r6, r3",
        "add r12, r6",
        "eors r7, r3",
        "subs r7, r7, r3",
        "add r12, r7",
        "stm r1!, {{r4, r5, r6, r7}}",
        ".endr",
        "add r12, r12, r12, lsl #16",
        "sub r5, r3, r12, lsl #3",
        "movw r4, #0x1111",
        "muls r4, r5, r4",
        "strd r4, r5, [r1, #-72]",
        "cmp r1, r2",
        "bne 2b",
        "pop {{r4, r5, r6, r7}}",
        "bx lr",
    )
}

/// Four rows by sixteen columns: half a group.
macro_rules! sixteen_columns {
    () => {
        concat!(
            ".rept 2\n",
            "ldm r0!, {{r8, r9, r10, r11}}\n",
            "ldm r1!, {{r2, r3}}\n",
            "and r12, lr, r8, lsr #4\n",
            "mla r5, r12, r2, r5\n",
            "and r12, lr, r8, lsr #8\n",
            "mla r6, r12, r2, r6\n",
            "and r12, lr, r8, lsr #12\n",
            "mla r7, r12, r2, r7\n",
            "mla r4, r8, r2, r4\n",
            "and r12, lr, r9, lsr #4\n",
            "mla r5, r12, r3, r5\n",
            "and r12, lr, r9, lsr #8\n",
            "mla r6, r12, r3, r6\n",
            "and r12, lr, r9, lsr #12\n",
            "mla r7, r12, r3, r7\n",
            "mla r4, r9, r3, r4\n",
            "ldm r1!, {{r2, r3}}\n",
            "and r12, lr, r10, lsr #4\n",
            "mla r5, r12, r2, r5\n",
            "and r12, lr, r10, lsr #8\n",
            "mla r6, r12, r2, r6\n",
            "and r12, lr, r10, lsr #12\n",
            "mla r7, r12, r2, r7\n",
            "mla r4, r10, r2, r4\n",
            "and r12, lr, r11, lsr #4\n",
            "mla r5, r12, r3, r5\n",
            "and r12, lr, r11, lsr #8\n",
            "mla r6, r12, r3, r6\n",
            "and r12, lr, r11, lsr #12\n",
            "mla r7, r12, r3, r7\n",
            "mla r4, r11, r3, r4\n",
            ".endr\n",
        )
    };
}

/// Adds the Q4 products of the prepared groups, times their scales, to `out`, for all rows.
///
/// Shapes: `weights` per block of 4 rows 17 words per group, then `skip` bytes to the next; `prepared` 18 words per
/// group; `out` a multiple of 4.
///
/// One word of weights is 4 rows by 2 columns: nibbles k and k + 4 are the pair of row k. Rows 1 to 3 are shifted and
/// masked; row 0 is not masked: its sum is that of the whole words, `S0 + 2^4 S1 + 2^8 S2 + 2^12 S3` modulo 2^32, and
/// the other three are taken out of it once per group.
///
/// ```text
/// r0 weights    r2, r3 two pairs X         r8..r11 four words of weights            r12 pair of one row
/// r1 prepared   r4..r7 rows 0..3 of a group        (group's end: sums over groups)  lr  0x000f000f
/// stack: [0]..[12] sums of rows 0..3 over the groups,
///        [16] start of prepared, [20] out, [24] Shape, [28] end of prepared
/// ```
///
/// # Safety
/// The pointers are valid and aligned to 4 bytes for these shapes, and neither `prepared` nor `out` is empty.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn kernel_q4(
    weights: *const u32,
    prepared: *const u32,
    out: *mut i32,
    shape: *const Shape,
) {
    naked_asm!(
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "ldr r4, [r3, #0]",
        "push {{r1, r2, r3, r4}}",
        "sub sp, #16",
        "mov lr, #0x000f000f",
        "2:", // A block of 4 rows: its sums go on from where the columns before this chunk left them.
        "ldrd r1, r12, [sp, #16]",
        "ldm r12, {{r4, r5, r6, r7}}",
        "stm sp, {{r4, r5, r6, r7}}",
        "ldr r2, [sp, #24]",
        "ldr r2, [r2, #12]",
        "cmp r2, #0",
        "bne 6f",
        "3:", // A group of 32 columns.
        "ldm r1!, {{r4, r5}}",
        "mov r6, r5",
        "mov r7, r5",
        sixteen_columns!(),
        "4:", // Its second half, which a half group is.
        sixteen_columns!(),
        // Row 0: take the other rows out of the sum of the whole words.
        "add r12, r6, r7, lsl #4",
        "add r12, r5, r12, lsl #4",
        "sub r4, r4, r12, lsl #4",
        // Every row: the dot product is the upper half; times the scale of the row, to the sum over the groups.
        "ldm sp, {{r8, r9, r10, r11}}",
        "asrs r4, r4, #16",
        "ldrb r2, [r0], #1",
        "mla r8, r2, r4, r8",
        "asrs r5, r5, #16",
        "ldrb r2, [r0], #1",
        "mla r9, r2, r5, r9",
        "asrs r6, r6, #16",
        "ldrb r2, [r0], #1",
        "mla r10, r2, r6, r10",
        "asrs r7, r7, #16",
        "ldrb r2, [r0], #1",
        "mla r11, r2, r7, r11",
        "stm sp, {{r8, r9, r10, r11}}",
        "ldr r12, [sp, #28]",
        "cmp r1, r12",
        "bne 3b",
        "ldrd r1, r2, [sp, #20]",
        "stm r1!, {{r8, r9, r10, r11}}",
        "str r1, [sp, #20]",
        "ldrd r3, r12, [r2, #4]",
        "add r0, r3",
        "cmp r1, r12",
        "bne 2b",
        "add sp, #32",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        "6:",
        "ldm r1!, {{r4, r5}}",
        "mov r6, r5",
        "mov r7, r5",
        "b 4b",
    )
}
