//! The place of a computation in the model and in the sequence.

use crate::state::kv_cache::HeadLayout;

/// The place of a batch of tokens in the model and in the sequence.
#[derive(Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) layer: usize,
    /// Position of the first token of the batch.
    pub(crate) position: usize,
    /// Tokens of the sequence that is seen as a whole; without meaning under a causal mask.
    pub(crate) length: usize,
    /// Tokens that the cache has room for; a longer sequence overwrites those that a sliding window has left behind.
    pub(crate) max_seq: usize,
    /// Layout of a head's part of the cache.
    pub(crate) layout: HeadLayout,
    /// Rotary angles of each token of the batch, cosines, then sines, `[tokens, head_dim]`, 15 fraction bits; empty without
    /// rotary positions.
    pub(crate) rotations: &'a [i16],
    /// Width of a rotation.
    pub(crate) head_dim: usize,
}

impl Step<'_> {
    /// The rotation of one token of the batch.
    pub(super) fn rotation(&self, token: usize) -> &[i16] {
        self.rotations.chunks_exact(self.head_dim.max(1)).nth(token).unwrap_or(&[])
    }
}
