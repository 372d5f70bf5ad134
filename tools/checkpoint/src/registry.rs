//! Registry of the importers, a row for each: the mark by which its files are recognised, and its function.
//!
//! ```text
//! folder ─► config.json: architecture or model_type ─┐
//!           tensors' names, where it has neither  ───┼─► row ─► load ─► Checkpoint
//! file ───► first bytes ─────────────────────────────┘
//! ```

use std::path::Path;

use serde_json::Value;

use crate::huggingface::{bert, gpt2, llama, qwen3, vit};
use crate::weights::WeightsFile;
use crate::{Checkpoint, Error, files, gguf, llama2c, native, onnx, pytorch};

/// Importer of a folder whose `config.json`, at `path`, is `config`.
type LoadFolder = fn(folder: &Path, path: &Path, config: Value) -> Result<Checkpoint, Error>;
/// Importer of a file with the content `bytes`.
type LoadFile = fn(path: &Path, bytes: &[u8]) -> Result<Checkpoint, Error>;

/// Importers of folders: the name in `config.json`, and where that is missing, the end of a tensor's name.
const FOLDERS: [(&str, Option<&str>, LoadFolder); 11] = [
    ("llama", None, llama::load),
    ("mistral", None, llama::load),
    ("qwen3", None, qwen3::load),
    ("gpt2", None, gpt2::load_gpt2),
    ("nanogpt", None, gpt2::load_nanogpt),
    ("bert", None, bert::load_bert),
    ("distilbert", None, bert::load_distilbert),
    ("vit", None, vit::load_vit),
    ("deit", None, vit::load_deit),
    (pytorch::NAME, Some(pytorch::MARK), pytorch::load),
    (native::NAME, None, native::load),
];

/// Importers of files: their first bytes. The last one has no mark and checks its header itself.
const FILES: [(&[u8], LoadFile); 2] = [(&gguf::MAGIC, gguf::load), (&[], llama2c::load)];

/// End of the name of a file of ONNX.
const ONNX: &str = "onnx";

/// Reads configuration and weights; the caller reads a tokenizer beside them.
pub(crate) fn load(path: &Path) -> Result<Checkpoint, Error> {
    if path.is_dir() {
        return load_folder(path);
    }
    let bytes = files::read(path)?;
    // The format begins with no mark, but everyone's files have its name.
    if path.extension().is_some_and(|extension| extension == ONNX) {
        return onnx::load(path, &bytes);
    }
    let (_, load) = FILES.iter().find(|(mark, _)| bytes.starts_with(mark)).unwrap_or(&FILES[FILES.len() - 1]);
    load(path, &bytes)
}

/// Reads a JSON file.
pub(crate) fn read_json(path: &Path) -> Result<Value, Error> {
    serde_json::from_str(&files::read_json(path)?).map_err(|source| Error::Json { path: path.into(), source })
}

fn load_folder(folder: &Path) -> Result<Checkpoint, Error> {
    let path = folder.join("config.json");
    let by_tensors = || FOLDERS.iter().find(|(_, mark, _)| mark.is_some_and(|mark| has_tensor(folder, mark)));
    if !path.is_file()
        && let Some((.., load)) = by_tensors()
    {
        // Reports all keys that such a file must have.
        return load(folder, &path, Value::Null);
    }
    let value = read_json(&path)?;
    // The name is checked first: another architecture lacks the keys of this one, and "missing key" would mislead.
    let name = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_string);
    let found = name("architecture").or(name("model_type"));
    let row = match &found {
        Some(found) => FOLDERS.iter().find(|(name, ..)| name == found),
        None => by_tensors(),
    };
    if let Some((.., load)) = row {
        return load(folder, &path, value);
    }
    let tensors = WeightsFile::read(folder).and_then(|file| Ok(file.reader()?.names()));
    Err(Error::Architecture {
        path,
        found: found.unwrap_or("(none named by model_type or architecture)".into()),
        supported: FOLDERS.map(|(name, ..)| name).join(", "),
        tensors: tensors.unwrap_or_else(|_| "cannot be read".into()),
    })
}

/// True if a tensor's name ends with `end`.
fn has_tensor(folder: &Path, end: &str) -> bool {
    let file = WeightsFile::read(folder);
    file.is_ok_and(|file| file.reader().is_ok_and(|reader| reader.iter_names().any(|name| name.ends_with(end))))
}
