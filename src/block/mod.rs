//! The transformer block, pre-LN (Xiong et al. 2020):
//!
//! ```text
//!         ┌────────────── branch ──────────────┐    ┌──────────── branch ─────────────┐
//! x ──┬───┤ norm ─► attention (reduce tokens)  ├─ + ┬ norm ─► mlp (map one token)     ├─ + ──► x
//!     └───┴──────────────── stream ────────────┴────┴──────────── stream ─────────────┴────
//! ```
//! `x = x + attention(norm(x))`, then `x = x + mlp(norm(x))`. The residual stream `x` stays in `f32` from the embedding to
//! the head and nothing but addition ever touches it: it is never normalised in place and never quantized.

mod attention;
mod cache;
mod mlp;
mod norm;

pub(crate) use attention::{Attention, rotation};
pub(crate) use mlp::Mlp;
pub(crate) use norm::RmsNorm;

use crate::error::Error;
use crate::kernels::float::add;
use crate::observe::{Observer, Point};
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
    pub(crate) position: usize,
    /// Cosines, then sines, of this position's rotary angles, `[head_dim]`.
    pub(crate) rotation: &'a [f32],
}

impl Block<'_> {
    /// Sends the stream of one token through the block.
    ///
    /// # Shapes
    /// `x`, `branch`: `[d_model]`; `cache`: this layer's part of the KV cache.
    pub(crate) fn forward(
        &self,
        x: &mut [f32],
        branch: &mut [f32],
        cache: &mut [i8],
        place: &Place<'_>,
        scratch: &mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        self.attention_norm.forward(x, branch);
        observer.vector(Point::AttentionNorm, place.layer, branch);
        self.attention.forward(branch, cache, place, scratch, observer)?;
        observer.vector(Point::AttentionOutput, place.layer, branch);
        add(x, branch);

        self.mlp_norm.forward(x, branch);
        observer.vector(Point::MlpNorm, place.layer, branch);
        self.mlp.forward(branch, place, scratch)?;
        observer.vector(Point::MlpOutput, place.layer, branch);
        add(x, branch);
        observer.vector(Point::Output, place.layer, x);
        Ok(())
    }
}
