//! The loops over vectors of 32-bit integers, as naked functions; see `loops`.

use super::loops::extension;
use core::arch::naked_asm;

/// `x[i] = x[i] * multipliers[i] >> 16` for four numbers at a time.
///
/// ```text
/// r0 numbers   r1 multipliers   r2 fours left   r4-r7 numbers   r3 r12 multipliers
/// ```
/// 10 instructions for four numbers.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn scale_fours(x: *mut i32, multipliers: *const i16, fours: usize) {
    naked_asm!(
        extension!(),
        "push {{r4-r7, lr}}",
        "2:",
        "ldm r0, {{r4-r7}}",
        "ldr r3, [r1], #4",
        "ldr r12, [r1], #4",
        "smulwb r4, r4, r3",
        "smulwt r5, r5, r3",
        "smulwb r6, r6, r12",
        "smulwt r7, r7, r12",
        "stm r0!, {{r4-r7}}",
        "subs r2, r2, #1",
        "bne 2b",
        "pop {{r4-r7, pc}}",
    )
}

/// `x[i] = x[i] + ((other[i] * multiplier >> 16) + half >> right)` for four numbers at a time.
///
/// ```text
/// r0 numbers   r1 others   r2 fours left   r3 right   r12 multiplier   lr half   r4-r7 numbers   r8-r11 products
/// ```
/// 18 instructions for four numbers.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn add_fours(x: *mut i32, other: *const i16, fours: usize, right: u32, multiplier: i32) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "ldr r12, [sp, #36]",
        // Half of 2^right; nothing when right is 0, as shifts by 32 and more leave nothing.
        "subs r4, r3, #1",
        "uxtb r4, r4",
        "mov lr, #1",
        "lsl lr, lr, r4",
        "2:",
        "ldm r0, {{r4-r7}}",
        "ldr r9, [r1], #4",
        "ldr r11, [r1], #4",
        "smlawb r8, r12, r9, lr",
        "smlawt r9, r12, r9, lr",
        "smlawb r10, r12, r11, lr",
        "smlawt r11, r12, r11, lr",
        "asr r8, r8, r3",
        "asr r9, r9, r3",
        "asr r10, r10, r3",
        "asr r11, r11, r3",
        "add r4, r4, r8",
        "add r5, r5, r9",
        "add r6, r6, r10",
        "add r7, r7, r11",
        "stm r0!, {{r4-r7}}",
        "subs r2, r2, #1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
    )
}
