//! A board's manifest, the only place of its facts, and the default models that the board has room for.
//!
//! ```text
//! boards/*/Cargo.toml ──► Board: core, clock, memory, packing, programs ──► memory.x, the runner, the core's name
//! models/*/*-PACK.tbf ──► Image, its state for a context ──► Fit, or what is missing and what would fit
//!                    └──► Signal: recordings beside it, or a text
//! ```
//! Code for the boards' programs is generated in `tools/board-build`.

mod fit;
mod inputs;
mod linker;
mod manifest;

pub use fit::{DEFAULTS, Fit, Image, fit, free, is_for, models};
pub use inputs::{Signal, least_bytes, signals, watch};
pub use manifest::{Application, Board, Region, all, find};
