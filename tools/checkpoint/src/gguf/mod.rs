//! Importer of GGUF, llama.cpp's file format: decoders of the architectures of [`architecture`], and their tokenizer.
//!
//! ```text
//! bytes ─► File: keys, tensors made float ─► Architecture: settings checked by name ─► Checkpoint
//! ```
//! Quantized tensors have the file's values: the original float model is lost.

mod architecture;
mod blocks;
mod file;
#[cfg(test)]
mod tests;
mod tokenizer;

use std::path::Path;

use thumbformer::Tensor;

use crate::names::read;
use crate::{Checkpoint, Error, Tensors};
use architecture::Architecture;
use file::{File, Value};

/// The first four bytes of such a file.
pub(crate) const MAGIC: [u8; 4] = *b"GGUF";

struct Keys<'f, 'a> {
    path: &'f Path,
    file: &'f File<'a>,
}

impl<'a> Keys<'_, 'a> {
    fn error(&self, key: &str, found: impl ToString, expected: &str) -> Error {
        Error::Setting {
            path: self.path.into(),
            key: key.into(),
            found: found.to_string(),
            expected: expected.into(),
            next: "convert a model without it, or correct the file with llama.cpp's gguf scripts".into(),
        }
    }

    fn get(&self, key: &str) -> Option<Value<'a>> {
        self.file.keys.get(key).copied()
    }

    fn size(&self, key: &str, default: Option<usize>) -> Result<usize, Error> {
        const EXPECTED: &str = "a whole number from 1 to 1048576";
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (Some(Value::Unsigned(size @ 1..=1_048_576)), _) => Ok(size as usize),
            (None, None) => Err(self.error(key, "absent", EXPECTED)),
            (Some(found), _) => Err(self.error(key, format!("{found:?}"), EXPECTED)),
        }
    }

    fn positive(&self, key: &str, default: Option<f64>) -> Result<f64, Error> {
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (Some(Value::Float(number)), _) if number.is_finite() && number as f32 > 0.0 => Ok(number),
            (None, None) => Err(self.error(key, "absent", "a positive number")),
            (Some(found), _) => Err(self.error(key, format!("{found:?}"), "a positive number")),
        }
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, Error> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(found) => Err(self.error(key, format!("{found:?}"), "true or false")),
        }
    }

    fn token(&self, key: &str, vocab: usize) -> Result<Option<u32>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Unsigned(id)) if (id as usize) < vocab => Ok(Some(id as u32)),
            Some(found) => Err(self.error(key, format!("{found:?}"), &format!("below the vocabulary of {vocab}"))),
        }
    }
}

/// Reads a model file, with its tokenizer if that is wanted.
pub(crate) fn load(path: &Path, bytes: &[u8], tokenizer: bool) -> Result<Checkpoint, Error> {
    let mut file = File::new(path, bytes)?;
    let keys = Keys { path, file: &file };
    whole(&keys)?;
    let architecture = Architecture::of(&keys)?;
    let mut config = architecture.config(&keys)?;
    let mut notes = Vec::new();
    let tokenizer = tokenizer::read(&keys, tokenizer, &mut config, &mut notes)?;
    let rows = architecture.rows(&file);
    let mut tensors = read(&mut file, &config, &rows)?;
    let mut rest = file.rest();
    if let Some((tensor, shape)) = rest.next() {
        let others: Vec<&str> = rest.take(12).map(|(name, _)| name).collect();
        return Err(Error::UnexpectedTensor {
            path: path.into(),
            tensor: tensor.into(),
            shape: shape.clone(),
            others: if others.is_empty() { "none".into() } else { others.join(", ") },
        });
    }
    tie(&mut tensors);
    architecture.factors(&config).fold(&config, &mut tensors);
    let kinds = file.quantized();
    if !kinds.is_empty() {
        let kinds = kinds.join(", ");
        notes.push(format!(
            "{}: tensors of {kinds} are dequantized: their weights are the file's, not those of the float model that it was made of",
            path.display()
        ));
    }
    let mut checkpoint = Checkpoint::new(path, architecture.name, config, tensors);
    (checkpoint.tokenizer, checkpoint.notes) = (tokenizer, notes);
    Ok(checkpoint)
}

/// Refuses a part of a model, and what is none.
fn whole(keys: &Keys<'_, '_>) -> Result<(), Error> {
    match keys.get("split.count") {
        None | Some(Value::Unsigned(0 | 1)) => {}
        Some(found) => {
            let expected = "1: a model in one file, which `llama-gguf-split --merge` makes of its parts";
            return Err(keys.error("split.count", format!("{found:?}"), expected));
        }
    }
    match keys.get("general.type") {
        None | Some(Value::Text("model")) => Ok(()),
        Some(found) => {
            let expected = "model: an adapter is merged into one by `llama-export-lora`";
            Err(keys.error("general.type", format!("{found:?}"), expected))
        }
    }
}

/// Drops a head that is the embedding: some converters write it again.
fn tie(tensors: &mut Tensors) {
    let [head, embedding] = [Tensor::Head, Tensor::Embedding].map(|tensor| tensors.get(tensor, 0));
    if head.zip(embedding).is_some_and(|(head, embedding)| head.data == embedding.data) {
        tensors.remove(Tensor::Head, 0);
    }
}
