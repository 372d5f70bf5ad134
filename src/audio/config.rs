//! Settings of the front end: rate, lengths, frequency range and scale.

use crate::error::Error;

/// Settings of the front end, from samples to frames.
///
/// A frame is `(log2(energy + 2^floor) - centre) * scale` for each mel filter. Energies are those of a signal from -1 to 1
/// under a Hann window: a sine of full scale gives `window^2 / 16`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogMelConfig {
    /// Samples per second: 8000 or 16,000.
    pub sample_rate: u32,
    /// Samples in a frame's window; even, at most the size of the FFT.
    pub window: usize,
    /// Samples from one frame to the next.
    pub hop: usize,
    /// Lower edge of the lowest filter, in hertz.
    pub low_hz: u32,
    /// Upper edge of the highest filter, in hertz; at most half the sample rate.
    pub high_hz: u32,
    /// log2 of the constant added to each energy, below which a sound counts as silence; -40 to 10.
    pub floor: i32,
    /// log2 of the energy that maps to 0, so that frames are quantized about their middle.
    pub centre: f32,
    /// Step of a frame's value when the energy doubles.
    pub scale: f32,
}

impl LogMelConfig {
    /// Speech at 8000 samples per second: windows of 32 ms, a frame every 20 ms.
    pub const SPEECH_8K: LogMelConfig = LogMelConfig {
        sample_rate: 8000,
        window: 256,
        hop: 160,
        low_hz: 80,
        high_hz: 3800,
        floor: -14,
        centre: -3.0,
        scale: 0.25,
    };

    /// Checks all settings; the number of filters is checked as the tables are made.
    pub(super) const fn check(&self, fft: usize) -> Result<(), Error> {
        if self.sample_rate != 8000 && self.sample_rate != 16_000 {
            return Err(Error::SampleRate { found: self.sample_rate });
        }
        let checks = [
            ("FFT", fft, fft.is_power_of_two() && fft >= 64 && fft <= 512),
            ("window", self.window, self.window.is_multiple_of(2) && self.window >= 2 && self.window <= fft),
            ("hop", self.hop, self.hop > 0),
            ("high_hz", self.high_hz as usize, self.high_hz <= self.sample_rate / 2),
            ("low_hz", self.low_hz as usize, self.low_hz > 0 && self.low_hz < self.high_hz),
            ("floor", self.floor as usize, self.floor >= -40 && self.floor <= 10),
            ("centre", self.centre.to_bits() as usize, -128.0 < self.centre && self.centre < 128.0),
            ("scale", self.scale.to_bits() as usize, 1e-6 < self.scale && self.scale < 1e6),
        ];
        let mut i = 0;
        while i < checks.len() {
            if !checks[i].2 {
                return Err(Error::FrontEnd { name: checks[i].0, found: checks[i].1 as u32 });
            }
            i += 1;
        }
        Ok(())
    }
}
