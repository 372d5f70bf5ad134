//! Helium's loops in assembly: what `core::simd` cannot say, or the compiler does not find.
//!
//! ```text
//! wlstp.32 … letp     a loop whose last turn has fewer lanes: any length, nothing left over
//! vrmulh.s32          a product's upper half, rounded: a whole `Multiplier` in one instruction
//! vmlava.s8, .s16     products and their sum
//! ```
//! The functions here check every length, so that the loops need no bounds. Sums that `VMLAVA` adds to are even registers.

mod activation;
pub(super) mod attention;
pub(super) mod int4;
mod matrix;
mod norm;
mod rescale;

use super::{
    Backend, Bias, GROUP, LARGEST_TAIL, Multiplier, Scalar, Tail, block_words, dot_halves, mul_q16_one, signed_bytes,
};
pub(super) use matrix::matmul;

/// What the module of this name has elsewhere.
pub(super) mod vectors {
    pub(crate) use super::activation::*;
    pub(crate) use super::norm::*;
    pub(crate) use super::rescale::*;
}

/// Lets the assembler take Helium's instructions. Assembly outside of functions gets the target's architecture and none of its
/// extensions; that a core of this build has Helium `build/choice.rs` found out.
macro_rules! extension {
    () => {
        ".cpu cortex-m55"
    };
}
use extension;
