//! The loops of the DSP backend, as naked functions: compiled code cannot have `r7`, the frame pointer of thumb targets, and
//! lacks the registers for them.
//!
//! Every function says what it reads and writes; the caller has found that the slices hold it.

use super::TABLE;
use core::arch::naked_asm;

/// Naked functions are assembled for the architecture, not for the `target-cpu`, and ARMv8-M has the instructions as an option.
/// Every core of it with DSP has what an M33 has; `.arch_extension` knows no `dsp`.
#[cfg(thumbformer_armv8m)]
macro_rules! extension {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(not(thumbformer_armv8m))]
macro_rules! extension {
    () => {
        ""
    };
}
pub(super) use extension;

/// The architecture alone again: what the assembler takes holds for all that follows in the module, in whatever order.
#[cfg(thumbformer_armv8m)]
macro_rules! reset {
    () => {
        ".arch armv8-m.main"
    };
}
#[cfg(not(thumbformer_armv8m))]
macro_rules! reset {
    () => {
        ""
    };
}
pub(super) use reset;

/// Lines of assembly, with a newline after each.
macro_rules! lines {
    ($($line:expr),* $(,)?) => {
        concat!($($line, "\n"),*)
    };
}
pub(super) use lines;

/// Four rows by eight columns: 27 instructions for 32 products.
macro_rules! eight_columns {
    () => {
        concat!(
            "ldm r1!, {{r2, r3, r12, lr}}\n",
            "ldm r0!, {{r8-r11}}\n",
            four_columns!("r2", "r3"),
            "ldm r0!, {{r8-r11}}\n",
            four_columns!("r12", "lr"),
        )
    };
}

/// Four rows by four columns, whose words are in r8 to r11.
macro_rules! four_columns {
    ($first:literal, $second:literal) => {
        concat!(
            "smlad r5, r8, ",
            $first,
            ", r5\n",
            "sxtb16 r8, r8\n",
            "smlad r7, r9, ",
            $first,
            ", r7\n",
            "sxtb16 r9, r9\n",
            "smlad r4, r8, ",
            $first,
            ", r4\n",
            "smlad r6, r9, ",
            $first,
            ", r6\n",
            "smlad r5, r10, ",
            $second,
            ", r5\n",
            "sxtb16 r10, r10\n",
            "smlad r7, r11, ",
            $second,
            ", r7\n",
            "sxtb16 r11, r11\n",
            "smlad r4, r10, ",
            $second,
            ", r4\n",
            "smlad r6, r11, ",
            $second,
            ", r6\n",
        )
    };
}

/// Matrix times vector, `Packing::M4`.
///
/// ```text
/// r0 weights   r1 activations   r2 r3 r12 lr eight activations   r8-r11 four rows by four columns
/// r4 row 0   r5 256 * row 1 + row 0   r6 row 2   r7 256 * row 3 + row 2
/// stack: outputs, blocks of rows left, first activation, columns left / 32; columns and multipliers from the caller
/// ```
/// 108 instructions for 128 products and 4 for the loop; 31 for each block of rows, scaling included.
///
/// # Safety
/// `cols` is a multiple of 16 of at most 512, neither it nor `blocks` is 0. `weights` is valid for reads of `blocks * cols` words, `x`
/// of `cols / 2`; `out` for writes of `4 * blocks` numbers; `multipliers` is null or valid for reads of so many, of any alignment.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn row_pairs(
    weights: *const u32,
    x: *const u32,
    out: *mut i32,
    blocks: usize,
    cols: usize,
    multipliers: *const i16,
) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "sub sp, sp, #16",
        "str r2, [sp]",
        "str r3, [sp, #4]",
        "str r1, [sp, #8]",
        "2:",
        "ldr r12, [sp, #52]",
        "ldr r1, [sp, #8]",
        "movs r4, #0",
        "movs r5, #0",
        "movs r6, #0",
        "movs r7, #0",
        // Half a turn of the loop more where there are 16 columns beside the multiple of 32: it begins in the middle.
        "add r2, r12, #16",
        "lsrs r2, r2, #5",
        "str r2, [sp, #12]",
        "lsls r12, r12, #27",
        "bmi 4f",
        "3:",
        eight_columns!(),
        eight_columns!(),
        "4:",
        eight_columns!(),
        eight_columns!(),
        "ldr r2, [sp, #12]",
        "subs r2, r2, #1",
        "str r2, [sp, #12]",
        "bne 3b",
        "sub r5, r5, r4",
        "asrs r5, r5, #8",
        "sub r7, r7, r6",
        "asrs r7, r7, #8",
        "ldr r2, [sp, #56]",
        "cbz r2, 5f",
        "ldr r8, [r2], #4",
        "ldr r9, [r2], #4",
        "str r2, [sp, #56]",
        "smulwb r4, r4, r8",
        "smulwt r5, r5, r8",
        "smulwb r6, r6, r9",
        "smulwt r7, r7, r9",
        "5:",
        "ldr r2, [sp]",
        "stm r2!, {{r4-r7}}",
        "str r2, [sp]",
        "ldr r3, [sp, #4]",
        "subs r3, r3, #1",
        "str r3, [sp, #4]",
        "bne 2b",
        "add sp, sp, #16",
        "pop {{r4-r11, pc}}",
        reset!(),
    )
}

/// `Multiplier::apply` to four numbers at a time: `((x << left) * multiplier >> 16) + half >> right`.
///
/// ```text
/// r0 numbers   r1 results   r2 chunks left   r3 left   r4 multiplier   r5 half   r6 right   r8-r11 numbers
/// ```
/// 19 instructions for four numbers.
///
/// # Safety
/// `x` is valid for reads and `out` for writes of `4 * chunks` numbers; `chunks` is not 0. `shifts` is `left | right << 8`, each at most
/// 31. `out` may have any alignment.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn rescale_chunks(
    x: *const i32,
    out: *mut i16,
    chunks: usize,
    shifts: u32,
    multiplier: i32,
) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "ldr r4, [sp, #36]",
        "ubfx r6, r3, #8, #8",
        "uxtb r3, r3",
        // Half of 2^right; nothing when right is 0, as shifts by 32 and more leave nothing.
        "subs r7, r6, #1",
        "uxtb r7, r7",
        "movs r5, #1",
        "lsls r5, r7",
        "2:",
        "ldm r0!, {{r8-r11}}",
        "lsl r8, r8, r3",
        "lsl r9, r9, r3",
        "lsl r10, r10, r3",
        "lsl r11, r11, r3",
        "smlawb r8, r8, r4, r5",
        "smlawb r9, r9, r4, r5",
        "smlawb r10, r10, r4, r5",
        "smlawb r11, r11, r4, r5",
        "asr r8, r8, r6",
        "asr r9, r9, r6",
        "asr r10, r10, r6",
        "asr r11, r11, r6",
        "pkhbt r8, r8, r9, lsl #16",
        "pkhbt r10, r10, r11, lsl #16",
        "str r8, [r1], #4",
        "str r10, [r1], #4",
        "subs r2, r2, #1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
        reset!(),
    )
}

/// `scores[t] = (keys[t] · query) * mantissas[t] >> 16` for pairs of tokens; returns the largest of each place of a pair.
///
/// ```text
/// r0 keys    r1 mantissas   r2 scores   r3 pairs left    r4-r7 query, (0,2) (1,3) (4,6) (5,7)
/// r8 r9 key  r10 unpacked   r11 r12 sums of the two tokens   lr largest so far, in both halves
/// ```
/// 27 instructions for two tokens of 8 products each.
///
/// # Safety
/// `keys` is valid for reads of `4 * pairs` words, `mantissas` for reads and `scores` for writes of `2 * pairs` numbers, `query` for
/// reads of 8; `pairs` is not 0. Numbers of 16 bits may have any alignment.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn scaled_dots_8(
    keys: *const u32,
    mantissas: *const i16,
    scores: *mut i16,
    pairs: usize,
    query: *const i16,
) -> u32 {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "ldr r8, [sp, #36]",
        "ldr r9, [r8]",
        "ldr r10, [r8, #4]",
        "ldr r11, [r8, #8]",
        "ldr r12, [r8, #12]",
        "pkhbt r4, r9, r10, lsl #16",
        "pkhtb r5, r10, r9, asr #16",
        "pkhbt r6, r11, r12, lsl #16",
        "pkhtb r7, r12, r11, asr #16",
        // Two times the smallest number.
        "mov lr, #0x8000",
        "orr lr, lr, lr, lsl #16",
        "2:",
        "ldm r0!, {{r8, r9}}",
        "sxtb16 r10, r8",
        "sxtb16 r8, r8, ror #8",
        "smuad r11, r10, r4",
        "smlad r11, r8, r5, r11",
        "sxtb16 r10, r9",
        "sxtb16 r9, r9, ror #8",
        "smlad r11, r10, r6, r11",
        "smlad r11, r9, r7, r11",
        "ldm r0!, {{r8, r9}}",
        "sxtb16 r10, r8",
        "sxtb16 r8, r8, ror #8",
        "smuad r12, r10, r4",
        "smlad r12, r8, r5, r12",
        "sxtb16 r10, r9",
        "sxtb16 r9, r9, ror #8",
        "smlad r12, r10, r6, r12",
        "smlad r12, r9, r7, r12",
        "ldr r8, [r1], #4",
        "smulwb r11, r11, r8",
        "smulwt r12, r12, r8",
        "pkhbt r11, r11, r12, lsl #16",
        "str r11, [r2], #4",
        // Sets a flag for each half in which the new score is not smaller.
        "ssub16 r9, r11, lr",
        "sel lr, r11, lr",
        "subs r3, r3, #1",
        "bne 2b",
        "mov r0, lr",
        "pop {{r4-r11, pc}}",
        reset!(),
    )
}

/// Two scores to weights, in the registers of `weigh_chunks`: 17 instructions.
macro_rules! two_weights {
    () => {
        concat!(
            "ldr r6, [r0]\n",
            "ldr r10, [r1], #4\n",
            "usub16 r6, r3, r6\n",
            "uxtb r7, r6\n",
            "uxtb r9, r6, ror #16\n",
            "ldrh r7, [r4, r7, lsl #1]\n",
            "ldrh r9, [r4, r9, lsl #1]\n",
            "ubfx r8, r6, #8, #8\n",
            "lsrs r7, r8\n",
            "lsrs r6, r6, #24\n",
            "lsr r9, r9, r6\n",
            "add r5, r5, r7\n",
            "add r5, r5, r9\n",
            "smulbb r7, r7, r10\n",
            "smulbt r9, r9, r10\n",
            "pkhtb r7, r9, r7, asr #16\n",
            "str r7, [r0], #4\n",
        )
    };
}

/// Scores to weights in place, four at a time; returns the sum of the probabilities.
///
/// ```text
/// r0 scores   r1 mantissas   r2 chunks left   r3 maximum in both halves   r4 table   r5 sum
/// r6 distances   r7 r9 probabilities   r8 whole part   r10 mantissas
/// ```
/// 36 instructions for four tokens.
///
/// # Safety
/// `scores` is valid for reads and writes, `mantissas` for reads of `4 * chunks` numbers; `chunks` is not 0. Both may have any alignment.
/// `maxima` has in both halves a number that no score exceeds.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn weigh_chunks(
    scores: *mut i16,
    mantissas: *const i16,
    chunks: usize,
    maxima: u32,
) -> u32 {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "movw r4, #:lower16:{table}",
        "movt r4, #:upper16:{table}",
        "movs r5, #0",
        "2:",
        two_weights!(),
        two_weights!(),
        "subs r2, r2, #1",
        "bne 2b",
        "mov r0, r5",
        "pop {{r4-r11, pc}}",
        reset!(),
        table = sym TABLE,
    )
}
