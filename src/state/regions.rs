//! The regions of a state: one function both sums their sizes and cuts the memory into them.
//!
//! ```text
//! Dims, max_seq, batch ──► regions ─┬─► words, the size of the state: state's type, host tools, parser
//!                                   └─► stream | rotations | integers | activations | scores | KV cache | logits
//! ```
//! Sizes saturate: a state with more words than a `usize` counts has `usize::MAX` of them, which no memory has, and
//! [`Image::parse`](crate::image::Image::parse) refuses its image. The lint holds that no size wraps.
#![deny(clippy::arithmetic_side_effects)]

use super::kv_cache::HeadLayout;
use crate::arch::{self, MAX_BATCH, PACKED_ROWS};
use crate::dims::Dims;
use crate::error::Error;

/// The regions of a session's memory.
pub(crate) struct Regions<'s> {
    /// Residual streams, `[batch, d_model]`, or of all tokens where all see each other.
    pub(crate) stream: &'s mut [f32],
    /// Rotary angles of the positions, `[batch, head_dim]`.
    pub(crate) rotations: &'s mut [i16],
    pub(crate) scratch: Scratch<'s>,
    /// Keys and values of all layers.
    pub(crate) kv_cache: &'s mut [u32],
    /// Outputs, `[n_outputs]`, padded.
    pub(crate) logits: &'s mut [f32],
    /// Words of all regions together.
    pub(crate) words: usize,
}

/// Memory that a part of a block uses while it runs; nothing in it outlives the call.
pub(crate) struct Scratch<'s> {
    /// Projections in fixed point, of a batch.
    pub(crate) integers: &'s mut [i32],
    /// Vectors that meet a matrix, as int8, of a batch.
    pub(crate) activations: &'s mut [u32],
    /// One row of scores, then weights, of as many tokens as the cache holds.
    pub(crate) scores: &'s mut [u32],
}

/// The regions of a state, cut from `memory` in the order of their fields, and the sum of their sizes.
///
/// Regions that the memory has no room for are empty; without any memory the sum is all that comes of it.
#[inline(always)] // into the function that returns them, so that they are written where they are wanted
pub(crate) const fn regions<'s>(dims: &Dims, max_seq: usize, batch: usize, memory: &'s mut [u32]) -> Regions<'s> {
    let mut rest = Rest { memory, words: 0 };
    Regions {
        stream: arch::floats_mut(rest.take(dims.stream_words(max_seq, batch))),
        rotations: arch::as_i16_mut(rest.take(batch.saturating_mul(dims.rotation_words()))),
        scratch: Scratch {
            integers: arch::integers_mut(rest.take(batch.saturating_mul(dims.scratch()))),
            activations: rest.take(batch.saturating_mul(dims.activation_words())),
            scores: rest.take(dims.score_words(max_seq)),
        },
        kv_cache: rest.take(dims.cache_words(max_seq)),
        logits: arch::floats_mut(rest.take(dims.logit_words())),
        words: rest.words,
    }
}

/// Memory that no region has yet, and the words of those before it.
struct Rest<'s> {
    memory: &'s mut [u32],
    words: usize,
}

impl<'s> Rest<'s> {
    /// The next region.
    #[allow(clippy::mem_replace_with_default)] // `take` is no `const fn`
    #[inline(always)]
    const fn take(&mut self, count: usize) -> &'s mut [u32] {
        self.words = self.words.saturating_add(count);
        match core::mem::replace(&mut self.memory, &mut []).split_at_mut_checked(count) {
            Some((region, rest)) => {
                self.memory = rest;
                region
            }
            None => &mut [],
        }
    }
}

/// Sizes of the regions, in words of 32 bits.
impl Dims {
    /// Words of a session's whole state for a context of `max_seq` tokens, `batch` of which go through the network together;
    /// `usize::MAX` when there are more than a `usize` counts.
    pub const fn state_words(&self, max_seq: usize, batch: usize) -> usize {
        regions(self, max_seq, batch, &mut []).words
    }

    /// Checks that the state for the model's whole context has fewer than `limit` words.
    ///
    /// # Errors
    /// [`Error::StateTooLarge`].
    pub(crate) const fn check_state(&self, limit: usize) -> Result<(), Error> {
        if self.state_words(self.max_seq, MAX_BATCH) >= limit {
            return Err(Error::StateTooLarge { max_seq: self.max_seq, n_layers: self.n_layers });
        }
        Ok(())
    }

    /// Words of the streams: of a batch, or of all tokens where all see each other; none where they are the caller's.
    const fn stream_words(&self, max_seq: usize, batch: usize) -> usize {
        let tokens = if self.is_causal() { batch } else { max_seq };
        if self.is_stream() { 0 } else { tokens.saturating_mul(self.d_model) }
    }

    /// Words of a position's rotary angles.
    const fn rotation_words(&self) -> usize {
        if self.is_rotary() { self.head_dim / 2 } else { 0 }
    }

    /// Words of projections and other vectors in fixed point that one token needs at a time.
    pub const fn scratch(&self) -> usize {
        let (queries, keys) = (padded(self.query_width()), padded(self.n_kv_heads.saturating_mul(self.head_dim)));
        let attention = queries.saturating_add(keys).saturating_mul(2);
        let mlp = padded(self.d_ff).saturating_mul(if self.options.gated { 2 } else { 1 });
        let ends = larger(larger(padded(self.d_model), self.n_features), padded(self.widest_of_head()));
        larger(larger(attention, mlp), ends)
    }

    /// The widest vector of the head, its outputs apart.
    const fn widest_of_head(&self) -> usize {
        if !cfg!(feature = "ends") {
            return self.d_model;
        }
        let [first, second, third, fourth] = self.head_widths;
        larger(self.pooled_width(), larger(larger(first, second), larger(third, fourth)))
    }

    /// Words of a token's quantized activations: the widest vector that meets a matrix, or a query in 16 bits.
    pub const fn activation_words(&self) -> usize {
        let widest = larger(larger(self.d_ff, self.widest_of_head()), larger(self.query_width(), self.n_features));
        // Half of all numbers has room for the padding; projections as wide have more words than can be counted.
        let widest = if widest > usize::MAX / 2 { usize::MAX / 2 } else { widest };
        larger(arch::activation_words(widest), self.head_dim.div_ceil(4).saturating_mul(2))
    }

    /// Words of one row of attention scores.
    pub const fn score_words(&self, max_seq: usize) -> usize {
        self.cached(max_seq).div_ceil(4).saturating_mul(2)
    }

    /// Words of the KV cache of one layer for a context of `max_seq` tokens: int8 keys and values, a 16-bit mantissa for each
    /// of both per token and key/value head, and their exponents.
    pub const fn layer_cache_words(&self, max_seq: usize) -> usize {
        self.n_kv_heads.saturating_mul(HeadLayout::new(self.head_dim, self.cached(max_seq)).words())
    }

    /// Words of the KV cache for a context of `max_seq` tokens: of all layers where later tokens look at it, else of one.
    pub const fn cache_words(&self, max_seq: usize) -> usize {
        let layers = if self.is_causal() { self.n_layers } else { 1 };
        layers.saturating_mul(self.layer_cache_words(max_seq))
    }

    /// Words of the outputs, padded.
    pub const fn logit_words(&self) -> usize {
        padded(self.n_outputs)
    }

    /// Width of the concatenated query heads.
    const fn query_width(&self) -> usize {
        self.n_heads.saturating_mul(self.head_dim)
    }
}

/// Rows of a matrix with their padding.
const fn padded(rows: usize) -> usize {
    rows.div_ceil(PACKED_ROWS).saturating_mul(PACKED_ROWS)
}

const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::options::{Input, Mask, Options, Positions};
    use std::vec;

    #[test]
    fn the_regions_fill_the_memory_in_order_and_fall_short_in_a_smaller_one() {
        let options = Options { mask: Mask::Bidirectional, input: Input::Stream, ..Options::LLAMA };
        for (dims, max_seq, batch) in [
            (Dims::new(16, 2, 4, 2, 4, 24, 300, 24, 1e-5).expect("dims"), 24, 4),
            (Dims::new(13, 1, 3, 1, 6, 7, 31, 9, 1e-5).expect("dims"), 5, 1),
            (Dims::block(12, 3, 20, 10, options), 10, 2),
        ] {
            let words = dims.state_words(max_seq, batch);
            let mut memory: vec::Vec<u32> = (0..words as u32).collect();
            let cut = regions(&dims, max_seq, batch, &mut memory);
            let scratch = cut.scratch.integers.len() + cut.scratch.activations.len() + cut.scratch.scores.len();
            let ends = cut.stream.len() + cut.rotations.len() / 2 + cut.kv_cache.len() + cut.logits.len();
            assert_eq!((scratch + ends, cut.words), (words, words));
            let first = words - cut.logits.len() - cut.kv_cache.len();
            assert_eq!(cut.kv_cache.first(), Some(&(first as u32)), "the logits are the last");
            let cut = regions(&dims, max_seq, batch, &mut memory[..words - 1]);
            assert_eq!((cut.words, cut.logits.len().min(cut.kv_cache.len())), (words, 0));
        }
    }

    /// All widths around the paddings, all inputs, masks and positions, all batches.
    #[test]
    fn the_regions_of_every_small_model_are_the_words_that_are_counted_and_no_others() {
        const WIDTHS: [usize; 6] = [1, 2, 3, 4, 5, 17];
        const CASES: usize = 3 * 2 * 2 * 6 * 6 * 3 * 3 * 4 * MAX_BATCH;
        let mut memory = vec![0; 4096];
        for case in 0..CASES {
            let mut rest = case;
            let mut pick = |count: usize| {
                let index = rest % count;
                rest /= count;
                index
            };
            let options = Options {
                input: [Input::Tokens, Input::Frames, Input::Stream][pick(3)],
                mask: [Mask::Causal, Mask::Bidirectional][pick(2)],
                positions: [Positions::None, Positions::Rotary][pick(2)],
                ..Options::LLAMA
            };
            let (d_model, d_ff, head_dim) = (WIDTHS[pick(6)], WIDTHS[pick(6)], [2, 4, 6][pick(3)]);
            let (n_heads, n_kv_heads) = [(1, 1), (3, 1), (4, 2)][pick(3)];
            let (max_seq, sliding_window) = [(1, 0), (4, 0), (5, 3), (9, 4)][pick(4)];
            let batch = 1 + pick(MAX_BATCH);
            let block = Dims::block(d_model, n_heads, d_ff, max_seq, options);
            let dims = Dims { head_dim, n_kv_heads, sliding_window, n_layers: 2, n_features: 7, n_outputs: 5, ..block };
            let words = dims.state_words(max_seq, batch);
            let exact = memory.get_mut(..words).expect("a small state");
            let cut = regions(&dims, max_seq, batch, exact);
            let scratch = cut.scratch.integers.len() + cut.scratch.activations.len() + cut.scratch.scores.len();
            let ends = cut.stream.len() + cut.rotations.len().div_ceil(2) + cut.kv_cache.len() + cut.logits.len();
            assert_eq!((scratch + ends, cut.words), (words, words), "{dims:?} {max_seq} {batch}");
            assert_eq!(cut.logits.len(), dims.logit_words());
            // One word less, and the last region is empty: no other takes what is not its own.
            let cut = regions(&dims, max_seq, batch, &mut exact[..words - 1]);
            assert_eq!((cut.words, cut.logits.len()), (words, 0));
        }
    }

    #[test]
    fn a_state_that_no_usize_counts_saturates() {
        let mut dims = Dims::new(16, 2, 4, 2, 4, 24, 300, 24, 1e-5).expect("dims");
        assert_eq!(dims.check_state(dims.state_words(24, 4)), Err(Error::StateTooLarge { max_seq: 24, n_layers: 2 }));
        assert_eq!(dims.check_state(dims.state_words(24, 4) + 1), Ok(()));
        for dims in [
            Dims { d_ff: usize::MAX, ..dims },
            Dims { n_heads: usize::MAX, ..dims },
            Dims { n_layers: usize::MAX, ..dims },
            Dims { n_features: usize::MAX, ..dims },
        ] {
            assert_eq!(dims.state_words(24, 4), usize::MAX);
        }
        dims.n_layers = 1 << 40;
        dims.head_dim = 1 << 30;
        assert_eq!(dims.state_words(24, 4), usize::MAX);
        assert_eq!(dims.state_words(usize::MAX, usize::MAX), usize::MAX);
    }
}
