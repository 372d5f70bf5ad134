//! Instruction counts, exact, and cycles, estimated, of a Cortex-M program that ran in QEMU.
//!
//! ```text
//! the plugin's text ──► Trace ──┐
//! opcodes ──► Op ───────────────┤
//! Core ──► Table, Rules ────────┼──► Estimate ──► Report: by part, symbol and kind of instruction
//! Flash ────────────────────────┤
//! ELF ──► Program ──────────────┘
//! ```
//!
//! Instructions are counted. Cycles are not measured: they follow from published tables of each core's timings, and every figure
//! has a range. docs/cycles.md gives their error where measurements are published.

pub mod cores;
pub mod decode;
mod error;
mod estimate;
mod program;
mod report;
mod rules;
pub mod trace;

pub use cores::Core;
pub use error::Error;
pub use estimate::{Estimate, Flash, Line, estimate};
pub use program::{Function, Program};
pub use report::{Report, Share};
