//! The map of the backends, and the one place where one of them is chosen.
//!
//! ```text
//! kernels ──► Native: Backend ─┬─ scalar   plain Rust: the definition of correct (any machine, the host on stable)
//!                              ├─ nosimd   two columns in a 32-bit product, in assembly (M0, M0+, M3, M23)
//!                              ├─ dsp      SMLAD, SXTB16, SMULWB in assembly (M4, M7, M33)
//!                              ├─ helium   MVE in assembly (M52, M55, M85)
//!                              └─ simd     core::simd (feature `portable-simd`, nightly): the host, and any core by force
//! backend   the trait, and what follows from its choice
//! packing   how weights lie in flash: a table; each arrangement is described in the folder of the backend that wants it
//! shared    what several backends are made of: fixed-point multiplication, tables, casts
//! checkasm  the check of the assembly, and cases of every method
//! ```
//! A folder is a backend is a type is the string [`BACKEND`]. `build/choice.rs` decides from target, flags and features. A
//! backend computes integers only, so every one of them gives the bits of `scalar`; `tests` holds each that the machine can run to
//! it. This module knows no transformer.

#![allow(unsafe_code)]

/// Calls a kernel in assembly: `call!(kernel(arguments))`. With the feature `checkasm` by way of the wrapper that checks it.
#[cfg(not(feature = "checkasm"))]
#[allow(unused_macros)] // not all backends have assembly
macro_rules! call {
    ($($kernel:ident)::+($($argument:expr),* $(,)?)) => {
        $($kernel)::+($($argument),*)
    };
}
#[cfg(feature = "checkasm")]
#[allow(unused_macros)] // not all backends have assembly
macro_rules! call {
    ($($kernel:ident)::+($($argument:expr),* $(,)?)) => {{
        let kernel: unsafe extern "C" fn($(call!(type of $argument)),*) -> _ = $($kernel)::+;
        $crate::arch::checkasm::wrapped(kernel)($($argument),*)
    }};
    (type of $argument:expr) => {
        _
    };
}

mod backend;
#[cfg(any(test, feature = "checkasm"))]
#[cfg_attr(not(feature = "checkasm"), allow(dead_code))] // the tests have the cases alone
pub mod checkasm;
#[cfg(thumbformer_backend = "dsp")]
mod dsp;
#[cfg(thumbformer_backend = "helium")]
mod helium;
#[cfg(thumbformer_backend = "nosimd")]
mod nosimd;
#[cfg_attr(thumbformer_backend = "nosimd", allow(dead_code))] // nosimd falls back on nothing
mod packing;
#[cfg_attr(thumbformer_backend = "nosimd", allow(dead_code))] // nosimd falls back on nothing
mod scalar;
mod shared;
#[cfg(any(thumbformer_backend = "simd", all(test, feature = "portable-simd")))]
mod simd;
#[cfg(test)]
mod tests;

pub use backend::{BACKEND, MAX_BATCH, PACKING};
pub(crate) use backend::{Backend, Bias, activation_stride, activation_words, activations};
pub use packing::*;
pub use shared::Aligned;
pub(crate) use shared::*;

#[cfg(thumbformer_backend = "dsp")]
pub(crate) use dsp::Dsp as Native;
#[cfg(thumbformer_backend = "helium")]
pub(crate) use helium::Helium as Native;
#[cfg(thumbformer_backend = "nosimd")]
pub(crate) use nosimd::NoSimd as Native;
#[cfg(thumbformer_backend = "scalar")]
pub(crate) use scalar::Scalar as Native;
#[cfg(thumbformer_backend = "simd")]
pub(crate) use simd::Simd as Native;
