//! Parts of a norm, and the maximum of a vector before it is quantized.
//!
//! ```text
//! x ── vcvt ──► integers ── mean off, vmlaldava ──► squares ── × gain + bias ──► normed
//! x ── vmaxv, vminv, vaddva, vaddlva ──► one number
//! ```

use super::{Multiplier, extension, reset};
use core::arch::naked_asm;

/// The largest number, or the complement of the smallest, and one.
///
/// # Safety
/// `x` is valid for reads of `count` numbers, aligned to 4 bytes.
#[unsafe(naked)]
unsafe extern "C" fn largest_of(x: *const i32, count: usize) -> u32 {
    naked_asm!(
        extension!(),
        "push {{r4, lr}}",
        "movs r2, #0",
        "movs r3, #0",
        "wlstp.32 lr, r1, 3f",
        "2:",
        "vldrw.u32 q0, [r0], #16",
        "vmaxv.s32 r2, q0",
        "vminv.s32 r3, q0",
        "letp lr, 2b",
        "3:",
        "mvns r3, r3",
        "cmp r2, r3",
        "csel r0, r2, r3, gt",
        "adds r0, r0, #1",
        "pop {{r4, pc}}",
        reset!(),
    )
}

/// [`Backend::abs_max`].
#[inline]
pub(crate) fn abs_max(x: &[i32]) -> u32 {
    // SAFETY: so many numbers there are.
    unsafe { call!(largest_of(x.as_ptr(), x.len())) }
}

/// `sum(|x| >> 7)`.
///
/// # Safety
/// `x` is valid for reads of `count` numbers, aligned to 4 bytes.
#[unsafe(naked)]
unsafe extern "C" fn sum_of_magnitudes(x: *const i32, count: usize) -> u32 {
    naked_asm!(
        extension!(),
        "push {{r4, lr}}",
        "movs r2, #0",
        "wlstp.32 lr, r1, 3f",
        "2:",
        "vldrw.u32 q0, [r0], #16",
        "vabs.s32 q0, q0",
        "vshr.u32 q0, q0, #7",
        "vaddva.u32 r2, q0",
        "letp lr, 2b",
        "3:",
        "mov r0, r2",
        "pop {{r4, pc}}",
        reset!(),
    )
}

/// [`Backend::magnitudes`].
#[inline]
pub(crate) fn magnitudes(x: &[i32]) -> u32 {
    // SAFETY: so many numbers there are.
    unsafe { call!(sum_of_magnitudes(x.as_ptr(), x.len())) + x.len() as u32 }
}

/// `sum(x)`, in 64 bits.
///
/// # Safety
/// `x` is valid for reads of `count` numbers, aligned to 4 bytes.
#[unsafe(naked)]
unsafe extern "C" fn long_sum(x: *const i32, count: usize) -> i64 {
    naked_asm!(
        extension!(),
        "push {{r4, lr}}",
        "mov r2, r0",
        "mov r3, r1",
        "movs r0, #0",
        "movs r1, #0",
        "wlstp.32 lr, r3, 3f",
        "2:",
        "vldrw.u32 q0, [r2], #16",
        "vaddlva.s32 r0, r1, q0",
        "letp lr, 2b",
        "3:",
        "pop {{r4, pc}}",
        reset!(),
    )
}

/// [`Backend::sum`].
#[inline]
pub(crate) fn sum(x: &[i32]) -> i64 {
    // SAFETY: so many numbers there are.
    unsafe { call!(long_sum(x.as_ptr(), x.len())) }
}

/// `sum((x >> -shift)^2)`, in 64 bits; the shift is negative.
///
/// # Safety
/// `x` is valid for reads of `count` numbers, aligned to 4 bytes.
#[unsafe(naked)]
unsafe extern "C" fn squares_all(x: *const i32, count: usize, shift: i32) -> u64 {
    naked_asm!(
        extension!(),
        "push {{r4, lr}}",
        "mov r12, r0",
        "mov r3, r1",
        "movs r0, #0",
        "movs r1, #0",
        "wlstp.32 lr, r3, 3f",
        "2:",
        "vldrw.u32 q0, [r12], #16",
        "vshl.s32 q0, r2",
        "vmlaldava.s32 r0, r1, q0, q0",
        "letp lr, 2b",
        "3:",
        "pop {{r4, pc}}",
        reset!(),
    )
}

/// [`Backend::sum_of_squares`].
#[inline]
pub(crate) fn sum_of_squares(x: &[i32], shift: u32) -> u64 {
    // SAFETY: so many numbers there are.
    unsafe { call!(squares_all(x.as_ptr(), x.len(), -shift.cast_signed())) }
}

/// `x[i] -= mean`, and `sum((x >> -shift)^2)`; the shift is negative.
///
/// # Safety
/// `x` is valid for reads and writes of `count` numbers, aligned to 4 bytes.
#[unsafe(naked)]
unsafe extern "C" fn center_all(x: *mut i32, count: usize, mean: i32, shift: i32) -> u64 {
    naked_asm!(
        extension!(),
        "push {{r4, lr}}",
        "mov r12, r0",
        "mov r4, r1",
        "movs r0, #0",
        "movs r1, #0",
        "wlstp.32 lr, r4, 3f",
        "2:",
        "vldrw.u32 q0, [r12]",
        "vsub.i32 q0, q0, r2",
        "vstrw.32 q0, [r12], #16",
        "vshl.s32 q0, r3",
        "vmlaldava.s32 r0, r1, q0, q0",
        "letp lr, 2b",
        "3:",
        "pop {{r4, pc}}",
        reset!(),
    )
}

/// [`Backend::subtract_mean`].
#[inline]
pub(crate) fn subtract_mean(x: &mut [i32], mean: i32, shift: u32) -> u64 {
    // SAFETY: so many numbers there are.
    unsafe { call!(center_all(x.as_mut_ptr(), x.len(), mean, -shift.cast_signed())) }
}

/// `out[i] = trunc(x[i] * factor)`; the factor's bits are in a core register.
///
/// # Safety
/// `x` is valid for reads and `out` for writes of `count` numbers, both aligned to 4 bytes.
#[unsafe(naked)]
unsafe extern "C" fn truncate_all(x: *const f32, count: usize, out: *mut i32, factor: u32) {
    naked_asm!(
        extension!(),
        "push {{r4, lr}}",
        "wlstp.32 lr, r1, 3f",
        "2:",
        "vldrw.u32 q0, [r0], #16",
        "vmul.f32 q0, q0, r3",
        "vcvt.s32.f32 q0, q0",
        "vstrw.32 q0, [r2], #16",
        "letp lr, 2b",
        "3:",
        "pop {{r4, pc}}",
        reset!(),
    )
}

/// [`Backend::truncate`].
#[inline]
pub(crate) fn truncate(x: &[f32], factor: f32, out: &mut [i32]) {
    let count = x.len().min(out.len());
    // SAFETY: so many numbers and so much room there are.
    unsafe { call!(truncate_all(x.as_ptr(), count, out.as_mut_ptr(), factor.to_bits())) }
}

/// `x[i] = x[i] * multipliers[i] >> 16`.
///
/// # Safety
/// `x` is valid for reads and writes, `multipliers` for reads of `count` numbers, both aligned to their type.
#[unsafe(naked)]
unsafe extern "C" fn scale(x: *mut i32, multipliers: *const i16, count: usize) {
    naked_asm!(
        extension!(),
        "push {{r4, lr}}",
        "wlstp.32 lr, r2, 3f",
        "2:",
        "vldrh.s32 q1, [r1], #8",
        "vldrw.u32 q0, [r0]",
        "vshl.i32 q1, q1, #16",
        "vmulh.s32 q0, q0, q1",
        "vstrw.32 q0, [r0], #16",
        "letp lr, 2b",
        "3:",
        "pop {{r4, pc}}",
        reset!(),
    )
}

/// [`Backend::scale_rows`].
#[inline]
pub(crate) fn scale_rows(x: &mut [i32], multipliers: &[i16]) {
    let count = x.len().min(multipliers.len());
    // SAFETY: so many of both there are.
    unsafe { call!(scale(x.as_mut_ptr(), multipliers.as_ptr(), count)) }
}

/// `x[i] += other[i] * multiplier >> shift`, rounded; the shift lies on the stack, negative.
///
/// # Safety
/// `x` is valid for reads and writes, `other` for reads of `count` numbers, both aligned to their type.
#[unsafe(naked)]
unsafe extern "C" fn add(x: *mut i32, other: *const i16, count: usize, multiplier: i32, shift: i32) {
    naked_asm!(
        extension!(),
        "push {{r4, lr}}",
        "ldr r12, [sp, #8]",
        "wlstp.32 lr, r2, 3f",
        "2:",
        "vldrh.s32 q1, [r1], #8",
        "vldrw.u32 q0, [r0]",
        "vmul.i32 q1, q1, r3",
        "vrshl.s32 q1, r12",
        "vadd.i32 q0, q0, q1",
        "vstrw.32 q0, [r0], #16",
        "letp lr, 2b",
        "3:",
        "pop {{r4, pc}}",
        reset!(),
    )
}

/// The shift of a product of a half and a ratio's multiplier, negative: what the ratio cuts off and then rounds is rounded at once,
/// to the same number.
#[inline(always)]
pub(super) fn shift_of_halves(ratio: Multiplier) -> i32 {
    ratio.left_shift.cast_signed() - 16 - ratio.right_shift.cast_signed()
}

/// [`Backend::add_scaled`].
#[inline]
pub(crate) fn add_scaled(x: &mut [i32], other: &[i16], ratio: Multiplier) {
    let count = x.len().min(other.len());
    let multiplier = i32::from(ratio.multiplier);
    // SAFETY: so many of both there are.
    unsafe { call!(add(x.as_mut_ptr(), other.as_ptr(), count, multiplier, shift_of_halves(ratio))) }
}

/// Arguments of [`scale_and_add_all`].
#[repr(C)]
struct Affine {
    multipliers: *const i16,
    other: *const i16,
    multiplier: i32,
    /// Negative.
    shift: i32,
}

/// `x[i] = (x[i] * multipliers[i] >> 16) + (other[i] * multiplier >> -shift)`, the latter rounded; returns as [`largest_of`].
///
/// ```text
/// r0 numbers   r3 multipliers   r4 others   r5 multiplier   r6 shift   r1 largest   r12 smallest
/// ```
///
/// # Safety
/// `x` is valid for reads and writes, what `by` points to for reads of `count` numbers, all aligned to their type.
#[unsafe(naked)]
unsafe extern "C" fn scale_and_add_all(x: *mut i32, count: usize, by: &Affine) -> u32 {
    naked_asm!(
        extension!(),
        "push {{r4, r5, r6, lr}}",
        "ldm r2, {{r3, r4, r5, r6}}",
        "mov r2, r1",
        "movs r1, #0",
        "mov r12, r1",
        "wlstp.32 lr, r2, 3f",
        "2:",
        "vldrh.s32 q1, [r3], #8",
        "vldrw.u32 q0, [r0]",
        "vshl.i32 q1, q1, #16",
        "vldrh.s32 q2, [r4], #8",
        "vmulh.s32 q0, q0, q1",
        "vmul.i32 q2, q2, r5",
        "vrshl.s32 q2, r6",
        "vadd.i32 q0, q0, q2",
        "vmaxv.s32 r1, q0",
        "vminv.s32 r12, q0",
        "vstrw.32 q0, [r0], #16",
        "letp lr, 2b",
        "3:",
        "mvn r12, r12",
        "cmp r1, r12",
        "csel r0, r1, r12, gt",
        "adds r0, r0, #1",
        "pop {{r4, r5, r6, pc}}",
        reset!(),
    )
}

/// [`Backend::scale_and_add`].
#[inline]
pub(crate) fn scale_and_add(x: &mut [i32], multipliers: &[i16], other: &[i16], ratio: Multiplier) -> u32 {
    let count = x.len().min(multipliers.len()).min(other.len());
    let by = Affine {
        multipliers: multipliers.as_ptr(),
        other: other.as_ptr(),
        multiplier: ratio.multiplier.into(),
        shift: shift_of_halves(ratio),
    };
    // SAFETY: so many of all three there are.
    unsafe { call!(scale_and_add_all(x.as_mut_ptr(), count, &by)) }
}
