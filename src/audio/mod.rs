//! The audio front end: turns samples into frames of log-mel bands, the input of a speech network.
//!
//! ```text
//! samples ──► window ──► FFT ──► power or ──► filters ──► log2 ──► offset, ──► frame [bands]
//!  i16, any   integers   f32, by magnitude    triangles   integers  scale      one every `hop` samples
//!  portions              `microfft`           or a table
//! ```
//! A front end is data: [`FrontEnd`] is a checked view of the words that an image carries ([`layout`]), [`Extractor`] the front end
//! at work, [`Buffers`] its memory. [`push`](Extractor::push) takes a stream in portions of any length, and the frames are
//! bit-identical for every division into portions; [`clip`](Extractor::clip) takes a whole recording. `FrontEndConfig`, in tools,
//! makes the words from the settings of a training script, with presets for torchaudio, librosa, Kaldi and keyword spotting.
//!
//! ```
//! use thumbformer::audio::{Buffers, FrontEnd, FrontEndConfig};
//!
//! let words = FrontEndConfig::thumbformer().words()?;
//! let front_end = FrontEnd::parse(&words)?;
//!
//! // The size of the FFT is part of the memory's type: a program carries no other FFT.
//! let mut buffers = Buffers::<256, 20>::new();
//! let mut extractor = front_end.extractor(buffers.memory())?;
//! let mut frames = 0;
//! for portion in [[0; 100]; 10] {
//!     extractor.push(&portion, |_frame| frames += 1)?;
//! }
//! assert_eq!(frames, front_end.frames(1000));
//! # Ok::<(), thumbformer::Error>(())
//! ```
//!
//! # The same bits everywhere
//! The windowed samples and the logarithm are integers; the FFT, the powers and their sums, and pre-emphasis where there is one, are
//! `f32` additions and multiplications in a fixed order, without contraction. A core that flushes subnormal numbers to zero may
//! differ from another core in values below 2^-60. No frame depends on them: each energy meets a floor of at least 1.
//!
//! # Accuracy
//! `tools/checkpoint/tests/front_end` holds frames to those of torchaudio, librosa and transformers, `tests/front_end_exact.rs` to
//! f64: window and weights have 16 bits, which are heard 90 dB below a loud sound in another band.
//!
//! # Cost
//! `6 * FFT + 4 * BANDS` bytes of state; the words, 0.7 KB for 20 bands and 1.1 KB for 40, lie in the image.

mod clip;
mod extractor;
mod fft;
mod frame;
mod front_end;
#[cfg(feature = "std")]
mod host;
pub mod layout;
mod log2;
#[cfg(feature = "std")]
mod make;
mod memory;
mod parse;

pub use extractor::Extractor;
pub use front_end::FrontEnd;
#[cfg(feature = "std")]
pub use host::HostBuffers;
#[cfg(feature = "std")]
pub use make::{
    Cut, Deviation, Fill, Filters, Floor, FrameLength, FrontEndConfig, Lifter, Logarithm, MelNorm, MelScale, Mfcc,
    Normalize, PadMode, Preemphasis, Sampling, Spectrum, Window, WindowShape,
};
pub use memory::{Buffers, Memory};
