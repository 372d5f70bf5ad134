//! Vectors of 32-bit integers, times a real number.
//!
//! ```text
//! x ── vrmulh, or vshl · vmulh · vrshl ──► bytes, halves, bytes down a column, in place
//! ```

use super::{Multiplier, extension, reset};
use core::arch::naked_asm;

/// A [`Multiplier`] as the loops take it.
#[repr(C)]
struct By {
    /// Of one product that is rounded; in the upper half where there are shifts around the product.
    multiplier: i32,
    left: i32,
    /// Negative: to the right; 0: the product is all.
    right: i32,
}

impl By {
    #[inline(always)]
    fn new(ratio: Multiplier) -> By {
        match ratio.wide() {
            Some((0, multiplier)) => By { multiplier, left: 0, right: 0 },
            _ => By {
                multiplier: i32::from(ratio.multiplier) << 16,
                left: ratio.left_shift.cast_signed(),
                right: -ratio.right_shift.cast_signed(),
            },
        }
    }
}

/// `out[i] = x[i] * by`, rounded.
///
/// ```text
/// r0 numbers   r1 how many   r2 results   r3 by   r4 shift to the right   r12 shift to the left   q1 multiplier
/// ```
macro_rules! rescale {
    ($name:ident, $out:ty, $($store:literal),+) => {
        /// # Safety
        /// `x` is valid for reads and `out` for writes of `count` numbers, both aligned to their type; they may be the same.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(x: *const i32, count: usize, out: *mut $out, by: &By) {
            naked_asm!(
                extension!(),
                "push {{r4, lr}}",
                "ldrd r12, r4, [r3, #4]",
                "ldr r3, [r3]",
                "vdup.32 q1, r3",
                "cbnz r4, 4f",
                "wlstp.32 lr, r1, 3f",
                "2:",
                "vldrw.u32 q0, [r0], #16",
                "vrmulh.s32 q0, q0, q1",
                $($store,)+
                "letp lr, 2b",
                "3:",
                "pop {{r4, pc}}",
                "4:",
                "wlstp.32 lr, r1, 6f",
                "5:",
                "vldrw.u32 q0, [r0], #16",
                "vshl.s32 q0, r12",
                "vmulh.s32 q0, q0, q1",
                "vrshl.s32 q0, r4",
                $($store,)+
                "letp lr, 5b",
                "6:",
                "pop {{r4, pc}}",
                reset!(),
            )
        }
    };
}
rescale!(to_bytes, i8, "vstrb.32 q0, [r2], #4");
rescale!(to_halves, i16, "vstrh.32 q0, [r2], #8");
rescale!(to_words, i32, "vstrw.32 q0, [r2], #16");

/// The same to bytes at a distance from each other.
///
/// ```text
/// r0 numbers   r1 how many   r2 results   r3 by, then 4 * distance   q2 (0, 1, 2, 3) * distance
/// ```
///
/// # Safety
/// `x` is valid for reads of `count` numbers, aligned to 4 bytes; `out` for writes of the bytes at `0, distance, … (count - 1) * distance`.
#[unsafe(naked)]
unsafe extern "C" fn to_distant_bytes(x: *const i32, count: usize, out: *mut i8, by: &By, distance: usize) {
    naked_asm!(
        extension!(),
        "push {{r4, lr}}",
        "movs r4, #0",
        "vidup.u32 q2, r4, #1",
        "ldrd r12, r4, [r3, #4]",
        "ldr r3, [r3]",
        "vdup.32 q1, r3",
        "ldr r3, [sp, #8]",
        "vmul.i32 q2, q2, r3",
        "lsls r3, r3, #2",
        "cbnz r4, 4f",
        "wlstp.32 lr, r1, 3f",
        "2:",
        "vldrw.u32 q0, [r0], #16",
        "vrmulh.s32 q0, q0, q1",
        "vstrb.32 q0, [r2, q2]",
        "add r2, r3",
        "letp lr, 2b",
        "3:",
        "pop {{r4, pc}}",
        "4:",
        "wlstp.32 lr, r1, 6f",
        "5:",
        "vldrw.u32 q0, [r0], #16",
        "vshl.s32 q0, r12",
        "vmulh.s32 q0, q0, q1",
        "vrshl.s32 q0, r4",
        "vstrb.32 q0, [r2, q2]",
        "add r2, r3",
        "letp lr, 5b",
        "6:",
        "pop {{r4, pc}}",
        reset!(),
    )
}

/// [`Backend::rescale_i8`].
#[inline]
pub(crate) fn rescale_i8(x: &[i32], ratio: Multiplier, out: &mut [i8]) {
    let count = x.len().min(out.len());
    // SAFETY: so many numbers and so much room there are.
    unsafe { call!(to_bytes(x.as_ptr(), count, out.as_mut_ptr(), &By::new(ratio))) }
}

/// [`Backend::rescale_i16`].
#[inline]
pub(crate) fn rescale_i16(x: &[i32], ratio: Multiplier, out: &mut [i16]) {
    let count = x.len().min(out.len());
    // SAFETY: so many numbers and so much room there are.
    unsafe { call!(to_halves(x.as_ptr(), count, out.as_mut_ptr(), &By::new(ratio))) }
}

/// [`Backend::rescale_in_place`].
#[inline]
pub(crate) fn rescale_in_place(x: &mut [i32], ratio: Multiplier) {
    let (count, start) = (x.len(), x.as_mut_ptr());
    // SAFETY: so many numbers there are, and each is read before it is written; both pointers are the exclusive borrow's.
    unsafe { call!(to_words(start, count, start, &By::new(ratio))) }
}

/// [`Backend::rescale_column`].
#[inline]
pub(crate) fn rescale_column(x: &[i32], ratio: Multiplier, out: &mut [i8], stride: usize) {
    // The last row need not be whole.
    let rows = if out.is_empty() { 0 } else { (out.len() - 1) / stride.max(1) + 1 };
    let count = x.len().min(rows);
    // SAFETY: the byte of the last number, `(count - 1) * stride`, is in the slice.
    unsafe { call!(to_distant_bytes(x.as_ptr(), count, out.as_mut_ptr(), &By::new(ratio), stride)) }
}
