//! Choosing the next token: greedy, or drawn with temperature, top-k and top-p from a seedable generator.
//!
//! No sorting and no scratch: a cut-off is a probability below which tokens are dropped, found by bisection over the bits of
//! a positive float. The same logits and seed give the same token on every core.

use crate::error::Error;
use crate::kernels::float::exp;

/// How tokens are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 is greedy.
    pub temperature: f32,
    /// Keeps the `top_k` likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the likeliest tokens whose probabilities reach this sum (Holtzman et al. 2020); 1 keeps all.
    pub top_p: f32,
}

impl Sampling {
    /// Always the likeliest token.
    pub const GREEDY: Sampling = Sampling { temperature: 0.0, top_k: 0, top_p: 1.0 };
}

/// Draws tokens; its state is 8 bytes.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    state: u64,
}

impl Sampler {
    /// A sampler whose draws are determined by `seed`.
    ///
    /// # Errors
    /// [`Error::BadSampling`] for a temperature that is negative or not finite and a `top_p` outside `0 < top_p <= 1`.
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

    /// Draws the next token. The logits are used up: they become unnormalised probabilities.
    ///
    /// # Shapes
    /// `logits: [vocab]`; an empty slice gives token 0.
    pub fn sample(&mut self, logits: &mut [f32]) -> u16 {
        // Below this temperature the second-likeliest token has no chance that a float could tell from 0.
        if self.sampling.temperature < 1e-4 {
            return argmax(logits);
        }
        let max = logits.iter().copied().fold(f32::MIN, f32::max);
        let inverse = 1.0 / self.sampling.temperature;
        for logit in logits.iter_mut() {
            *logit = exp((*logit - max) * inverse);
        }
        let probabilities = logits;
        let mut cut = 0.0_f32;
        if self.sampling.top_k > 0 && self.sampling.top_k < probabilities.len() {
            let top_k = self.sampling.top_k;
            cut = largest_cut(|cut| probabilities.iter().filter(|&&p| p >= cut).count() >= top_k);
        }
        if self.sampling.top_p < 1.0 {
            let wanted = self.sampling.top_p * mass(probabilities, cut);
            cut = cut.max(largest_cut(|cut| mass(probabilities, cut) >= wanted));
        }
        let target = self.uniform() * mass(probabilities, cut);
        let mut sum = 0.0;
        let mut last = 0;
        for (token, &probability) in probabilities.iter().enumerate() {
            if probability >= cut {
                last = token;
                sum += probability;
                if sum > target {
                    break;
                }
            }
        }
        last as u16
    }

    /// Uniform in 0..1, 24 bits (Marsaglia 2003, xorshift64*, as Vigna 2016 scrambles it).
    fn uniform(&mut self) -> f32 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let bits = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        bits as f32 * (1.0 / 16_777_216.0)
    }
}

/// Sum of the probabilities that are not below the cut, in token order.
fn mass(probabilities: &[f32], cut: f32) -> f32 {
    probabilities.iter().filter(|&&p| p >= cut).sum()
}

/// The largest cut in 0..=1 that is still `enough`; positive floats order like their bits, so 30 halvings find it.
fn largest_cut(enough: impl Fn(f32) -> bool) -> f32 {
    let (mut low, mut high) = (0, 1.0_f32.to_bits());
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if enough(f32::from_bits(middle)) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    f32::from_bits(low)
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

    /// How often each token is drawn.
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
