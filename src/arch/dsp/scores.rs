//! Attention scores of heads of any width: four keys share the loads of the query.
//!
//! ```text
//! width 16, 32: unrolled, as the distance of two keys is then a constant     any other: `scaled_dots_4`
//! ```

use super::loops::{extension, lines, reset};
use core::arch::naked_asm;

/// Arguments of `scaled_dots_4` besides its first pointers; it reads and changes the fields by their offsets: keep the order.
#[repr(C)]
pub(super) struct Shape {
    /// Offset 0: the query, (0, 2) (1, 3) of each four numbers.
    pub(super) query: *const u32,
    /// Offset 4: chunks of numbers in a key.
    pub(super) count: usize,
    /// Offset 8: one for each token.
    pub(super) mantissas: *const i16,
    /// Offset 12: where the scores go.
    pub(super) scores: *mut i16,
    /// Offset 16: chunks of tokens left.
    pub(super) chunks: usize,
}

/// `scores[t] = (keys[t] · query) * mantissas[t] >> 16` for chunks of tokens; returns the largest of each place of a pair.
///
/// ```text
/// r0 keys of the first of four tokens   r1 query   r2 chunks of numbers left   r3 bytes of a key, r12 of three keys
/// r4-r7 sums   r8 r10 four numbers of the query   r9 r11 of a key   lr largest so far, in both halves   stack: shape
/// ```
/// 23 instructions for 16 products, 32 for each four tokens.
///
/// # Safety
/// `shape` is valid for reads and writes, and what its fields point to: `2 * count` words of the query, `4 * chunks` mantissas to be
/// read and as many scores to be written, of any alignment. `keys` is valid for reads of `4 * chunks` keys of `bytes = 4 * count`
/// bytes. Neither `count` nor `chunks` is 0.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn scaled_dots_4(keys: *const u32, shape: *mut Shape, bytes: usize) -> u32 {
    naked_asm!(
        extension!(),
        "push {{r1, r4-r11, lr}}",
        "mov r3, r2",
        "add r12, r3, r3, lsl #1",
        // Two times the smallest number.
        "mov lr, #0x8000",
        "orr lr, lr, lr, lsl #16",
        "2:",
        "ldr r8, [sp]",
        "ldrd r1, r2, [r8]",
        "movs r4, #0",
        "movs r5, #0",
        "movs r6, #0",
        "movs r7, #0",
        "3:",
        "ldr r10, [r1, #4]",
        "ldr r8, [r1], #8",
        "ldr r9, [r0, r3]",
        "sxtb16 r11, r9",
        "sxtb16 r9, r9, ror #8",
        "smlad r5, r11, r8, r5",
        "smlad r5, r9, r10, r5",
        "ldr r9, [r0, r3, lsl #1]",
        "sxtb16 r11, r9",
        "sxtb16 r9, r9, ror #8",
        "smlad r6, r11, r8, r6",
        "smlad r6, r9, r10, r6",
        "ldr r9, [r0, r12]",
        "sxtb16 r11, r9",
        "sxtb16 r9, r9, ror #8",
        "smlad r7, r11, r8, r7",
        "smlad r7, r9, r10, r7",
        "ldr r9, [r0], #4",
        "sxtb16 r11, r9",
        "sxtb16 r9, r9, ror #8",
        "smlad r4, r11, r8, r4",
        "smlad r4, r9, r10, r4",
        "subs r2, r2, #1",
        "bne 3b",
        "add r0, r0, r12",
        "ldr r8, [sp]",
        "ldrd r1, r2, [r8, #8]",
        "ldr r9, [r1], #4",
        "ldr r10, [r1], #4",
        "smulwb r4, r4, r9",
        "smulwt r5, r5, r9",
        "smulwb r6, r6, r10",
        "smulwt r7, r7, r10",
        "pkhbt r4, r4, r5, lsl #16",
        "pkhbt r6, r6, r7, lsl #16",
        "str r4, [r2], #4",
        "str r6, [r2], #4",
        "strd r1, r2, [r8, #8]",
        // Sets a flag for each half in which the new score is not smaller.
        "ssub16 r9, r4, lr",
        "sel lr, r4, lr",
        "ssub16 r9, r6, lr",
        "sel lr, r6, lr",
        "ldr r9, [r8, #16]",
        "subs r9, r9, #1",
        "str r9, [r8, #16]",
        "bne 2b",
        "mov r0, lr",
        "pop {{r1, r4-r11, pc}}",
        reset!(),
    )
}

/// Eight products of the bytes in r2 and r3 with the pairs in r4 to r7; `$begin` is the instruction that begins the sum.
macro_rules! eight_of_a_token {
    ($sum:literal, first) => {
        eight_of_a_token!($sum, concat!("smuad ", $sum, ", r12, r4"))
    };
    ($sum:literal, next) => {
        eight_of_a_token!($sum, concat!("smlad ", $sum, ", r12, r4, ", $sum))
    };
    ($sum:literal, $begin:expr) => {
        lines!(
            "sxtb16 r12, r2",
            "sxtb16 r2, r2, ror #8",
            $begin,
            concat!("smlad ", $sum, ", r2, r5, ", $sum),
            "sxtb16 r12, r3",
            "sxtb16 r3, r3, ror #8",
            concat!("smlad ", $sum, ", r12, r6, ", $sum),
            concat!("smlad ", $sum, ", r3, r7, ", $sum),
        )
    };
}

/// The first eight columns of four tokens of `$width` bytes: 36 instructions. r0 then points to the next four.
macro_rules! first_eight_of_four {
    ($width:literal) => {
        concat!(
            lines!(concat!("ldrd r2, r3, [r0], #4*", $width)),
            eight_of_a_token!("r8", first),
            lines!(concat!("ldrd r2, r3, [r0, #-3*", $width, "]")),
            eight_of_a_token!("r9", first),
            lines!(concat!("ldrd r2, r3, [r0, #-2*", $width, "]")),
            eight_of_a_token!("r10", first),
            lines!(concat!("ldrd r2, r3, [r0, #-1*", $width, "]")),
            eight_of_a_token!("r11", first),
        )
    };
}

/// The eight columns from `$column` on of the four tokens before r0: 38 instructions.
macro_rules! next_eight_of_four {
    ($width:literal, $column:literal) => {
        concat!(
            lines!(
                concat!("ldrd r4, r5, [sp, #8+2*", $column, "]"),
                concat!("ldrd r6, r7, [sp, #16+2*", $column, "]"),
                concat!("ldrd r2, r3, [r0, #", $column, "-4*", $width, "]"),
            ),
            eight_of_a_token!("r8", next),
            lines!(concat!("ldrd r2, r3, [r0, #", $column, "-3*", $width, "]")),
            eight_of_a_token!("r9", next),
            lines!(concat!("ldrd r2, r3, [r0, #", $column, "-2*", $width, "]")),
            eight_of_a_token!("r10", next),
            lines!(concat!("ldrd r2, r3, [r0, #", $column, "-1*", $width, "]")),
            eight_of_a_token!("r11", next),
        )
    };
}

/// Scores as of [`scaled_dots_4`], of heads of `$width` numbers.
///
/// ```text
/// r0 keys   r1 mantissas   r2 r3 key   r12 unpacked   r4-r7 eight numbers of the query   r8-r11 sums of four tokens
/// lr largest so far, in both halves        for the scores: r2 from mantissas to scores   r3 end of mantissas
/// stack: 0 r2   4 r3   from 8 on the query
/// ```
macro_rules! four_tokens {
    ($(#[$doc:meta])* $name:ident, $width:literal, $frame:literal, $pairs:expr, $($column:literal)*) => {
        $(#[$doc])*
        /// # Safety
        /// `keys` is valid for reads of `tokens` keys of `the width` bytes, `mantissas` for reads and `scores` for writes of `tokens` numbers,
        /// `query` for reads of `the width`; `tokens` is a multiple of 4 and not 0. Numbers of 16 bits may have any alignment.
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn $name(
            keys: *const u32,
            mantissas: *const i16,
            scores: *mut i16,
            tokens: usize,
            query: *const i16,
        ) -> u32 {
            naked_asm!(
                extension!(),
                "push {{r4-r11, lr}}",
                "ldr r12, [sp, #36]",
                concat!("sub sp, sp, #", $frame),
                "subs r2, r2, r1",
                "subs r2, r2, #4",
                "add r3, r1, r3, lsl #1",
                "strd r2, r3, [sp]",
                "add lr, sp, #8",
                $pairs,
                "ldm sp, {{r2-r7}}",
                // Two times the smallest number.
                "mov lr, #0x8000",
                "orr lr, lr, lr, lsl #16",
                "2:",
                first_eight_of_four!($width),
                $(next_eight_of_four!($width, $column),)*
                "ldm sp, {{r2-r7}}",
                "ldr r12, [r1], #4",
                "smulwb r8, r8, r12",
                "smulwt r9, r9, r12",
                "pkhbt r8, r8, r9, lsl #16",
                "str r8, [r1, r2]",
                "ldr r12, [r1], #4",
                "smulwb r10, r10, r12",
                "smulwt r11, r11, r12",
                "pkhbt r10, r10, r11, lsl #16",
                "str r10, [r1, r2]",
                // Sets a flag for each half in which the new score is not smaller.
                "ssub16 r12, r8, lr",
                "sel lr, r8, lr",
                "ssub16 r12, r10, lr",
                "sel lr, r10, lr",
                "cmp r1, r3",
                "bne 2b",
                "mov r0, lr",
                concat!("add sp, sp, #", $frame),
                "pop {{r4-r11, pc}}",
                reset!(),
            )
        }
    };
}

/// Sixteen numbers of the query to the stack, (0, 2) (1, 3) of each four: 18 instructions. Words of halves are read with LDR, which
/// takes any alignment on these cores.
macro_rules! pair_sixteen {
    () => {
        lines!(
            ".rept 2",
            "ldr r8, [r12], #4",
            "ldr r9, [r12], #4",
            "ldr r10, [r12], #4",
            "ldr r11, [r12], #4",
            "pkhbt r4, r8, r9, lsl #16",
            "pkhtb r5, r9, r8, asr #16",
            "pkhbt r6, r10, r11, lsl #16",
            "pkhtb r7, r11, r10, asr #16",
            "stm lr!, {{r4-r7}}",
            ".endr",
        )
    };
}

four_tokens!(
    /// Scores of heads of 16 numbers: 91 instructions for four tokens, 64 products.
    four_tokens_16, 16, 44, pair_sixteen!(), 8
);
four_tokens!(
    /// Scores of heads of 32 numbers: 167 instructions for four tokens, 128 products.
    four_tokens_32, 32, 76, concat!(pair_sixteen!(), pair_sixteen!()), 8 16 24
);
