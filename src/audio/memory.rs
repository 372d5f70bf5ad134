//! The memory of the front end: an array of its size for firmware, lent to the extractor as slices.

use super::fft::{Transform, transform};

/// All memory of an [`Extractor`](super::Extractor), in a `static`: `6 * FFT + 4 * BANDS` bytes.
///
/// `FFT` is the front end's [`fft`](super::FrontEnd::fft), `BANDS` at least its [`bands`](super::FrontEnd::bands). A program
/// carries the FFT of this length and no other.
#[derive(Clone, Debug)]
pub struct Buffers<const FFT: usize, const BANDS: usize> {
    ring: [i16; FFT],
    work: [f32; FFT],
    frame: [f32; BANDS],
}

impl<const FFT: usize, const BANDS: usize> Buffers<FFT, BANDS> {
    /// Zeros: in a `static` they take no flash.
    pub const fn new() -> Self {
        Buffers { ring: [0; FFT], work: [0.0; FFT], frame: [0.0; BANDS] }
    }

    /// The memory, lent for a while.
    pub const fn memory(&mut self) -> Memory<'_> {
        Memory { ring: &mut self.ring, work: &mut self.work, frame: &mut self.frame, transform: transform::<FFT>() }
    }
}

impl<const FFT: usize, const BANDS: usize> Default for Buffers<FFT, BANDS> {
    fn default() -> Self {
        Self::new()
    }
}

/// The memory of an [`Extractor`](super::Extractor), with the FFT of its length.
#[derive(Debug)]
pub struct Memory<'s> {
    /// The last samples of a stream.
    pub(super) ring: &'s mut [i16],
    /// A window of samples, then its spectrum.
    pub(super) work: &'s mut [f32],
    pub(super) frame: &'s mut [f32],
    pub(super) transform: Transform,
}
