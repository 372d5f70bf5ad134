//! Every backend that this machine can run gives the scalar bits, for all lengths around its blocks and extreme values; and
//! the scalar ones are the definition.

extern crate std;

use super::checkasm::{Finding, LENGTHS, run_for};
use super::scalar::Scalar;
use super::scalar::matrix::dots_q8;
use super::{
    Backend, GELU_TAIL, GROUP, Native, PACKED_COLUMNS, PACKED_ROWS, Packing, SILU_TAIL, first_group, pack_q4, pack_q8,
    words_q4,
};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// Integers with the extremes well represented.
fn int8() -> impl Strategy<Value = i8> {
    prop_oneof![Just(-127_i8), Just(127), Just(0), -127..=127_i8]
}

/// Rows, columns, a matrix and a vector.
fn product() -> impl Strategy<Value = (usize, usize, Vec<i8>, Vec<i8>)> {
    let size = || prop_oneof![4 => 1..70_usize, 1 => 1..600_usize];
    (size(), size()).prop_flat_map(|(rows, cols)| {
        let matrix = prop_oneof![
            4 => prop::collection::vec(int8(), rows * cols),
            1 => prop::sample::select(vec![-127_i8, 127]).prop_map(move |value| vec![value; rows * cols]),
        ];
        (Just(rows), Just(cols), matrix, prop::collection::vec(int8(), cols))
    })
}

/// Activations as a backend wants them, padded.
fn activations(x: &[i8], bytes: usize) -> Vec<u32> {
    let mut raw: Vec<u8> = x.iter().flat_map(|&x| i16::from(x).to_le_bytes().into_iter().take(bytes)).collect();
    raw.resize(x.len().next_multiple_of(PACKED_COLUMNS) * bytes, 0);
    raw.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word)).collect()
}

fn words(bytes: &[i8]) -> Vec<u32> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(4), 0);
    padded.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word.map(i8::cast_unsigned))).collect()
}

/// One token: key or value, mantissa, and what it was scored with.
fn tokens(width: usize) -> impl Strategy<Value = Vec<(Vec<i8>, i16)>> {
    prop::collection::vec((prop::collection::vec(int8(), width), 0..1024_i16), 1..70)
}

macro_rules! equals_scalar {
    ($name:ident, $backend:ty) => {
        mod $name {
            use super::*;

            #[test]
            fn every_case_of_checkasm_equals_the_scalar_backend() {
                let (mut memory, mut spare, mut found) = (vec![0; 48 * 1024], vec![0; 32 * 1024], Vec::new());
                let report = &mut |finding: &Finding| found.push(std::format!("{finding}"));
                let cases: u32 = (1..4).map(|seed| run_for::<$backend>(&mut memory, &mut spare, seed, report)).sum();
                assert!(cases as usize > LENGTHS && found.is_empty(), "{found:#?}");
            }

            proptest! {
                #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

                #[test]
                fn products_of_every_packing_are_the_definition((rows, cols, matrix, x) in product()) {
                    let width = cols.next_multiple_of(PACKED_COLUMNS);
                    let activation = size_of::<<$backend as Backend>::Activation>();
                    let x_words = activations(&x, activation);
                    let row = |row: &[i8]| row.iter().zip(&x).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum::<i32>();
                    let expected: Vec<i32> = matrix.chunks(cols).map(row).collect();
                    for packing in Packing::ALL {
                        let packed = pack_q8(packing, rows, cols, &matrix);
                        for (row, integers) in matrix.chunks(cols).enumerate() {
                            let mut found = Vec::new();
                            prop_assert_eq!(packing.row_q8(&packed, width, row, |integer| found.push(integer)), Some(()));
                            prop_assert_eq!((&found[..cols], found.len()), (integers, width));
                        }
                        if <$backend>::PACKING.is_some_and(|only| only != packing) {
                            continue;
                        }
                        let mut out = vec![7; rows.next_multiple_of(PACKED_ROWS)];
                        <$backend>::dots_q8(packing, &packed, width, &x_words, &mut out);
                        prop_assert_eq!(&out[..rows], &expected[..]);
                        prop_assert!(out[rows..].iter().all(|&sum| sum == 0));
                        let multipliers: Vec<i16> = (0..out.len()).map(|row| (row * 7919 % 32_768) as i16).collect();
                        <$backend>::matvec_q8(packing, &packed, width, &x_words, &multipliers, &mut out);
                        let scaled = expected.iter().zip(&multipliers).map(|(&sum, &m)| super::super::mul_q16(sum, m));
                        prop_assert_eq!(&out[..rows], &scaled.collect::<Vec<i32>>()[..]);
                    }
                }

                #[test]
                fn int4_products_of_every_packing_are_the_definition((rows, cols, matrix, x) in product(), seed in any::<u32>()) {
                    let width = cols.next_multiple_of(PACKED_COLUMNS);
                    let x_words = activations(&x, size_of::<<$backend as Backend>::Activation>());
                    let matrix: Vec<i8> = matrix.into_iter().map(|w| if w.abs() == 127 { w.signum() * 7 } else { w % 8 }).collect();
                    let groups = width.div_ceil(GROUP);
                    let scale = |index: usize| (index as u32 ^ seed).wrapping_mul(0x9e37_79b9) >> 24;
                    let scales: Vec<u8> = (0..rows * groups).map(|i| if seed % 4 == 0 { 255 } else { scale(i) as u8 }).collect();
                    let group = |col: usize| (col + GROUP - first_group(width)) / GROUP;
                    let weight = |r: usize, c: usize| i32::from(matrix[r * cols + c]) * i32::from(scales[r * groups + group(c)]);
                    let expected = (0..rows).map(|r| (0..cols).map(|c| weight(r, c) * i32::from(x[c])).sum::<i32>());
                    let expected: Vec<i32> = expected.collect();
                    for packing in Packing::ALL {
                        let packed = pack_q4(packing, rows, cols, &matrix, &scales);
                        prop_assert_eq!(packed.len() as u64, words_q4(rows, cols));
                        if <$backend>::PACKING.is_some_and(|only| only != packing) {
                            continue;
                        }
                        let mut out = vec![7; rows.next_multiple_of(PACKED_ROWS)];
                        <$backend>::dots_q4(packing, &packed, width, &x_words, &mut out);
                        prop_assert_eq!(&out[..rows], &expected[..]);
                        prop_assert!(out[rows..].iter().all(|&sum| sum == 0));
                        for index in 0..rows.div_ceil(4) * groups {
                            let found = packing.group(&packed, width, index / groups, index % groups);
                            let (block, g) = (index / groups * 4, index % groups);
                            let at = |r: usize, c: usize| if r < rows && c < cols { matrix[r * cols + c] } else { 0 };
                            for (k, integers) in found.rows.iter().enumerate() {
                                let columns: Vec<i8> = (0..width).filter(|&c| group(c) == g).map(|c| at(block + k, c)).collect();
                                prop_assert_eq!(&columns[..], &integers[..columns.len()]);
                                let scale = if block + k < rows { scales[(block + k) * groups + g] } else { 0 };
                                prop_assert_eq!(found.scales[k], scale);
                            }
                        }
                    }
                }

                #[test]
                fn scores_equal_the_scalar_backend(
                    (width, tokens, query) in (1..5_usize).prop_flat_map(|chunks| {
                        let width = 4 * chunks;
                        (Just(width), tokens(width), prop::collection::vec(-250..=250_i16, width))
                    }),
                ) {
                    let keys = words(&tokens.iter().flat_map(|(key, _)| key.clone()).collect::<Vec<i8>>());
                    let mantissas: Vec<i16> = tokens.iter().map(|(_, mantissa)| *mantissa).collect();
                    let (mut expected, mut found) = (vec![0; tokens.len()], vec![0; tokens.len()]);
                    let max = Scalar::scaled_dots(&keys, width, &mantissas, &query, &mut expected);
                    prop_assert_eq!(<$backend>::scaled_dots(&keys, width, &mantissas, &query, &mut found), max);
                    prop_assert_eq!(found, expected);
                }

                #[test]
                fn weights_equal_the_scalar_backend(
                    rows in prop::collection::vec((any::<i16>(), 0..=i16::MAX), 1..70), left in prop_oneof![3 => Just(0), 1 => 0..17_u32],
                ) {
                    let (mut expected, mantissas): (Vec<i16>, Vec<i16>) = rows.into_iter().unzip();
                    let mut found = expected.clone();
                    let max = expected.iter().copied().max().unwrap();
                    let sum = Scalar::weigh(&mut expected, max, left, &mantissas);
                    prop_assert_eq!(<$backend>::weigh(&mut found, max, left, &mantissas), sum);
                    prop_assert_eq!(found, expected);
                }

                #[test]
                fn weighted_sums_equal_the_scalar_backend(
                    (sums, chunks, spare) in (1..20_usize, 1..20_usize, 0..3_usize), seed in any::<u32>(),
                ) {
                    let stride = 4 * (chunks + spare);
                    let mut state = seed;
                    let mut next = || { state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223); state >> 16 };
                    let values: Vec<u32> = (0..sums * stride / 4).map(|_| next() << 16 | next()).collect();
                    let weights: Vec<i16> = (0..4 * chunks).map(|_| (next() % 16_384) as i16).collect();
                    let (mut expected, mut found) = (vec![0; sums], vec![0; sums]);
                    Scalar::weighted_sums(&values, stride, &mut weights.clone(), &mut expected);
                    <$backend>::weighted_sums(&values, stride, &mut weights.clone(), &mut found);
                    prop_assert_eq!(found, expected);
                }

                #[test]
                fn int8_equals_the_scalar_backend(x in prop::collection::vec(any::<i32>(), 1..70), shift in 3..32_u32) {
                    let x: Vec<i32> = x.into_iter().map(|x| x >> shift).collect();
                    let largest = Scalar::abs_max(&x);
                    prop_assert_eq!(<$backend>::abs_max(&x), largest);
                    prop_assert!(x.iter().all(|x| x.unsigned_abs() <= largest));
                    prop_assert!(x.iter().any(|x| x.unsigned_abs() + 1 >= largest));
                    let ratio = super::super::Multiplier::new(127.0 / largest as f32, largest).unwrap();
                    prop_assert_eq!(<$backend>::magnitudes(&x), Scalar::magnitudes(&x));
                    let halves: Vec<i16> = x.iter().map(|&x| x as i16).collect();
                    let small: Vec<i32> = x.iter().map(|&x| x >> 4).collect();
                    let (mut expected, mut found) = (small.clone(), small.clone());
                    Scalar::scale_rows(&mut expected, &halves);
                    <$backend>::scale_rows(&mut found, &halves);
                    prop_assert_eq!(&found, &expected);
                    let bias = super::super::Multiplier::new(4095.9 / (shift * shift * shift) as f32, 1 << 15).unwrap();
                    Scalar::add_scaled(&mut expected, &halves, bias);
                    <$backend>::add_scaled(&mut found, &halves, bias);
                    prop_assert_eq!(&found, &expected);
                    let shift = 17_u32.saturating_sub(shift);
                    prop_assert_eq!(<$backend>::sum_of_squares(&x, shift), Scalar::sum_of_squares(&x, shift));
                    prop_assert_eq!(<$backend>::sum(&x), Scalar::sum(&x));
                    let mut in_place = x.clone();
                    <$backend>::rescale_in_place(&mut in_place, ratio);
                    prop_assert_eq!(&in_place, &x.iter().map(|&x| ratio.apply(x)).collect::<Vec<i32>>());
                    let (mut bytes, mut halves) = (vec![0; x.len()], vec![0; x.len()]);
                    <$backend>::rescale_i8(&x, ratio, &mut bytes);
                    <$backend>::rescale_i16(&x, ratio, &mut halves);
                    prop_assert_eq!(&bytes, &x.iter().map(|&x| ratio.apply(x) as i8).collect::<Vec<i8>>());
                    prop_assert_eq!(&halves, &x.iter().map(|&x| ratio.apply(x) as i16).collect::<Vec<i16>>());
                    let mut found = vec![<$backend as Backend>::Activation::from(0); x.len()];
                    <$backend>::rescale(&x, ratio, &mut found);
                    let found: Vec<i32> = found.into_iter().map(|x| x.into()).collect();
                    prop_assert_eq!(found, x.iter().map(|&x| ratio.apply(x)).collect::<Vec<i32>>());
                }

                #[test]
                fn activations_and_rotations_equal_the_scalar_backend(
                    rows in prop::collection::vec((-100_000..100_000_i32, -100_000..100_000_i32, any::<i16>(), any::<i16>()), 1..70),
                    number in 1e-4_f32..2000.0, shifts in (0..16_u32, 0..8_u32),
                ) {
                    let ratio = super::super::Multiplier::new(number, 100_000).unwrap();
                    let low: Vec<i32> = rows.iter().map(|row| row.0).collect();
                    let high: Vec<i32> = rows.iter().map(|row| row.1).collect();
                    // The product of both must fit.
                    let shifts = (shifts.0 + 12, shifts.1 + 4);
                    let (mut expected, mut found) = (low.clone(), low.clone());
                    Scalar::activate_times(&mut expected, &high, ratio, shifts, &SILU_TAIL);
                    <$backend>::activate_times(&mut found, &high, ratio, shifts, &SILU_TAIL);
                    prop_assert_eq!(found, expected);
                    let (mut expected, mut found) = (low.clone(), low.clone());
                    Scalar::activate(&mut expected, ratio, &GELU_TAIL);
                    <$backend>::activate(&mut found, ratio, &GELU_TAIL);
                    prop_assert_eq!(found, expected);
                    let (cosines, sines): (Vec<i16>, Vec<i16>) = rows.iter().map(|row| (row.2, row.3)).unzip();
                    let (mut expected, mut found) = ((low.clone(), high.clone()), (low, high));
                    Scalar::rotate(&mut expected.0, &mut expected.1, &cosines, &sines);
                    <$backend>::rotate(&mut found.0, &mut found.1, &cosines, &sines);
                    prop_assert_eq!(found, expected);
                }
            }
        }
    };
}

equals_scalar!(native, Native);
#[cfg(feature = "portable-simd")]
equals_scalar!(simd, super::super::simd::Simd);

#[test]
fn the_scalar_backend_computes_the_definitions() {
    // Two tokens of four values, the second one twice as large.
    let keys = words(&[1, -2, 3, 127, 1, -2, 3, 127]);
    let mut scores = [0; 2];
    let max = Scalar::scaled_dots(&keys, 4, &[512, 1024], &[10, 20, 30, 100], &mut scores);
    let dot = 10 - 40 + 90 + 12_700;
    assert_eq!((scores, max), ([dot * 512 / 65_536, dot * 1024 / 65_536].map(|score| score as i16), scores[1]));
    // Half as probable for each 256 below the maximum; the mantissa of the third is half.
    let mut scores = [1000, 744, 488, -32_768];
    assert_eq!(Scalar::weigh(&mut scores, 1000, 0, &[32_767, 32_767, 16_384, 32_767]), 32_765 + 16_382 + 8_191);
    assert_eq!(scores, [16_382, 8_190, 2_047, 0]);
    // One bit of resolution less: the same distance is twice as far.
    let mut scores = [1000, 744];
    assert_eq!(Scalar::weigh(&mut scores, 1000, 1, &[32_767; 2]), 32_765 + 8_191);
    let mut sums = [0; 2];
    Scalar::weighted_sums(&words(&[1, -1, 2, 0, 127, 127, -127, 9]), 4, &mut [100, 10, 1, 0], &mut sums);
    assert_eq!(sums, [92, 127 * 109]);
    let mut out = [0; 4];
    let x: [i8; 16] = [5, 6, -7, 127, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let packed = pack_q8(Packing::Host, 1, 16, &[[1, -2, 3, 127, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, -127]].concat());
    dots_q8(Packing::Host, &packed, 16, &x, &mut out);
    assert_eq!(out, [5 - 12 - 21 + 127 * 127 - 127, 0, 0, 0]);
}
