//! The head, from the streams to the outputs: final norm, pooling, hidden layers and a matrix, which may be the embedding (Press & Wolf
//! 2017).
//!
//! ```text
//! streams ─► norm ─► class tokens | mean | last ─► [norm] ─► [pooler] ─► [hidden layers: f(w · x + bias)] ─► [matrix] ─► outputs
//! ```

use crate::arch::{self, PACKED_ROWS};
use crate::block::Norm;
use crate::dense::dense_activated;
use crate::error::Error;
use crate::image::Image;
use crate::kernels::matrix::{Batch, linear};
use crate::kernels::quantize::{quantize_stream, quantize_within};
use crate::observe::{Observer, Point, Vector};
use crate::options::Pooler;
use crate::state::regions::Scratch;
use crate::tensors::Tensor;
use crate::weights::Linear;

/// Final norm, pooler and output matrix.
pub(crate) struct Head<'a> {
    /// The norm of the stream that is read; none where all streams were normed before they were pooled.
    pub(crate) norm: Option<Norm<'a>>,
    /// `[d_model, d_model]`.
    pub(crate) pooler: Option<Linear<'a>>,
    /// Of what is rarer: the norm behind the pooling, hidden layers `[width, width before]`.
    pub(crate) image: &'a Image<'a>,
    /// `[n_outputs, width of the last hidden layer]`, without hidden layers `[n_outputs, d_model]`; without it the pooled stream is the output.
    pub(crate) matrix: Option<Linear<'a>>,
}

impl Head<'_> {
    /// # Shapes
    /// `x: [d_model]`, of several class tokens `[n_class, d_model]`; `logits`: `[n_outputs]`, padded.
    pub(crate) fn forward(
        &self,
        x: &mut [f32],
        scratch: &mut Scratch<'_>,
        logits: &mut [f32],
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let not_finite = Error::NotFinite { layer: self.image.dims.n_layers };
        let (mut norm, mut point) = (self.norm.as_ref(), Point::FinalNorm);
        let has_head_norm = cfg!(feature = "ends") && self.image.has(Tensor::HeadNorm);
        let head_norm = has_head_norm.then(|| Norm::of(self.image, Tensor::HeadNorm, Tensor::HeadNormBias, 0));
        if let Some(head_norm) = &head_norm {
            if let Some(norm) = norm {
                norm.in_place(x, scratch).ok_or(not_finite)?;
                observer.vector(point, 0, &Vector::Floats(x));
            }
            (norm, point) = (Some(head_norm), Point::HeadNorm);
        }
        if let Some(pooler) = &self.pooler {
            self.pool(pooler, (norm, point), x, scratch, observer).ok_or(not_finite)?;
            norm = None;
        }
        let Some(matrix) = &self.matrix else {
            if let Some(norm) = norm {
                norm.in_place(x, scratch).ok_or(not_finite)?;
                observer.vector(point, 0, &Vector::Floats(x));
            }
            // Without a norm nothing has looked at the last sum.
            if x.iter().any(|x| x.to_bits() << 1 >= f32::INFINITY.to_bits() << 1) {
                return Err(not_finite);
            }
            let out = logits.get_mut(..x.len()).ok_or(not_finite)?;
            out.copy_from_slice(x);
            observer.vector(Point::Logits, 0, &Vector::Floats(out));
            return Ok(());
        };
        let mut input = input((norm, point), x, scratch, observer).ok_or(not_finite)?;
        if cfg!(feature = "ends") {
            for layer in 0..self.image.dims.n_hidden() {
                input = self.hidden(layer, &input, scratch, observer).ok_or(not_finite)?;
            }
        }
        // The logits are computed as integers, in the memory of the floats that they become.
        let integers = arch::integers_mut(arch::float_words(logits));
        let mut products = linear(integers, matrix, scratch.activations, &input).ok_or(not_finite)?;
        let scale = products.token(0).ok_or(not_finite)?.scale;
        for logit in &mut *logits {
            *logit = logit.to_bits().cast_signed() as f32 * scale;
        }
        observer.vector(Point::Logits, 0, &Vector::Floats(logits.get(..matrix.rows()).unwrap_or(&[])));
        Ok(())
    }

    /// The layer between pooling and head, in place; `None` when a value is not finite.
    fn pool(
        &self,
        pooler: &Linear<'_>,
        norm: (Option<&Norm<'_>>, Point),
        x: &mut [f32],
        scratch: &mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Option<()> {
        let input = input(norm, x, scratch, observer)?;
        let out = scratch.integers.get_mut(..pooler.rows().next_multiple_of(PACKED_ROWS))?;
        let mut products = linear(out, pooler, scratch.activations, &input)?;
        let products = products.token(0)?;
        for (x, &integer) in x.iter_mut().zip(products.integers.iter()) {
            let value = integer as f32 * products.scale;
            // Once per sequence: `libm`, the same software on every core, is fast enough.
            *x = if self.image.dims.options.pooler == Pooler::Tanh { libm::tanhf(value) } else { value.max(0.0) };
        }
        observer.vector(Point::Pooler, 0, &Vector::Floats(x));
        Some(())
    }

    /// A hidden layer: the input of the next one, in the scratch's activations; `None` when a scale is beyond all reason.
    fn hidden(
        &self,
        layer: usize,
        input: &Batch,
        scratch: &mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Option<Batch> {
        let matrix = self.image.linear(Tensor::HeadHidden, Tensor::HeadHiddenBias, layer);
        let out = scratch.integers.get_mut(..matrix.rows().next_multiple_of(PACKED_ROWS))?;
        let mut products = linear(out, &matrix, scratch.activations, input)?;
        Batch::new(matrix.rows(), 1, scratch.activations, |_, words| {
            let (x, largest) = dense_activated(self.image.dims.options.head_activation, products.token(0)?)?;
            observer.vector(Point::HeadHidden, layer, &x.observed());
            quantize_within(&x, largest, words)
        })
    }
}

/// The input of a matrix, in the scratch's activations.
fn input(
    norm: (Option<&Norm<'_>>, Point),
    x: &[f32],
    scratch: &mut Scratch<'_>,
    observer: &mut impl Observer,
) -> Option<Batch> {
    match norm {
        (Some(norm), point) => norm.forward(x, scratch, point, 0, observer),
        (None, _) => {
            Batch::new(x.len(), 1, scratch.activations, |_, words| quantize_stream(x, scratch.integers, words))
        }
    }
}

/// Mean of the normed streams, written over the first one.
///
/// # Shapes
/// `streams: [seq, d_model]`.
pub(crate) fn mean(streams: &mut [f32], width: usize) {
    let count = streams.len() / width.max(1);
    let Some((mean, rest)) = streams.split_at_mut_checked(width) else { return };
    // Stream after stream: the same order of additions on every core.
    for x in rest.chunks_exact(width.max(1)) {
        mean.iter_mut().zip(x).for_each(|(mean, x)| *mean += x);
    }
    mean.iter_mut().for_each(|mean| *mean /= count.max(1) as f32);
}
