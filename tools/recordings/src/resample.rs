//! Another rate of samples, where the user asks for it: by `rubato`, in the spectrum.

use crate::Sound;
use anyhow::{Context, Result};
use rubato::{FftFixedIn, Resampler};

/// Fewest samples that go through the filter together.
const CHUNK: usize = 1024;

impl Sound {
    /// The same sound at another rate, as long to a sample.
    ///
    /// # Errors
    /// For a rate of 0.
    pub fn resampled(self, rate: u32) -> Result<Sound> {
        if self.rate == rate {
            return Ok(self);
        }
        let ratio = f64::from(rate) / f64::from(self.rate);
        let wrong = || format!("{} Hz cannot become {rate} Hz", self.rate);
        // A whole even number of periods: the filter's middle is then a sample, and its delay exact.
        let period = 2 * (self.rate / common_divisor(self.rate, rate)).max(1) as usize;
        let chunk_size = CHUNK.next_multiple_of(period);
        let mut resampler =
            FftFixedIn::<f64>::new(self.rate as usize, rate as usize, chunk_size, 1, 1).with_context(wrong)?;
        let (delay, length) = (resampler.output_delay(), (self.samples.len() as f64 * ratio).round() as usize);
        let mut found: Vec<f64> = Vec::with_capacity(delay + length + chunk_size);
        let input: Vec<f64> = self.samples.iter().map(|&sample| sample.into()).collect();
        for chunk in input.chunks(chunk_size) {
            let output = match chunk.len() == chunk_size {
                true => resampler.process(&[chunk], None),
                false => resampler.process_partial(Some(&[chunk]), None),
            };
            found.extend(output.with_context(wrong)?.concat());
        }
        while found.len() < delay + length {
            found.extend(resampler.process_partial::<&[f64]>(None, None).with_context(wrong)?.concat());
        }
        // A conversion of a float saturates.
        let samples = found[delay..delay + length].iter().map(|sample| sample.round_ties_even() as i16).collect();
        Ok(Sound { rate, samples })
    }
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use crate::Sound;
    use std::f64::consts::TAU;

    fn tone(rate: u32, hertz: f64, seconds: f64) -> Sound {
        let length = (f64::from(rate) * seconds) as usize;
        let sample = |i: usize| (10_000.0 * (TAU * hertz * i as f64 / f64::from(rate)).sin()).round() as i16;
        Sound { rate, samples: (0..length).map(sample).collect() }
    }

    #[test]
    fn a_tone_is_the_same_tone_at_every_rate_and_no_sample_is_lost() {
        for (from, to) in [(44_100, 16_000), (48_000, 16_000), (8000, 16_000), (16_000, 8000), (22_050, 8000)] {
            let found = tone(from, 440.0, 0.5).resampled(to).expect("a rate");
            let expected = tone(to, 440.0, 0.5);
            assert_eq!((found.rate, found.samples.len()), (to, expected.samples.len()), "{from} to {to}");
            // The ends aside, where the tone begins at once.
            let middle = 400..found.samples.len() - 400;
            let pairs = found.samples[middle.clone()].iter().zip(&expected.samples[middle]);
            let worst = pairs.map(|(found, expected)| (i32::from(*found) - i32::from(*expected)).abs()).max();
            assert!(worst.is_some_and(|worst| worst <= 3), "{from} to {to}: {worst:?} of 10000");
        }
    }

    #[test]
    fn what_the_slower_rate_cannot_hold_is_silent() {
        let found = tone(16_000, 6000.0, 0.5).resampled(8000).expect("a rate");
        let loudest = found.samples[400..3600].iter().map(|sample| sample.unsigned_abs()).max();
        assert!(loudest.is_some_and(|loudest| loudest <= 3), "{loudest:?} of 10000");
    }
}
