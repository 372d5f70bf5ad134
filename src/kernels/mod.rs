//! The arithmetic, written once over the primitives of a backend (`crate::arch`).
//!
//! ```text
//! f32 vector ──► quantize ──► int8 + scale ──► matrix (integer dots, one float multiply per output) ──► f32 vector
//! int8 q, K ──► dots ──► softmax (fixed point) ──► weights ──► dots with V ──► f32 vector
//! ```
//! Integer results are exact on every backend. Every float operation has one fixed order (sums run in four lanes), is
//! never contracted to a fused multiply-add, and stays clear of subnormals, so floats are the same bits everywhere too.

pub(crate) mod float;
pub(crate) mod matrix;
pub(crate) mod quantize;
pub(crate) mod softmax;
