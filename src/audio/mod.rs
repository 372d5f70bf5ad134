//! The audio front end: turns samples into log-mel frames, the input of a speech network.
//!
//! ```text
//! samples ──► ring ──► Hann window ──► FFT ──► power ──► mel filters ──► log2 ──► frame [MELS]
//!  i16, any   the last  integers      f32, by             triangles      integers  one every `hop` samples
//!  portions   window                  `microfft`
//! ```
//! [`LogMelConfig`] holds the settings, [`MelBank`] the tables, made at compile time, and [`LogMel`] the samples that the next
//! frame needs. A recording comes in portions of any length; the frames are bit-identical for every division into portions.
//!
//! ```
//! use thumbformer::audio::{LogMel, LogMelConfig, MelBank};
//!
//! // The size of the FFT and the number of filters are part of the type: sizes that do not fit stop the build.
//! static BANK: MelBank<256, 20> = thumbformer::mel_bank!(LogMelConfig::SPEECH_8K);
//!
//! let mut front_end = LogMel::new(&BANK);
//! let mut frames = 0;
//! for portion in [[0; 100]; 10] {
//!     front_end.push(&portion, |_frame: &[f32; 20]| frames += 1);
//! }
//! assert_eq!(frames, BANK.frames(1000));
//! ```
//!
//! # The same bits everywhere
//! The windowed samples and the logarithm are integers; the FFT, the powers and their sums are `f32` additions and
//! multiplications in a fixed order, without contraction. A core that flushes subnormal numbers to zero may differ from another
//! core in values below 2^-100. No frame depends on them: each energy is added to the floor, at least 2^37.
//!
//! # Cost
//! For `MelBank<256, 20>` on a Cortex-M4F: 19,700 instructions a frame (`cargo xtask bench model`), 1.6 KB of state, 600 bytes of
//! tables, 9 KB of code and sines.

mod bank;
mod clip;
mod config;
mod design;
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
mod stream;

pub use bank::MelBank;
pub use config::LogMelConfig;
pub use extractor::Extractor;
pub use front_end::FrontEnd;
#[cfg(feature = "std")]
pub use host::HostBuffers;
#[cfg(feature = "std")]
pub use make::{
    Deviation, Fill, Filters, Floor, FrameLength, FrontEndConfig, Lifter, Logarithm, MelNorm, MelScale, Mfcc,
    Normalize, PadMode, Preemphasis, Sampling, Spectrum, Window, WindowShape,
};
pub use memory::{Buffers, Memory};
pub use stream::LogMel;
