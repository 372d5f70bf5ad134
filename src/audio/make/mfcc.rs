//! Cepstral coefficients: a cosine transform of the bands, which a model's first matrix can take in.

use core::f64::consts::PI;
use libm::{cos, sin, sqrt};
use std::vec::Vec;

/// Cepstral coefficients of a frame: a DCT of type II of its bands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mfcc {
    /// Number of coefficients, at most that of the bands.
    pub n_mfcc: usize,
    /// True for the orthonormal DCT, `norm="ortho"`; else twice the plain sum.
    pub ortho: bool,
    /// Weights of the coefficients.
    pub lifter: Lifter,
}

/// Weights of cepstral coefficients: `1 + lifter / 2 * sin(pi * i / lifter)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lifter {
    /// All 1.
    None,
    /// The first coefficient is number 0: Kaldi.
    Kaldi(f64),
    /// The first coefficient is number 1: librosa.
    Librosa(f64),
}

impl Mfcc {
    /// The matrix that makes coefficients of bands, `[n_mfcc, bands]`.
    pub(super) fn matrix(&self, bands: usize) -> Vec<f64> {
        let Mfcc { n_mfcc, ortho, lifter } = *self;
        let mut matrix = Vec::with_capacity(n_mfcc * bands);
        for k in 0..n_mfcc {
            let norm = match (ortho, k) {
                (false, _) => 2.0,
                (true, 0) => sqrt(1.0 / bands as f64),
                (true, _) => sqrt(2.0 / bands as f64),
            };
            let lift = |number: usize, lifter: f64| 1.0 + lifter / 2.0 * sin(PI * number as f64 / lifter);
            let weight = match lifter {
                Lifter::None => 1.0,
                Lifter::Kaldi(lifter) => lift(k, lifter),
                Lifter::Librosa(lifter) => lift(k + 1, lifter),
            };
            matrix.extend((0..bands).map(|n| norm * weight * cos(PI / bands as f64 * (n as f64 + 0.5) * k as f64)));
        }
        matrix
    }
}
