//! The tokenizer, whose tables are part of the image, and the sampler: text in, text out.
//!
//! ```text
//! "Once upon" ──► Tokenizer::encode ──► tokens ──► Session ──► logits ──► Sampler::sample ──► token ──► Tokenizer::piece
//! ```

mod added;
mod sampler;
mod tokenizer;

pub use sampler::{Sampler, Sampling, argmax};
pub use tokenizer::Tokenizer;
