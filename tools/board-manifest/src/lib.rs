//! A board's manifest, the only place of its facts, and the default models that the board has room for.
//!
//! ```text
//! boards/*/Cargo.toml ──► Board: core, clock, memory, packing, programs ──► memory.x, the runner, the core's name
//! a program           ──► its stack, what it takes beside its models
//! models/*/*-PACK.tbf ──► Image, its state for a context ──► Fit, or what is missing and what would fit
//!                    └──► Signal: recordings, or a text
//! models/*/model.toml ──► DefaultModel: what its image does not say
//! ```
//! Code for the boards' programs is generated in `tools/board-build`.

mod fit;
mod image;
mod inputs;
mod linker;
mod manifest;
mod memory;
mod models;

pub use fit::{Fit, fit, free, models};
pub use image::{Image, Room, clip_samples, is_for, is_heard_whole, numbers};
pub use inputs::{Inputs, Signal, first_bytes, held, inputs, signals, watch};
pub use manifest::{Application, Board, Region, all, find};
pub use memory::{FLOAT_STACK, beside, stack};
pub use models::{DefaultModel, Kind, default_models, first, shown_by};
