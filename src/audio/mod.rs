//! The audio front end: recorded samples become the frames that a speech network reads.
//!
//! ```text
//! samples ──► ring ──► Hann window ──► FFT ──► power ──► mel filters ──► log2 ──► frame [MELS]
//!  i16, any   the last  integers      f32, by             triangles      integers  one every `hop` samples
//!  portions   window                  `microfft`
//! ```
//! [`LogMelConfig`] says how, [`MelBank`] holds the tables, made by the compiler, and [`LogMel`] the samples that the next
//! frame needs. Recordings come in portions of any length, and the frames are the same bits
//! whatever the portions were.
//!
//! ```
//! use thumbformer::audio::{LogMel, LogMelConfig, MelBank};
//!
//! // The size of the FFT and the number of filters are types: what does not fit stops the build.
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
//! multiplications in a fixed order, without contraction. A core that flushes subnormal numbers to zero may differ from
//! another in what is below 2^-100: a larger term of a sum does not notice, and in the end the floor, 2^37 at least, is larger.
//!
//! # Cost
//! For `MelBank<256, 20>` on a Cortex-M4F: 19,700 instructions a frame (`cargo xtask bench model`), 1.6 KB of state, 600 bytes of
//! tables, 9 KB of code and sines.

mod bank;
mod config;
mod design;
mod fft;
mod log2;
mod stream;

pub use bank::MelBank;
pub use config::LogMelConfig;
pub use stream::LogMel;
