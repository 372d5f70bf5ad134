//! The transformer block, pre-LN (Xiong et al. 2020):
//!
//! ```text
//!         ┌────────────── branch ──────────────┐    ┌──────────── branch ─────────────┐
//! x ──┬───┤ norm ─► attention (reduce tokens)  ├─ + ┬ norm ─► mlp (map one token)     ├─ + ──► x
//!     └───┴──────────────── stream ────────────┴────┴──────────── stream ─────────────┴────
//! ```
//! `x = x + attention(norm(x))`, then `x = x + mlp(norm(x))`. The residual stream `x` stays in `f32` from the embedding to
//! the head and nothing but addition ever touches it: it is never normalised in place and never quantized. A branch computes
//! in integers, from its norm to its last matrix.

mod attention;
mod cache;
mod mlp;
mod norm;

pub(crate) use attention::{Attention, rotation};
pub(crate) use cache::head_words;
pub(crate) use mlp::Mlp;
pub(crate) use norm::RmsNorm;

use crate::error::Error;
use crate::kernels::float::add;
use crate::observe::{Observer, Point, Vector};
use crate::state::Scratch;

/// One block's weights.
pub(crate) struct Block<'a> {
    pub(crate) attention_norm: RmsNorm<'a>,
    pub(crate) attention: Attention<'a>,
    pub(crate) mlp_norm: RmsNorm<'a>,
    pub(crate) mlp: Mlp<'a>,
}

/// Where in the model and in the sequence the computation stands.
pub(crate) struct Place<'a> {
    pub(crate) layer: usize,
    /// Of the first token of the batch.
    pub(crate) position: usize,
    /// Longest sequence that the cache has room for.
    pub(crate) max_seq: usize,
    /// For each token of the batch cosines, then sines, of its rotary angles, `[tokens, head_dim]`, 15 fraction bits.
    pub(crate) rotations: &'a [i16],
}

impl Block<'_> {
    /// Sends the streams of a batch of tokens, neighbours in the sequence, through the block.
    ///
    /// # Shapes
    /// `x: [tokens, d_model]`; `cache`: this layer's part of the KV cache.
    pub(crate) fn forward(
        &self,
        x: &mut [f32],
        cache: &mut [u32],
        place: &Place<'_>,
        scratch: &mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let (layer, width) = (place.layer, self.mlp.down.rows.max(1));
        let not_finite = Error::NotFinite { layer };
        let normed =
            self.attention_norm.forward(x, scratch, Point::AttentionNorm, layer, observer).ok_or(not_finite)?;
        let mut branch = self.attention.forward(&normed, cache, place, scratch, observer)?;
        for (token, x) in x.chunks_exact_mut(width).enumerate() {
            let branch = branch.token(token).ok_or(not_finite)?;
            observer.vector(Point::AttentionOutput, layer, &branch.observed());
            add(x, &branch);
        }

        let normed = self.mlp_norm.forward(x, scratch, Point::MlpNorm, layer, observer).ok_or(not_finite)?;
        let mut branch = self.mlp.forward(&normed, place, scratch, observer)?;
        for (token, x) in x.chunks_exact_mut(width).enumerate() {
            let branch = branch.token(token).ok_or(not_finite)?;
            observer.vector(Point::MlpOutput, layer, &branch.observed());
            add(x, &branch);
            observer.vector(Point::Output, layer, &Vector::Floats(x));
        }
        Ok(())
    }
}
