//! The state of the front end: the samples that the next frame needs, and the frame's memory.

use super::bank::MelBank;
use super::fft::spectrum;
use super::log2::log2_q15;
use crate::error::Error;

/// A front end for a stream of samples. It owns all its memory: `6 * FFT + 4 * MELS` bytes and a few words.
///
/// ```
/// use thumbformer::audio::{LogMel, LogMelConfig, MelBank};
///
/// static BANK: MelBank<256, 20> = thumbformer::mel_bank!(LogMelConfig::SPEECH_8K);
///
/// let mut frames = 0;
/// LogMel::new(&BANK).push(&[0; 8000], |frame| frames += usize::from(frame.len() == 20));
/// assert_eq!(frames, BANK.frames(8000));
/// ```
#[derive(Clone, Debug)]
pub struct LogMel<'a, const FFT: usize, const MELS: usize> {
    bank: &'a MelBank<FFT, MELS>,
    /// Ring of the last samples; the one at `next` is the oldest.
    ring: [i16; FFT],
    next: usize,
    /// Samples until the next frame.
    missing: usize,
    /// A window of samples, then its spectrum.
    work: [f32; FFT],
    frame: [f32; MELS],
}

impl<'a, const FFT: usize, const MELS: usize> LogMel<'a, FFT, MELS> {
    /// A front end before its first sample.
    pub const fn new(bank: &'a MelBank<FFT, MELS>) -> Self {
        let missing = bank.config().window;
        LogMel { bank, ring: [0; FFT], next: 0, missing, work: [0.0; FFT], frame: [0.0; MELS] }
    }

    /// Forgets all samples: the next one begins a recording.
    pub fn reset(&mut self) {
        self.missing = self.bank.config().window;
    }

    /// Appends samples and calls `each` with every frame that they complete.
    ///
    /// # Shapes
    /// A frame: `[MELS]`.
    pub fn push(&mut self, samples: &[i16], mut each: impl FnMut(&[f32; MELS])) {
        for &sample in samples {
            self.ring[self.next % FFT] = sample;
            self.next = (self.next + 1) % FFT;
            self.missing -= 1;
            if self.missing == 0 {
                self.missing = self.bank.config().hop;
                self.compute();
                each(&self.frame);
            }
        }
    }

    /// Frames of a whole recording, for a network that reads clips of one length: from the first sample on, cut off where
    /// `frames` is full, padded with silence where it is not.
    ///
    /// Returns the number of frames without padding.
    ///
    /// # Shapes
    /// `frames: [n, MELS]`.
    ///
    /// # Errors
    /// [`Error::RecordingTooShort`] for less than one window of samples; [`Error::FrontEnd`] for a buffer that does not
    /// consist of whole frames.
    pub fn clip(&mut self, samples: &[i16], frames: &mut [f32]) -> Result<usize, Error> {
        let (slots, rest) = frames.as_chunks_mut::<MELS>();
        if !rest.is_empty() || slots.is_empty() {
            return Err(Error::FrontEnd { name: "length of the buffer of frames", found: frames.len() as u32 });
        }
        let window = self.bank.config().window;
        if samples.len() < window {
            return Err(Error::RecordingTooShort { expected: window, found: samples.len() });
        }
        let whole = self.bank.frames(samples.len()).min(slots.len());
        let wanted = self.bank.samples(slots.len());
        let mut slots = slots.iter_mut();
        let mut store = |frame: &[f32; MELS]| {
            if let Some(slot) = slots.next() {
                *slot = *frame;
            }
        };
        self.reset();
        self.push(samples.get(..wanted).unwrap_or(samples), &mut store);
        for _ in samples.len()..wanted {
            self.push(&[0], &mut store);
        }
        Ok(whole)
    }

    /// The frame of the last window of samples.
    fn compute(&mut self) {
        let half = self.bank.half_window();
        let (end, window) = (self.next + FFT, 2 * half.len());
        self.work.fill(0.0);
        for (i, (slot, weight)) in self.work.iter_mut().zip(half.iter().chain(half.iter().rev())).enumerate() {
            let sample = self.ring[(end - window + i) % FFT];
            // The product is exact in 31 bits and rounded once.
            *slot = (i32::from(sample) * i32::from(*weight)) as f32;
        }
        let bins = spectrum(&mut self.work).get(self.bank.first()..).unwrap_or_default();
        let mut bins = bins.iter().zip(self.bank.weights());
        // Energies of a stretch between two centres: its share in the filter above and in the filter below.
        let mut stretch = |count: usize| {
            let (mut above, mut below) = (0.0, 0.0);
            for (bin, &weight) in bins.by_ref().take(count) {
                let power = bin.re * bin.re + bin.im * bin.im;
                let part = power * f32::from(weight);
                above += part;
                below += power * 32_768.0 - part;
            }
            (above, below)
        };
        let (rising, falling) = self.bank.stretches();
        let (mut rise, _) = stretch(rising);
        for (slot, &count) in self.frame.iter_mut().zip(falling) {
            let (above, below) = stretch(usize::from(count));
            let energy = rise + below + self.bank.floor;
            *slot = (log2_q15(energy) - self.bank.centre) as f32 * self.bank.scale;
            rise = above;
        }
    }
}
