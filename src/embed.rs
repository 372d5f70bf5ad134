//! From a token to the stream: one row of the embedding matrix, made float.

use crate::error::Error;
use crate::weights::Matrix;

/// Writes a token's embedding into the stream.
///
/// # Shapes
/// `embedding: [vocab, d_model]`, `x: [d_model]`.
pub(crate) fn embed(x: &mut [f32], embedding: &Matrix<'_>, token: u16) -> Result<(), Error> {
    let beyond = Error::TokenOutOfVocabulary { token: token.into(), vocab: embedding.rows as u32 };
    let (integers, scale) = embedding.row(token.into()).ok_or(beyond)?;
    for (x, integer) in x.iter_mut().zip(integers) {
        *x = f32::from(integer) * scale;
    }
    Ok(())
}
