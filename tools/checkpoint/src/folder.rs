//! A folder of `config.json` and `model.safetensors`: whose layout is it?

use std::path::Path;

use serde_json::Value;

use crate::huggingface::ARCHITECTURES;
use crate::weights::WeightsFile;
use crate::{Checkpoint, Error, native, pytorch};

/// Reads configuration and weights; the tokenizer is the caller's.
pub(crate) fn load(folder: &Path) -> Result<Checkpoint, Error> {
    let path = folder.join("config.json");
    if !path.is_file() && has_pytorch_names(folder) {
        // Asks for all that such a file must say.
        return pytorch::load(folder, &path, Value::Null);
    }
    let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let value: Value = serde_json::from_str(&text).map_err(|source| Error::Json { path: path.clone(), source })?;
    // The name comes first: another architecture lacks the keys of this one, and "missing key" would mislead.
    let name = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_string);
    let found = match (name("architecture"), name("model_type")) {
        (Some(name), _) if name == native::NAME => return native::load(folder, &path, value),
        (Some(name), _) if name == pytorch::NAME => return pytorch::load(folder, &path, value),
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) if has_pytorch_names(folder) => return pytorch::load(folder, &path, value),
        (None, None) => "(none named by model_type or architecture)".into(),
    };
    match ARCHITECTURES.iter().find(|(name, _)| *name == found) {
        Some((_, load)) => load(folder, &path, value),
        None => {
            let names = ARCHITECTURES.iter().map(|(name, _)| *name);
            let supported = names.chain([pytorch::NAME, native::NAME]).collect::<Vec<_>>().join(", ");
            let tensors = WeightsFile::read(folder).and_then(|file| Ok(file.reader()?.names()));
            let tensors = tensors.unwrap_or_else(|_| "cannot be read".into());
            Err(Error::Architecture { path, found, supported, tensors })
        }
    }
}

/// Whether the tensors are named as those of `nn.TransformerEncoder`.
fn has_pytorch_names(folder: &Path) -> bool {
    let file = WeightsFile::read(folder);
    file.is_ok_and(|file| {
        file.reader().is_ok_and(|reader| reader.iter_names().any(|name| name.ends_with(pytorch::MARK)))
    })
}
