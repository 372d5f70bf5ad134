//! The sampler: picks the next token, greedy, or at random from a seed with temperature, top-k and top-p.
//!
//! ```text
//! logits ──► distance below the maximum, in 2^-8 log2 units ──► 2^-x by table: integers of 30 bits ──► cut-off ──► draw
//! ```
//! Nothing is sorted. Tokens with a probability below the cut-off are dropped; the cut-off is found digit by digit, from the
//! highest digit down, with one histogram of 32 bins per digit. All arithmetic after the first step is in integers, so that a
//! core without an FPU takes less time to draw than to compute the logits. The same logits and seed give the same token on
//! every core.

use crate::arch;
use crate::error::Error;

/// Sampling parameters: temperature, top-k and top-p.
///
/// ```
/// use thumbformer::text::{Sampler, Sampling};
///
/// let mut sampler = Sampler::new(Sampling { temperature: 0.7, top_k: 2, top_p: 0.9 }, 1)?;
/// let token = sampler.sample(&mut [0.1, 2.0, -5.0]);
/// assert!(token < 2, "the third token is not among the two likeliest");
/// # Ok::<(), thumbformer::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divisor of the logits; 0 is greedy.
    pub temperature: f32,
    /// Number of tokens that stay in the draw, the likeliest ones; 0 keeps all.
    pub top_k: usize,
    /// Sum of probabilities that the kept tokens, the likeliest ones, must reach (Holtzman et al. 2020); 1 keeps all.
    pub top_p: f32,
}

impl Sampling {
    /// Greedy: always the likeliest token.
    pub const GREEDY: Sampling = Sampling { temperature: 0.0, top_k: 0, top_p: 1.0 };
}

/// A source of tokens, drawn from logits; its state is 8 bytes.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    state: u64,
}

impl Sampler {
    /// A sampler whose draws are determined by `seed`.
    ///
    /// # Errors
    /// [`Error::BadSampling`] for a temperature that is negative or not finite, and for a `top_p` outside `0 < top_p <= 1`.
    pub fn new(sampling: Sampling, seed: u64) -> Result<Sampler, Error> {
        if !(sampling.temperature.is_finite() && sampling.temperature >= 0.0) {
            return Err(Error::BadSampling { parameter: "temperature" });
        }
        if !(sampling.top_p > 0.0 && sampling.top_p <= 1.0) {
            return Err(Error::BadSampling { parameter: "top_p" });
        }
        // SplitMix64 (Steele et al. 2014) spreads small seeds; xorshift must not start at 0.
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(Sampler { sampling, state: (state ^ (state >> 31)) | 1 })
    }

    /// Draws the next token and overwrites the logits. A token whose logit is NaN is never drawn.
    ///
    /// # Shapes
    /// `logits: [vocab]`; an empty slice gives token 0.
    pub fn sample(&mut self, logits: &mut [f32]) -> u16 {
        let max = logits.iter().copied().fold(f32::MIN, f32::max);
        // Below this temperature the probability of the second-likeliest token cannot be told from 0.
        if self.sampling.temperature < 1e-4 || max == f32::INFINITY {
            return argmax(logits);
        }
        let units = UNITS / self.sampling.temperature;
        for logit in logits.iter_mut() {
            let distance = (max - *logit) * units + 0.5;
            // NaN is not above zero; a distance that is too large for an integer becomes the largest integer.
            let probability = if distance > 0.0 { probability(distance as u32) } else { 0 };
            *logit = f32::from_bits(probability);
        }
        let probabilities = &*arch::float_words(logits);
        let mut cut = 0;
        if self.sampling.top_k > 0 && self.sampling.top_k < probabilities.len() {
            cut = largest_cut(probabilities, 0, self.sampling.top_k as u64, |_| 1);
        }
        if self.sampling.top_p < 1.0 {
            // 24 bits, as many as a float's mantissa.
            let wanted = scaled(mass(probabilities, cut), (self.sampling.top_p * 16_777_216.0) as u32);
            cut = largest_cut(probabilities, cut, wanted, u64::from);
        }
        let target = scaled(mass(probabilities, cut), self.uniform());
        let mut sum = 0;
        let mut last = 0;
        for (token, &probability) in probabilities.iter().enumerate() {
            if probability >= cut && probability > 0 {
                last = token;
                sum += u64::from(probability);
                if sum > target {
                    break;
                }
            }
        }
        last as u16
    }

    /// A uniform random number in `0..2^24` (xorshift64*: Marsaglia 2003, scrambled as in Vigna 2016).
    fn uniform(&mut self) -> u32 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as u32
    }
}

/// Number of 2^-8 log2 units in one unit of the natural logarithm.
const UNITS: f32 = 256.0 * core::f32::consts::LOG2_E;

/// Bits of one digit of a probability, and of all six digits.
const DIGIT: u32 = 5;
const BITS: u32 = 6 * DIGIT;

/// `2^30 * 2^(-distance / 256)`, within 0.2 %: half a unit of the distance plus the error of the table.
fn probability(distance: u32) -> u32 {
    let whole = distance >> arch::FRACTION_BITS;
    let power = arch::exp2_fraction(distance as u8) << (BITS - 15);
    if whole < BITS { power >> whole } else { 0 }
}

/// `value * fraction / 2^24`, rounded down; the value has at most 46 bits, the fraction 24.
fn scaled(value: u64, fraction: u32) -> u64 {
    let fraction = u64::from(fraction);
    (value >> 24) * fraction + (((value & 0xff_ffff) * fraction) >> 24)
}

/// Sum of the probabilities that are not below the cut-off.
fn mass(probabilities: &[u32], cut: u32) -> u64 {
    probabilities.iter().filter(|&&p| p >= cut).map(|&p| u64::from(p)).sum()
}

/// A cut-off, not below `least`, that keeps as few of the likeliest tokens as it takes for their weights to sum to `wanted`.
fn largest_cut(probabilities: &[u32], least: u32, mut wanted: u64, weight: impl Fn(u32) -> u64) -> u32 {
    // The digits of the cut-off found so far, as one number.
    let mut known = 0;
    for shift in (0..BITS).step_by(DIGIT as usize).rev() {
        let mut weights = [0_u64; 1 << DIGIT];
        let mut counts = [0_u16; 1 << DIGIT];
        for &probability in probabilities {
            if probability >> shift >> DIGIT == known && probability >= least {
                let digit = (probability >> shift) as usize % (1 << DIGIT);
                weights[digit] += weight(probability);
                counts[digit] = counts[digit].saturating_add(1);
            }
        }
        // From the highest digit down; where the sum of all is below `wanted`, all are kept.
        let mut digit = (1 << DIGIT) - 1;
        while digit > 0 && weights[digit % (1 << DIGIT)] < wanted {
            wanted -= weights[digit % (1 << DIGIT)];
            digit -= 1;
        }
        known = known << DIGIT | digit as u32;
        if counts[digit % (1 << DIGIT)] <= 1 {
            // At most one token has these digits, and it is above every cut-off that begins with them.
            return (known << shift).max(least);
        }
    }
    known.max(least)
}

/// The token with the largest logit, the first among equals; 0 for an empty slice.
pub fn argmax(logits: &[f32]) -> u16 {
    let mut best = (f32::NEG_INFINITY, 0);
    for (token, &logit) in logits.iter().enumerate() {
        if logit > best.0 {
            best = (logit, token);
        }
    }
    best.1 as u16
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// Number of draws of each token.
    fn histogram(sampling: Sampling, logits: &[f32], draws: u32) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling, 7).unwrap();
        let mut counts = std::vec![0; logits.len()];
        for _ in 0..draws {
            counts[usize::from(sampler.sample(&mut logits.to_vec()))] += 1;
        }
        counts
    }

    #[test]
    fn draws_follow_the_softmax_of_the_logits() {
        let logits = [0.0, 1.0, 2.0, -1.0];
        for temperature in [0.5_f32, 1.0, 2.0] {
            let draws = 40_000;
            let counts = histogram(Sampling { temperature, top_k: 0, top_p: 1.0 }, &logits, draws);
            let sum: f32 = logits.iter().map(|logit| (logit / temperature).exp()).sum();
            for (count, logit) in counts.iter().zip(&logits) {
                let p = (logit / temperature).exp() / sum;
                // Five standard deviations of a binomial.
                let bound = 5.0 * (draws as f32 * p * (1.0 - p)).sqrt();
                assert!((*count as f32 - p * draws as f32).abs() < bound, "{counts:?} at {temperature}");
            }
        }
    }

    #[test]
    fn top_k_and_top_p_keep_the_likeliest_tokens_and_no_others() {
        let logits = [0.5_f32.ln(), 0.05_f32.ln(), 0.3_f32.ln(), 0.15_f32.ln()];
        let cases = [
            (1, 1.0, [true, false, false, false]),
            (2, 1.0, [true, false, true, false]),
            (9, 1.0, [true, true, true, true]),
            (0, 0.45, [true, false, false, false]),
            (0, 0.6, [true, false, true, false]),
            (0, 0.9, [true, false, true, true]),
            (3, 0.5, [true, false, false, false]),
        ];
        for (top_k, top_p, expected) in cases {
            let counts = histogram(Sampling { temperature: 1.0, top_k, top_p }, &logits, 4000);
            let drawn: Vec<bool> = counts.iter().map(|&count| count > 0).collect();
            assert_eq!(drawn, expected, "top_k {top_k}, top_p {top_p}: {counts:?}");
        }
    }

    #[test]
    fn cuts_keep_what_sorting_would_keep() {
        let mut state = 5_u32;
        for length in [1, 2, 3, 40, 300] {
            for spread in [0, 6, 12, 25] {
                let mut next = || {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 2) >> (state % (spread + 1))
                };
                let probabilities: Vec<u32> = (0..length).map(|_| next()).collect();
                let mut sorted = probabilities.clone();
                sorted.sort_unstable_by(|a, b| b.cmp(a));
                let total = mass(&probabilities, 0);
                for eighths in 1..8 {
                    let wanted = total * eighths / 8;
                    let mut sum = 0;
                    let smallest = sorted.iter().find(|&&p| {
                        sum += u64::from(p);
                        sum >= wanted
                    });
                    let cut = largest_cut(&probabilities, 0, wanted, u64::from);
                    let kept = probabilities.iter().filter(|&&p| p >= cut).count();
                    let expected = probabilities.iter().filter(|&&p| p >= *smallest.unwrap()).count();
                    assert_eq!(kept, expected, "{eighths} eighths of {length}, spread {spread}");
                }
                for top_k in 1..=length {
                    let cut = largest_cut(&probabilities, 0, top_k as u64, |_| 1);
                    let expected = probabilities.iter().filter(|&&p| p >= sorted[top_k - 1]).count();
                    assert_eq!(probabilities.iter().filter(|&&p| p >= cut).count(), expected, "{top_k} of {length}");
                }
            }
        }
    }

    #[test]
    fn logits_that_are_no_numbers_are_not_drawn() {
        let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0 };
        for (logits, expected) in [
            ([f32::NAN, 1.0, f32::NAN], 1),
            ([f32::NEG_INFINITY, f32::NAN, -5.0], 2),
            ([1.0, f32::INFINITY, 3.0], 1),
            ([f32::MIN, f32::MAX, 0.0], 1),
        ] {
            assert_eq!(Sampler::new(sampling, 3).unwrap().sample(&mut logits.clone()), expected, "{logits:?}");
        }
    }

    #[test]
    fn greedy_takes_the_first_maximum_and_seeds_repeat() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, 2.0]), 1);
        assert_eq!(argmax(&[]), 0);
        assert_eq!(Sampler::new(Sampling::GREEDY, 0).unwrap().sample(&mut [0.0, 9.0]), 1);
        let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0 };
        let draw = |seed| -> Vec<u16> {
            let mut sampler = Sampler::new(sampling, seed).unwrap();
            (0..50).map(|_| sampler.sample(&mut [0.0; 100])).collect()
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        for (temperature, top_p, parameter) in
            [(-1.0, 1.0, "temperature"), (f32::NAN, 1.0, "temperature"), (1.0, 0.0, "top_p"), (1.0, 1.5, "top_p")]
        {
            let error = Sampler::new(Sampling { temperature, top_k: 0, top_p }, 0).unwrap_err();
            assert_eq!(error, Error::BadSampling { parameter });
        }
    }
}
