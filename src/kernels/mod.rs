//! The arithmetic, written once over the primitives of a backend (`crate::arch`).
//!
//! ```text
//! stream, f32 ──► block fixed point ──► norm ──► int8 + scale ──► matrix ──► fixed point ──► activation ──► int8 + scale ──► …
//! int8 keys · 16-bit query ──► 16-bit scores ──► 2^x by table ──► 15-bit weights · int8 values ──► fixed point
//! ```
//! A branch computes in integers from its norm to its last matrix: exact on every backend, and fast on cores without an FPU.
//! The few floats that are left (the stream, one scale per vector) have one fixed order of operations, are never contracted
//! to a fused multiply-add, and stay clear of subnormals, so they are the same bits everywhere too.

pub(crate) mod float;
pub(crate) mod matrix;
pub(crate) mod quantize;
pub(crate) mod scaled;
pub(crate) mod softmax;
