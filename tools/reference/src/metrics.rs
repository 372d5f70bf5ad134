//! Metrics of the distance between two sets of logits. Logarithms are natural: results are in nats.

use alloc::vec::Vec;

use crate::exp::exp;
use crate::matrix::{max, sum};

/// Logarithms of the softmax of `logits`.
///
/// # Units
/// Nats. `-log_softmax(logits)[token]` is the loss of `token`; the exponential of its mean is the perplexity.
pub fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let max = max(logits);
    let powers: Vec<f64> = logits.iter().map(|x| exp(x - max)).collect();
    let log_sum = max + libm::log(sum(&powers));
    logits.iter().map(|x| x - log_sum).collect()
}

/// Kullback-Leibler divergence `sum p ln(p / q)` of the softmax distributions of two sets of logits: the mean loss of
/// predicting `q` where `p` is true. 0 if they are equal, never negative beyond rounding.
///
/// # Units
/// Nats.
///
/// # Panics
/// If the lengths differ: two vocabularies are compared by mistake, which no number should hide.
pub fn kl_divergence(p_logits: &[f64], q_logits: &[f64]) -> f64 {
    kl_divergence_of_logs(&log_softmax(p_logits), &log_softmax(q_logits))
}

/// [`kl_divergence`] of distributions whose logarithms are known.
///
/// # Units
/// Nats.
///
/// # Panics
/// If the lengths differ.
pub fn kl_divergence_of_logs(p: &[f64], q: &[f64]) -> f64 {
    assert_eq!(p.len(), q.len(), "two vocabularies cannot be compared");
    let term = |(log_p, log_q): (&f64, &f64)| match exp(*log_p) {
        // A p that is 0 in f64 contributes nothing, whatever q is.
        0.0 => 0.0,
        p => p * (log_p - log_q),
    };
    let terms: Vec<f64> = p.iter().zip(q).map(term).collect();
    sum(&terms)
}

/// Signal-to-quantization-noise ratio `10 log10(sum r^2 / sum (r - f)^2)` over any number of vectors.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Sqnr {
    signal: f64,
    noise: f64,
}

impl Sqnr {
    /// Adds a vector of the reference and the one found in its place.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn add(&mut self, reference: &[f64], found: &[f64]) {
        assert_eq!(reference.len(), found.len(), "two lengths cannot be compared");
        self.signal += reference.iter().map(|r| r * r).sum::<f64>();
        self.noise += reference.iter().zip(found).map(|(r, f)| (r - f) * (r - f)).sum::<f64>();
    }

    /// Adds the sums of another ratio.
    pub fn merge(&mut self, other: &Sqnr) {
        self.signal += other.signal;
        self.noise += other.noise;
    }

    /// The ratio.
    ///
    /// # Units
    /// Decibels; infinite if nothing differs.
    pub fn decibels(&self) -> f64 {
        10.0 * libm::log10(self.signal / self.noise)
    }

    /// The ratio as an integer, for devices that print no floating point: 0 where it is negative or undefined, the largest integer
    /// where nothing differs.
    ///
    /// # Units
    /// Hundredths of a decibel, to the nearest.
    pub fn decibel_hundredths(&self) -> u32 {
        // The cast saturates, and turns NaN into 0.
        libm::round(100.0 * self.decibels()) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "found {found}, expected {expected}");
    }

    #[test]
    fn log_softmax_gives_the_logarithms_of_known_probabilities() {
        // Logits ln 1, ln 2, ln 5 mean probabilities 1/8, 2/8, 5/8.
        let found = log_softmax(&[0.0, 2f64.ln(), 5f64.ln()]);
        for (found, expected) in found.iter().zip([0.125f64, 0.25, 0.625]) {
            near(*found, expected.ln());
        }
    }

    #[test]
    fn log_softmax_survives_logits_whose_exponentials_do_not() {
        let found = log_softmax(&[1000.0, 1000.0, -1000.0]);
        near(found[0], -(2f64.ln()));
        near(found[2], -2000.0 - 2f64.ln());
    }

    #[test]
    fn divergence_equals_the_hand_computed_values_in_nats() {
        let even = [0.0, 0.0];
        let skewed = [3f64.ln(), 0.0]; // 3/4, 1/4
        // 1/2 ln(2/3) + 1/2 ln 2 = 1/2 ln(4/3); the other way 3/4 ln(3/2) + 1/4 ln(1/2).
        near(kl_divergence(&even, &skewed), 0.5 * (4f64 / 3.0).ln());
        near(kl_divergence(&skewed, &even), 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln());
        near(kl_divergence(&skewed, &skewed), 0.0);
        // A constant added to all logits is no difference.
        near(kl_divergence(&skewed, &[3f64.ln() + 7.0, 7.0]), 0.0);
    }

    #[test]
    fn divergence_is_finite_where_a_probability_vanishes() {
        near(kl_divergence(&[0.0, -1e6], &[0.0, 0.0]), 2f64.ln());
    }

    #[test]
    fn sqnr_equals_the_hand_computed_values_in_decibels() {
        let of = |reference: &[f64], found: &[f64]| {
            let mut sqnr = Sqnr::default();
            sqnr.add(reference, found);
            sqnr
        };
        near(of(&[3.0, 4.0], &[3.0, 4.5]).decibels(), 20.0); // 25 / 0.25
        near(of(&[10.0, 0.0], &[9.0, 0.0]).decibels(), 20.0);
        near(of(&[1.0, 1.0], &[0.0, 0.0]).decibels(), 0.0);
        assert_eq!(of(&[1.0], &[1.0]).decibels(), f64::INFINITY);
        // 10 log10(100 / 9), 10 log10(1 / 4).
        assert_eq!(of(&[10.0], &[7.0]).decibel_hundredths(), 1046);
        assert_eq!(of(&[1.0], &[3.0]).decibel_hundredths(), 0);
        assert_eq!(of(&[1.0], &[1.0]).decibel_hundredths(), u32::MAX);
        assert_eq!(of(&[0.0], &[0.0]).decibel_hundredths(), 0);
        // (9 + 91) / (1 + 0)
        let mut both = of(&[3.0], &[2.0]);
        both.merge(&of(&[91f64.sqrt()], &[91f64.sqrt()]));
        near(both.decibels(), 20.0);
    }
}
