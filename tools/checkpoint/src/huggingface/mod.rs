//! Hugging Face folders of the Llama family: `config.json`, `model.safetensors`, `tokenizer.json`.

mod config;
mod tokenizer;
mod weights;

use std::path::Path;

use crate::{Checkpoint, Error};
pub(crate) use tokenizer::load as load_tokenizer;

/// Reads configuration and weights; the tokenizer is the caller's.
pub(crate) fn load(folder: &Path) -> Result<Checkpoint, Error> {
    let (architecture, config) = config::load(&folder.join("config.json"))?;
    weights::load(folder, architecture, config)
}

/// A file's text, or the error that names it.
fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })
}
