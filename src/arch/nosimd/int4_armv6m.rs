//! An int4 matrix times a vector for Armv6-M: a whole group of columns is summed in the halves of a word before anything is taken out of
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
/// r0 x, read            r3 0x8000            r8 end of prepared
/// r1 prepared, written  r2 sum of the X      r9 0x1111
///                       r4..r7 four pairs X
/// ```
///
/// # Safety
/// `x` is readable and `prepared..end` writable for these shapes, both aligned to 4 bytes.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn prepare_q4(x: *const u32, prepared: *mut u32, end: *const u32) {
    naked_asm!(
        "push {{r4, r5, r6, r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "push {{r4, r5}}",
        "mov r8, r2",
        "movs r3, #0x11",
        "lsls r4, r3, #8",
        "orrs r4, r3",
        "mov r9, r4",
        "movs r3, #0x80",
        "lsls r3, r3, #8",
        "2:",
        "adds r1, #8", // The starting values come first, but are known last.
        "movs r2, #0",
        ".rept 4",
        "ldm r0!, {{r4, r5, r6, r7}}",
        // In the natural order a negative x0 does not borrow from x1; flip its sign bit and subtract it, and it does.
        "eors r4, r3",
        "subs r4, r4, r3",
        "adds r2, r2, r4",
        "eors r5, r3",
        "subs r5, r5, r3",
        "adds r2, r2, r5",
        "eors r6, r3",
        "subs r6, r6, r3",
        "adds r2, r2, r6",
        "eors r7, r3",
        "subs r7, r7, r3",
        "adds r2, r2, r7",
        "stm r1!, {{r4, r5, r6, r7}}",
        ".endr",
        "lsls r5, r2, #16",
        "adds r5, r5, r2",
        "lsls r5, r5, #3",
        "subs r5, r3, r5",
        "mov r4, r9",
        "muls r4, r5, r4",
        "subs r1, #72",
        "stm r1!, {{r4, r5}}",
        "adds r1, #64",
        "cmp r1, r8",
        "bne 2b",
        "pop {{r4, r5}}",
        "mov r8, r4",
        "mov r9, r5",
        "pop {{r4, r5, r6, r7, pc}}",
    )
}

/// Four rows by sixteen columns: half a group.
macro_rules! sixteen_columns {
    () => {
        concat!(
            ".rept 4\n",
            "ldm r1!, {{r6, r7}}\n",
            "ldm r0!, {{r2, r3}}\n",
            "lsrs r4, r2, #4\n",
            "ands r4, r5\n",
            "muls r4, r6, r4\n",
            "add r9, r4\n",
            "lsrs r4, r2, #8\n",
            "ands r4, r5\n",
            "muls r4, r6, r4\n",
            "add r10, r4\n",
            "lsrs r4, r2, #12\n",
            "ands r4, r5\n",
            "muls r4, r6, r4\n",
            "add r11, r4\n",
            "muls r2, r6, r2\n",
            "add r8, r2\n",
            "lsrs r4, r3, #4\n",
            "ands r4, r5\n",
            "muls r4, r7, r4\n",
            "add r9, r4\n",
            "lsrs r4, r3, #8\n",
            "ands r4, r5\n",
            "muls r4, r7, r4\n",
            "add r10, r4\n",
            "lsrs r4, r3, #12\n",
            "ands r4, r5\n",
            "muls r4, r7, r4\n",
            "add r11, r4\n",
            "muls r3, r7, r3\n",
            "add r8, r3\n",
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
/// r0 weights    r2, r3 two words of weights   r6, r7 two pairs X           r12, lr   sums of rows 0, 1 over the groups
/// r1 prepared   r4 pair of one row            r8..r11 rows 0..3 of a group
///               r5 0x000f000f
/// stack: [0], [4] sums of rows 2, 3 over the groups, [8] end of prepared, [12] start of prepared, [16] out, [20] Shape
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
        "push {{r4, r5, r6, r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4, r5, r6, r7}}",
        "push {{r1, r2, r3}}",
        "ldr r4, [r3, #0]",
        "push {{r4}}",
        "sub sp, #8",
        "movs r5, #0x0f",
        "lsls r4, r5, #16",
        "orrs r5, r4",
        "2:", // A block of 4 rows: its sums go on from where the columns before this chunk left them.
        "ldr r4, [sp, #16]",
        "ldm r4!, {{r1, r2, r3, r6}}",
        "mov r12, r1",
        "mov lr, r2",
        "str r3, [sp, #0]",
        "str r6, [sp, #4]",
        "ldr r1, [sp, #12]",
        "ldr r2, [sp, #20]",
        "ldr r2, [r2, #12]",
        "cmp r2, #0",
        "beq 3f",
        "ldm r1!, {{r2, r3}}",
        "mov r8, r2",
        "mov r9, r3",
        "mov r10, r3",
        "mov r11, r3",
        "b 6f",
        "3:", // A group of 32 columns.
        "ldm r1!, {{r2, r3}}",
        "mov r8, r2",
        "mov r9, r3",
        "mov r10, r3",
        "mov r11, r3",
        sixteen_columns!(),
        "6:", // Its second half, which a half group is.
        sixteen_columns!(),
        // Row 0: take the other rows out of the sum of the whole words.
        "mov r4, r11",
        "lsls r4, r4, #4",
        "add r4, r10",
        "lsls r4, r4, #4",
        "add r4, r9",
        "lsls r4, r4, #4",
        "mov r2, r8",
        "subs r2, r2, r4",
        // Every row: the dot product is the upper half; times the scale of the row, to the sum over the groups.
        "asrs r2, r2, #16",
        "ldrb r3, [r0, #0]",
        "muls r2, r3, r2",
        "add r12, r2",
        "mov r2, r9",
        "asrs r2, r2, #16",
        "ldrb r3, [r0, #1]",
        "muls r2, r3, r2",
        "add lr, r2",
        "mov r2, r10",
        "asrs r2, r2, #16",
        "ldrb r3, [r0, #2]",
        "muls r2, r3, r2",
        "ldr r3, [sp, #0]",
        "adds r3, r3, r2",
        "str r3, [sp, #0]",
        "mov r2, r11",
        "asrs r2, r2, #16",
        "ldrb r3, [r0, #3]",
        "muls r2, r3, r2",
        "ldr r3, [sp, #4]",
        "adds r3, r3, r2",
        "str r3, [sp, #4]",
        "adds r0, #4",
        "ldr r2, [sp, #8]",
        "cmp r1, r2",
        "beq 4f", // A conditional branch does not reach back over the loop.
        "b 3b",
        "4:",
        "mov r1, r12",
        "mov r2, lr",
        "ldr r3, [sp, #0]",
        "ldr r6, [sp, #4]",
        "ldr r4, [sp, #16]",
        "stm r4!, {{r1, r2, r3, r6}}",
        "str r4, [sp, #16]",
        "ldr r1, [sp, #20]",
        "ldr r2, [r1, #4]",
        "adds r0, r0, r2",
        "ldr r2, [r1, #8]",
        "cmp r4, r2",
        "beq 5f",
        "b 2b",
        "5:",
        "add sp, #24",
        "pop {{r4, r5, r6, r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4, r5, r6, r7, pc}}",
    )
}
