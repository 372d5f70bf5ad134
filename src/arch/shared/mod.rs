//! Parts that several backends share.
//!
//! ```text
//! multiply    32 by 16 bits, and by real numbers: the requantization of everything
//! exp2        2^-x by a table: softmax            activation   SiLU and GELU by tables
//! cast        views of words as other types       thumb2       loops for cores with 32-bit Thumb instructions
//! rounding    rounding mode of the FPU
//! ```

mod activation;
mod cast;
mod exp2;
mod multiply;
mod rounding;
#[cfg(any(thumbformer_backend = "dsp", all(thumbformer_backend = "nosimd", thumbformer_long_multiply)))]
pub(super) mod thumb2;

#[cfg(any(thumbformer_backend = "simd", all(test, feature = "portable-simd")))]
pub(super) use activation::STEP_BITS;
pub(crate) use activation::{ACTIVATION_BITS, GELU_TAIL, GELU_TANH_TAIL, LARGEST_TAIL, SILU_TAIL, Tail, activation};
pub use cast::Aligned;
#[cfg(feature = "audio")]
pub(crate) use cast::as_u16;
pub(crate) use cast::{
    as_i16, as_i16_mut, bytes, float_words, floats_mut, integers_mut, signed_bytes, signed_bytes_mut, words,
};
#[cfg(thumbformer_backend = "dsp")]
pub(super) use exp2::TABLE;
pub(crate) use exp2::{FRACTION_BITS, exp2_fraction, probability};
pub(crate) use multiply::{Multiplier, bit_length, exponent, mul_q16, power_of_two, sqrt};
pub(crate) use rounding::rounding_mode;
