//! Activations of 32-bit integers, and products with them.
//!
//! ```text
//! x ── vrmulh ──► argument ── gather of the tail's words, straight lines between ──► f(x) ──► × up
//! ```

use super::{Backend, LARGEST_TAIL, Multiplier, Scalar, Tail, extension, reset};
use core::arch::naked_asm;

/// `f(x * by)` of four numbers, to `q0`.
///
/// ```text
/// r0 numbers   r3 tail   r12 shift to the left   q1 multiplier   q4 255   q5 the tail's words   q6 2^12 - 1   q7 0
/// ```
macro_rules! activated {
    () => {
        "vldrw.u32 q0, [r0]
         vshl.s32 q0, r12
         vrmulh.s32 q0, q0, q1
         vabs.s32 q2, q0
         vshr.u32 q3, q2, #12
         vmin.u32 q3, q3, q4
         vldrw.u32 q5, [r3, q3, uxtw #2]
         vand q2, q2, q6
         vshr.s32 q3, q5, #16
         vmul.i32 q3, q3, q2
         vmovlb.u16 q5, q5
         vshr.s32 q3, q3, #12
         vmax.s32 q0, q0, q7
         vadd.i32 q3, q3, q5
         vsub.i32 q0, q0, q3"
    };
}

/// Arguments of [`activated`], from `r2`: multiplier, left, and two shifts to `r4`, `r5`.
macro_rules! activation {
    () => {
        "vpush {{d8-d15}}
         ldr r12, [r2]
         vdup.32 q1, r12
         ldr r12, [r2, #4]
         ldrd r4, r5, [r2, #8]
         movs r2, #255
         vdup.32 q4, r2
         vmov.i32 q6, #0xfff
         vmov.i32 q7, #0"
    };
}

/// Arguments of an activation's loop.
#[repr(C)]
struct Argument {
    /// Of one product that is rounded.
    multiplier: i32,
    left: i32,
    /// Of the activation and of what it is multiplied with, negative.
    shifts: [i32; 2],
}

/// `x[i] = f(x[i] * by)`; returns the largest result, or 0.
///
/// # Safety
/// `x` is valid for reads and writes of `count` numbers, aligned to 4 bytes.
#[unsafe(naked)]
unsafe extern "C" fn activate_all(x: *mut i32, count: usize, by: &Argument, tail: &Tail) -> u32 {
    naked_asm!(
        extension!(),
        "push {{r4, r5, r6, lr}}",
        activation!(),
        "movs r2, #0",
        "wlstp.32 lr, r1, 3f",
        "2:",
        activated!(),
        "vmaxv.s32 r2, q0",
        "vstrw.32 q0, [r0], #16",
        "letp lr, 2b",
        "3:",
        "mov r0, r2",
        "vpop {{d8-d15}}",
        "pop {{r4, r5, r6, pc}}",
        reset!(),
    )
}

/// `x[i] = (f(x[i] * by) >> -shifts[0]) * (up[i] >> -shifts[1])`; where `up` lies is on the stack.
///
/// # Safety
/// `x` is valid for reads and writes, `up` for reads of `count` numbers, both aligned to 4 bytes.
#[unsafe(naked)]
unsafe extern "C" fn activate_times_all(x: *mut i32, count: usize, by: &Argument, tail: &Tail, up: *const i32) {
    naked_asm!(
        extension!(),
        "push {{r4, r5, r6, lr}}",
        "ldr r6, [sp, #16]",
        activation!(),
        "wlstp.32 lr, r1, 3f",
        "2:",
        activated!(),
        "vldrw.u32 q2, [r6], #16",
        "vshl.s32 q0, r4",
        "vshl.s32 q2, r5",
        "vmul.i32 q0, q0, q2",
        "vstrw.32 q0, [r0], #16",
        "letp lr, 2b",
        "3:",
        "vpop {{d8-d15}}",
        "pop {{r4, r5, r6, pc}}",
        reset!(),
    )
}

/// [`Backend::activate`].
#[inline]
pub(crate) fn activate(x: &mut [i32], ratio: Multiplier, tail: &Tail) {
    activate_within(x, ratio, tail);
}

/// [`Backend::activate_within`].
#[inline]
pub(crate) fn activate_within(x: &mut [i32], ratio: Multiplier, tail: &Tail) -> Option<u32> {
    let Some((left, multiplier)) = ratio.wide() else { return Scalar::activate_within(x, ratio, tail) };
    let by = Argument { multiplier, left: left.cast_signed(), shifts: [0, 0] };
    // SAFETY: so many numbers there are; the tail has a word for every place up to 255.
    let largest = unsafe { call!(activate_all(x.as_mut_ptr(), x.len(), &by, tail)) };
    // Nothing is below the tail's largest value; where all is that small, somebody has to look.
    (largest > LARGEST_TAIL).then_some(largest + 1)
}

/// [`Backend::activate_times`].
#[inline]
pub(crate) fn activate_times(gate: &mut [i32], up: &[i32], ratio: Multiplier, shifts: (u32, u32), tail: &Tail) {
    let Some((left, multiplier)) = ratio.wide() else {
        return Scalar::activate_times(gate, up, ratio, shifts, tail);
    };
    let shifts = [-shifts.0.cast_signed(), -shifts.1.cast_signed()];
    let by = Argument { multiplier, left: left.cast_signed(), shifts };
    let count = gate.len().min(up.len());
    // SAFETY: so many of both there are; the tail has a word for every place up to 255.
    unsafe { call!(activate_times_all(gate.as_mut_ptr(), count, &by, tail, up.as_ptr())) }
}
