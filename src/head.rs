//! From the stream to the logits: the final norm and one matrix, which may be the embedding again (Press & Wolf 2017).

use crate::arch;
use crate::block::Norm;
use crate::error::Error;
use crate::kernels::matrix::{Batch, linear};
use crate::kernels::quantize::quantize_stream;
use crate::observe::{Observer, Point, Vector};
use crate::state::Scratch;
use crate::weights::Linear;

/// Final norm and output matrix.
pub(crate) struct Head<'a> {
    pub(crate) norm: Option<Norm<'a>>,
    /// `[vocab, d_model]`.
    pub(crate) matrix: Linear<'a>,
    pub(crate) n_layers: usize,
}

impl Head<'_> {
    /// # Shapes
    /// `x: [d_model]`; `logits`: `[vocab]`, padded.
    pub(crate) fn forward(
        &self,
        x: &[f32],
        scratch: &mut Scratch<'_>,
        logits: &mut [f32],
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let not_finite = Error::NotFinite { layer: self.n_layers };
        let input = match &self.norm {
            Some(norm) => norm.forward(x, scratch, Point::FinalNorm, 0, observer),
            None => Batch::new(x.len(), 1, scratch.activations, |_, words| quantize_stream(x, scratch.integers, words)),
        };
        let input = input.ok_or(not_finite)?;
        // The logits are computed as integers where they will lie as floats.
        let integers = arch::integers_mut(arch::float_words(logits));
        let mut products = linear(integers, &self.matrix, scratch.activations, &input).ok_or(not_finite)?;
        let scale = products.token(0).ok_or(not_finite)?.scale;
        for logit in &mut *logits {
            *logit = logit.to_bits().cast_signed() as f32 * scale;
        }
        observer.vector(Point::Logits, 0, &Vector::Floats(logits.get(..self.matrix.rows()).unwrap_or(&[])));
        Ok(())
    }
}
