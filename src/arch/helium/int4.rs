//! An int4 matrix times a vector: eight rows by a group of columns.
//!
//! ```text
//! 16 * n[r + 4] + n[r] in a byte ──► both   VMLAVA.S8       low = 16 * n[r]: VSHL.I8, VMLAVA.S8
//! sums of four pairs of rows ──► (low / 16, (both - low / 16) / 16) × the rows' scales ──► q6, q7
//! ```
//! Four rows that are left at a matrix's end are two pairs.

use super::{GROUP, MAX_COLUMNS_Q4, block_words, extension, reset};
use core::arch::naked_asm;

/// Arguments of the loop, in the order of its registers.
#[repr(C)]
struct Job {
    weights: *const u32,
    x: *const i8,
    groups: usize,
    /// 1 where sixteen columns stand before the groups, else 0.
    halves: usize,
    out: *mut i32,
    blocks: usize,
}

/// A pair of rows in `q2` by a vector.
macro_rules! pair {
    ($op:literal, $both:literal, $low:literal, $w:literal, $x:literal) => {
        concat!(
            $op,
            ".s8 ",
            $both,
            ", ",
            $w,
            ", ",
            $x,
            "\n vshl.i8 ",
            $w,
            ", ",
            $w,
            ", #4\n",
            $op,
            ".s8 ",
            $low,
            ", ",
            $w,
            ", ",
            $x,
            "\n"
        )
    };
}

/// Adds what eight sums are to those of eight rows.
///
/// ```text
/// r0 r2 r4 r6 both   r8 r10 r12 lr low   r1 scales   q6 q7 rows
/// ```
macro_rules! scaled {
    () => {
        "vmov q3[2], q3[0], r8, r12
         vmov q3[3], q3[1], r10, lr
         vmov q2[2], q2[0], r0, r4
         vmov q2[3], q2[1], r2, r6
         vshr.s32 q3, q3, #4
         vldrb.u32 q4, [r1], #4
         vsub.i32 q2, q2, q3
         vldrb.u32 q5, [r1], #4
         vshr.s32 q2, q2, #4
         vmul.i32 q3, q3, q4
         vmul.i32 q2, q2, q5
         vadd.i32 q6, q6, q3
         vadd.i32 q7, q7, q2"
    };
}

/// Blocks of eight rows.
///
/// ```text
/// r1 weights   r3 vector   r5 groups left   r7 halves   r9 results   r11 blocks left   sp: where the vector begins, groups
/// ```
/// 49 instructions for a group.
///
/// # Safety
/// The target of `job` is valid and aligned to 4 bytes: `blocks` blocks of eight rows, not 0, of `groups` groups and, where `halves` is
/// 1, half a one; a vector of as many columns; `8 * blocks` results to be written.
#[unsafe(naked)]
unsafe extern "C" fn eight_rows(job: &Job) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "vpush {{d8-d15}}",
        "ldm r0, {{r1, r3, r5, r7, r9, r11}}",
        "push {{r3, r5}}",
        "2:",
        "ldrd r3, r5, [sp]",
        "vmov.i32 q6, #0",
        "vmov.i32 q7, #0",
        "add r3, r3, r7, lsl #4",
        "cmp r5, #0",
        "beq.w 4f",
        "3:",
        "vldrw.u32 q0, [r3], #16",
        "vldrw.u32 q2, [r1], #128",
        "vldrw.u32 q1, [r3], #16",
        "vldrw.u32 q3, [r1, #-112]",
        pair!("vmlav", "r0", "r8", "q2", "q0"),
        "vldrw.u32 q2, [r1, #-96]",
        pair!("vmlava", "r0", "r8", "q3", "q1"),
        "vldrw.u32 q3, [r1, #-80]",
        pair!("vmlav", "r2", "r10", "q2", "q0"),
        "vldrw.u32 q2, [r1, #-64]",
        pair!("vmlava", "r2", "r10", "q3", "q1"),
        "vldrw.u32 q3, [r1, #-48]",
        pair!("vmlav", "r4", "r12", "q2", "q0"),
        "vldrw.u32 q2, [r1, #-32]",
        pair!("vmlava", "r4", "r12", "q3", "q1"),
        "vldrw.u32 q3, [r1, #-16]",
        pair!("vmlav", "r6", "lr", "q2", "q0"),
        pair!("vmlava", "r6", "lr", "q3", "q1"),
        scaled!(),
        "subs r5, r5, #1",
        "bne.w 3b",
        "4:",
        "cbz r7, 5f",
        "ldr r3, [sp]",
        "vldrw.u32 q0, [r3]",
        "vldrw.u32 q2, [r1], #64",
        "vldrw.u32 q3, [r1, #-48]",
        pair!("vmlav", "r0", "r8", "q2", "q0"),
        "vldrw.u32 q2, [r1, #-32]",
        pair!("vmlav", "r2", "r10", "q3", "q0"),
        "vldrw.u32 q3, [r1, #-16]",
        pair!("vmlav", "r4", "r12", "q2", "q0"),
        pair!("vmlav", "r6", "lr", "q3", "q0"),
        scaled!(),
        "5:",
        "vstrw.32 q6, [r9], #16",
        "vstrw.32 q7, [r9], #16",
        "subs r11, r11, #1",
        "bne.w 2b",
        "add sp, #8",
        "vpop {{d8-d15}}",
        "pop {{r4-r11, pc}}",
        reset!(),
    )
}

/// Adds what the sums of two pairs of rows are to those of four rows.
///
/// ```text
/// r0 r2 both   r8 r10 low   [r1, #-4] scales   q4 rows
/// ```
macro_rules! scaled_four {
    () => {
        "asr r8, r8, #4
         asr r10, r10, #4
         subs r0, r0, r8
         subs r2, r2, r10
         vldrb.u32 q2, [r1, #-4]
         asrs r0, r0, #4
         asrs r2, r2, #4
         vmov q3[2], q3[0], r8, r0
         vmov q3[3], q3[1], r10, r2
         vmul.i32 q3, q3, q2
         vadd.i32 q4, q4, q3"
    };
}

/// The last four rows of a matrix, row `r` in a byte with row `r + 2`.
///
/// ```text
/// r1 weights   r3 vector   r4 where it begins   r5 groups   r7 halves   r9 results
/// ```
///
/// # Safety
/// As of [`eight_rows`], with one block of four rows.
#[unsafe(naked)]
unsafe extern "C" fn four_rows(job: &Job) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "vpush {{d8, d9}}",
        "ldm r0, {{r1, r3, r5, r7, r9}}",
        "mov r4, r3",
        "vmov.i32 q4, #0",
        "add r3, r3, r7, lsl #4",
        "wls lr, r5, 3f",
        "2:",
        "vldrw.u32 q0, [r3], #16",
        "vldrw.u32 q2, [r1], #68",
        "vldrw.u32 q1, [r3], #16",
        "vldrw.u32 q3, [r1, #-52]",
        pair!("vmlav", "r0", "r8", "q2", "q0"),
        "vldrw.u32 q2, [r1, #-36]",
        pair!("vmlava", "r0", "r8", "q3", "q1"),
        "vldrw.u32 q3, [r1, #-20]",
        pair!("vmlav", "r2", "r10", "q2", "q0"),
        pair!("vmlava", "r2", "r10", "q3", "q1"),
        scaled_four!(),
        "le lr, 2b",
        "3:",
        "cbz r7, 4f",
        "vldrw.u32 q0, [r4]",
        "vldrw.u32 q2, [r1], #36",
        "vldrw.u32 q3, [r1, #-20]",
        pair!("vmlav", "r0", "r8", "q2", "q0"),
        pair!("vmlav", "r2", "r10", "q3", "q0"),
        scaled_four!(),
        "4:",
        "vstrw.32 q4, [r9]",
        "vpop {{d8, d9}}",
        "pop {{r4-r11, pc}}",
        reset!(),
    )
}

/// `out[r] = sum(scale[r][g] * sum(n[r][c] * x[c]))`, the inner sum over the columns of group `g`; whether the shapes are as the
/// loops want them.
///
/// # Shapes
/// `weights`: packed, `cols` padded columns; `x: [cols]`; `out`: rows, a multiple of 4.
pub(super) fn dots(weights: &[u32], cols: usize, x: &[i8], out: &mut [i32]) -> bool {
    let block = block_words(cols);
    let blocks = out.len() / 4;
    let shaped = cols > 0 && cols <= MAX_COLUMNS_Q4 && cols.is_multiple_of(16) && out.len().is_multiple_of(4);
    if !shaped || x.len() < cols || weights.len() < block.saturating_mul(blocks) {
        return false;
    }
    let mut job = Job {
        weights: weights.as_ptr(),
        x: x.as_ptr(),
        groups: cols / GROUP,
        halves: cols % GROUP / 16,
        out: out.as_mut_ptr(),
        blocks: blocks / 2,
    };
    if job.blocks > 0 {
        // SAFETY: there are so many double blocks of weights and of eight results, and one at least; the vector has a byte for each
        // column.
        unsafe { call!(eight_rows(&job)) };
    }
    let done = blocks & !1;
    if let (Some(weights), Some(out)) = (weights.get(block * done..), out.get_mut(4 * done..))
        && !out.is_empty()
    {
        (job.weights, job.out) = (weights.as_ptr(), out.as_mut_ptr());
        // SAFETY: a block of weights and four results are left.
        unsafe { call!(four_rows(&job)) };
    }
    true
}
