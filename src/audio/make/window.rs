//! Windows: a function, and the places at which it is sampled.

use core::f64::consts::PI;
use libm::{cos, pow};
use std::vec::Vec;

/// Integer of the window's largest value, just below 1 in units of 2^-16: its product with a sample fits 31 bits.
///
/// Values are rounded down by 1.5e-5 of themselves with it, 4.4e-5 octaves of an energy: a fifth of what the logarithm rounds.
const PEAK: f64 = 65_535.0;

/// A window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its function.
    pub shape: WindowShape,
    /// The places at which it is sampled.
    pub sampling: Sampling,
}

/// Function of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowShape {
    /// A squared sine.
    Hann,
    /// `0.54 - 0.46 cos`.
    Hamming,
    /// Hann's to the power of 0.85: Kaldi's own.
    Povey,
    /// `0.42 - 0.5 cos + 0.08 cos 2`.
    Blackman,
    /// 1 everywhere.
    Rectangular,
}

/// Places at which a window is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// From the first end on, the last one left out: `periodic=True`, `fftbins=True`.
    Periodic,
    /// From end to end: `periodic=False`, Kaldi.
    Symmetric,
    /// Half a step off both ends.
    HalfStep,
}

impl Window {
    /// The value at a sample, 0 to 1.
    fn at(self, index: usize, length: usize) -> f64 {
        let turn = match self.sampling {
            Sampling::Periodic => index as f64 / length as f64,
            Sampling::Symmetric => index as f64 / (length.max(2) - 1) as f64,
            Sampling::HalfStep => (index as f64 + 0.5) / length as f64,
        };
        let angle = 2.0 * PI * turn;
        let hann = 0.5 - 0.5 * cos(angle);
        match self.shape {
            WindowShape::Hann => hann,
            WindowShape::Hamming => 0.54 - 0.46 * cos(angle),
            WindowShape::Povey => pow(hann.max(0.0), 0.85),
            WindowShape::Blackman => 0.42 - 0.5 * cos(angle) + 0.08 * cos(2.0 * angle),
            WindowShape::Rectangular => 1.0,
        }
    }

    /// The sum of the squares of its values, by which torchaudio normalises a spectrum.
    pub fn sum_of_squares(self, length: usize) -> f64 {
        (0..length).map(|index| self.at(index, length) * self.at(index, length)).sum()
    }

    /// The first half with the middle, in units of 2^-16.
    pub(super) fn half(self, length: usize) -> Vec<u16> {
        let periodic = usize::from(self.sampling == Sampling::Periodic);
        let entries = (length + periodic).div_ceil(2);
        (0..entries).map(|index| (self.at(index, length) * PEAK + 0.5) as u16).collect()
    }
}
