//! The interface of a contender: takes tokens one by one and has logits after each.

use anyhow::Result;
use thumbformer::Session;

/// One sequence on its way through an implementation of the model.
pub trait Decoder {
    /// Forgets the sequence.
    ///
    /// # Errors
    /// When the implementation fails.
    fn reset(&mut self) -> Result<()>;

    /// Appends a token and returns the logits of the next one, `[vocab]`.
    ///
    /// # Errors
    /// When the implementation refuses the token or fails.
    fn decode(&mut self, token: u16) -> Result<&[f32]>;
}

/// The agreement with plain float that an implementation must show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The same logits, up to the order of additions.
    Float,
    /// The same largest logit, nearly always.
    Quantized,
}

/// An implementation and its names.
pub struct Contender<'a> {
    /// Name of the implementation.
    pub implementation: &'static str,
    /// Its backend.
    pub backend: &'static str,
    /// Agreement that it is checked for.
    pub kind: Kind,
    /// The implementation.
    pub decoder: Box<dyn Decoder + 'a>,
}

impl Decoder for Session<'_, '_> {
    fn reset(&mut self) -> Result<()> {
        Session::reset(self);
        Ok(())
    }

    fn decode(&mut self, token: u16) -> Result<&[f32]> {
        Ok(Session::decode(self, token)?)
    }
}
