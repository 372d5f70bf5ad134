//! The words of a front end.

use super::config::{
    Cut, Deviation, Fill, Floor, FrameLength, FrontEndConfig, Logarithm, Normalize, PadMode, Preemphasis, Spectrum,
};
use super::window::Sampling;
use crate::audio::front_end::FrontEnd;
use crate::audio::layout::{self, word};
use crate::error::Error;
use core::f64::consts::{LN_2, LOG10_2};
use libm::{fabs, log2, round};
use std::vec::Vec;

/// Integer of an octave: logarithms have 15 bits below it.
const OCTAVE: f64 = 32_768.0;

impl Logarithm {
    /// The logarithm of 2.
    const fn octave(self) -> f64 {
        match self {
            Logarithm::Natural => LN_2,
            Logarithm::Two => 1.0,
            Logarithm::Ten => LOG10_2,
            Logarithm::PowerDecibel => 10.0 * LOG10_2,
            Logarithm::AmplitudeDecibel => 20.0 * LOG10_2,
        }
    }
}

impl FrontEndConfig {
    /// The words that [`FrontEnd::parse`] reads.
    ///
    /// # Errors
    /// [`Error::FftLength`] for an FFT length that is no power of two; those of [`FrontEnd::parse`].
    pub fn words(&self) -> Result<Vec<u32>, Error> {
        self.check_lengths()?;
        let bands = self.bands();
        let filters = self.filters.stored(bands, self.sample_rate, self.n_fft)?;
        let window = self.window.half(self.win_length);
        let mut words = std::vec![0; layout::WORDS];
        self.write_sizes(&mut words)?;
        self.write_options(&mut words)?;
        words[word::FILTERS] = filters.kind;
        words[word::FIRST_BIN] = filters.first_bin as u32;
        words[word::WEIGHTS] = filters.weights.len() as u32;
        for table in [&window, &filters.counts, &filters.weights] {
            let pairs = table.chunks(2);
            words.extend(pairs.map(|pair| u32::from(pair[0]) | u32::from(pair.get(1).copied().unwrap_or(0)) << 16));
        }
        let mut rows = Vec::new();
        for band in 0..bands {
            rows.push(self.row(band, filters.units[band])?);
        }
        let one = rows.iter().all(|row| *row == rows[0]);
        words[word::ROW_PER_BAND] = u32::from(!one);
        words.extend(rows.iter().take(if one { 1 } else { bands }).flatten());
        FrontEnd::parse(&words)?;
        Ok(words)
    }

    fn check_lengths(&self) -> Result<(), Error> {
        let (found, max) = (self.n_fft, layout::MAX_FFT);
        if !found.is_power_of_two() && found <= max {
            let nearest = found.next_power_of_two().max(64) as u32;
            return Err(Error::FftLength { found: found as u32, nearest });
        }
        for (name, size, min, max) in [
            ("n_fft", self.n_fft, 64, max),
            ("win_length", self.win_length, 2, self.n_fft),
            ("hop_length", self.hop_length, 1, layout::MAX_SAMPLES),
            ("clip_samples", self.clip_samples, 0, (1 << 28) - 1),
        ] {
            if size < min || size > max {
                return Err(Error::FrontEnd { name, found: u32::try_from(size).unwrap_or(u32::MAX) });
            }
        }
        for (name, list) in [("offset", &self.offset), ("scale", &self.scale)] {
            if list.len() != 1 && list.len() != self.bands() {
                return Err(Error::FrontEnd { name, found: list.len() as u32 });
            }
        }
        Ok(())
    }

    fn write_sizes(&self, words: &mut [u32]) -> Result<(), Error> {
        let frame = match self.frame {
            FrameLength::Fft => self.n_fft,
            FrameLength::Window => self.win_length,
        };
        words[word::SAMPLE_RATE] = self.sample_rate;
        for (index, size) in [
            (word::WINDOW, self.win_length),
            (word::HOP, self.hop_length),
            (word::FFT, self.n_fft),
            (word::FRAME, frame),
            (word::LEAD, (frame - self.win_length) / 2),
            (word::PAD, if self.center { frame / 2 } else { 0 }),
            (word::BANDS, self.bands()),
            (word::CLIP, self.clip_samples),
        ] {
            words[index] = size as u32;
        }
        Ok(())
    }

    fn write_options(&self, words: &mut [u32]) -> Result<(), Error> {
        words[word::PADDING] = match self.pad_mode {
            // Without padding it says nothing.
            PadMode::Reflect if self.center => layout::PADDING_REFLECT,
            PadMode::Zeros | PadMode::Reflect => layout::PADDING_ZEROS,
        };
        words[word::SYMMETRY] = match self.window.sampling {
            Sampling::Periodic => layout::WINDOW_PERIODIC,
            Sampling::Symmetric | Sampling::HalfStep => layout::WINDOW_SYMMETRIC,
        };
        words[word::SPECTRUM] = match self.spectrum {
            Spectrum::Power => layout::SPECTRUM_POWER,
            Spectrum::Magnitude => layout::SPECTRUM_MAGNITUDE,
        };
        words[word::FLOOR] = match self.floor {
            Floor::Added(_) => layout::FLOOR_ADDED,
            Floor::Least(_) => layout::FLOOR_LEAST,
        };
        words[word::REMOVE_DC] = u32::from(self.remove_dc);
        let (kind, coefficient) = match self.preemphasis {
            Preemphasis::None | Preemphasis::Signal(0.0) | Preemphasis::Frame(0.0) => (layout::PREEMPHASIS_NONE, 0.0),
            Preemphasis::Signal(coefficient) => (layout::PREEMPHASIS_SIGNAL, coefficient),
            Preemphasis::Frame(coefficient) => (layout::PREEMPHASIS_FRAME, coefficient),
        };
        (words[word::PREEMPHASIS], words[word::COEFFICIENT]) = (kind, (coefficient as f32).to_bits());
        words[word::SHORT] = match self.fill {
            Fill::Silence => layout::SHORT_SILENCE,
            Fill::Frames => layout::SHORT_FRAMES,
        };
        words[word::CUT] = match self.cut {
            None | Some(Cut::Before) => layout::CUT_BEFORE,
            Some(Cut::After) => layout::CUT_AFTER,
        };
        let unit = OCTAVE / self.logarithm.octave();
        if let Some(top) = self.top_db {
            // 0 would be none.
            words[word::TOP] = if top > 0.0 { (top * unit) as f32 } else { f32::NAN }.to_bits();
        }
        let (kind, deviation) = match self.normalize {
            Normalize::None => (layout::NORMALIZE_NONE, None),
            Normalize::BandMean => (layout::NORMALIZE_BAND_MEAN, None),
            Normalize::Band(deviation) => (layout::NORMALIZE_BAND, Some(deviation)),
            Normalize::ClipMean => (layout::NORMALIZE_CLIP_MEAN, None),
            Normalize::Clip(deviation) => (layout::NORMALIZE_CLIP, Some(deviation)),
            Normalize::Max => (layout::NORMALIZE_MAX, None),
        };
        words[word::NORMALIZE] = kind;
        if let Some(Deviation { unbiased, epsilon }) = deviation {
            words[word::DEVIATION] = (unit as f32).to_bits();
            words[word::EPSILON] = ((epsilon * unit) as f32).to_bits();
            words[word::UNBIASED] = u32::from(unbiased);
        }
        Ok(())
    }

    /// The row of a band whose weights are integers times `unit`.
    fn row(&self, band: usize, unit: f64) -> Result<[u32; layout::band::WORDS], Error> {
        // Samples have 15 bits, the window 16.
        let amplitude = self.full_scale / 32_768.0 / 65_536.0 * self.amplitude;
        let energy = match self.spectrum {
            Spectrum::Power => amplitude * amplitude,
            Spectrum::Magnitude => amplitude,
        } * unit;
        let (Floor::Added(floor) | Floor::Least(floor)) = self.floor;
        let octave = self.logarithm.octave();
        let of = |list: &[f64]| list.get(band).or(list.first()).copied().unwrap_or(f64::NAN);
        let offset = of(&self.offset) / octave;
        Ok([
            ((floor / energy) as f32).to_bits(),
            integer("unit of the energies", -log2(energy))?,
            integer("offset", offset)?,
            ((of(&self.scale) * octave / OCTAVE) as f32).to_bits(),
        ])
    }
}

/// A logarithm in units of 2^-15.
fn integer(name: &'static str, octaves: f64) -> Result<u32, Error> {
    if fabs(octaves) < 256.0 {
        Ok((round(octaves * OCTAVE) as i32).cast_unsigned())
    } else {
        Err(Error::FrontEnd { name, found: (octaves as f32).to_bits() })
    }
}
