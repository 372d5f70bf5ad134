//! An int8 matrix times vectors.
//!
//! ```text
//! four rows × two vectors, sixteen columns: six loads, eight VMLAVA.S8     two vectors at a time, for a batch
//! four rows × one vector of 64: it stays in q4 to q7; four loads, four VMLAVA.S8     for the last one
//! sums ── vmulh by the rows' multipliers ──► + bias × the vector's ratio, rounded ──► out
//! ```
//! Each block of rows ends in the same vector registers, so what comes after the sums costs little: a bias four instructions.

use super::norm::shift_of_halves;
use super::{Bias, extension, reset, signed_bytes};
use core::arch::naked_asm;

/// Arguments of a loop, in the order of its registers.
#[repr(C)]
struct Job {
    weights: *const u32,
    x: [*const i8; 2],
    multipliers: *const i16,
    out: *mut i32,
    /// Bytes from the first vector's results to the second's.
    out_distance: usize,
    cols: usize,
    /// Bytes from a row's multiplier to its bias.
    bias_distance: isize,
    /// Multiplier and shift, negative, of the bias for each vector.
    ratios: [[i32; 2]; 2],
    /// End of the multipliers, or of the results if there are none.
    end: *const u8,
}

/// Sixteen columns of four rows by two vectors; `$op`: `vmlav` begins sums, `vmlava` adds to them.
///
/// ```text
/// r1 weights   r3 r5 vectors   r0 r2 r4 r6 sums of the first   r8 r10 r12 lr of the second
/// ```
macro_rules! step_by_two {
    ($op:literal) => {
        step_by_two!($op, "], #16")
    };
    // Where the vectors are read from does not move.
    ($op:literal, $at:literal) => {
        concat!(
            "vldrw.u32 q0, [r3",
            $at,
            "\n vldrw.u32 q2, [r1, #16]\n vldrw.u32 q1, [r5",
            $at,
            "\n",
            $op,
            ".s8 r2, q2, q0\n vldrw.u32 q3, [r1, #32]\n",
            $op,
            ".s8 r10, q2, q1\n",
            $op,
            ".s8 r4, q3, q0\n vldrw.u32 q2, [r1, #48]\n",
            $op,
            ".s8 r12, q3, q1\n",
            $op,
            ".s8 r6, q2, q0\n vldrw.u32 q3, [r1], #64\n",
            $op,
            ".s8 lr, q2, q1\n",
            $op,
            ".s8 r0, q3, q0\n",
            $op,
            ".s8 r8, q3, q1\n",
        )
    };
}

/// Scaling and storing of the sums of four rows by two vectors; not equal: there are more rows.
///
/// ```text
/// r7 multipliers   r11 results   r2 columns, for the next rows
/// ```
macro_rules! results_of_two {
    () => {
        "vmov q0[2], q0[0], r0, r4
         vmov q0[3], q0[1], r2, r6
         vmov q1[2], q1[0], r8, r12
         vmov q1[3], q1[1], r10, lr
         ldm sp, {{r0, r2, r4, r6, r8, r10, r12, lr}}
         add r4, r7
         vldrh.s32 q3, [r4]
         vldrh.s32 q2, [r7], #8
         vshl.i32 q2, q2, #16
         vmulh.s32 q0, q0, q2
         vmulh.s32 q1, q1, q2
         vmul.i32 q2, q3, r6
         vmul.i32 q3, q3, r10
         vrshl.s32 q2, r8
         vrshl.s32 q3, r12
         vadd.i32 q0, q0, q2
         vadd.i32 q1, q1, q3
         add r0, r11
         vstrw.32 q0, [r11], #16
         vstrw.32 q1, [r0]
         cmp r7, lr"
    };
}

/// Two vectors, a bias included.
///
/// 79 instructions for four rows of 64 columns, 258 for 256.
///
/// # Safety
/// The target of `job` is valid and aligned to its type: `cols` is a multiple of 16 and the rows (from `multipliers` to `end`, and
/// as many biases) one of 4, neither 0; rows times columns of weights, `cols` numbers of both vectors, all rows of both vectors'
/// results.
#[unsafe(naked)]
unsafe extern "C" fn two_vectors(job: &Job) {
    naked_asm!(
        extension!(),
        "push {{r4-r11, lr}}",
        "ldm r0!, {{r1, r3, r5, r7, r11}}",
        "ldm r0, {{r0, r2, r4, r6, r8, r10, r12, lr}}",
        "push {{r0, r2, r4, r6, r8, r10, r12, lr}}",
        "cmp r2, #64",
        "beq.w 2f",
        "tst r2, #63",
        "beq.w 3f",
        "b.w 6f",
        // 64 columns.
        "2:",
        step_by_two!("vmlav", "]"),
        step_by_two!("vmlava", ", #16]"),
        step_by_two!("vmlava", ", #32]"),
        step_by_two!("vmlava", ", #48]"),
        results_of_two!(),
        "bne.w 2b",
        "add sp, #32",
        "pop {{r4-r11, pc}}",
        // More of them, a multiple of 64.
        "3:",
        "lsr r9, r2, #6",
        step_by_two!("vmlav"),
        step_by_two!("vmlava"),
        step_by_two!("vmlava"),
        step_by_two!("vmlava"),
        "sub r9, r9, #1",
        "4:",
        step_by_two!("vmlava"),
        step_by_two!("vmlava"),
        step_by_two!("vmlava"),
        step_by_two!("vmlava"),
        "subs r9, r9, #1",
        "bne.w 4b",
        results_of_two!(),
        "sub.w r3, r3, r2",
        "sub.w r5, r5, r2",
        "bne.w 3b",
        "add sp, #32",
        "pop {{r4-r11, pc}}",
        // A multiple of 16.
        "6:",
        "lsr r9, r2, #4",
        step_by_two!("vmlav"),
        "subs r9, r9, #1",
        "beq.w 8f",
        "7:",
        step_by_two!("vmlava"),
        "subs r9, r9, #1",
        "bne.w 7b",
        "8:",
        results_of_two!(),
        "sub.w r3, r3, r2",
        "sub.w r5, r5, r2",
        "bne.w 6b",
        "add sp, #32",
        "pop {{r4-r11, pc}}",
        reset!(),
    )
}

/// Sixteen columns of four rows by one vector in a register.
///
/// ```text
/// r1 weights   r0 r2 r4 r6 sums
/// ```
macro_rules! step {
    ($op:literal, $x:literal) => {
        concat!(
            "vldrw.u32 q0, [r1, #16]\n vldrw.u32 q1, [r1, #32]\n",
            $op,
            ".s8 r2, q0, ",
            $x,
            "\n vldrw.u32 q2, [r1, #48]\n",
            $op,
            ".s8 r4, q1, ",
            $x,
            "\n vldrw.u32 q0, [r1], #64\n",
            $op,
            ".s8 r6, q2, ",
            $x,
            "\n",
            $op,
            ".s8 r0, q0, ",
            $x,
            "\n",
        )
    };
}

/// Scaling and storing of the sums of four rows; not equal: there are more rows.
///
/// ```text
/// r7 multipliers   r12 their end   r11 results
/// ```
macro_rules! results {
    ($($bias:literal)?) => {
        concat!(
            "vmov q0[2], q0[0], r0, r4
             vldrh.s32 q1, [r7], #8
             vmov q0[3], q0[1], r2, r6
             vshl.i32 q1, q1, #16
             vmulh.s32 q0, q0, q1\n",
            $($bias,)?
            "vstrw.32 q0, [r11], #16
             cmp r7, r12"
        )
    };
}

/// The sums of four rows as they are; not equal: there are more rows.
///
/// ```text
/// r11 results   r12 their end
/// ```
macro_rules! sums {
    () => {
        "vmov q0[2], q0[0], r0, r4
         vmov q0[3], q0[1], r2, r6
         vstrw.32 q0, [r11], #16
         cmp r11, r12"
    };
}

/// Adds the bias to the results of four rows.
///
/// ```text
/// r5 bias   r8 its multiplier   r10 its shift
/// ```
macro_rules! add_bias {
    ($macro:ident) => {
        $macro!("vldrh.s32 q1, [r5], #8\n vmul.i32 q1, q1, r8\n vrshl.s32 q1, r10\n vadd.i32 q0, q0, q1\n")
    };
}

/// One vector.
macro_rules! one_vector {
    ($name:ident, $results:expr) => {
        /// # Safety
        /// The target of `job` is valid and aligned to its type: `cols` is a multiple of 16 and the rows one of 4, neither 0; rows times
        /// columns of weights, `cols` numbers of the first vector, all rows of its results, and multipliers and biases where there are any.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(job: &Job) {
            naked_asm!(
                extension!(),
                "push {{r4-r11, lr}}",
                "ldm r0!, {{r1, r3, r5, r7, r11}}",
                "ldm r0, {{r0, r2, r4, r6, r8, r10, r12, lr}}",
                "mov r9, r3",
                "mov r12, lr",
                "add r5, r7, r4",
                "mov r10, r8",
                "mov r8, r6",
                "cmp r2, #64",
                "bne 6f",
                // 64 columns: the vector stays in registers.
                "vpush {{d8-d15}}",
                "vldrw.u32 q4, [r9]",
                "vldrw.u32 q5, [r9, #16]",
                "vldrw.u32 q6, [r9, #32]",
                "vldrw.u32 q7, [r9, #48]",
                "2:",
                step!("vmlav", "q4"),
                step!("vmlava", "q5"),
                step!("vmlava", "q6"),
                step!("vmlava", "q7"),
                $results,
                "bne 2b",
                "vpop {{d8-d15}}",
                "pop {{r4-r11, pc}}",
                // Any columns: sixteen, sixteen more where that is odd, then pairs.
                "6:",
                "sub sp, #8",
                "str r2, [sp]",
                "7:",
                "ldr r3, [sp]",
                "vldrw.u32 q3, [r9], #16",
                step!("vmlav", "q3"),
                "subs r3, r3, #16",
                "lsrs r3, r3, #5",
                "bcc 8f",
                "vldrw.u32 q3, [r9], #16",
                step!("vmlava", "q3"),
                "8:",
                "wls lr, r3, 10f",
                "9:",
                "vldrw.u32 q3, [r9], #16",
                step!("vmlava", "q3"),
                "vldrw.u32 q3, [r9], #16",
                step!("vmlava", "q3"),
                "le lr, 9b",
                "10:",
                "ldr r3, [sp]",
                "sub r9, r3",
                $results,
                "bne 7b",
                "add sp, #8",
                "pop {{r4-r11, pc}}",
                reset!(),
            )
        }
    };
}
one_vector!(one_vector, results!());
one_vector!(one_vector_with_bias, add_bias!(results));
one_vector!(one_vector_unscaled, sums!());

/// Vectors that are multiplied at a time.
const TWO: usize = 2;

/// `out[r] = sum(w[r][c] * x[c])`; whether the shapes are as the loop wants them.
///
/// # Shapes
/// As of [`matmul`], of one vector.
pub(super) fn dots(weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) -> bool {
    let (rows, x) = (out.len(), signed_bytes(x));
    let shaped = cols > 0 && cols.is_multiple_of(16) && rows > 0 && rows.is_multiple_of(4);
    if !shaped || weights.len() < cols.saturating_mul(rows / 4) || x.len() < cols {
        return false;
    }
    let out = out.as_mut_ptr_range();
    let job = Job {
        weights: weights.as_ptr(),
        x: [x.as_ptr(); 2],
        multipliers: core::ptr::null(),
        out: out.start,
        out_distance: 0,
        cols,
        bias_distance: 0,
        ratios: [[0, 0]; 2],
        end: out.end.cast_const().cast(),
    };
    // SAFETY: columns are a multiple of 16, rows one of 4; of weights there are rows times columns, of the vector so many columns.
    // All words are aligned, as u32 are.
    unsafe { call!(one_vector_unscaled(&job)) };
    true
}

/// `out[v][r] = sum(w[r][c] * x[v][c]) * multipliers[r] / 2^16`, and the bias; whether the shapes are as the loops want them.
///
/// # Shapes
/// `weights`: packed as `Packing::M55`, `cols` padded columns; `x: [vectors, cols]`; `multipliers`, the bias: padded rows; `out:
/// [vectors, rows]`.
pub(super) fn matmul(
    weights: &[u32],
    cols: usize,
    x: &[u32],
    multipliers: &[i16],
    bias: Option<&Bias<'_>>,
    out: &mut [i32],
) -> bool {
    let rows = multipliers.len();
    let x = signed_bytes(x);
    let shaped = cols > 0 && cols.is_multiple_of(16) && rows > 0 && rows.is_multiple_of(4);
    let vectors = out.len() / rows.max(1);
    let shaped = shaped && weights.len() >= cols.saturating_mul(rows / 4) && out.len() == vectors * rows;
    if !shaped || x.len() < cols.saturating_mul(vectors) {
        return false;
    }
    if bias.is_some_and(|bias| bias.integers.len() != rows || bias.ratios.len() < vectors) {
        return false;
    }
    let mut ratios = bias.map_or(&[][..], |bias| bias.ratios).iter();
    let mut ratio = || ratios.next().map_or([0, 0], |&ratio| [ratio.multiplier.into(), shift_of_halves(ratio)]);
    // Without a bias the multipliers are taken for one that counts nothing.
    let bias_start = bias.map_or(multipliers, |bias| bias.integers).as_ptr();
    let bias_distance = bias_start.addr().wrapping_sub(multipliers.as_ptr().addr()).cast_signed();
    let mut x = x.chunks_exact(cols);
    for out in out.chunks_mut(TWO * rows) {
        let Some(first) = x.next() else { return true };
        let two = out.len() > rows;
        let second = if two { x.next().unwrap_or(first) } else { first };
        let job = Job {
            weights: weights.as_ptr(),
            x: [first.as_ptr(), second.as_ptr()],
            multipliers: multipliers.as_ptr(),
            out: out.as_mut_ptr(),
            out_distance: 4 * rows,
            cols,
            bias_distance,
            ratios: [ratio(), if two { ratio() } else { [0, 0] }],
            end: multipliers.as_ptr_range().end.cast(),
        };
        // SAFETY: columns are a multiple of 16, rows one of 4; of weights there are rows times columns, of each vector so many
        // columns, of results so many rows for each vector, and as many biases as rows. All words are aligned, as u32 are.
        unsafe {
            match (two, bias.is_some()) {
                (true, _) => call!(two_vectors(&job)),
                (false, true) => call!(one_vector_with_bias(&job)),
                (false, false) => call!(one_vector(&job)),
            }
        }
    }
    true
}
