//! The audio front end: turns samples into frames, the input of a speech network.
//!
//! ```text
//! samples ──► ring ──► window ──► FFT ──► power ──► filters ──► logarithm ──► offset, scale ──► frame [bands]
//!  i16, any   the last  integers  f32, by            a table     integers                        one every `hop` samples
//!  portions   window              `microfft`
//! ```
//! [`FrontEnd`] is a view of the tables in an image, [`Buffers`] the memory, [`Extractor`] both at work. A recording comes in portions
//! of any length; the frames are bit-identical for every division into portions. Tools make the tables of a `FrontEndConfig`.
//!
//! ```
//! use thumbformer::audio::{Buffers, FrontEnd, FrontEndConfig};
//!
//! // Firmware has `MODEL.front_end()` and `AudioBuffers` of the module that `model!` makes.
//! let words = FrontEndConfig::kws().words()?;
//! let front_end = FrontEnd::parse(&words)?;
//! let mut buffers = Buffers::<512, 40>::new();
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
//! The windowed samples and the logarithm are integers; the FFT, the powers and their sums are `f32` additions and
//! multiplications in a fixed order, without contraction. A core that flushes subnormal numbers to zero may differ from another
//! core in values below 2^-100. No frame depends on them: the floor of each energy is far above.
//!
//! # Cost
//! With an FFT of 256 samples and 20 bands on a Cortex-M4F: docs/results.md has the instructions of a second of sound. The memory takes
//! `6 * FFT + 4 * bands` bytes.

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
    Deviation, Fill, Filters, Floor, FrameLength, FrontEndConfig, Lifter, Logarithm, MelNorm, MelScale, Mfcc,
    Normalize, PadMode, Preemphasis, Sampling, Spectrum, Window, WindowShape,
};
pub use memory::{Buffers, Memory};
