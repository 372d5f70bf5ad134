//! The working memory: `State` owns it as a fixed-size array (firmware), `HostState` as a `Vec` (tools), `Memory` lends it.
//!
//! ```text
//! State<…, WORDS> ────────────┐
//!                             ├─► Memory<'_> ──► Session ──► forward pass: stream | scratch | KV cache | logits
//! HostState (feature `std`) ──┘
//! ```
//! The size is computed from the image ([`crate::Dims::state_words`]); [`model!`](crate::model) writes it into the type, so
//! `size_of::<State>()` is all the memory that inference needs, and it lies in `.bss`.

#[cfg(feature = "std")]
mod host;
pub(crate) mod kv_cache;
mod memory;
pub(crate) mod regions;
pub(crate) mod take;

#[cfg(feature = "std")]
pub use host::HostState;
pub use memory::Memory;

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
