//! The working memory of a session on the host.

use super::memory::Memory;
use crate::arch::MAX_BATCH;
use crate::dims::Dims;
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
