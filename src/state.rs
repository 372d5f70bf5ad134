//! The working memory: `State` owns it as a fixed-size array (firmware), `HostState` as a `Vec` (tools), `Memory` lends it.
//!
//! ```text
//! State<…, WORDS> ────────────┐
//!                             ├─► Memory<'_> ──► Session ──► forward pass: stream | scratch | KV cache | logits
//! HostState (feature `std`) ──┘
//! ```
//! The size is computed from the image ([`crate::Dims::state_words`]); [`model!`](crate::model) writes it into the type, so
//! `size_of::<State>()` is all the memory that inference needs, and it lies in `.bss`.

use crate::arch;
use crate::dims::{Dims, MAX_BATCH};
use crate::error::Error;

/// The working memory of one session, owned: a context of `MAX_SEQ` tokens, `BATCH` at a time, in `WORDS` words.
pub struct State<const MAX_SEQ: usize, const BATCH: usize, const WORDS: usize> {
    words: [u32; WORDS],
}

impl<const MAX_SEQ: usize, const BATCH: usize, const WORDS: usize> State<MAX_SEQ, BATCH, WORDS> {
    /// All zeros, so that a `static` of this type takes no flash.
    pub const fn new() -> Self {
        State { words: [0; WORDS] }
    }

    /// Lends the memory to a session.
    pub const fn memory(&mut self) -> Memory<'_> {
        Memory { max_seq: MAX_SEQ, batch: BATCH, words: &mut self.words }
    }
}

impl<const MAX_SEQ: usize, const BATCH: usize, const WORDS: usize> Default for State<MAX_SEQ, BATCH, WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

/// The working memory of one session, lent as a slice: what the engine is compiled for, once for all models.
pub struct Memory<'s> {
    pub(crate) max_seq: usize,
    pub(crate) batch: usize,
    words: &'s mut [u32],
}

/// The parts of a session's memory.
pub(crate) struct Regions<'s> {
    /// The residual streams, `[batch, d_model]`, or of all tokens where all see each other.
    pub(crate) stream: &'s mut [f32],
    /// The positions' rotary angles, `[batch, head_dim]`.
    pub(crate) rotations: &'s mut [i16],
    pub(crate) scratch: Scratch<'s>,
    /// Keys and values of all layers.
    pub(crate) cache: &'s mut [u32],
}

/// What a part of a block may use while it runs; nothing in it outlives the call.
pub(crate) struct Scratch<'s> {
    /// Projections in fixed point, of a batch.
    pub(crate) integers: &'s mut [i32],
    /// The vectors that meet a matrix, as int8, of a batch.
    pub(crate) activations: &'s mut [u32],
    /// One row of scores, then weights, of as many tokens as the cache holds.
    pub(crate) scores: &'s mut [u32],
}

impl<'s> Memory<'s> {
    /// Memory that belongs to somebody else, for a context of `max_seq` tokens, `batch` at a time: how one buffer serves several models
    /// in turn. It takes the first [`Dims::state_words`] words of the buffer. A longer context than the model's is the model's, and
    /// `batch` is brought into 1 to [`MAX_BATCH`].
    ///
    /// # Errors
    /// [`Error::StateTooSmall`].
    pub fn new(dims: &Dims, max_seq: usize, batch: usize, words: &'s mut [u32]) -> Result<Memory<'s>, Error> {
        let (max_seq, batch) = (max_seq.min(dims.max_seq), batch.clamp(1, MAX_BATCH));
        let (expected, found) = (dims.state_words(max_seq, batch), words.len());
        let words = words.get_mut(..expected).ok_or(Error::StateTooSmall { expected, found })?;
        Ok(Memory { max_seq, batch, words })
    }
}

impl Memory<'_> {
    /// Cuts the memory into its parts; the logits are the last one.
    ///
    /// # Errors
    /// [`Error::StateTooSmall`] when it has another size than the model needs.
    pub(crate) fn regions(&mut self, dims: &Dims) -> Result<(Regions<'_>, &mut [f32]), Error> {
        let batch = self.batch;
        let (expected, found) = (dims.state_words(self.max_seq, batch), self.words.len());
        let wrong = Error::StateTooSmall { expected, found };
        if expected != found || batch == 0 || batch > MAX_BATCH {
            return Err(wrong);
        }
        let mut rest = &mut *self.words;
        let stream = arch::floats_mut(take(&mut rest, dims.stream_words(self.max_seq, batch)).or(Err(wrong))?);
        let rotations = arch::as_i16_mut(take(&mut rest, batch * dims.rotation_words()).or(Err(wrong))?);
        let integers = arch::integers_mut(take(&mut rest, batch * dims.scratch()).or(Err(wrong))?);
        let activations = take(&mut rest, batch * dims.activation_words()).or(Err(wrong))?;
        let scores = take(&mut rest, dims.score_words(self.max_seq)).or(Err(wrong))?;
        let cache = take(&mut rest, dims.cache_words(self.max_seq)).or(Err(wrong))?;
        let regions = Regions { stream, rotations, scratch: Scratch { integers, activations, scores }, cache };
        Ok((regions, arch::floats_mut(rest)))
    }
}

/// Cuts the first `count` elements off a buffer.
pub(crate) fn take<'s, T>(rest: &mut &'s mut [T], count: usize) -> Result<&'s mut [T], Error> {
    let found = rest.len();
    let cut = core::mem::take(rest).split_at_mut_checked(count);
    let (taken, remaining) = cut.ok_or(Error::StateTooSmall { expected: count, found })?;
    *rest = remaining;
    Ok(taken)
}

#[cfg(feature = "std")]
pub use host::HostState;

#[cfg(feature = "std")]
mod host {
    use super::Memory;
    use crate::dims::{Dims, MAX_BATCH};
    use std::vec;
    use std::vec::Vec;

    /// The working memory of one session on the host, sized at run time.
    pub struct HostState {
        max_seq: usize,
        batch: usize,
        words: Vec<u32>,
    }

    impl HostState {
        /// Memory for a context of `max_seq` tokens.
        pub fn new(dims: &Dims, max_seq: usize) -> Self {
            Self::with_batch(dims, max_seq, MAX_BATCH)
        }

        /// Memory for a context of `max_seq` tokens, `batch` of which go through the network together (1 to [`MAX_BATCH`]).
        pub fn with_batch(dims: &Dims, max_seq: usize, batch: usize) -> Self {
            let batch = batch.clamp(1, MAX_BATCH);
            HostState { max_seq, batch, words: vec![0; dims.state_words(max_seq, batch)] }
        }

        /// Lends the memory to a session.
        pub fn memory(&mut self) -> Memory<'_> {
            Memory { max_seq: self.max_seq, batch: self.batch, words: &mut self.words }
        }
    }
}
