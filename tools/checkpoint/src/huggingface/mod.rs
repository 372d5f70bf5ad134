//! Hugging Face folders: `config.json`, `model.safetensors`, `tokenizer.json`.

mod bert;
mod gpt2;
mod llama;
mod tokenizer;
mod vit;

use std::path::Path;

use serde_json::Value;

use crate::{Checkpoint, Error};
pub(crate) use tokenizer::load as load_tokenizer;

/// How the folder of one architecture is read.
pub(crate) type Load = fn(folder: &Path, path: &Path, config: Value) -> Result<Checkpoint, Error>;

/// The values of `model_type`, whose computation is exactly what [`Config`](crate::Config) describes.
pub(crate) const ARCHITECTURES: [(&str, Load); 7] = [
    ("llama", llama::load),
    ("mistral", llama::load),
    ("gpt2", gpt2::load_gpt2),
    ("nanogpt", gpt2::load_nanogpt),
    ("bert", bert::load_bert),
    ("distilbert", bert::load_distilbert),
    ("vit", vit::load),
];

/// A file's text, or the error that names it.
fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })
}
