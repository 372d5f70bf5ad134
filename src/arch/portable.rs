//! `core::simd`: one source that the compiler turns into Helium on Cortex-M55 and into SSE or AVX on the host.

use super::Backend;
use super::scalar::Scalar;
use core::simd::num::SimdInt;
use core::simd::{Simd, i8x16, i16x8};

/// The portable SIMD backend.
pub(crate) struct Portable;

/// Lanes of an int8 vector: one Helium or SSE register.
const LANES: usize = 16;

/// `sum(w[i] * x[i])` of one vector. Both sides stay sign-unknown, which is what `vmlava.s8` is made from.
#[inline(always)]
fn dot16(w: i8x16, x: i8x16) -> i32 {
    (w.cast::<i32>() * x.cast::<i32>()).reduce_sum()
}

impl Backend for Portable {
    const NAME: &'static str = "portable";

    #[inline]
    fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
        let (a_vectors, a_rest) = a.as_chunks::<LANES>();
        let (b_vectors, b_rest) = b.as_chunks::<LANES>();
        if a_vectors.len() != b_vectors.len() {
            return Scalar::dot_i8(a, b);
        }
        let mut sum = 0;
        for (&a, &b) in a_vectors.iter().zip(b_vectors) {
            sum += dot16(i8x16::from_array(a), i8x16::from_array(b));
        }
        sum + Scalar::dot_i8(a_rest, b_rest)
    }

    #[inline]
    fn dot4_i8(rows: [&[i8]; 4], x: &[i8]) -> [i32; 4] {
        if rows.map(<[i8]>::len) != [x.len(); 4] {
            return Scalar::dot4_i8(rows, x);
        }
        let [row0, row1, row2, row3] = rows;
        let (x_vectors, x_rest) = x.as_chunks::<LANES>();
        let ((rows0, rest0), (rows1, rest1)) = (row0.as_chunks::<LANES>(), row1.as_chunks::<LANES>());
        let ((rows2, rest2), (rows3, rest3)) = (row2.as_chunks::<LANES>(), row3.as_chunks::<LANES>());
        let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
        let vectors = rows0.iter().zip(rows1).zip(rows2).zip(rows3);
        for (&x, (((&w0, &w1), &w2), &w3)) in x_vectors.iter().zip(vectors) {
            let x = i8x16::from_array(x);
            sum0 += dot16(i8x16::from_array(w0), x);
            sum1 += dot16(i8x16::from_array(w1), x);
            sum2 += dot16(i8x16::from_array(w2), x);
            sum3 += dot16(i8x16::from_array(w3), x);
        }
        let rest = Scalar::dot4_i8([rest0, rest1, rest2, rest3], x_rest);
        [sum0 + rest[0], sum1 + rest[1], sum2 + rest[2], sum3 + rest[3]]
    }

    #[inline]
    fn dot_i16_i8(a: &[i16], b: &[i8]) -> i32 {
        let (a_vectors, a_rest) = a.as_chunks::<8>();
        let (b_vectors, b_rest) = b.as_chunks::<8>();
        if a_vectors.len() != b_vectors.len() {
            return Scalar::dot_i16_i8(a, b);
        }
        let mut sum = 0;
        for (&a, &b) in a_vectors.iter().zip(b_vectors) {
            let b = Simd::<i8, 8>::from_array(b).cast::<i32>();
            sum += (i16x8::from_array(a).cast::<i32>() * b).reduce_sum();
        }
        sum + Scalar::dot_i16_i8(a_rest, b_rest)
    }
}
