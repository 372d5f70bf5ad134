//! A board's build script: the linker's arguments, and the models and inputs of its programs as Rust source.
//!
//! ```text
//! board-manifest: Board, Image, Fit, Signal ──┬─► linker: memory.x, arguments, the right target or a sentence
//!                                             ├─► TestModel: a model with inputs and the host's CRC-32 of its outputs
//! models/*/checkpoint ────────────────────────┼─► Float: the network of the float reference
//!                                             └─► script: OUT_DIR/generate.rs, classify.rs, bench.rs, verify.rs
//! ```

mod float;
mod linker;
mod script;
mod test_model;

pub use float::Float;
pub use linker::link_as;
pub use script::{build_script, matrices};
pub use test_model::TestModel;
