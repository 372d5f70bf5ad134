//! Registry of the importers, a row for each: the mark by which its files are recognised, and its function.
//!
//! ```text
//! folder, or a file of weights ─► config.json: architecture or model_type ─┐
//!                                 without it the file's own settings ──────┤
//!                                 tensors' names, where neither has it ────┼─► row ─► load ─► Checkpoint
//! other file ───────────────────► first bytes ─────────────────────────────┘
//! ```

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::huggingface::{bert, gpt2, llama, opt, vit};
use crate::stored::{WeightsFile, foreign, is_weights, settings_of};
use crate::weights::summary;
use crate::{Checkpoint, Error, files, gguf, lecture, llama2c, native, onnx, pytorch};

/// Importer of weights whose settings, in the file `path`, are `config`.
type LoadWeights = fn(file: &WeightsFile, path: &Path, config: Value) -> Result<Checkpoint, Error>;
/// Importer of a file with the content `bytes`, with the tokenizer in it if that is wanted.
type LoadFile = fn(path: &Path, bytes: &[u8], tokenizer: bool) -> Result<Checkpoint, Error>;

/// Importers of weights: the name in `config.json`, and where that is missing, the end of a tensor's name.
const FOLDERS: [(&str, Option<&str>, LoadWeights); 23] = [
    ("llama", None, llama::load),
    ("mistral", None, llama::load),
    ("qwen2", None, llama::load),
    ("qwen3", None, llama::load),
    ("gemma", None, llama::load),
    ("phi3", None, llama::load),
    ("granite", None, llama::load),
    ("olmo", None, llama::load),
    ("gpt2", None, gpt2::load_gpt2),
    ("openai-gpt", None, gpt2::load_openai),
    ("opt", None, opt::load),
    ("nanogpt", None, gpt2::load_nanogpt),
    ("bert", None, bert::load_bert),
    ("distilbert", None, bert::load_distilbert),
    ("roberta", None, bert::load_roberta),
    ("xlm-roberta", None, bert::load_roberta),
    ("electra", None, bert::load_electra),
    ("vit", None, vit::load_vit),
    ("deit", None, vit::load_deit),
    (pytorch::NAME, Some(pytorch::MARK), pytorch::load),
    (lecture::NAME, Some(lecture::MARK), lecture::load),
    (llama2c::NAME, Some(llama2c::MARK), llama2c::load_weights),
    (native::NAME, None, native::load),
];

/// Importers of files: their first bytes. The last one has no mark and checks its header itself.
const FILES: [(&[u8], LoadFile); 2] = [(&gguf::MAGIC, gguf::load), (&[], llama2c::load)];

/// End of the name of a file of ONNX.
const ONNX: &str = "onnx";

/// Reads configuration and weights, and returns the folder that they are in, if other files of it may belong to them: a tokenizer.
/// One in the same file is read if `tokenizer`.
pub(crate) fn load(path: &Path, tokenizer: bool) -> Result<(Checkpoint, Option<PathBuf>), Error> {
    if path.is_dir() {
        return Ok((load_weights(path, || WeightsFile::read(path))?, Some(path.into())));
    }
    let bytes = files::read(path)?;
    // The format begins with no mark, but everyone's files have its name.
    if path.extension().is_some_and(|extension| extension == ONNX) {
        return Ok((onnx::load(path, &bytes)?, None));
    }
    if is_weights(path, &bytes) {
        let checkpoint = load_weights(path, || WeightsFile::of_file(path, bytes))?;
        return Ok((checkpoint, path.parent().map(Path::to_path_buf)));
    }
    let row = FILES.iter().find(|(mark, _)| !mark.is_empty() && bytes.starts_with(mark));
    match row.or(FILES.last()).filter(|_| row.is_some() || foreign::named(path, &bytes).is_none()) {
        Some((_, load)) => Ok((load(path, &bytes, tokenizer)?, None)),
        None => Err(foreign::named(path, &bytes).unwrap_or_else(|| foreign::nothing(path))),
    }
}

/// Reads a JSON file.
pub(crate) fn read_json(path: &Path) -> Result<Value, Error> {
    serde_json::from_str(&files::read_json(path)?).map_err(|source| Error::Json { path: path.into(), source })
}

/// Reads weights, which `open` opens, with the settings beside them or those that they carry.
fn load_weights(path: &Path, open: impl FnOnce() -> Result<WeightsFile, Error>) -> Result<Checkpoint, Error> {
    let mut settings = settings_of(path);
    let beside = if settings.is_file() { Some(read_json(&settings)?) } else { None };
    let mut file = open();
    let mut value = beside.clone();
    if let Ok(file) = &mut file {
        match (&beside, file.settings.take()) {
            (None, Some((_, carried))) => (settings, value) = (file.path().into(), Some(carried)),
            (Some(_), Some((key, _))) => {
                let (path, beside) = (file.path().display(), settings.display());
                file.notes.push(format!("{path}: its `{key}` are not read, {beside} is"));
            }
            (_, None) => {}
        }
    }
    let name = |key: &str| Some(value.as_ref()?.get(key)?.as_str()?.to_string());
    let found = name("architecture").or(name("model_type"));
    let has = |mark: &str| file.as_ref().is_ok_and(|file| file.names().any(|name| name.ends_with(mark)));
    // The name is checked first: another architecture lacks the keys of this one, and "missing key" would mislead.
    let row = match &found {
        Some(found) => FOLDERS.iter().find(|(name, ..)| name == found),
        None => FOLDERS.iter().find(|(_, mark, _)| mark.is_some_and(has)),
    };
    let Some((name, _, load)) = row else {
        let tensors = match file {
            Err(error) if found.is_none() => return Err(error),
            file => file.map(|file| summary(file.names())),
        };
        return Err(Error::Architecture {
            path: settings,
            found: found.unwrap_or("(none named by model_type or architecture)".into()),
            supported: FOLDERS.map(|(name, ..)| name).join(", "),
            tensors: tensors.unwrap_or_else(|_| "cannot be read".into()),
        });
    };
    let mut file = file?;
    let mut value = value.unwrap_or(Value::Null);
    if let Some(labels) = file.labels.take() {
        add_labels(&mut file, name, &mut value, labels);
    }
    // Without settings, the importer reports all keys that there must be.
    let mut checkpoint = load(&file, &settings, value)?;
    file.notes.append(&mut checkpoint.notes);
    checkpoint.notes = file.notes;
    Ok(checkpoint)
}

/// Gives the labels that stand beside the tensors to an importer that reads them, unless the settings have some.
fn add_labels(file: &mut WeightsFile, name: &str, value: &mut Value, labels: Value) {
    let path = file.path().display();
    let is_read = name == pytorch::NAME && value.get("labels").is_none_or(Value::is_null);
    let note = match value {
        Value::Object(map) if is_read => {
            map.insert("labels".into(), labels);
            format!("{path}: its labels name the outputs")
        }
        _ => format!("{path}: its labels are not read: `labels` in config.json names the outputs"),
    };
    file.notes.push(note);
}
