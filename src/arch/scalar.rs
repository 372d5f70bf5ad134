//! Plain Rust: what every other backend must equal, and what runs on cores without SIMD.

use super::Backend;

/// The scalar backend.
pub(crate) struct Scalar;

impl Backend for Scalar {
    const NAME: &'static str = "scalar";

    #[inline]
    fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
        a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
    }

    #[inline]
    fn dot4_i8(rows: [&[i8]; 4], x: &[i8]) -> [i32; 4] {
        // Named accumulators: an array of them collapses to memory at opt-level "s".
        let [row0, row1, row2, row3] = rows;
        let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
        for ((((&x, &w0), &w1), &w2), &w3) in x.iter().zip(row0).zip(row1).zip(row2).zip(row3) {
            let x = i32::from(x);
            sum0 += i32::from(w0) * x;
            sum1 += i32::from(w1) * x;
            sum2 += i32::from(w2) * x;
            sum3 += i32::from(w3) * x;
        }
        [sum0, sum1, sum2, sum3]
    }

    #[inline]
    fn dot_i16_i8(a: &[i16], b: &[i8]) -> i32 {
        a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
    }
}
