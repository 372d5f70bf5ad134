//! Observers: a debugger, a report or a test looks on while a model runs.
//!
//! The names are those of the golden vectors of the float reference (`layers.0.attention.q` …), so that a comparison can
//! say where two computations part. Observing costs nothing when nobody observes: the default methods are empty and inlined.

use crate::kernels::scaled::Scaled;
use crate::kernels::softmax::Scores;

/// A place in the computation where an [`Observer`] sees a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Point {
    /// The embedding of a token or frame with its position, `[d_model]`: the residual stream before the first block.
    Embedding,
    /// The same after a norm that follows it, `[d_model]`.
    EmbeddingNorm,
    /// The stream after attention's norm, `[d_model]`: before attention for attention alone (pre-LN), or after attention
    /// was added the stream itself (post-LN).
    AttentionNorm,
    /// Queries with their rotation, `[n_heads * head_dim]`.
    Query,
    /// Keys with their rotation, `[n_kv_heads * head_dim]`.
    Key,
    /// Values, `[n_kv_heads * head_dim]`.
    Value,
    /// The context of all heads, concatenated, `[n_heads * head_dim]`.
    Context,
    /// The branch of attention, added to the stream, `[d_model]`.
    AttentionOutput,
    /// The stream after the MLP's norm, `[d_model]`: before the MLP for the MLP alone (pre-LN), or after the MLP was added
    /// the stream itself (post-LN).
    MlpNorm,
    /// The gate before its activation, `[d_ff]`.
    Gate,
    /// The projection that the gate is multiplied with, `[d_ff]`.
    Up,
    /// Their product, `[d_ff]`.
    Hidden,
    /// The branch of the MLP, added to the stream, `[d_model]`.
    MlpOutput,
    /// The stream after a block, `[d_model]`.
    Output,
    /// The stream after the final norm, `[d_model]`.
    FinalNorm,
    /// The mean of the streams after the final norm, `[d_model]`; class tokens' streams one after the other.
    Pooled,
    /// The pooled stream after a norm that follows it, `[d_model]`.
    HeadNorm,
    /// The output of the layer between pooling and head, `[d_model]`.
    Pooler,
    /// The output of a hidden layer of the head, `[width]`; `layer` is its number.
    HeadHidden,
    /// The outputs, `[n_outputs]`: a language model's logits.
    Logits,
}

/// A vector as an [`Observer`] sees it: floats in the stream, integers with a scale inside of a branch.
#[derive(Clone, Copy, Debug)]
pub enum Vector<'a> {
    /// The values.
    Floats(&'a [f32]),
    /// `value = integer * scale`.
    Scaled {
        /// The integers.
        integers: &'a [i32],
        /// Their scale.
        scale: f32,
    },
}

impl<'a> Vector<'a> {
    /// The values, in order.
    pub fn values(self) -> impl Iterator<Item = f32> + 'a {
        let (floats, integers, scale): (&[f32], &[i32], f32) = match self {
            Vector::Floats(floats) => (floats, &[], 0.0),
            Vector::Scaled { integers, scale } => (&[], integers, scale),
        };
        floats.iter().copied().chain(integers.iter().map(move |&integer| integer as f32 * scale))
    }
}

impl Scaled<'_> {
    /// The vector as an observer sees it.
    pub(crate) fn observed(&self) -> Vector<'_> {
        Vector::Scaled { integers: self.integers, scale: self.scale }
    }
}

/// The attention of one head of one layer from one position.
pub struct AttentionRow<'a> {
    pub(crate) scores: &'a Scores<'a>,
}

impl AttentionRow<'_> {
    /// The probability of every token that is seen; they sum to 1 but for rounding.
    ///
    /// Under a causal mask these are all so far, `[position + 1]`; once a sliding window is full, the tokens of the window, that of
    /// position `p` at index `p % sliding_window`. Without a mask they are the whole sequence, `[seq]`.
    pub fn probabilities(&self) -> impl Iterator<Item = f32> + '_ {
        let sum: u32 = self.scores.probabilities().sum();
        self.scores.probabilities().map(move |probability| probability as f32 / sum.max(1) as f32)
    }
}

/// Observer of the values inside a model while it runs. Every method has an empty default.
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
/// use thumbformer::observe::{Observer, Point, Vector};
///
/// /// Counts the tokens that went through attention.
/// #[derive(Default)]
/// struct Attended(usize);
///
/// impl Observer for Attended {
///     fn vector(&mut self, point: Point, _layer: usize, _vector: &Vector<'_>) {
///         self.0 += usize::from(point == Point::Context);
///     }
/// }
///
/// fn main() -> Result<(), Error> {
///     let (mut state, mut seen) = (block::State::new(), Attended::default());
///     let mut x = [1.0, -1.0, 0.5, 2.0]; // [seq, d_model]
///     block::MODEL.session(state.memory()).observe(&mut seen).encode(&mut x)?;
///     assert_eq!(seen.0, 2);
///     Ok(())
/// }
/// ```
pub trait Observer {
    /// Sees a vector; `layer` is 0 for points outside the layers.
    #[inline(always)]
    fn vector(&mut self, point: Point, layer: usize, vector: &Vector<'_>) {
        let _ = (point, layer, vector);
    }

    /// Sees the probabilities of one head.
    #[inline(always)]
    fn attention(&mut self, layer: usize, head: usize, row: &AttentionRow<'_>) {
        let _ = (layer, head, row);
    }
}

/// An observer that is lent.
impl<O: Observer + ?Sized> Observer for &mut O {
    #[inline(always)]
    fn vector(&mut self, point: Point, layer: usize, vector: &Vector<'_>) {
        (**self).vector(point, layer, vector);
    }

    #[inline(always)]
    fn attention(&mut self, layer: usize, head: usize, row: &AttentionRow<'_>) {
        (**self).attention(layer, head, row);
    }
}

/// An observer that sees nothing, and costs as much.
pub struct NoObserver;

impl Observer for NoObserver {}
