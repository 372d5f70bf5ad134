//! The audio front end: recorded samples become the frames that a speech network reads.
//!
//! ```text
//! samples ──► ring ──► Hann window ──► FFT ──► power ──► mel filters ──► log2 ──► frame [MELS]
//!  i16, any   the last  integers      f32, by             triangles      integers  one every `hop` samples
//!  portions   window                  `microfft`
//! ```
//! [`LogMelConfig`] says how, [`MelBank`] holds the tables, made by the compiler, and [`LogMel`] the samples that the next
//! frame needs: 1.6 KB for a window of 256. Recordings come in portions of any length, and the frames are the same bits
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
//! multiplications in a fixed order, without contraction. Where a core flushes subnormal numbers to zero and another does not,
//! the floor that is added to every energy hides it: it is 2^100 times larger than any of them.

mod bank;
mod config;
mod design;
mod fft;
mod log2;
mod stream;

pub use bank::MelBank;
pub use config::LogMelConfig;
pub use stream::LogMel;
