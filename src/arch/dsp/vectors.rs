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

/// `activation(ratio.apply(x))` of the number in r7, leaves it there; uses r8 and r9.
///
/// ```text
/// r2 left   r3 right   r4 multiplier   r5 half   r6 table
/// ```
/// 12 instructions. `USAT` bounds the place in the table to its 256 words.
macro_rules! activate_r7 {
    () => {
        concat!(
            "lsl r7, r7, r2\n",
            "smlawb r7, r7, r4, r5\n",
            "asr r7, r7, r3\n",
            "eor r8, r7, r7, asr #31\n",
            "sub r8, r8, r7, asr #31\n",
            "usat r9, #8, r8, asr #12\n",
            "ldr r9, [r6, r9, lsl #2]\n",
            "ubfx r8, r8, #0, #12\n",
            "smultb r8, r9, r8\n",
            "uxth r9, r9\n",
            "add r9, r9, r8, asr #12\n",
            "bic r7, r7, r7, asr #31\n",
            "sub r7, r7, r9\n",
        )
    };
}

/// `Backend::activate`.
///
/// ```text
/// r0 numbers   r1 numbers left   r2-r9 as in `activate_r7`
/// ```
/// 17 instructions for a number.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn activate_all(
    x: *mut i32,
    count: usize,
    shifts: u32,
    multiplier: i32,
    tail: *const u32,
) {
    naked_asm!(
        extension!(),
        "push {{r4-r9, lr}}",
        "mov r4, r3",
        "ldr r6, [sp, #28]",
        "ubfx r3, r2, #8, #8",
        "uxtb r2, r2",
        // Half of 2^right; nothing when right is 0, as shifts by 32 and more leave nothing.
        "subs r5, r3, #1",
        "uxtb r5, r5",
        "mov r7, #1",
        "lsl r5, r7, r5",
        "2:",
        "ldr r7, [r0]",
        activate_r7!(),
        "str r7, [r0], #4",
        "subs r1, r1, #1",
        "bne 2b",
        "pop {{r4-r9, pc}}",
    )
}

/// `Backend::activate_times`.
///
/// ```text
/// r0 gates   r1 ups   r10 numbers left   r11 shift of the gate   r12 shift of the up   r2-r9 as in `activate_r7`
/// ```
/// 22 instructions for a number.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn activate_times_all(
    gate: *mut i32,
    up: *const i32,
    count: usize,
    shifts: u32,
    multiplier: i32,
    tail: *const u32,
) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "mov r10, r2",
        "ldr r4, [sp, #36]",
        "ldr r6, [sp, #40]",
        "uxtb r2, r3",
        "ubfx r11, r3, #16, #8",
        "lsrs r12, r3, #24",
        "ubfx r3, r3, #8, #8",
        "subs r5, r3, #1",
        "uxtb r5, r5",
        "mov r7, #1",
        "lsl r5, r7, r5",
        "2:",
        "ldr r7, [r0]",
        activate_r7!(),
        "ldr r8, [r1], #4",
        "asr r7, r7, r11",
        "asr r8, r8, r12",
        "mul r7, r7, r8",
        "str r7, [r0], #4",
        "subs r10, r10, #1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
    )
}
