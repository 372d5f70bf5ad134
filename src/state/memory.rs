//! The working memory of a session, lent by whoever owns it.

use super::regions::{Regions, regions};
use crate::arch::MAX_BATCH;
use crate::dims::Dims;
use crate::error::Error;

/// The working memory of one session, lent as a slice: the engine is compiled for it, once for all models.
pub struct Memory<'s> {
    pub(crate) max_seq: usize,
    pub(crate) batch: usize,
    pub(super) words: &'s mut [u32],
}

impl<'s> Memory<'s> {
    /// Memory that belongs to somebody else, for a context of `max_seq` tokens, `batch` at a time: one buffer serves several models
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
    /// The regions of this memory.
    ///
    /// # Errors
    /// [`Error::StateTooSmall`] when it has another size than the model needs.
    pub(crate) fn regions(&mut self, dims: &Dims) -> Result<Regions<'_>, Error> {
        let (batch, found) = (self.batch, self.words.len());
        let regions = regions(dims, self.max_seq, batch, self.words);
        if regions.words != found || batch == 0 || batch > MAX_BATCH {
            return Err(Error::StateTooSmall { expected: regions.words, found });
        }
        Ok(regions)
    }
}
