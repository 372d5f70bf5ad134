//! Loops over 32-bit integers for cores with 32-bit Thumb instructions (ARMv7-M, ARMv8-M Mainline), four numbers at a time.

use core::arch::naked_asm;

/// `Backend::abs_max`.
pub(crate) fn abs_max(x: &[i32]) -> u32 {
    let (chunks, rest) = x.as_chunks::<4>();
    let mut largest = 0;
    if !chunks.is_empty() {
        // SAFETY: the loop reads four integers for each of `chunks`, which is not empty.
        largest = unsafe { call!(abs_max_chunks(chunks.as_ptr().cast(), chunks.len())) };
    }
    rest.iter().fold(largest, |max, &x| (x ^ (x >> 31)).cast_unsigned().max(max)) + 1
}

/// `Backend::sum`.
pub(crate) fn sum(x: &[i32]) -> i64 {
    let (chunks, rest) = x.as_chunks::<4>();
    let mut sum = 0;
    if !chunks.is_empty() {
        // SAFETY: as in `abs_max`.
        sum = unsafe { call!(sum_chunks(chunks.as_ptr().cast(), chunks.len())) };
    }
    rest.iter().fold(sum, |sum, &x| sum + i64::from(x))
}

/// `Backend::sum_of_squares`.
pub(crate) fn sum_of_squares(x: &[i32], shift: u32) -> u64 {
    let (chunks, rest) = x.as_chunks::<4>();
    let mut sum = 0;
    if !chunks.is_empty() {
        // SAFETY: as in `abs_max`; the trait's shift is one of a number of 32 bits.
        sum = unsafe { call!(squares_chunks(chunks.as_ptr().cast(), chunks.len(), shift)) };
    }
    rest.iter().fold(sum, |sum, &x| sum + u64::from((x >> shift).wrapping_mul(x >> shift).cast_unsigned()))
}

/// The largest of `x ^ (x >> 31)`, which is the magnitude of a number, or one less.
///
/// 15 instructions for four numbers, and 2 for each that is larger than all before it, which are few.
///
/// # Safety
/// `x` is valid for reads of `4 * chunks` numbers; `chunks` is not 0.
#[unsafe(naked)]
unsafe extern "C" fn abs_max_chunks(x: *const i32, chunks: usize) -> u32 {
    naked_asm!(
        "push {{r4-r6, lr}}",
        "movs r2, #0",
        "2:",
        "ldm r0!, {{r3-r6}}",
        "eor r3, r3, r3, asr #31",
        "cmp r3, r2",
        "bhi 3f",
        "4:",
        "eor r4, r4, r4, asr #31",
        "cmp r4, r2",
        "bhi 5f",
        "6:",
        "eor r5, r5, r5, asr #31",
        "cmp r5, r2",
        "bhi 7f",
        "8:",
        "eor r6, r6, r6, asr #31",
        "cmp r6, r2",
        "bhi 9f",
        "12:",
        "subs r1, r1, #1",
        "bne 2b",
        "mov r0, r2",
        "pop {{r4-r6, pc}}",
        "3:",
        "mov r2, r3",
        "b 4b",
        "5:",
        "mov r2, r4",
        "b 6b",
        "7:",
        "mov r2, r5",
        "b 8b",
        "9:",
        "mov r2, r6",
        "b 12b",
    )
}

/// The sum: 7 instructions for four numbers.
///
/// # Safety
/// `x` is valid for reads of `4 * chunks` numbers; `chunks` is not 0.
#[unsafe(naked)]
unsafe extern "C" fn sum_chunks(x: *const i32, chunks: usize) -> i64 {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r2, r0",
        "mov r3, r1",
        "movs r0, #0",
        "movs r1, #0",
        "mov r12, #1",
        "2:",
        "ldm r2!, {{r4-r7}}",
        "smlal r0, r1, r4, r12",
        "smlal r0, r1, r5, r12",
        "smlal r0, r1, r6, r12",
        "smlal r0, r1, r7, r12",
        "subs r3, r3, #1",
        "bne 2b",
        "pop {{r4-r7, pc}}",
    )
}

/// The sum of squares of numbers that are shifted to the right: 11 instructions for four numbers.
///
/// # Safety
/// `x` is valid for reads of `4 * chunks` numbers; `chunks` is not 0; `shift` is at most 31.
#[unsafe(naked)]
unsafe extern "C" fn squares_chunks(x: *const i32, chunks: usize, shift: u32) -> u64 {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r12, r0",
        "mov r3, r1",
        "movs r0, #0",
        "movs r1, #0",
        "2:",
        "ldm r12!, {{r4-r7}}",
        "asrs r4, r2",
        "asrs r5, r2",
        "asrs r6, r2",
        "asrs r7, r2",
        "smlal r0, r1, r4, r4",
        "smlal r0, r1, r5, r5",
        "smlal r0, r1, r6, r6",
        "smlal r0, r1, r7, r7",
        "subs r3, r3, #1",
        "bne 2b",
        "pop {{r4-r7, pc}}",
    )
}
