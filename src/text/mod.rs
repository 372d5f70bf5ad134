//! The tokenizer, whose tables are part of the image, and the sampler: text in, text out.
//!
//! ```text
//! "Once upon" ──► Tokenizer::encode ──► tokens ──► Session ──► logits ──► Sampler::sample ──► token ──► Tokenizer::piece
//! ```

mod added;
mod encode;
#[cfg(feature = "std")]
mod host;
mod merge;
mod sampler;
#[cfg(test)]
mod tests;
mod tokenizer;

pub use sampler::{Sampler, Sampling, argmax};
pub use tokenizer::Tokenizer;
