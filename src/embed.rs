//! From a token to the stream: one row of the embedding matrix, made float.

use crate::error::Error;
use crate::weights::Matrix;

/// Writes a token's embedding into the stream.
///
/// # Shapes
/// `embedding: [vocab, d_model]`, `x: [d_model]`.
pub(crate) fn embed(x: &mut [f32], embedding: &Matrix<'_>, token: u16) -> Result<(), Error> {
    embedding
        .row(token.into(), x)
        .ok_or(Error::TokenOutOfVocabulary { token: token.into(), vocab: embedding.rows as u32 })
}
