//! The map of the backends, and the one place where one of them is chosen.
//!
//! ```text
//! kernels ──► Native ─┬─ scalar    plain Rust: the definition of correct (M0+, M3, host on stable)
//!                     ├─ dsp       SMLAD and SXTB16 by inline assembly (M4, M7, M33)
//!                     └─ portable  core::simd (feature `portable-simd`, nightly)
//! ```
//! `build/choice.rs` decides from target, flags and features. A backend computes integers only, so every one of them gives
//! the bits of `scalar`; the test at the end of this module holds each that the machine can run to it.
//! This module knows no transformer.

#![allow(unsafe_code)]

mod cast;
#[cfg(thumbformer_backend = "dsp")]
mod dsp;
#[cfg(feature = "portable-simd")]
mod portable;
mod scalar;
#[cfg(test)]
mod tests;

pub(crate) use cast::{bytes, floats, signed_bytes, words};

#[cfg(thumbformer_backend = "dsp")]
pub(crate) use dsp::Dsp as Native;
#[cfg(thumbformer_backend = "portable")]
pub(crate) use portable::Portable as Native;
#[cfg(thumbformer_backend = "scalar")]
pub(crate) use scalar::Scalar as Native;

/// The integer primitives that the kernels are written over.
///
/// All products and sums must fit an `i32`; [`crate::Dims::check`] bounds the shapes so that they do.
/// Of slices with different lengths the shortest counts.
pub(crate) trait Backend {
    /// `scalar`, `dsp` or `portable`.
    const NAME: &'static str;

    /// `sum(a[i] * b[i])`.
    fn dot_i8(a: &[i8], b: &[i8]) -> i32;

    /// The dot products of four rows with one vector.
    fn dot4_i8(rows: [&[i8]; 4], x: &[i8]) -> [i32; 4];

    /// `sum(a[i] * b[i])` with 16-bit `a`.
    fn dot_i16_i8(a: &[i16], b: &[i8]) -> i32;
}

/// The backend that this build computes with: `scalar`, `dsp` or `portable`.
pub const BACKEND: &str = <Native as Backend>::NAME;
