//! What a board is, and which models it has room for: for the boards' build scripts and for `cargo xtask`.
//!
//! ```text
//! boards/*/Cargo.toml ──► Board: core, clock, flash, RAM, packing, programs ─┐
//! models/*/*-PACK.tbf ──► image, state for a context ───────────────────────┼─► Fit, or what is missing and what would fit
//! models/*/checkpoint ──► Float, the network of the float reference ────────┘
//!                                                                               └─► generated source of the programs (build script)
//! ```

mod board;
mod fit;
mod float;
mod script;
mod subjects;

pub use board::{Application, Board, all, find};
pub use fit::{DEFAULTS, Fit, Image, fit, is_for, models};
pub use float::Float;
pub use script::{build_script, matrices};
pub use subjects::{Signal, Subject};
