//! The transformer block (Vaswani et al. 2017), pre-LN (Xiong et al. 2020) or post-LN:
//!
//! ```text
//! pre:    ┌────────────── branch ──────────────┐    ┌──────────── branch ─────────────┐
//! x ──┬───┤ norm ─► attention (reduce tokens)  ├─ + ┬ norm ─► mlp (map one token)     ├─ + ──► x
//!     └───┴──────────────── stream ────────────┴────┴──────────── stream ─────────────┴────
//! post: x ──┬─► attention ─► + ─► norm ──┬─► mlp ─► + ─► norm ──► x
//!           └────────────────┘           └──────────┘
//! ```
//! `x = x + attention(norm(x))`, then `x = x + mlp(norm(x))`. The residual stream `x` stays in `f32` from the embedding to
//! the head and nothing but addition ever touches it: it is never normalised in place and never quantized; in a post-LN
//! block, `x = norm(x + attention(x))`, every norm rewrites it. A branch computes in integers, from its norm to its last matrix.
//!
//! `docs/lesson.md` shows on this very code what each line does to the numbers.

mod attention;
mod mlp;
mod norm;
mod step;

pub(crate) use attention::{Attention, rotation};
pub(crate) use mlp::{Mlp, activated};
pub(crate) use norm::Norm;
pub(crate) use step::Step;

use crate::dims::Dims;
use crate::error::Error;
use crate::kernels::float::add;
use crate::kernels::matrix::{Batch, Products};
use crate::kernels::quantize::quantize_stream;
use crate::observe::{NoObserver, Observer, Point, Vector};
use crate::options::NormPlace;
use crate::state::regions::Scratch;

/// One block's weights.
pub(crate) struct Block<'a> {
    pub(crate) dims: &'a Dims,
    pub(crate) attention_norm: Norm<'a>,
    pub(crate) attention: Attention<'a>,
    pub(crate) mlp_norm: Norm<'a>,
    pub(crate) mlp: Mlp<'a>,
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
        step: &Step<'_>,
        scratch: &mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let layer = step.layer;
        let not_finite = Error::NotFinite { layer };
        let input = self.input(x, &self.attention_norm, Point::AttentionNorm, layer, scratch, observer);
        let mut branch = self.attention.forward(&input.ok_or(not_finite)?, cache, step, scratch, observer)?;
        add_branch(x, &mut branch, Point::AttentionOutput, layer, observer).ok_or(not_finite)?;
        self.after(x, &self.attention_norm, Point::AttentionNorm, layer, scratch, observer).ok_or(not_finite)?;

        let input = self.input(x, &self.mlp_norm, Point::MlpNorm, layer, scratch, observer);
        let mut branch = self.mlp.forward(&input.ok_or(not_finite)?, step, scratch, observer)?;
        add_branch(x, &mut branch, Point::MlpOutput, layer, observer).ok_or(not_finite)?;
        self.after(x, &self.mlp_norm, Point::MlpNorm, layer, scratch, observer).ok_or(not_finite)?;
        for x in x.chunks_exact(self.dims.d_model.max(1)) {
            observer.vector(Point::Output, layer, &Vector::Floats(x));
        }
        Ok(())
    }

    /// Stores keys and values of a batch whose tokens are seen by those before them; see [`Attention::store`].
    ///
    /// # Shapes
    /// As of [`forward`](Block::forward).
    pub(crate) fn store(
        &self,
        x: &[f32],
        cache: &mut [u32],
        step: &Step<'_>,
        scratch: &mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let not_finite = Error::NotFinite { layer: step.layer };
        // The norm is seen by an observer when the tokens look.
        let input = self.input(x, &self.attention_norm, Point::AttentionNorm, step.layer, scratch, &mut NoObserver);
        self.attention.store(&input.ok_or(not_finite)?, cache, step, scratch, observer).ok_or(not_finite)
    }

    /// The input of a branch, in the scratch's activations: the stream, normed in a pre-LN block.
    fn input(
        &self,
        x: &[f32],
        norm: &Norm<'_>,
        point: Point,
        layer: usize,
        scratch: &mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Option<Batch> {
        match self.dims.options.norm_place {
            NormPlace::Pre => norm.forward(x, scratch, point, layer, observer),
            NormPlace::Post => {
                let width = self.dims.d_model.max(1);
                let mut streams = x.chunks_exact(width);
                Batch::new(width, streams.len(), scratch.activations, |_, words| {
                    quantize_stream(streams.next()?, scratch.integers, words)
                })
            }
        }
    }

    /// Norms the stream of a post-LN block after a branch was added.
    fn after(
        &self,
        x: &mut [f32],
        norm: &Norm<'_>,
        point: Point,
        layer: usize,
        scratch: &mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Option<()> {
        if self.dims.options.norm_place == NormPlace::Post {
            for x in x.chunks_exact_mut(self.dims.d_model.max(1)) {
                norm.in_place(x, scratch)?;
                observer.vector(point, layer, &Vector::Floats(x));
            }
        }
        Some(())
    }
}

/// `x = x + branch`; `None` when a value is not finite.
fn add_branch(
    x: &mut [f32],
    branch: &mut Products<'_>,
    point: Point,
    layer: usize,
    observer: &mut impl Observer,
) -> Option<()> {
    for (token, x) in x.chunks_exact_mut(branch.rows().max(1)).enumerate() {
        let branch = branch.token(token)?;
        observer.vector(point, layer, &branch.observed());
        add(x, &branch);
    }
    Some(())
}
