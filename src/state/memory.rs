//! The working memory of a session, lent by whoever owns it.

use super::regions::{Regions, regions};
use crate::arch::MAX_BATCH;
use crate::dims::Dims;
use crate::error::Error;

/// The working memory of one session, lent as a slice: the engine is compiled for it, once for all models.
///
/// ```
/// # use thumbformer::{Dims, Error, Options, Tensor};
/// # const DIMS: Dims = Dims::block(2, 1, 2, 3, Options::ENCODER);
/// # const ONES: [f32; 2] = [1.0, 1.0];
/// # const IDENTITY: [f32; 4] = [1.0, 0.0, 0.0, 1.0];
/// # thumbformer::constant_model!(
/// #     mod block = DIMS,
/// #     &[
/// #         (Tensor::AttentionNorm, 0, &ONES),
/// #         (Tensor::Query, 0, &IDENTITY),
/// #         (Tensor::Key, 0, &IDENTITY),
/// #         (Tensor::Value, 0, &IDENTITY),
/// #         (Tensor::AttentionOutput, 0, &IDENTITY),
/// #         (Tensor::MlpNorm, 0, &ONES),
/// #         (Tensor::Up, 0, &IDENTITY),
/// #         (Tensor::Down, 0, &IDENTITY),
/// #     ]
/// # );
/// use thumbformer::Memory;
///
/// fn main() -> Result<(), Error> {
///     // One buffer for several models, one after the other.
///     let mut words = [0; 256];
///     let memory = Memory::new(block::MODEL.dims(), 3, 1, &mut words)?;
///     block::MODEL.session(memory).encode(&mut [1.0, -1.0, 0.5, 2.0])
/// }
/// ```
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
