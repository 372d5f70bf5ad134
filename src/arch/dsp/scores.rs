//! Attention scores of heads of any width: four keys share the loads of the query.

use super::loops::extension;
use core::arch::naked_asm;

/// What `scaled_dots_4` needs besides its first pointers; it reads and changes the fields by their offsets: keep the order.
#[repr(C)]
pub(super) struct Shape {
    /// Offset 0: the query, (0, 2) (1, 3) of each four numbers.
    pub(super) query: *const u32,
    /// Offset 4: fours of numbers in a key.
    pub(super) count: usize,
    /// Offset 8: one for each token.
    pub(super) mantissas: *const i16,
    /// Offset 12: where the scores go.
    pub(super) scores: *mut i16,
    /// Offset 16: fours of tokens left.
    pub(super) fours: usize,
}

/// `scores[t] = (keys[t] · query) * mantissas[t] >> 16` for fours of tokens; returns the largest of each place of a pair.
///
/// ```text
/// r0 keys of the first of four tokens   r1 query   r2 fours of numbers left   r3 bytes of a key, r12 of three keys
/// r4-r7 sums   r8 r10 four numbers of the query   r9 r11 of a key   lr largest so far, in both halves   stack: shape
/// ```
/// 23 instructions for 16 products, 32 for each four tokens.
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
    )
}
