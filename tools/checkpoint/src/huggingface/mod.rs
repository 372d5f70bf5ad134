//! Hugging Face folders: `config.json`, `model.safetensors`, `tokenizer.json`.

pub(crate) mod bert;
pub(crate) mod gpt2;
mod keys;
pub(crate) mod llama;
pub(crate) mod qwen3;
mod tokenizer;
pub(crate) mod vit;

use std::path::Path;

use crate::Error;
pub(crate) use tokenizer::added::overlap;
pub(crate) use tokenizer::load as load_tokenizer;

/// A file's text, or the error that names it.
fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })
}
