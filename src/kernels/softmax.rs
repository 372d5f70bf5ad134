//! Softmax-weighted sums in fixed point: one multiplication, one table look-up and one shift for each element, no float.
//!
//! ```text
//! query, scaled so that scores come out in units of 2^-8 log2 ──► 16 bits, Query
//! a[t] = (query · k[t]) * m_k[t] / 2^16           16 bits: the score
//! p[t] = 2^((a[t] - max a) / 256)                 15 bits, unnormalised: the largest is 1
//! w[t] = p[t] * m_v[t] / 2^16                     15 bits: what multiplies the int8 values
//! out  = sum(w[t] * v[t]) * 2^16 / sum(p)         in units of 2^(exponent of the values)
//! ```
//! Keys and values carry 16-bit mantissas to one exponent per head ([`Scale`](super::quantize::Scale)). The sum that
//! normalises (Milakov & Gimelshein 2018 call this the safe softmax) is divided out of the result, once per head, not of
//! every probability.

use super::scaled::{Multiplier, Scaled, power_of_two};
use crate::arch::{Backend, FRACTION_BITS, Native, probability};

/// Bits of a key's mantissa: the query has the rest of the 32 bits that a scaled score is made of.
pub(crate) const KEY_BITS: i32 = 10;
/// Largest sum of magnitudes of a query: with it, and a key of ±127 in every place, a score just fits 16 bits.
/// `bounds::scaled_score` is below 2^15.
pub(crate) const LARGEST_QUERY: f32 = 16_500.0;
/// Rounding adds half to each of 512 magnitudes at most.
const ROUNDING: f32 = 256.0;

/// Bits of a value's mantissa for contexts of `max_seq` tokens: 15 up to 512 tokens, then one less for each doubling, so
/// that `sum(w[t] * 127)` fits 31 bits.
pub(crate) const fn value_bits(max_seq: usize) -> i32 {
    let blocks = max_seq.div_ceil(512);
    15 - (if blocks > 1 { blocks.next_power_of_two().trailing_zeros() } else { 0 }) as i32
}

/// A query in 16 bits, and how its scores are to be read.
pub(crate) struct Query<'a> {
    /// `[width]`, padded with zeros.
    integers: &'a [i16],
    /// Bits that scores lack to the full resolution: 0 but for enormous queries.
    shift: u32,
}

impl<'a> Query<'a> {
    /// Scales a query, so that a score is in units of 2^-8 of a log2 unit.
    ///
    /// `factor` is what queries are multiplied with (attention scale and log2(e)); `key_exponent` is that of the head's keys.
    /// `None` when scores could be beyond 2^24 log2 units.
    ///
    /// # Shapes
    /// `query: [head_dim]`; `integers: [width]`.
    pub(crate) fn new(
        query: &Scaled<'_>,
        factor: f32,
        key_exponent: i16,
        integers: &'a mut [i16],
    ) -> Option<Query<'a>> {
        // In units of 128, so that 512 numbers of 29 bits fit a word; it bounds every magnitude as well.
        let sum = Native::magnitudes(query.integers);
        let bound = if sum < 1 << 22 { sum << 7 } else { Native::abs_max(query.integers) };
        let sum = sum as f32 * 128.0;
        let full = query.scale * factor * power_of_two(i32::from(key_exponent) + FRACTION_BITS.cast_signed() + 16);
        // NaN fits nothing and ends in the error.
        let fits = |shift: &u32| sum * full * power_of_two(-shift.cast_signed()) <= LARGEST_QUERY - ROUNDING;
        let shift = (0..=16).find(fits)?;
        let ratio = full * power_of_two(-shift.cast_signed());
        let ratio = Multiplier::new(ratio, bound)?;
        let (used, padding) = integers.split_at_mut_checked(query.integers.len())?;
        Native::rescale_i16(query.integers, ratio, used);
        if !padding.is_empty() {
            padding.fill(0);
        }
        Some(Query { integers, shift })
    }

    /// The scores of all tokens, in 16 bits.
    ///
    /// # Shapes
    /// `keys: [tokens, width]`; `mantissas: [tokens]`; `scores`: `[tokens]`, padded to a multiple of 4.
    #[inline]
    pub(crate) fn scores<'s>(&self, keys: &[u32], mantissas: &[i16], scores: &'s mut [i16]) -> Scores<'s> {
        let max = Native::scaled_dots(keys, self.integers.len(), mantissas, self.integers, scores);
        Scores { scores, tokens: mantissas.len(), max, shift: self.shift }
    }
}

/// The attention scores of one query, before and after they became weights.
pub(crate) struct Scores<'a> {
    scores: &'a mut [i16],
    tokens: usize,
    max: i16,
    shift: u32,
}

impl Scores<'_> {
    /// The probabilities, unnormalised, 15 bits.
    pub(crate) fn probabilities(&self) -> impl Iterator<Item = u32> + '_ {
        self.scores.iter().take(self.tokens).map(|&score| probability(score, self.max, self.shift))
    }

    /// The weighted sum of the values, `out[i] = sum(p[t] * m_v[t] * v[i][t]) / sum(p)`, divided by `2^spare_exponent`.
    ///
    /// `None` when a buffer is too short.
    ///
    /// # Shapes
    /// `values: [head_dim, stride]`; `mantissas: [tokens]`; `out: [head_dim]`.
    #[inline]
    pub(crate) fn weighted_sums(self, values: &Values<'_>, spare_exponent: i32, out: &mut [i32]) -> Option<()> {
        let (scores, padding) = self.scores.split_at_mut_checked(self.tokens)?;
        if !padding.is_empty() {
            padding.fill(0);
        }
        let sum = Native::weigh(scores, self.max, self.shift, values.mantissas);
        // |out| <= 127 * sum(w) and w <= p * 2^(bits - 16).
        let bound = (sum >> (15 - values.bits)).saturating_mul(64).saturating_add(64);
        // What is shifted by more leaves nothing.
        let spare = if spare_exponent > 60 { 0.0 } else { power_of_two(-spare_exponent) };
        let ratio = Multiplier::new(65_536.0 / sum as f32 * spare, bound)?;
        Native::scaled_sums(values.integers, values.stride, self.scores, ratio, out);
        Some(())
    }
}

/// The cached values of one head.
pub(crate) struct Values<'a> {
    /// int8, `[head_dim, stride]`.
    pub(crate) integers: &'a [u32],
    pub(crate) stride: usize,
    /// `[tokens]`.
    pub(crate) mantissas: &'a [i16],
    /// Bits of a mantissa: [`value_bits`].
    pub(crate) bits: i32,
}
