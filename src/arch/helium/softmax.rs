//! Softmax's numerators: scores to weights, eight at a time.
//!
//! ```text
//! max - score ── << shift, saturated ──► distance ─┬─ low byte ── cubic polynomial ──► 2^-fraction ─┐
//!                                                 └─ high byte ── negated ── vshl ────────────────┴─► p ── × mantissa ──► weight
//! ```
//! The polynomial is the one that the table of `shared::exp2` is made from, so the bits are the
//! table's: `(fraction << 7) * a >> 15` there is the upper half of `(fraction << 8) * a` here.

use super::{extension, reset};
use core::arch::naked_asm;

/// `p = 2^((max - score) / 2^(8 - shift))` in 15 bits; `scores[t] = p * mantissas[t] >> 16`; returns the sum of all `p`.
///
/// 18 instructions for eight scores. A distance of 2^15 or more is taken for 2^15 - 1, whose power is 0 as well.
///
/// ```text
/// r0 scores   r1 mantissas   r2 tokens   r4 sum   r12 shift   q3 max   q4 to q7 coefficients
/// ```
///
/// # Safety
/// `scores` and `mantissas` are valid for `tokens` numbers each and do not overlap; no score is above `max`, a number of 16
/// bits; `shift` is at most 15.
#[unsafe(naked)]
unsafe extern "C" fn weigh_all(scores: *mut i16, mantissas: *const i16, tokens: usize, max: i32, shift: u32) -> u32 {
    naked_asm!(
        extension!(),
        "push {{r4, lr}}",
        "ldr r12, [sp, #8]",
        "vpush {{d8-d15}}",
        "vdup.16 q3, r3",
        "movw r3, #1276",
        "vdup.16 q4, r3",
        "movw r3, #7535",
        "vdup.16 q5, r3",
        "movw r3, #22642",
        "vdup.16 q6, r3",
        "movw r3, #32765",
        "vdup.16 q7, r3",
        "movs r4, #0",
        "wlstp.16 lr, r2, 3f",
        "2:",
        "vldrh.u16 q0, [r0]",
        "vqsub.s16 q0, q3, q0",
        "vqshl.s16 q0, r12",
        "vshl.i16 q1, q0, #8",
        "vmulh.u16 q2, q1, q4",
        "vshr.u16 q0, q0, #8",
        "vsub.i16 q2, q5, q2",
        "vmulh.u16 q2, q1, q2",
        "vneg.s16 q0, q0",
        "vsub.i16 q2, q6, q2",
        "vmulh.u16 q2, q1, q2",
        "vldrh.u16 q1, [r1], #16",
        "vsub.i16 q2, q7, q2",
        "vshl.u16 q2, q2, q0",
        "vaddva.u16 r4, q2",
        "vmulh.u16 q2, q2, q1",
        "vstrh.16 q2, [r0], #16",
        "letp lr, 2b",
        "3:",
        "mov r0, r4",
        "vpop {{d8-d15}}",
        "pop {{r4, pc}}",
        reset!(),
    )
}

/// [`Backend::weigh`](super::Backend::weigh).
#[inline]
pub(super) fn weigh(scores: &mut [i16], max: i16, shift: u32, mantissas: &[i16]) -> u32 {
    let tokens = scores.len().min(mantissas.len());
    // SAFETY: so many of both there are; the trait demands the largest score, and a shift beyond 15 is cut.
    unsafe { call!(weigh_all(scores.as_mut_ptr(), mantissas.as_ptr(), tokens, max.into(), shift.min(15))) }
}
