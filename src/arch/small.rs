//! Cores without SIMD: an int8 matrix times a vector in assembly, for `Packing::M0`.
//!
//! ```text
//! word = one column of four rows, each byte w + 128 ──► four multiply-accumulates by one activation
//! ```
//! Bytes without a sign are what ARMv6-M loads with an offset. What the 128 adds, `128 * sum(x)`, the sums start below zero.

use core::arch::naked_asm;

/// Products of all rows with a vector; `out` gets four sums for each block of rows.
///
/// `cols` is a multiple of 16. Slices that are too short leave `out` as it is, and give `false`.
pub(crate) fn dots_q8(weights: &[u32], cols: usize, x: &[i16], out: &mut [i32]) -> bool {
    let blocks = out.len() / 4;
    if blocks == 0 || cols == 0 || cols % 16 != 0 || x.len() < cols || weights.len() / blocks < cols {
        return false;
    }
    let start = -128 * x.iter().take(cols).map(|&x| i32::from(x)).sum::<i32>();
    // SAFETY: `blocks` and `cols` are not 0 and `cols` is a multiple of 16; the loop reads `blocks * cols` words of weights and
    // `cols` halves of activations and writes `4 * blocks` sums, which the slices were just found to hold. Activations lie in
    // words, so that they are aligned for the loads of pairs on ARMv6-M.
    unsafe { columns(weights.as_ptr(), x.as_ptr(), out.as_mut_ptr(), blocks, cols, start) };
    true
}

#[cfg(thumbformer_long_multiply)]
macro_rules! column {
    ($word:literal) => {
        concat!(
            "ldrsh r12, [r1], #2\n",
            "uxtb lr, ",
            $word,
            "\n",
            "mla r4, lr, r12, r4\n",
            "uxtb lr, ",
            $word,
            ", ror #8\n",
            "mla r5, lr, r12, r5\n",
            "uxtb lr, ",
            $word,
            ", ror #16\n",
            "mla r6, lr, r12, r6\n",
            "lsr lr, ",
            $word,
            ", #24\n",
            "mla r7, lr, r12, r7\n",
        )
    };
}

/// ARMv7-M.
///
/// ```text
/// r0 weights   r1 activations   r2 their end   r3 outputs   r4-r7 sums of four rows
/// r8-r11 four columns of four rows   r12 activation   lr weight
/// stack: blocks left, first activation; columns and start from the caller
/// ```
/// 76 instructions for 32 products.
#[cfg(thumbformer_long_multiply)]
#[unsafe(naked)]
unsafe extern "C" fn columns(
    weights: *const u32,
    x: *const i16,
    out: *mut i32,
    blocks: usize,
    cols: usize,
    start: i32,
) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "push {{r1, r3}}",
        "mov r3, r2",
        "ldr r2, [sp, #44]",
        "add r2, r1, r2, lsl #1",
        "2:",
        "ldr r1, [sp]",
        "ldr r4, [sp, #48]",
        "mov r5, r4",
        "mov r6, r4",
        "mov r7, r4",
        "3:",
        "ldm r0!, {{r8-r11}}",
        column!("r8"),
        column!("r9"),
        column!("r10"),
        column!("r11"),
        "ldm r0!, {{r8-r11}}",
        column!("r8"),
        column!("r9"),
        column!("r10"),
        column!("r11"),
        "cmp r1, r2",
        "bne 3b",
        "stm r3!, {{r4-r7}}",
        "ldr r8, [sp, #4]",
        "subs r8, r8, #1",
        "str r8, [sp, #4]",
        "bne 2b",
        "add sp, sp, #8",
        "pop {{r4-r11, pc}}",
    )
}

#[cfg(not(thumbformer_long_multiply))]
macro_rules! column {
    ($take:literal, $first:literal, $second:literal, $third:literal, $fourth:literal) => {
        concat!(
            $take,
            "\nldrb r5, [r0, #",
            $first,
            "]\nmuls r5, r4, r5\nadd r8, r5\nldrb r5, [r0, #",
            $second,
            "]\nmuls r5, r4, r5\nadd r9, r5\nldrb r5, [r0, #",
            $third,
            "]\nmuls r5, r4, r5\nadd r10, r5\nldrb r5, [r0, #",
            $fourth,
            "]\nmuls r5, r4, r5\nadd r11, r5\n",
        )
    };
}

/// ARMv6-M: only r0 to r7 multiply and load, the others add.
///
/// ```text
/// r0 weights   r1 activations   r2 r3 two pairs of them   r4 activation   r5 product   r8-r11 sums of four rows
/// r12 end of the activations   stack: r8-r11 of the caller, first activation, outputs, blocks left
/// ```
/// 109 instructions for 32 products; the loop just fits the reach of a conditional branch.
#[cfg(not(thumbformer_long_multiply))]
#[unsafe(naked)]
unsafe extern "C" fn columns(
    weights: *const u32,
    x: *const i16,
    out: *mut i32,
    blocks: usize,
    cols: usize,
    start: i32,
) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r1-r7}}",
        "ldr r4, [sp, #48]",
        "lsls r4, r4, #1",
        "adds r4, r1, r4",
        "mov r12, r4",
        "2:",
        "ldr r1, [sp]",
        "ldr r4, [sp, #52]",
        "mov r8, r4",
        "mov r9, r4",
        "mov r10, r4",
        "mov r11, r4",
        "3:",
        "ldm r1!, {{r2, r3}}",
        column!("sxth r4, r2", "0", "1", "2", "3"),
        column!("asrs r4, r2, #16", "4", "5", "6", "7"),
        column!("sxth r4, r3", "8", "9", "10", "11"),
        column!("asrs r4, r3, #16", "12", "13", "14", "15"),
        "ldm r1!, {{r2, r3}}",
        column!("sxth r4, r2", "16", "17", "18", "19"),
        column!("asrs r4, r2, #16", "20", "21", "22", "23"),
        column!("sxth r4, r3", "24", "25", "26", "27"),
        column!("asrs r4, r3, #16", "28", "29", "30", "31"),
        "adds r0, r0, #32",
        "cmp r1, r12",
        "bne 3b",
        "ldr r1, [sp, #4]",
        "mov r2, r8",
        "mov r3, r9",
        "mov r4, r10",
        "mov r5, r11",
        "stm r1!, {{r2-r5}}",
        "str r1, [sp, #4]",
        "ldr r1, [sp, #8]",
        "subs r1, r1, #1",
        "str r1, [sp, #8]",
        "beq 4f",
        "b 2b",
        "4:",
        "pop {{r1-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4-r7, pc}}",
    )
}
