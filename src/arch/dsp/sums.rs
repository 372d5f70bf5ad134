//! Weighted sums of values: two rows share the loads of the weights.

use super::loops::{extension, lines, reset};
use core::arch::naked_asm;

/// Four columns of two rows times four weights: 11 instructions for 8 products.
macro_rules! four_of_two_rows {
    () => {
        lines!(
            "ldm r2!, {{r4, r5}}",
            "ldr r8, [r0], #4",
            "sxtb16 r10, r8",
            "sxtb16 r8, r8, ror #8",
            "smlad r11, r10, r4, r11",
            "smlad r11, r8, r5, r11",
            "ldr r8, [r1], #4",
            "sxtb16 r10, r8",
            "sxtb16 r8, r8, ror #8",
            "smlad r12, r10, r4, r12",
            "smlad r12, r8, r5, r12",
        )
    };
}

/// Eight columns of two rows times eight weights: 19 instructions for 16 products.
macro_rules! eight_of_two_rows {
    () => {
        lines!(
            "ldm r2!, {{r4-r7}}",
            "ldm r0!, {{r8, r9}}",
            "sxtb16 r10, r8",
            "sxtb16 r8, r8, ror #8",
            "smlad r11, r10, r4, r11",
            "smlad r11, r8, r5, r11",
            "sxtb16 r10, r9",
            "sxtb16 r9, r9, ror #8",
            "smlad r11, r10, r6, r11",
            "smlad r11, r9, r7, r11",
            "ldm r1!, {{r8, r9}}",
            "sxtb16 r10, r8",
            "sxtb16 r8, r8, ror #8",
            "smlad r12, r10, r4, r12",
            "smlad r12, r8, r5, r12",
            "sxtb16 r10, r9",
            "sxtb16 r9, r9, ror #8",
            "smlad r12, r10, r6, r12",
            "smlad r12, r9, r7, r12",
        )
    };
}

/// Weighted sums over `4 * chunks` tokens of pairs of rows that lie `stride` bytes apart. The weights are left in the order in which
/// `SXTB16` unpacks bytes: (0, 2) (1, 3) of each four.
///
/// ```text
/// r0 r1 values of two rows   r2 weights   r3 sums   r4-r7 eight weights   r8 r9 values   r10 unpacked
/// r11 r12 sums of the two rows   lr end of the weights
/// stack: 0 weights   4 chunks   8 from the end of a row back to the next one   12 stride   16 end of the sums   20 24 zeros
/// ```
/// 40 instructions for two rows of 16 tokens, 9 for each two rows, and 6 for each four weights.
///
/// # Safety
/// `values` is valid for reads of `2 * pairs` rows of `stride` bytes, `stride` a multiple of 4 and at least `4 * chunks`; `weights`
/// for reads and writes of `4 * chunks` numbers of 16 bits, aligned to 4 bytes; `sums` for writes of `2 * pairs` numbers. Neither
/// `pairs` nor `chunks` is 0.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn weighted_sums_2(
    values: *const u32,
    weights: *mut u32,
    sums: *mut i32,
    pairs: usize,
    chunks: usize,
    stride: usize,
) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "ldrd r5, r7, [sp, #36]",
        "sub sp, sp, #28",
        "mov r12, r1",
        "add lr, r1, r5, lsl #3",
        "2:",
        "ldrd r8, r9, [r12]",
        "pkhbt r10, r8, r9, lsl #16",
        "pkhtb r11, r9, r8, asr #16",
        "strd r10, r11, [r12], #8",
        "cmp r12, lr",
        "bne 2b",
        "add r8, r2, r3, lsl #3",
        "mov r3, r2",
        "rsb r6, r7, r5, lsl #2",
        "mov r11, #0",
        "mov r12, #0",
        "strd r1, r5, [sp]",
        "strd r6, r7, [sp, #8]",
        "strd r8, r11, [sp, #16]",
        "str r12, [sp, #24]",
        "adds r1, r0, r7",
        "ldm sp, {{r2, r4-r7, r11, r12}}",
        "3:",
        // An odd number of chunks begins with one, an odd number of eights in the middle: bits 0 and 1 of the count.
        "lsls r4, r4, #31",
        "bmi 7f",
        "bcs 5f",
        "4:",
        eight_of_two_rows!(),
        "5:",
        eight_of_two_rows!(),
        "cmp r2, lr",
        "bne 4b",
        "6:",
        "strd r11, r12, [r3], #8",
        "ldm sp, {{r2, r4-r7, r11, r12}}",
        "subs r0, r1, r5",
        "adds r1, r0, r6",
        "cmp r3, r7",
        "bne 3b",
        "add sp, sp, #28",
        "pop {{r4-r11, pc}}",
        "7:",
        four_of_two_rows!(),
        "ldr r4, [sp, #4]",
        "cmp r2, lr",
        "beq 6b",
        "lsls r4, r4, #31",
        "bcs 5b",
        "b 4b",
        reset!(),
    )
}
