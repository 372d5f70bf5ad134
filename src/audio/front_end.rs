//! A front end in place: its header and its tables, as they lie in an image.

use super::layout::{self, band, word};
use crate::error::Error;

/// A front end: all that turns samples into frames, checked, in the words of an image or of `FrontEndConfig`.
#[derive(Clone, Copy, Debug)]
pub struct FrontEnd<'a> {
    pub(super) header: &'a [u32; layout::WORDS],
    /// The window, in units of 2^-16: half of it, or all.
    pub(super) window: &'a [u16],
    pub(super) counts: &'a [u16],
    /// Weights of the filters, in units of 2^-15 or of their own.
    pub(super) weights: &'a [u16],
    pub(super) bands: &'a [[u32; band::WORDS]],
}

/// The last step of a band: from its energy to its number.
#[derive(Clone, Copy)]
pub(super) struct Band {
    pub(super) floor: f32,
    pub(super) unit: i32,
    pub(super) offset: i32,
    pub(super) scale: f32,
}

impl<'a> FrontEnd<'a> {
    /// Samples per second of the recordings.
    pub const fn sample_rate(&self) -> u32 {
        self.header[word::SAMPLE_RATE]
    }

    /// Samples in a frame's window.
    pub const fn window(&self) -> usize {
        self.size(word::WINDOW)
    }

    /// Samples from one frame to the next.
    pub const fn hop(&self) -> usize {
        self.size(word::HOP)
    }

    /// Samples of the FFT: the size of [`Buffers`](super::Buffers).
    pub const fn fft(&self) -> usize {
        self.size(word::FFT)
    }

    /// Numbers in a frame.
    pub const fn bands(&self) -> usize {
        self.size(word::BANDS)
    }

    /// True if a program needs the cargo feature `front-ends` for it.
    pub const fn is_extended(&self) -> bool {
        let mut i = 0;
        while i < layout::WORDS {
            if layout::is_extended(i) && self.header[i] != 0 {
                return true;
            }
            i += 1;
        }
        false
    }

    /// The words, as they lie in the image.
    pub const fn header(&self) -> &'a [u32; layout::WORDS] {
        self.header
    }

    /// Number of frames of a recording of `samples` samples, by [`clip`](super::Extractor::clip).
    ///
    /// A stream has those before the recording's end is known: without padding the same, with padding fewer.
    pub const fn frames(&self, samples: usize) -> usize {
        let padded = samples.saturating_add(2 * self.size(word::PAD));
        let frame = self.size(word::FRAME);
        match self.hop() {
            // Never; a division would check it.
            0 => 0,
            _ if samples == 0 || padded < frame => 0,
            hop => (padded - frame) / hop + 1,
        }
    }

    /// The fewest samples that have `frames` frames; 0 for 0 frames.
    pub const fn samples(&self, frames: usize) -> usize {
        if frames == 0 {
            return 0;
        }
        let end = (frames - 1).saturating_mul(self.hop()).saturating_add(self.size(word::FRAME));
        let samples = end.saturating_sub(2 * self.size(word::PAD));
        if samples == 0 { 1 } else { samples }
    }

    /// Samples of a clip with `frames` frames: as many as the recordings of the training had, where that is known.
    pub const fn clip_samples(&self, frames: usize) -> usize {
        let clip = self.size(word::CLIP);
        if clip == 0 { self.samples(frames) } else { clip }
    }

    /// Checks that frames can be had before the recording's end.
    ///
    /// # Errors
    /// [`Error::WholeRecording`] names the first setting that depends on all of a recording.
    pub const fn streams(&self) -> Result<(), Error> {
        if !cfg!(feature = "front-ends") {
            return Ok(());
        }
        let setting = if self.header[word::TOP] != 0 {
            "top_db"
        } else if self.header[word::NORMALIZE] != layout::NORMALIZE_NONE {
            "normalize"
        } else if self.header[word::PADDING] == layout::PADDING_REFLECT && self.header[word::PAD] != 0 {
            "pad_mode = \"reflect\""
        } else {
            return Ok(());
        };
        Err(Error::WholeRecording { setting })
    }

    /// A word that counts.
    pub(super) const fn size(&self, index: usize) -> usize {
        if index < layout::WORDS { self.header[index] as usize } else { 0 }
    }

    /// True if an option has this value.
    #[inline(always)]
    pub(super) const fn is(&self, index: usize, value: u32) -> bool {
        // Parsing has refused other values, and the program does without their code.
        if !cfg!(feature = "front-ends") && layout::is_extended(index) {
            return value == 0;
        }
        index < layout::WORDS && self.header[index] == value
    }

    /// A word that is a float.
    pub(super) const fn float(&self, index: usize) -> f32 {
        if index < layout::WORDS { f32::from_bits(self.header[index]) } else { 0.0 }
    }

    /// True if the values of a clip change once all of them are known.
    pub(super) const fn has_second_pass(&self) -> bool {
        cfg!(feature = "front-ends")
            && (self.header[word::TOP] != 0
                || self.header[word::NORMALIZE] != layout::NORMALIZE_NONE
                || self.header[word::SHORT] == layout::SHORT_FRAMES)
    }

    /// The row of a band.
    #[inline]
    pub(super) fn band(&self, index: usize) -> Band {
        let row = self.bands.get(index).or(self.bands.first()).copied().unwrap_or_default();
        Band {
            floor: f32::from_bits(row[band::FLOOR]),
            unit: row[band::UNIT].cast_signed(),
            offset: row[band::OFFSET].cast_signed(),
            scale: f32::from_bits(row[band::SCALE]),
        }
    }

    /// The window's first half with its middle, and the second, last sample first; all of it and nothing.
    pub(super) fn halves(&self) -> (&'a [u16], &'a [u16]) {
        let periodic = usize::from(self.is(word::SYMMETRY, layout::WINDOW_PERIODIC));
        let rest = self.window() - self.window.len().min(self.window());
        let mirrored = self.window.get(periodic..).and_then(|mirrored| mirrored.get(..rest));
        (self.window, mirrored.unwrap_or_default())
    }
}
