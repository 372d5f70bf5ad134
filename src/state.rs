//! The working memory: `State` owns it as fixed-size arrays (firmware), `HostState` as `Vec`s (tools), `Memory` lends it.
//!
//! ```text
//! State<ACTIVATIONS, QUANTIZED, SEQ, CACHE, VOCAB> ──┐
//!                                                    ├─► Memory<'_> ──► Session ──► forward pass
//! HostState (feature `std`) ─────────────────────────┘
//! ```
//! The sizes are computed from the image ([`crate::Dims`]); [`model!`](crate::model) writes them into the type, so
//! `size_of::<State>()` is all the memory that inference needs, and it lies in `.bss`.

use crate::error::Error;

/// The working memory of one session, owned.
///
/// `ACTIVATIONS` floats ([`crate::Dims::activations`]), `QUANTIZED` bytes ([`crate::Dims::quantized`]), a context of `SEQ`
/// tokens, `CACHE` bytes of keys and values ([`crate::Dims::cache`]) and `VOCAB` logits.
pub struct State<
    const ACTIVATIONS: usize,
    const QUANTIZED: usize,
    const SEQ: usize,
    const CACHE: usize,
    const VOCAB: usize,
> {
    activations: [f32; ACTIVATIONS],
    quantized: [i8; QUANTIZED],
    scores: [i32; SEQ],
    weights: [i16; SEQ],
    cache: [i8; CACHE],
    logits: [f32; VOCAB],
}

impl<const ACTIVATIONS: usize, const QUANTIZED: usize, const SEQ: usize, const CACHE: usize, const VOCAB: usize>
    State<ACTIVATIONS, QUANTIZED, SEQ, CACHE, VOCAB>
{
    /// All zeros, so that a `static` of this type takes no flash.
    pub const fn new() -> Self {
        State {
            activations: [0.0; ACTIVATIONS],
            quantized: [0; QUANTIZED],
            scores: [0; SEQ],
            weights: [0; SEQ],
            cache: [0; CACHE],
            logits: [0.0; VOCAB],
        }
    }

    /// Lends the memory to a session.
    pub const fn memory(&mut self) -> Memory<'_> {
        Memory {
            activations: &mut self.activations,
            quantized: &mut self.quantized,
            scores: &mut self.scores,
            weights: &mut self.weights,
            cache: &mut self.cache,
            logits: &mut self.logits,
        }
    }
}

impl<const ACTIVATIONS: usize, const QUANTIZED: usize, const SEQ: usize, const CACHE: usize, const VOCAB: usize> Default
    for State<ACTIVATIONS, QUANTIZED, SEQ, CACHE, VOCAB>
{
    fn default() -> Self {
        Self::new()
    }
}

/// The working memory of one session, lent as slices: what the engine is compiled for, once for all models.
pub struct Memory<'s> {
    pub(crate) activations: &'s mut [f32],
    pub(crate) quantized: &'s mut [i8],
    pub(crate) scores: &'s mut [i32],
    pub(crate) weights: &'s mut [i16],
    pub(crate) cache: &'s mut [i8],
    pub(crate) logits: &'s mut [f32],
}

/// What a part of a block may use while it runs; nothing in it outlives the call.
pub(crate) struct Scratch<'s> {
    /// Floats for projections.
    pub(crate) floats: &'s mut [f32],
    /// The vector that meets a matrix, as int8.
    pub(crate) quantized: &'s mut [i8],
    /// One row of scores, `[max_seq]`.
    pub(crate) scores: &'s mut [i32],
    /// One row of weights, `[max_seq]`.
    pub(crate) weights: &'s mut [i16],
}

/// Cuts the first `count` elements off a buffer.
pub(crate) fn take<'s, T>(rest: &mut &'s mut [T], count: usize, buffer: &'static str) -> Result<&'s mut [T], Error> {
    let found = rest.len();
    let (taken, remaining) = core::mem::take(rest).split_at_mut_checked(count).ok_or(Error::StateTooSmall {
        buffer,
        expected: count,
        found,
    })?;
    *rest = remaining;
    Ok(taken)
}

#[cfg(feature = "std")]
pub use host::HostState;

#[cfg(feature = "std")]
mod host {
    use super::Memory;
    use crate::dims::Dims;
    use std::vec;
    use std::vec::Vec;

    /// The working memory of one session on the host, sized at run time.
    pub struct HostState {
        activations: Vec<f32>,
        quantized: Vec<i8>,
        scores: Vec<i32>,
        weights: Vec<i16>,
        cache: Vec<i8>,
        logits: Vec<f32>,
    }

    impl HostState {
        /// Memory for a context of `max_seq` tokens.
        pub fn new(dims: &Dims, max_seq: usize) -> Self {
            HostState {
                activations: vec![0.0; dims.activations()],
                quantized: vec![0; dims.quantized()],
                scores: vec![0; max_seq],
                weights: vec![0; max_seq],
                cache: vec![0; dims.cache(max_seq)],
                logits: vec![0.0; dims.vocab],
            }
        }

        /// Lends the memory to a session.
        pub fn memory(&mut self) -> Memory<'_> {
            Memory {
                activations: &mut self.activations,
                quantized: &mut self.quantized,
                scores: &mut self.scores,
                weights: &mut self.weights,
                cache: &mut self.cache,
                logits: &mut self.logits,
            }
        }
    }
}
