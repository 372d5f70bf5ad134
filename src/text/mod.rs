//! Text in, text out: the tokenizer whose tables live in the image, and the sampler.
//!
//! ```text
//! "Once upon" ──► Tokenizer::encode ──► tokens ──► Session ──► logits ──► Sampler::sample ──► token ──► Tokenizer::piece
//! ```

mod sampler;
mod tokenizer;

pub use sampler::{Sampler, Sampling, argmax};
pub use tokenizer::Tokenizer;
