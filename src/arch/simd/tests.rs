//! Scores of wide heads, against the scalar backend; and lengths that do not fit.

extern crate std;

use super::{attention, q4, q8};
use crate::arch::Backend;
use crate::arch::scalar::Scalar;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// Integers up to `max` with the extremes well represented.
fn integer(max: i8) -> impl Strategy<Value = i8> {
    prop_oneof![Just(-max), Just(max), Just(0), -max..=max]
}

/// Many integers; some matrices are nothing but an extreme.
fn integers(max: i8, count: usize) -> impl Strategy<Value = Vec<i8>> {
    prop_oneof![
        4 => prop::collection::vec(integer(max), count),
        1 => prop::sample::select(vec![-max, max]).prop_map(move |value| vec![value; count]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scores_of_wide_heads_equal_the_scalar_backend(
        (width, keys, query) in (1..=40_usize, 1..40_usize).prop_flat_map(|(chunks, tokens)| {
            let key = integers(127, 4 * chunks * tokens);
            (Just(4 * chunks), key, prop::collection::vec(-100..=100_i16, 4 * chunks))
        }),
        seed in any::<u16>(),
    ) {
        let tokens = keys.len() / width;
        let words: Vec<u32> = keys.as_chunks::<4>().0.iter().map(|&key| u32::from_le_bytes(key.map(i8::cast_unsigned))).collect();
        let mantissas: Vec<i16> = (0..tokens).map(|token| (token * usize::from(seed) % 1024) as i16).collect();
        let (mut expected, mut found) = (vec![0; tokens], vec![0; tokens]);
        let max = Scalar::scaled_dots(&words, width, &mantissas, &query, &mut expected);
        prop_assert_eq!(attention::scaled_dots(&words, width, &mantissas, &query, &mut found), max);
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn slices_of_wrong_lengths_do_no_harm() {
    let words = vec![0x1234_5678; 200];
    for cols in [0, 1, 16, 17, 48, 64, 4096] {
        for length in [0, 1, 4, 9, 16, 64] {
            let (x, mut out) = (vec![1; length], vec![0; length]);
            for words in [&words[..], &words[..7], &[]] {
                q4::dots(words, cols, &x, &mut out);
                q8::dots(words, cols, &x, &mut out);
            }
        }
    }
}
