//! Every backend that this machine can run gives the scalar bits, for all lengths around its blocks and extreme values.

extern crate std;

use super::scalar::Scalar;
use super::{Backend, Native};
use proptest::prelude::*;
use std::vec::Vec;

/// Integers with the extremes well represented.
fn int8() -> impl Strategy<Value = i8> {
    prop_oneof![Just(-127_i8), Just(127), Just(0), -127..=127_i8]
}

fn int16() -> impl Strategy<Value = i16> {
    prop_oneof![Just(0_i16), Just(32_638), 0..=32_638_i16]
}

/// One row of values for each length from nothing to beyond four vectors of the widest backend.
fn rows() -> impl Strategy<Value = [Vec<i8>; 5]> {
    (0..70_usize).prop_flat_map(|length| {
        let row = || proptest::collection::vec(int8(), length);
        [row(), row(), row(), row(), row()]
    })
}

macro_rules! equals_scalar {
    ($name:ident, $backend:ty) => {
        mod $name {
            use super::*;

            proptest! {
                #[test]
                fn dots_equal_the_scalar_backend([a, b, c, d, x] in rows()) {
                    prop_assert_eq!(<$backend>::dot_i8(&a, &x), Scalar::dot_i8(&a, &x));
                    let rows = [&a[..], &b, &c, &d];
                    prop_assert_eq!(<$backend>::dot4_i8(rows, &x), Scalar::dot4_i8(rows, &x));
                }

                #[test]
                fn dots_of_different_lengths_count_the_shortest([a, b, c, d, x] in rows(), cut in 0..70_usize) {
                    let a = &a[..a.len().min(cut)];
                    prop_assert_eq!(<$backend>::dot_i8(a, &x), Scalar::dot_i8(a, &x));
                    prop_assert_eq!(<$backend>::dot_i8(&x, a), Scalar::dot_i8(a, &x));
                    let rows = [a, &b[..], &c, &d];
                    prop_assert_eq!(<$backend>::dot4_i8(rows, &x), Scalar::dot4_i8(rows, &x));
                }

                #[test]
                fn weighted_sums_equal_the_scalar_backend(pairs in proptest::collection::vec((int16(), int8()), 0..70)) {
                    let (a, b): (Vec<i16>, Vec<i8>) = pairs.into_iter().unzip();
                    prop_assert_eq!(<$backend>::dot_i16_i8(&a, &b), Scalar::dot_i16_i8(&a, &b));
                }
            }
        }
    };
}

equals_scalar!(native, Native);
#[cfg(feature = "portable-simd")]
equals_scalar!(portable, super::super::portable::Portable);

#[test]
fn the_scalar_backend_computes_the_definition() {
    let a = [1, -2, 3, 127, -127];
    let x = [5, 6, -7, 127, 127];
    let expected: i32 = 5 - 12 - 21 + 127 * 127 - 127 * 127;
    assert_eq!(Scalar::dot_i8(&a, &x), expected);
    assert_eq!(Scalar::dot4_i8([&a, &x, &a, &[1; 5]], &x), [expected, 5 * 5 + 36 + 49 + 2 * 127 * 127, expected, 258]);
    assert_eq!(Scalar::dot_i16_i8(&[32_638, -5], &[-127, 100]), -32_638 * 127 - 500);
}
