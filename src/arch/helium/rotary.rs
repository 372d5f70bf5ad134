//! Rotary positions: pairs of numbers of a head, rotated four at a time.
//!
//! ```text
//! low, high ── vmulh by cosines and sines << 16 ──► low * cos - high * sin, high * cos + low * sin
//! ```

use super::{extension, reset};
use core::arch::naked_asm;

/// `low = (low * cos >> 16) - (high * sin >> 16)`, `high = (high * cos >> 16) + (low * sin >> 16)`.
///
/// ```text
/// r0 low   r1 high   r2 cosines   r3 sines   r12 pairs
/// ```
///
/// # Safety
/// All four are valid for `pairs` numbers; `low` and `high` overlap neither each other nor the tables.
#[unsafe(naked)]
unsafe extern "C" fn rotate_all(low: *mut i32, high: *mut i32, cosines: *const i16, sines: *const i16, pairs: usize) {
    naked_asm!(
        extension!(),
        "push {{r4, lr}}",
        "ldr r12, [sp, #8]",
        "vpush {{d8, d9}}",
        "wlstp.32 lr, r12, 3f",
        "2:",
        "vldrh.s32 q2, [r2], #8",
        "vldrw.u32 q0, [r0]",
        "vshl.i32 q2, q2, #16",
        "vldrw.u32 q1, [r1]",
        "vmulh.s32 q4, q0, q2",
        "vldrh.s32 q3, [r3], #8",
        "vmulh.s32 q2, q1, q2",
        "vshl.i32 q3, q3, #16",
        "vmulh.s32 q1, q1, q3",
        "vmulh.s32 q0, q0, q3",
        "vsub.i32 q4, q4, q1",
        "vadd.i32 q2, q2, q0",
        "vstrw.32 q4, [r0], #16",
        "vstrw.32 q2, [r1], #16",
        "letp lr, 2b",
        "3:",
        "vpop {{d8, d9}}",
        "pop {{r4, pc}}",
        reset!(),
    )
}

/// [`Backend::rotate`](super::Backend::rotate).
#[inline]
pub(super) fn rotate(low: &mut [i32], high: &mut [i32], cosines: &[i16], sines: &[i16]) {
    let pairs = low.len().min(high.len()).min(cosines.len()).min(sines.len());
    // SAFETY: so many of all four there are; two exclusive borrows do not overlap.
    unsafe { call!(rotate_all(low.as_mut_ptr(), high.as_mut_ptr(), cosines.as_ptr(), sines.as_ptr(), pairs)) }
}
