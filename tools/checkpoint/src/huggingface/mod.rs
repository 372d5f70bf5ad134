//! Hugging Face folders of the Llama family: `config.json`, `model.safetensors`, `tokenizer.json`.

mod llama;
mod tokenizer;

use std::path::Path;

use serde_json::Value;

use crate::weights::WeightsFile;
use crate::{Checkpoint, Error};
pub(crate) use tokenizer::load as load_tokenizer;

/// Reads configuration and weights; the tokenizer is the caller's.
pub(crate) fn load(folder: &Path) -> Result<Checkpoint, Error> {
    let path = folder.join("config.json");
    let text = read_text(&path)?;
    let value: Value = serde_json::from_str(&text).map_err(|source| Error::Json { path: path.clone(), source })?;
    // The name comes first: another architecture lacks the keys of this one, and "missing key" would mislead.
    match value.get("model_type").and_then(Value::as_str) {
        Some(found) if !llama::SUPPORTED.contains(&found) => Err(Error::Architecture {
            path,
            found: found.into(),
            supported: llama::SUPPORTED.join(", "),
            tensors: WeightsFile::read(folder).and_then(|file| Ok(file.reader()?.names())).unwrap_or_default(),
        }),
        _ => llama::load(folder, &path, value),
    }
}

/// A file's text, or the error that names it.
fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })
}
