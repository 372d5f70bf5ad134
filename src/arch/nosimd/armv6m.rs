//! Armv6-M (Cortex-M0, M0+): no MLA, no shifted operands, eight registers that load and multiply.

use super::Shape;
use core::arch::naked_asm;

/// Turns pairs of `i16` into what the Q8 kernel multiplies and adds: `X = x0 + 2^16 * x1` as a signed sum, and
/// `C = 0x8000 - 128 * 0x10001 * X`, which rounds and takes out the bias of the weights.
///
/// Shapes: `x` has as many words as there are pairs, `prepared` two words per pair, a multiple of 16 words, at least
/// 16.
///
/// ```text
/// r0 x, read            r3 0x8000
/// r1 prepared, written  r4 X, r5 C of one pair
/// r2 end of prepared    r6 X, r7 C of the next
/// ```
///
/// # Safety
/// `x` is readable and `prepared..end` writable for these shapes, both aligned to 4 bytes.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn prepare_q8(x: *const u32, prepared: *mut u32, end: *const u32) {
    naked_asm!(
        "push {{r4, r5, r6, r7, lr}}",
        "movs r3, #0x80",
        "lsls r3, r3, #8",
        "2:",
        ".rept 4",
        "ldm r0!, {{r4, r6}}",
        // In the natural order a negative x0 does not borrow from x1; flip its sign bit and subtract it, and it does.
        "eors r4, r3",
        "subs r4, r4, r3",
        "eors r6, r3",
        "subs r6, r6, r3",
        // 0x10001 * X, then times 128: cheaper by shifts than by one more constant.
        "lsls r5, r4, #16",
        "adds r5, r5, r4",
        "lsls r5, r5, #7",
        "subs r5, r3, r5",
        "lsls r7, r6, #16",
        "adds r7, r7, r6",
        "lsls r7, r7, #7",
        "subs r7, r3, r7",
        "stm r1!, {{r4, r5, r6, r7}}",
        ".endr",
        "cmp r1, r2",
        "bne 2b",
        "pop {{r4, r5, r6, r7, pc}}",
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
/// r0 weights    r2 word of rows 0, 1   r4 pair of rows 1, 3   r6 X    r8..r11 sums of rows 0..3
/// r1 prepared   r3 word of rows 2, 3   r5 0x00ff00ff          r7 C    lr end of prepared
/// stack: [0] start of prepared, [4] out, [8] Shape
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
        "push {{r4, r5, r6, r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4, r5, r6, r7}}",
        "push {{r1, r2, r3}}",
        "ldr r4, [r3, #0]",
        "mov lr, r4",
        "movs r5, #0xff",
        "lsls r4, r5, #16",
        "orrs r5, r4",
        "2:", // A block of 4 rows: its sums go on from where the columns before this chunk left them.
        "ldr r4, [sp, #4]",
        "ldm r4!, {{r1, r2, r3, r6}}",
        "mov r8, r1",
        "mov r9, r2",
        "mov r10, r3",
        "mov r11, r6",
        "ldr r1, [sp, #0]",
        "3:", // 16 columns.
        ".rept 8",
        "ldm r1!, {{r6, r7}}",
        "ldm r0!, {{r2, r3}}",
        "lsrs r4, r2, #8",
        "ands r4, r5",
        "muls r4, r6, r4",
        "adds r4, r4, r7",
        "asrs r4, r4, #16",
        "add r9, r4",
        "ands r2, r5",
        "muls r2, r6, r2",
        "adds r2, r2, r7",
        "asrs r2, r2, #16",
        "add r8, r2",
        "lsrs r4, r3, #8",
        "ands r4, r5",
        "muls r4, r6, r4",
        "adds r4, r4, r7",
        "asrs r4, r4, #16",
        "add r11, r4",
        "ands r3, r5",
        "muls r3, r6, r3",
        "adds r3, r3, r7",
        "asrs r3, r3, #16",
        "add r10, r3",
        ".endr",
        "cmp r1, lr",
        "beq 4f", // A conditional branch does not reach back over the loop.
        "b 3b",
        "4:",
        "mov r1, r8",
        "mov r2, r9",
        "mov r3, r10",
        "mov r6, r11",
        "ldr r4, [sp, #4]",
        "stm r4!, {{r1, r2, r3, r6}}",
        "str r4, [sp, #4]",
        "ldr r1, [sp, #8]",
        "ldr r2, [r1, #4]",
        "adds r0, r0, r2",
        "ldr r2, [r1, #8]",
        "cmp r4, r2",
        "beq 5f",
        "b 2b",
        "5:",
        "add sp, #12",
        "pop {{r4, r5, r6, r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4, r5, r6, r7, pc}}",
    )
}

/// One of `x`, in r4, times a column of four rows: 14 instructions for 4 products.
macro_rules! column_of_four_rows {
    () => {
        "ldrsb r5, [r0, r1]
        muls r5, r4, r5
        add r8, r5
        ldrsb r5, [r0, r2]
        muls r5, r4, r5
        add r9, r5
        ldrsb r5, [r3, r1]
        muls r5, r4, r5
        add r10, r5
        ldrsb r5, [r3, r2]
        muls r5, r4, r5
        add r11, r5
        adds r0, r0, #1
        adds r3, r3, #1"
    };
}

/// Dot products of rows of `i8` that lie `stride` bytes apart with `x`, four rows at a time.
///
/// Shapes: `rows`: `4 * blocks` of `stride` bytes, `x`: `cols`, a multiple of 4, at most `stride`; `out`: `4 * blocks`. Neither
/// `cols` nor `blocks` is 0.
///
/// ```text
/// r0 a stride before row 0   r1 stride       r4 one of x       r6 x, lr its start, r12 its end   r8..r11 sums of rows 0..3
/// r3 a stride before row 2   r2 2 * stride   r5 one of a row   r7 two of x
/// stack: [36] out, [40] blocks left
/// ```
/// 64 instructions for 16 products, 28 for each four rows.
///
/// # Safety
/// `rows` and `x` are readable and `out` writable for these shapes, `x` and `out` aligned to 4 bytes.
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
        "push {{r4, r5, r6, r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4, r5, r6, r7}}",
        "mov lr, r2",
        "lsls r3, r3, #1",
        "adds r3, r3, r2",
        "mov r12, r3",
        "subs r0, r0, r1",
        "lsls r2, r1, #1",
        "2:",
        "adds r3, r0, r2",
        "movs r4, #0",
        "mov r8, r4",
        "mov r9, r4",
        "mov r10, r4",
        "mov r11, r4",
        "mov r6, lr",
        "3:", // 4 columns.
        ".rept 2",
        "ldm r6!, {{r7}}",
        "sxth r4, r7",
        column_of_four_rows!(),
        "asrs r4, r7, #16",
        column_of_four_rows!(),
        ".endr",
        "cmp r6, r12",
        "bne 3b",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "ldr r3, [sp, #36]",
        "stm r3!, {{r4, r5, r6, r7}}",
        "str r3, [sp, #36]",
        // From here to the next four rows: 4 * stride, less the columns.
        "mov r4, r12",
        "mov r5, lr",
        "subs r4, r4, r5",
        "lsrs r4, r4, #1",
        "subs r0, r0, r4",
        "lsls r4, r2, #1",
        "adds r0, r0, r4",
        "ldr r4, [sp, #40]",
        "subs r4, r4, #1",
        "str r4, [sp, #40]",
        "bne 2b",
        "pop {{r4, r5, r6, r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4, r5, r6, r7, pc}}",
    )
}
