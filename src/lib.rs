//! Quantized transformer inference for Arm Cortex-M: no heap, no operating system, bit-identical from host to chip.
//!
//! ```
//! use thumbformer::{Dims, Error, Options, Tensor};
//!
//! // One encoder block: d_model 2, one head, d_ff 2, at most 3 tokens. Its weights are constants.
//! const DIMS: Dims = Dims::block(2, 1, 2, 3, Options::ENCODER);
//! const ONES: [f32; 2] = [1.0, 1.0];
//! const IDENTITY: [f32; 4] = [1.0, 0.0, 0.0, 1.0];
//!
//! thumbformer::constant_model!(
//!     mod block = DIMS,
//!     &[
//!         (Tensor::AttentionNorm, 0, &ONES),
//!         (Tensor::Query, 0, &IDENTITY),
//!         (Tensor::Key, 0, &IDENTITY),
//!         (Tensor::Value, 0, &IDENTITY),
//!         (Tensor::AttentionOutput, 0, &IDENTITY),
//!         (Tensor::MlpNorm, 0, &ONES),
//!         (Tensor::Up, 0, &IDENTITY),
//!         (Tensor::Down, 0, &IDENTITY),
//!     ],
//!     ram <= 512
//! );
//!
//! fn main() -> Result<(), Error> {
//!     let mut state = block::State::new(); // all memory that inference takes, the stack aside
//!     let mut x = [1.0, -1.0, 0.5, 2.0]; // [seq, d_model]
//!     block::MODEL.session(state.memory()).encode(&mut x)?;
//!     assert!(x.iter().all(|x| x.is_finite()));
//!     Ok(())
//! }
//! ```
//! A trained model comes as an image instead, which [`model!`] includes and the compiler checks.
//!
//! ```text
//! image bytes (flash) ──► Model<'a> (checked views, zero copy)
//!                               │
//! token ──► embed ──► stream x ──► ┌ norm ─► attention (reduce) ─► + ┐ ──► ... ──► norm ─► head ─► logits
//!                                  └ norm ─► mlp       (map)    ─► + ┘ × layers
//! ```
//! Read it from the top: [`image`] (bytes become checked views), [`Dims`], [`state`] (all memory, its size known at compile
//! time), the block in `src/block/` (the network), [`Model`] and [`Session`], [`text`] (tokenizer and sampler). Below them
//! lie the arithmetic in `src/kernels/` and the instruction sets in `src/arch/`.
//!
//! # Firmware
//! [`model!`] includes an image, lets the compiler check it, and gives the type of its state.
//!
//! # Features
//! `std`: the image writer, the maker of front ends and heap-owned states, for tools. `audio`: the front end for recorded
//! sound, `audio`; the one feature that brings further crates, so a text model does without. `front-ends`, `fft-1024`, `fft-2048`: settings and longer FFTs
//! for it. `qk-norm`: normalised queries and keys, for images that have them. `ends`: rarer inputs and outputs, as an MLP head, for
//! images that have them. `defmt`: [`Error`] can be logged. `portable-simd`:
//! the `core::simd` backend, needs a nightly compiler. Without any of them the crate is `no_std`, without `alloc`.
#![no_std]
#![cfg_attr(feature = "portable-simd", feature(portable_simd))]
#![deny(unsafe_code)]
#![deny(missing_docs)]

#[cfg(feature = "std")]
extern crate std;

mod arch;
#[cfg(feature = "audio")]
pub mod audio;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod block;
mod bounds;
#[doc(hidden)]
pub mod budget;
pub mod cycles;
mod dense;
mod dims;
mod embed;
mod error;
mod head;
pub mod image;
mod inputs;
mod kernels;
mod logits_crc;
mod macros;
mod model;
pub mod observe;
mod options;
mod outputs;
mod session;
pub mod state;
mod tensors;
pub mod text;
mod weights;

#[cfg(feature = "checkasm")]
#[doc(hidden)]
pub use arch::checkasm;
pub use arch::{BACKEND, MAX_BATCH, PACKING, Packing};
pub use dims::{Dims, MAX_CLASS, MAX_CONTEXT, MAX_HEAD_DIM, MAX_HIDDEN, MAX_WIDTH};
pub use error::Error;
pub use inputs::Inputs;
pub use logits_crc::LogitsCrc;
pub use model::Model;
pub use options::{
    Activation, ClassPlace, DenseActivation, Input, Mask, Norm, NormPlace, Options, Outputs, Pooler, Pooling, Positions,
};
pub use outputs::{probabilities, sigmoid, softmax};
pub use session::{Observed, Session};
pub use state::{Memory, State};
pub use tensors::{Encoding, Part, Presence, Tensor};
pub use weights::Matrix;
