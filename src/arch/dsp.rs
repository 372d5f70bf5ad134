//! The DSP extension of ARMv7E-M and ARMv8-M: two 16-bit products per instruction (`SMLAD`, Arm ARM DDI 0403E A7.7.146).
//!
//! Four int8 values in a word become two words of int16 pairs, `SXTB16 w` = (byte 0, byte 2) and `SXTB16 w, ror 8`
//! = (byte 1, byte 3); done to both operands, the pairs match without a shuffle.

use super::Backend;
use super::scalar::Scalar;
use core::arch::asm;

/// The DSP backend.
pub(crate) struct Dsp;

/// `sum + x.low * y.low + x.high * y.high`.
#[inline(always)]
fn smlad(x: u32, y: u32, sum: i32) -> i32 {
    let result;
    // SAFETY: arithmetic on registers only. `build.rs` selects this file only for cores with the DSP extension. SMLAD
    // sets the Q flag when the sum overflows, which the bounds on shapes rule out, so flags are preserved.
    unsafe {
        asm!("smlad {r}, {x}, {y}, {s}", r = lateout(reg) result, x = in(reg) x, y = in(reg) y, s = in(reg) sum,
             options(pure, nomem, nostack, preserves_flags));
    }
    result
}

/// Bytes 0 and 2, sign-extended to 16 bits each.
#[inline(always)]
fn even_bytes(x: u32) -> u32 {
    let result;
    // SAFETY: arithmetic on registers only; SXTB16 is in the DSP extension, see `smlad`.
    unsafe {
        asm!("sxtb16 {r}, {x}", r = lateout(reg) result, x = in(reg) x, options(pure, nomem, nostack, preserves_flags));
    }
    result
}

/// Bytes 1 and 3, sign-extended to 16 bits each.
#[inline(always)]
fn odd_bytes(x: u32) -> u32 {
    let result;
    // SAFETY: arithmetic on registers only; SXTB16 is in the DSP extension, see `smlad`.
    unsafe {
        asm!("sxtb16 {r}, {x}, ror #8", r = lateout(reg) result, x = in(reg) x,
             options(pure, nomem, nostack, preserves_flags));
    }
    result
}

#[inline(always)]
fn word(bytes: [i8; 4]) -> u32 {
    u32::from_le_bytes(bytes.map(|byte| byte as u8))
}

/// Two `i16` as the halves of a word, the first low.
#[inline(always)]
fn pair(low: i16, high: i16) -> u32 {
    u32::from(low as u16) | u32::from(high as u16) << 16
}

impl Backend for Dsp {
    const NAME: &'static str = "dsp";

    #[inline]
    fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
        let (a_words, a_rest) = a.as_chunks::<4>();
        let (b_words, b_rest) = b.as_chunks::<4>();
        if a_words.len() != b_words.len() {
            return Scalar::dot_i8(a, b);
        }
        let mut sum = 0;
        for (&a, &b) in a_words.iter().zip(b_words) {
            let (a, b) = (word(a), word(b));
            sum = smlad(even_bytes(a), even_bytes(b), sum);
            sum = smlad(odd_bytes(a), odd_bytes(b), sum);
        }
        sum + Scalar::dot_i8(a_rest, b_rest)
    }

    #[inline]
    fn dot4_i8(rows: [&[i8]; 4], x: &[i8]) -> [i32; 4] {
        let [row0, row1, row2, row3] = rows;
        let (x_words, x_rest) = x.as_chunks::<4>();
        let ((words0, rest0), (words1, rest1)) = (row0.as_chunks::<4>(), row1.as_chunks::<4>());
        let ((words2, rest2), (words3, rest3)) = (row2.as_chunks::<4>(), row3.as_chunks::<4>());
        if [row0.len(), row1.len(), row2.len(), row3.len()] != [x.len(); 4] {
            return Scalar::dot4_i8(rows, x);
        }
        let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
        let words = words0.iter().zip(words1).zip(words2).zip(words3);
        for (&x, (((&w0, &w1), &w2), &w3)) in x_words.iter().zip(words) {
            let (even, odd) = (even_bytes(word(x)), odd_bytes(word(x)));
            sum0 = smlad(odd_bytes(word(w0)), odd, smlad(even_bytes(word(w0)), even, sum0));
            sum1 = smlad(odd_bytes(word(w1)), odd, smlad(even_bytes(word(w1)), even, sum1));
            sum2 = smlad(odd_bytes(word(w2)), odd, smlad(even_bytes(word(w2)), even, sum2));
            sum3 = smlad(odd_bytes(word(w3)), odd, smlad(even_bytes(word(w3)), even, sum3));
        }
        let rest = Scalar::dot4_i8([rest0, rest1, rest2, rest3], x_rest);
        [sum0 + rest[0], sum1 + rest[1], sum2 + rest[2], sum3 + rest[3]]
    }

    #[inline]
    fn dot_i16_i8(a: &[i16], b: &[i8]) -> i32 {
        let (a_quads, a_rest) = a.as_chunks::<4>();
        let (b_words, b_rest) = b.as_chunks::<4>();
        if a_quads.len() != b_words.len() {
            return Scalar::dot_i16_i8(a, b);
        }
        let mut sum = 0;
        for (&[a0, a1, a2, a3], &b) in a_quads.iter().zip(b_words) {
            sum = smlad(pair(a0, a2), even_bytes(word(b)), sum);
            sum = smlad(pair(a1, a3), odd_bytes(word(b)), sum);
        }
        sum + Scalar::dot_i16_i8(a_rest, b_rest)
    }
}
