//! From tokens or frames to the streams.
//!
//! ```text
//! token ─► a row of the embedding ─────┐
//! frame ─► int8 ─► matrix + bias ─► f ─┴─► + a row of the position table ─► norm ─► stream
//!                                          (each where the model has it)
//! ```

use crate::arch::PACKED_ROWS;
use crate::block::Norm;
use crate::dense::dense_activated;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::kernels::matrix::{Batch, linear};
use crate::kernels::quantize::{quantize_scaled, quantize_stream};
use crate::observe::{Observer, Point, Vector};
use crate::options::DenseActivation;
use crate::state::regions::Scratch;
use crate::weights::{self, Linear, Matrix};

/// The embedding of tokens or frames.
pub(crate) struct Embedding<'a> {
    /// Of tokens `[vocab, d_model]`, of frames `[d_model, n_features]`.
    pub(crate) linear: Linear<'a>,
    /// Of frames.
    pub(crate) activation: DenseActivation,
    /// Offsets, then scales of a frame's features, bits of `f32`, `[2, n_features]`; empty for none.
    pub(crate) feature_scaling: &'a [u32],
    /// `[n_class, d_model]`: the class tokens.
    pub(crate) class_tokens: Option<weights::Vector<'a>>,
    /// `[max_seq, d_model]`.
    pub(crate) positions: Option<Matrix<'a>>,
    pub(crate) norm: Option<Norm<'a>>,
}

impl Embedding<'_> {
    /// Writes the streams of a batch of tokens or frames.
    ///
    /// # Shapes
    /// `x: [tokens, d_model]`.
    pub(crate) fn write(
        &self,
        x: &mut [f32],
        width: usize,
        inputs: &Inputs<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), Error> {
        let streams = x.chunks_exact_mut(width.max(1));
        let matrix = &self.linear.matrix;
        match inputs {
            Inputs::Tokens(tokens) => {
                for (x, &token) in streams.zip(*tokens) {
                    let out = Error::TokenOutOfVocabulary { token: token.into(), vocab: matrix.rows as u32 };
                    matrix.row(token.into(), x).ok_or(out)?;
                }
            }
            Inputs::Frames(frames) => {
                let not_finite = Error::NotFinite { layer: 0 };
                let count = streams.len();
                let mut frames = frames.chunks_exact(matrix.cols.max(1));
                let Scratch { integers, activations, .. } = scratch;
                let batch = Batch::new(matrix.cols, count, activations, |_, words| {
                    let frame = frames.next()?;
                    match self.feature_scaling {
                        [] => quantize_stream(frame, integers, words),
                        scaling => quantize_scaled(frame, scaling, integers, words),
                    }
                });
                let out = integers.get_mut(..count * matrix.rows.next_multiple_of(PACKED_ROWS)).unwrap_or(&mut []);
                let products = linear(out, &self.linear, activations, &batch.ok_or(not_finite)?);
                let mut products = products.ok_or(not_finite)?;
                for (index, x) in streams.enumerate() {
                    let mut product = products.token(index).ok_or(not_finite)?;
                    if cfg!(feature = "ends") {
                        (product, _) = dense_activated(self.activation, product).ok_or(not_finite)?;
                    }
                    for (x, &integer) in x.iter_mut().zip(product.integers.iter()) {
                        *x = integer as f32 * product.scale;
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes the class tokens, if there are any.
    ///
    /// # Shapes
    /// `x: [n_class, d_model]`.
    pub(crate) fn write_class_tokens(&self, x: &mut [f32]) {
        let Some(tokens) = &self.class_tokens else { return };
        for (x, &integer) in x.iter_mut().zip(tokens.integers) {
            *x = f32::from(integer) * tokens.scale;
        }
    }

    /// Adds its position to every stream and norms it, each where the model does so.
    ///
    /// # Shapes
    /// `x: [tokens, d_model]`.
    pub(crate) fn add_position(
        &self,
        x: &mut [f32],
        width: usize,
        positions: impl Iterator<Item = usize>,
        scratch: &mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        for (x, position) in x.chunks_exact_mut(width.max(1)).zip(positions) {
            if let Some(table) = &self.positions {
                table.add_row(position, x).ok_or(Error::CacheFull { max_seq: table.rows })?;
            }
            observer.vector(Point::Embedding, 0, &Vector::Floats(x));
            if let Some(norm) = &self.norm {
                norm.in_place(x, scratch).ok_or(Error::NotFinite { layer: 0 })?;
                observer.vector(Point::EmbeddingNorm, 0, &Vector::Floats(x));
            }
        }
        Ok(())
    }
}
