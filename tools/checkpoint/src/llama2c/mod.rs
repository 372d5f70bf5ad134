//! Importer of llama2.c's files: the model's `.bin`, with or without a header of its own, its training's `.pt`, and the tokenizer's `.bin`.

mod model;
mod tokenizer;
mod weights;

pub(crate) use model::load;
pub(crate) use tokenizer::{load as load_tokenizer, scored as scored_tokenizer};
pub(crate) use weights::{MARK, load as load_weights};

/// Name of the architecture.
pub(crate) const NAME: &str = "llama2.c";

/// Little-endian numbers, one after the other. The caller has checked the file's length, or checks the `None`.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(i32::from_le_bytes(*bytes))
    }

    fn f32(&mut self) -> Option<f32> {
        self.i32().map(|bits| f32::from_bits(bits.cast_unsigned()))
    }
}
