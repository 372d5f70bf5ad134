//! The maker of front ends, for tools: the settings of a training script become the words of an image.
//!
//! ```text
//! FrontEndConfig ──► window ──► filters ──► floors, offsets, scales ──► words ──► FrontEnd::parse
//! ```

mod config;
mod filters;
mod mfcc;
mod presets;
mod window;
mod words;

pub use config::{
    Cut, Deviation, Fill, Filters, Floor, FrameLength, FrontEndConfig, Logarithm, MelNorm, MelScale, Normalize,
    PadMode, Preemphasis, Spectrum,
};
pub use mfcc::{Lifter, Mfcc};
pub use window::{Sampling, Window, WindowShape};
