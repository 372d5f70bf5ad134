//! The loops over vectors of 32-bit integers, as naked functions; see `loops`.

use super::loops::{extension, lines, reset};
use core::arch::naked_asm;

/// `x[i] = x[i] * multipliers[i] >> 16` for four numbers at a time.
///
/// ```text
/// r0 numbers   r1 multipliers   r2 chunks left   r4-r7 numbers   r3 r12 multipliers
/// ```
/// 10 instructions for four numbers.
///
/// # Safety
/// `x` is valid for reads and writes, `multipliers` for reads of `4 * chunks` numbers; `chunks` is not 0. `multipliers` may have any
/// alignment.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn scale_chunks(x: *mut i32, multipliers: *const i16, chunks: usize) {
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
        reset!(),
    )
}

/// `Multiplier::apply` to four numbers at a time, as a wide product without a shift: `x * multiplier + 2^31 >> 32`.
///
/// ```text
/// r0 numbers   r1 results   r2 chunks left   r3 multiplier   r4-r7 numbers
/// ```
/// 11 instructions for four numbers.
///
/// # Safety
/// `x` is valid for reads and `out` for writes of `4 * chunks` numbers; `chunks` is not 0. `out` may have any alignment.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn rescale_chunks_wide(x: *const i32, out: *mut i16, chunks: usize, multiplier: i32) {
    naked_asm!(
        extension!(),
        "push {{r4-r7, lr}}",
        "2:",
        "ldm r0!, {{r4-r7}}",
        "smmulr r4, r4, r3",
        "smmulr r5, r5, r3",
        "smmulr r6, r6, r3",
        "smmulr r7, r7, r3",
        "pkhbt r4, r4, r5, lsl #16",
        "pkhbt r6, r6, r7, lsl #16",
        "str r4, [r1], #4",
        "str r6, [r1], #4",
        "subs r2, r2, #1",
        "bne 2b",
        "pop {{r4-r7, pc}}",
        reset!(),
    )
}

/// [`rescale_chunks_wide`] to results of 8 bits, four in a word.
///
/// 11 instructions for four numbers.
///
/// # Safety
/// `x` is valid for reads and `out` for writes of `4 * chunks` numbers; `chunks` is not 0. `out` may have any alignment.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn rescale_chunks_to_i8(x: *const i32, out: *mut i8, chunks: usize, multiplier: i32) {
    naked_asm!(
        extension!(),
        "push {{r4-r7, lr}}",
        "2:",
        "ldm r0!, {{r4-r7}}",
        "smmulr r4, r4, r3",
        "smmulr r5, r5, r3",
        "smmulr r6, r6, r3",
        "smmulr r7, r7, r3",
        "bfi r4, r5, #8, #8",
        "bfi r4, r6, #16, #8",
        "bfi r4, r7, #24, #8",
        "str r4, [r1], #4",
        "subs r2, r2, #1",
        "bne 2b",
        "pop {{r4-r7, pc}}",
        reset!(),
    )
}

/// Four numbers and four others to r4-r7 and r8-r11, which `$unpack` makes of the words in r9 and r11, and their sums back:
/// 14 instructions.
macro_rules! add_four {
    ($unpack:expr) => {
        concat!(
            lines!("ldm r0, {{r4-r7}}", "ldr r9, [r1], #4", "ldr r11, [r1], #4"),
            $unpack,
            lines!(
                "smmlar r4, r8, r3, r4",
                "smmlar r5, r9, r3, r5",
                "smmlar r6, r10, r3, r6",
                "smmlar r7, r11, r3, r7",
                "stm r0!, {{r4-r7}}",
                "subs r2, r2, #1",
            )
        )
    };
}

/// `x[i] = x[i] + (other[i] * multiplier + 2^31 >> 32)` for four numbers at a time; with `upper`, the other is `other[i] * 2^16`.
///
/// ```text
/// r0 numbers   r1 others   r2 chunks left   r3 multiplier   r4-r7 numbers   r8-r11 others
/// ```
/// 14 instructions for four numbers.
///
/// # Safety
/// `x` is valid for reads and writes, `other` for reads of `4 * chunks` numbers; `chunks` is not 0. `other` may have any alignment.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn add_chunks(x: *mut i32, other: *const i16, chunks: usize, multiplier: i32, upper: u32) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "ldr r12, [sp, #36]",
        "cmp r12, #0",
        "bne 3f",
        "2:",
        add_four!(lines!("sxth r8, r9", "asr r9, r9, #16", "sxth r10, r11", "asr r11, r11, #16")),
        "bne 2b",
        "pop {{r4-r11, pc}}",
        "3:",
        add_four!(lines!("lsl r8, r9, #16", "bfc r9, #0, #16", "lsl r10, r11, #16", "bfc r11, #0, #16")),
        "bne 3b",
        "pop {{r4-r11, pc}}",
        reset!(),
    )
}

/// `activation(ratio.apply(x))` of the number in a register, leaves it there; uses r8 and r9.
///
/// ```text
/// r2 left   r3 multiplier: the ratio as a wide product   r6 table
/// ```
/// 12 instructions. `USAT` bounds the place in the table to its 256 words.
macro_rules! activate {
    ($x:literal) => {
        lines!(
            concat!("lsl ", $x, ", ", $x, ", r2"),
            concat!("smmulr ", $x, ", ", $x, ", r3"),
            concat!("eor r8, ", $x, ", ", $x, ", asr #31"),
            concat!("sub r8, r8, ", $x, ", asr #31"),
            "usat r9, #8, r8, asr #12",
            "ldr r9, [r6, r9, lsl #2]",
            "ubfx r8, r8, #0, #12",
            "smultb r8, r9, r8",
            "uxth r9, r9",
            "add r9, r9, r8, asr #12",
            concat!("bic ", $x, ", ", $x, ", ", $x, ", asr #31"),
            concat!("sub ", $x, ", ", $x, ", r9"),
        )
    };
}

/// `Backend::activate` for two numbers at a time.
///
/// ```text
/// r0 numbers   r1 pairs left   r2 r3 r6 r8 r9 as in `activate`   r4 r5 two numbers
/// ```
/// 28 instructions for two numbers.
///
/// # Safety
/// `x` is valid for reads and writes of `2 * pairs` numbers, `tail` for reads of 256 words; `pairs` is not 0.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn activate_pairs(
    x: *mut i32,
    pairs: usize,
    left: u32,
    multiplier: i32,
    tail: *const u32,
) {
    naked_asm!(
        extension!(),
        "push {{r4-r6, r8, r9, lr}}",
        "ldr r6, [sp, #24]",
        "2:",
        "ldrd r4, r5, [r0]",
        activate!("r4"),
        activate!("r5"),
        "strd r4, r5, [r0], #8",
        "subs r1, r1, #1",
        "bne 2b",
        "pop {{r4-r6, r8, r9, pc}}",
        reset!(),
    )
}

/// `Backend::activate_times`.
///
/// ```text
/// r0 gates   r1 ups   r5 numbers left   r7 number   r10 shift of the gate   r11 shift of the up
/// r2 r3 r6 r8 r9 as in `activate`
/// ```
/// 20 instructions for a number.
///
/// # Safety
/// `gate` is valid for reads and writes, `up` for reads of `count` numbers, `tail` for reads of 256 words; `count` is not 0.
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
        "mov r5, r2",
        "uxtb r2, r3",
        "ubfx r10, r3, #8, #8",
        "ubfx r11, r3, #16, #8",
        "ldr r3, [sp, #36]",
        "ldr r6, [sp, #40]",
        "2:",
        "ldr r7, [r0]",
        activate!("r7"),
        "ldr r8, [r1], #4",
        "asr r7, r7, r10",
        "asr r8, r8, r11",
        "mul r7, r7, r8",
        "str r7, [r0], #4",
        "subs r5, r5, #1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
        reset!(),
    )
}
