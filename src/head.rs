//! From the stream to the logits: the final norm and one matrix, which may be the embedding again (Press & Wolf 2017).

use crate::block::RmsNorm;
use crate::error::Error;
use crate::kernels::matrix::matvec_q8;
use crate::kernels::quantize::{max_abs, quantize};
use crate::observe::{Observer, Point};
use crate::weights::Matrix;

/// Final norm and output matrix.
pub(crate) struct Head<'a> {
    pub(crate) norm: RmsNorm<'a>,
    /// `[vocab, d_model]`.
    pub(crate) matrix: Matrix<'a>,
    pub(crate) n_layers: usize,
}

impl Head<'_> {
    /// # Shapes
    /// `x`, `branch`: `[d_model]`; `quantized`: at least `[d_model]`; `logits`: `[vocab]`.
    pub(crate) fn forward(
        &self,
        x: &[f32],
        branch: &mut [f32],
        quantized: &mut [i8],
        logits: &mut [f32],
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        self.norm.forward(x, branch);
        observer.vector(Point::FinalNorm, 0, branch);
        let not_finite = Error::NotFinite { layer: self.n_layers };
        let input = quantize(branch, quantized).ok_or(not_finite)?;
        matvec_q8(logits, &self.matrix, &input);
        max_abs(logits).ok_or(not_finite)?;
        observer.vector(Point::Logits, 0, logits);
        Ok(())
    }
}
