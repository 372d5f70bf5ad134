//! The tables: the window and the mel filters.

use super::config::LogMelConfig;
use super::design::{hertz, mel, sin_squared};
use crate::error::Error;

/// Integer of a filter weight of 1.
const ONE: f64 = 32_768.0;

/// Largest integer of the window, for just below 1; its product with a sample fits 31 bits.
const PEAK: f64 = 65_535.0;

/// log2 of the factor of the energies: samples of 15 bits and a window of 16 bits, squared, and filters of 15 bits.
const ENERGY_BITS: i32 = 2 * (15 + 16) + 15;

/// The tables of a front end: the size of its FFT (a power of two, 64 to 512) and the number of its mel filters.
///
/// Window and weights have 16 bits. Their rounding is all that a filter picks up of a sound elsewhere in the spectrum that is
/// 80 dB louder.
///
/// Filters are triangles in the spectrum, spaced evenly in mels (Davis and Mermelstein 1980): each rises from the centre of
/// the one before to its own and falls to that of the next. A bin between two centres therefore feeds two filters, with weights
/// that add up to one, and one number per bin is enough.
#[derive(Clone, Debug)]
pub struct MelBank<const FFT: usize, const MELS: usize> {
    config: LogMelConfig,
    /// `FFT / 2` entries of the window's first half, which the second mirrors, then the weight of each bin, counted from
    /// `first`, in the filter that rises there.
    table: [u16; FFT],
    /// The first bin of the lowest filter.
    first: u16,
    /// Bins up to the centre of the lowest filter.
    rising: u16,
    /// Bins from each filter's centre to the next one's.
    falling: [u16; MELS],
    /// 2^floor in units of the energies.
    pub(super) floor: f32,
    /// The logarithm that becomes zero, and the scale of its units of 2^-15.
    pub(super) centre: i32,
    pub(super) scale: f32,
}

impl<const FFT: usize, const MELS: usize> MelBank<FFT, MELS> {
    /// Makes the tables; in a `static` or `const` at compile time. Needs no libm.
    ///
    /// # Errors
    /// [`Error::SampleRate`] for a rate other than 8000 and 16,000; [`Error::FrontEnd`] names the first other value that is
    /// out of range: `MELS` for a filter so narrow that it lies between two bins of the FFT.
    pub const fn new(config: LogMelConfig) -> Result<Self, Error> {
        if let Err(error) = config.check(FFT) {
            return Err(error);
        }
        let empty = Err(Error::FrontEnd { name: "MELS", found: MELS as u32 });
        if MELS == 0 || MELS > FFT / 2 {
            return empty;
        }
        let (half, hz) = (FFT / 2, config.sample_rate as f64 / FFT as f64);
        let mut table = [0; FFT];
        let mut i = 0;
        while i < config.window / 2 {
            // Hann, sampled half a step off its ends, where it is zero.
            let angle = core::f64::consts::PI * (i as f64 + 0.5) / config.window as f64;
            table[i] = (sin_squared(angle) * PEAK + 0.5) as u16;
            i += 1;
        }
        let (low, high) = (mel(config.low_hz as f64), mel(config.high_hz as f64));
        let step = (high - low) / (MELS + 1) as f64;
        let (mut first, mut rising, mut falling) = (0, 0, [0; MELS]);
        while (first as f64) * hz < config.low_hz as f64 {
            first += 1;
        }
        // A stretch reaches from one filter's centre to the next; the first begins and the last ends at a limit of the range.
        let (mut bin, mut stretch, mut up) = (first, 0, 0);
        while stretch <= MELS {
            let (left, right) = (hertz(low + stretch as f64 * step), hertz(low + (stretch + 1) as f64 * step));
            let (start, up_before, mut down) = (bin, up, 0);
            up = 0;
            while bin < half && (bin as f64) * hz < right {
                let weight = ((bin as f64 * hz - left) / (right - left) * ONE + 0.5) as u16;
                table[half + bin - first] = weight;
                up += weight as u32;
                down += ONE as u32 - weight as u32;
                bin += 1;
            }
            if stretch == 0 {
                rising = (bin - start) as u16;
            } else {
                falling[stretch - 1] = (bin - start) as u16;
                // A filter without a bin would give silence for ever.
                if up_before + down == 0 {
                    return empty;
                }
            }
            stretch += 1;
        }
        let floor = f32::from_bits(((127 + config.floor + ENERGY_BITS) as u32) << 23);
        let centre = ((config.centre + ENERGY_BITS as f32) * ONE as f32) as i32;
        let scale = config.scale / ONE as f32;
        Ok(MelBank { config, table, first: first as u16, rising, falling, floor, centre, scale })
    }

    /// The settings of the tables.
    pub const fn config(&self) -> &LogMelConfig {
        &self.config
    }

    /// Number of frames of a recording of `samples` samples.
    pub const fn frames(&self, samples: usize) -> usize {
        if samples < self.config.window { 0 } else { (samples - self.config.window) / self.config.hop + 1 }
    }

    /// The window's first half, in units of 2^-16.
    pub(super) fn half_window(&self) -> &[u16] {
        self.table.get(..self.config.window / 2).unwrap_or_default()
    }

    /// The weights of the bins from [`first`](Self::first) on, in units of 2^-15.
    pub(super) fn weights(&self) -> &[u16] {
        self.table.get(FFT / 2..).unwrap_or_default()
    }

    /// The first bin that has a weight.
    pub(super) fn first(&self) -> usize {
        usize::from(self.first)
    }

    /// Number of bins below the lowest filter's centre, then for each filter the number from its centre to the next one's.
    pub(super) fn stretches(&self) -> (usize, &[u16; MELS]) {
        (usize::from(self.rising), &self.falling)
    }

    /// Number of samples that `frames` frames cover; 0 for 0 frames.
    pub const fn samples(&self, frames: usize) -> usize {
        if frames == 0 { 0 } else { self.config.window + (frames - 1) * self.config.hop }
    }
}
