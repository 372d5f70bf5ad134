//! Softmax in fixed point: one multiplication, one shift and one cubic polynomial for each element, no float, no table.
//!
//! ```text
//! s[t] = q · k[t]           exact int32
//! a[t] = s[t] * m_k[t] * 2^(e_k[t] + e_q + 8 + F)       the log2-score over m_q / 256, F fraction bits
//! x[t] = (max(a) - a[t]) * m_q / 256                    how far below the maximum, F fraction bits
//! p[t] = 2^-x[t]                                        15 bits, unnormalised: the largest is 1
//! w[t] = p[t] * scale_v[t] / largest scale_v            15 bits: what multiplies the int8 values
//! ```
//! Keys and values carry a scale of 8 mantissa bits and an exponent ([`Scale`]), so that applying it is a short
//! multiplication and a shift. The sum that normalises (Milakov & Gimelshein 2018 call this the safe softmax) is divided
//! out of the result, once per output, not of every probability.

use super::quantize::Scale;

/// Fraction bits of the distance below the maximum: 2^-13 of a log2 unit is an error of 0.01 % in a probability.
const FRACTION_BITS: i32 = 12;
/// Distances are clamped here, where every probability has become 0 and every shift is still below 32.
const FARTHEST: i32 = (1 << 17) - 1;
/// Bits of the largest probability.
const PROBABILITY_BITS: u32 = 15;

/// The attention scores of one query, scaled and ready for [`Scores::probability`].
pub(crate) struct Scores<'a> {
    /// `a[t]` of the module's formula.
    scaled: &'a [i32],
    max: i32,
    query_mantissa: i32,
    fraction_bits: u32,
}

impl<'a> Scores<'a> {
    /// Scales exact dot products in place.
    ///
    /// `query` is the scale of the quantized query, which already carries the attention scale and log2(e).
    /// `None` when the products are beyond what can be told apart: more than 2^25 log2 units.
    ///
    /// # Shapes
    /// `dots`, `mantissas`, `exponents`: `[tokens]`, not empty.
    pub(crate) fn new(dots: &'a mut [i32], mantissas: &[i8], exponents: &[i8], query: Scale) -> Option<Scores<'a>> {
        let largest_exponent = i32::from(*exponents.iter().take(dots.len()).max()?);
        // Shift that gives F fraction bits; where it would be to the left, fewer fraction bits are kept instead.
        let unit = -(i32::from(query.exponent) + 8 + FRACTION_BITS);
        let excess = (largest_exponent - unit).max(0);
        let fraction_bits = u32::try_from(FRACTION_BITS - excess).ok()?;
        let base = unit + excess;
        let mut max = i32::MIN;
        for ((score, &mantissa), &exponent) in dots.iter_mut().zip(mantissas).zip(exponents) {
            let shift = (base - i32::from(exponent)).clamp(0, 31);
            // 127 * 127 * 512 * 255 < 2^31: `Dims::check` bounds head_dim.
            *score = score.wrapping_mul(i32::from(mantissa as u8)) >> shift;
            max = max.max(*score);
        }
        let query_mantissa = i32::from(query.mantissa);
        Some(Scores { scaled: dots, max, query_mantissa, fraction_bits })
    }

    /// Unnormalised probability of one scaled score, 15 bits.
    #[inline(always)]
    fn probability(&self, scaled: i32) -> u32 {
        // Unsigned: the distance of two i32 fits a u32.
        let distance = self.max.wrapping_sub(scaled).cast_unsigned().min(FARTHEST.cast_unsigned());
        exp2_negative((distance * self.query_mantissa.cast_unsigned()) >> 8, self.fraction_bits)
    }

    /// The probabilities, unnormalised; their sum is what [`Scores::weigh`] returns.
    pub(crate) fn probabilities(&self) -> impl Iterator<Item = u32> + '_ {
        self.scaled.iter().map(|&scaled| self.probability(scaled))
    }

    /// Writes the weight of every value vector and returns what a weighted integer sum is to be multiplied with.
    ///
    /// `max_seq` is the model's longest context: with more than 512 tokens weights get fewer bits, so that
    /// `sum(w[t] * 127)` fits 31 bits.
    ///
    /// # Shapes
    /// `weights`, `mantissas`, `exponents`: `[tokens]`.
    pub(crate) fn weigh(&self, weights: &mut [i16], mantissas: &[i8], exponents: &[i8], max_seq: usize) -> f32 {
        let largest = i32::from(exponents.iter().take(weights.len()).max().copied().unwrap_or(0));
        let spare_bits = weight_shift(max_seq);
        let mut sum = 0_u32;
        let values = mantissas.iter().zip(exponents);
        for ((weight, probability), (&mantissa, &exponent)) in weights.iter_mut().zip(self.probabilities()).zip(values)
        {
            sum += probability;
            let shift = (largest - i32::from(exponent) + 8 + spare_bits).clamp(1, 31);
            let product = probability * u32::from(mantissa as u8);
            *weight = ((product + (1 << (shift - 1))) >> shift) as i16;
        }
        super::float::power_of_two(largest + 8 + spare_bits) / sum.max(1) as f32
    }
}

/// Bits that weights give up in contexts beyond 512 tokens.
fn weight_shift(max_seq: usize) -> i32 {
    let blocks = max_seq.div_ceil(512).max(1);
    blocks.next_power_of_two().trailing_zeros().cast_signed()
}

/// `2^-(x / 2^fraction_bits)` with 15 bits; the result of 0 is 32765.
///
/// Accuracy: relative error of the polynomial below 1.4e-4 (tested over all arguments), then truncation to 15 bits.
/// Products are of two 16-bit values and shifts are by 15: what `SMULWB` and `VQDMULH` compute.
#[inline(always)]
fn exp2_negative(x: u32, fraction_bits: u32) -> u32 {
    let fraction = (x << (PROBABILITY_BITS - fraction_bits)) & 0x7fff;
    let mut power = 7535 - ((fraction * 1276) >> PROBABILITY_BITS);
    power = 22_642 - ((fraction * power) >> PROBABILITY_BITS);
    power = 32_765 - ((fraction * power) >> PROBABILITY_BITS);
    power >> (x >> fraction_bits).min(31)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn exp2_stays_within_its_documented_error() {
        for fraction in 0..1_u32 << 12 {
            let exact = (-f64::from(fraction) / 4096.0).exp2() * 32768.0;
            let found = f64::from(exp2_negative(fraction, 12));
            assert!(((found - exact) / exact).abs() < 1.4e-4, "{fraction}: {found} for {exact}");
        }
        for (x, bits) in [(16 << 12, 12), (FARTHEST.cast_unsigned(), 12), (u32::MAX >> 8, 12), (40, 0)] {
            assert_eq!(exp2_negative(x, bits), 0, "{x}");
        }
    }

    /// The textbook softmax-weighted sum of one dimension, in floats.
    fn exact(dots: &[i32], keys: &[Scale], query: Scale, values: &[i8], value_scales: &[Scale]) -> f64 {
        let scores = dots.iter().zip(keys).map(|(&dot, key)| {
            f64::from(dot) * f64::from(key.value()) * f64::from(query.value()) * std::f64::consts::LN_2
        });
        let scores: Vec<f64> = scores.collect();
        let max = scores.iter().copied().fold(f64::MIN, f64::max);
        let powers: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
        let sum: f64 = powers.iter().sum();
        let terms = powers.iter().zip(values).zip(value_scales);
        terms.map(|((p, &v), scale)| p / sum * f64::from(v) * f64::from(scale.value())).sum()
    }

    proptest! {
        #[test]
        fn weighted_sums_agree_with_the_float_softmax(
            rows in proptest::collection::vec((-130_000..130_000_i32, 0.01_f32..8.0, -127..=127_i8, 0.01_f32..8.0), 1..200),
            query in 0.001_f32..4.0,
        ) {
            let mut dots: Vec<i32> = rows.iter().map(|row| row.0).collect();
            let keys: Vec<Scale> = rows.iter().map(|row| Scale::covering(row.1)).collect();
            let values: Vec<i8> = rows.iter().map(|row| row.2).collect();
            let scales: Vec<Scale> = rows.iter().map(|row| Scale::covering(row.3)).collect();
            let query = Scale::covering(query);
            let expected = exact(&dots, &keys, query, &values, &scales);
            let split = |scales: &[Scale]| -> (Vec<i8>, Vec<i8>) {
                scales.iter().map(|scale| (scale.mantissa as i8, scale.exponent)).unzip()
            };
            let ((key_mantissas, key_exponents), (mantissas, exponents)) = (split(&keys), split(&scales));
            let mut weights = std::vec![0; rows.len()];
            let scores = Scores::new(&mut dots, &key_mantissas, &key_exponents, query).unwrap();
            let factor = scores.weigh(&mut weights, &mantissas, &exponents, 512);
            let sum: i32 = weights.iter().zip(&values).map(|(&w, &v)| i32::from(w) * i32::from(v)).sum();
            // Half a per mille of the largest value: 15-bit weights, 12 fraction bits, and the polynomial.
            prop_assert!((f64::from(sum as f32 * factor) - expected).abs() < 8.0 * 1e-3, "{sum} * {factor}, {expected}");
        }
    }

    #[test]
    fn weights_never_overflow_the_accumulator() {
        for max_seq in [1, 512, 513, 1024, 4096, 32_768_usize] {
            let tokens = max_seq as i64;
            let weight = ((32_765_u32 * 255) >> (8 + weight_shift(max_seq))) as i64 + 1;
            assert!(tokens * weight * 127 < 1 << 31, "{max_seq} tokens");
        }
    }

    #[test]
    fn enormous_scores_lose_fraction_bits_and_then_are_refused() {
        let query = Scale::covering(2f32.powi(20));
        let one_hot = |exponent: i8| {
            let mut dots = [1000, -1000];
            let mut weights = [0; 2];
            let scores = Scores::new(&mut dots, &[-128, -128], &[exponent; 2], query)?;
            scores.weigh(&mut weights, &[-128; 2], &[0; 2], 512);
            Some(weights)
        };
        assert_eq!(one_hot(-20), Some([16383, 0]));
        assert_eq!(one_hot(60), None);
    }
}
