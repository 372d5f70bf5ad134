//! Reader of `model.safetensors`: finds every tensor by name, converts it to `f32` and checks it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;

use crate::names::Source;
use crate::{Error, Weights, files};

/// Bytes of a folder's `model.safetensors`.
pub(crate) struct WeightsFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl WeightsFile {
    /// Reads the file.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("model.safetensors");
        if !path.is_file() {
            return Err(no_weights(folder, path));
        }
        let bytes = files::read(&path)?;
        let header = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
        // A longer one is damaged, which is found later.
        if header <= bytes.len() as u64 {
            files::check_json(&path, header, "its header")?;
        }
        Ok(Self { path, bytes })
    }

    /// Tensors of the file, none of them taken yet.
    pub(crate) fn reader(&self) -> Result<Reader<'_>, Error> {
        let path = self.path.clone();
        let file = SafeTensors::deserialize(&self.bytes);
        let file = file.map_err(|error| damaged(&path, &self.bytes, &error.to_string()))?;
        Ok(Reader { path, file, used: BTreeSet::new() })
    }
}

/// Tensors of a file, with a record of those that were taken.
pub(crate) struct Reader<'a> {
    pub(crate) path: PathBuf,
    file: SafeTensors<'a>,
    used: BTreeSet<String>,
}

impl Source for Reader<'_> {
    fn has(&self, name: &str) -> bool {
        self.file.tensor(name).is_ok()
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Weights, Error> {
        let view = self.file.tensor(name).map_err(|_| self.missing(name))?;
        if view.shape() != shape {
            return Err(self.wrong_shape(name, shape));
        }
        self.used.insert(name.into());
        Weights::finite(&self.path, name.into(), shape.into(), self.floats(name, &view)?)
    }
}

impl Reader<'_> {
    /// Shape of a required tensor.
    pub(crate) fn shape(&self, name: &str) -> Result<Vec<usize>, Error> {
        self.file.tensor(name).map(|view| view.shape().to_vec()).map_err(|_| self.missing(name))
    }

    /// Number of rows of a matrix of this width, at least one.
    pub(crate) fn rows(&self, name: &str, width: usize) -> Result<usize, Error> {
        match self.shape(name)?[..] {
            [rows, columns] if columns == width && rows > 0 => Ok(rows),
            _ => Err(self.wrong_shape(name, &[1, width])),
        }
    }

    /// Number of columns of a matrix with this many rows, at least one.
    pub(crate) fn columns(&self, name: &str, height: usize) -> Result<usize, Error> {
        match self.shape(name)?[..] {
            [rows, columns] if rows == height && columns > 0 => Ok(columns),
            _ => Err(self.wrong_shape(name, &[height, 1])),
        }
    }

    /// Error for a shape that is not the expected one, or invalid.
    pub(crate) fn wrong_shape(&self, name: &str, expected: &[usize]) -> Error {
        let found = self.shape(name).unwrap_or_default();
        Error::Shape { path: self.path.clone(), tensor: name.into(), expected: expected.into(), found }
    }

    /// Prefix `model.`, if the names have it: a model that was saved without a task's head has none.
    pub(crate) fn prefix(&self, model: &str) -> String {
        let prefix = format!("{model}.");
        if self.iter_names().any(|name| name.starts_with(&prefix)) { prefix } else { String::new() }
    }

    /// All names, in no particular order.
    pub(crate) fn iter_names(&self) -> impl Iterator<Item = &str> {
        self.file.names().into_iter()
    }

    fn floats(&self, name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, Error> {
        let data = view.data();
        match view.dtype() {
            Dtype::F32 => Ok(data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
            Dtype::F16 => Ok(data.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()),
            Dtype::BF16 => Ok(data.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()),
            other => {
                Err(Error::ElementType { path: self.path.clone(), tensor: name.into(), found: format!("{other:?}") })
            }
        }
    }

    /// Names of tensors that may be meant: those of the same layer, or else the first few.
    fn missing(&self, name: &str) -> Error {
        let mut names: Vec<String> = self.file.names().iter().map(|name| name.to_string()).collect();
        names.sort();
        let total = names.len();
        let stem = name.rsplitn(4, '.').last().unwrap_or(name);
        let near: Vec<String> = names.iter().filter(|other| other.starts_with(stem)).cloned().collect();
        let mut shown = if near.is_empty() { names } else { near };
        shown.truncate(6);
        let next = match name {
            "lm_head.weight" => {
                "set tie_word_embeddings to true in config.json if the model was trained so, or export the head"
            }
            _ => "export all of the model, or correct the number of layers (num_hidden_layers) in config.json",
        };
        Error::MissingTensor {
            path: self.path.clone(),
            tensor: name.into(),
            present: format!("the file has {total} tensors, among them {}", shown.join(", ")),
            next: next.into(),
        }
    }

    /// All names, for a message.
    pub(crate) fn names(&self) -> String {
        summary(self.file.names().into_iter())
    }

    /// Names of tensors that were not taken, in no particular order.
    pub(crate) fn unused(&self) -> impl Iterator<Item = &str> {
        self.iter_names().filter(|name| !self.used.contains(*name))
    }

    /// Refuses tensors that were not taken, except for constants that exporters save with the weights.
    ///
    /// `constants`: ends of their names.
    pub(crate) fn finish(self, constants: &[&str]) -> Result<(), Error> {
        let used = |name: &str| self.used.contains(name) || constants.iter().any(|end| name.ends_with(end));
        let mut unused: Vec<_> = self.file.iter().filter(|(name, _)| !used(name)).collect();
        unused.sort_by_key(|(name, _)| name.to_string());
        match unused.as_slice() {
            [] => Ok(()),
            [(name, view), others @ ..] => Err(Error::UnexpectedTensor {
                path: self.path.clone(),
                tensor: name.to_string(),
                shape: view.shape().into(),
                others: summary(others.iter().map(|(name, _)| *name)),
            }),
        }
    }
}

/// Maximum number of names in a message; enough for all tensors of a usual architecture.
const SHOWN: usize = 40;

/// Names for a message: each once, with `N` for every number, in order.
pub(crate) fn summary<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let number = |part: &'a str| if part.bytes().all(|byte| byte.is_ascii_digit()) { "N" } else { part };
    let patterns: BTreeSet<String> =
        names.map(|name| name.split('.').map(number).collect::<Vec<_>>().join(".")).collect();
    let shown: Vec<&str> = patterns.iter().take(SHOWN).map(String::as_str).collect();
    match patterns.len() {
        0 => "none".into(),
        count if count > SHOWN => format!("{} and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}

/// Error for a missing `model.safetensors`: names the files that exist, and the step to make one of them.
fn no_weights(folder: &Path, path: PathBuf) -> Error {
    let has = |name: &str| folder.join(name).is_file();
    let (found, next) = if has("model.safetensors.index.json") {
        (
            "the weights are split over several files",
            "save them as one: model.save_pretrained(folder, max_shard_size=\"100GB\")",
        )
    } else if has("pytorch_model.bin") {
        (
            "the weights are in pytorch_model.bin, a pickle",
            "load them with transformers and call model.save_pretrained(folder)",
        )
    } else {
        ("the folder holds no weights", "put model.safetensors beside config.json")
    };
    Error::UnknownFormat { path, found: found.into(), next: next.into() }
}

/// Error for an unreadable file, with the expected length where the header can still be read.
fn damaged(path: &Path, bytes: &[u8], reason: &str) -> Error {
    let expected = announced_length(bytes);
    match expected {
        Some(expected) if expected > bytes.len() as u64 => {
            Error::Truncated { path: path.into(), expected, found: bytes.len() as u64 }
        }
        _ => Error::UnknownFormat {
            path: path.into(),
            found: format!("not a readable safetensors file ({reason})"),
            next: "copy or export it again".into(),
        },
    }
}

/// Length of the whole file by its header: 8 bytes of header length, the header, the end of the last tensor.
fn announced_length(bytes: &[u8]) -> Option<u64> {
    let header_length = u64::from_le_bytes(*bytes.first_chunk::<8>()?);
    let data = 8u64.checked_add(header_length)?;
    let Some(header) = usize::try_from(data).ok().and_then(|end| bytes.get(8..end)) else {
        // Cut off inside the header. Without the JSON's brace, or with an absurd length, it is not a header.
        return (header_length < 100_000_000 && bytes.get(8) == Some(&b'{')).then_some(data);
    };
    let header: Value = serde_json::from_slice(header).ok()?;
    let ends = header.as_object()?.values().filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64());
    data.checked_add(ends.max()?)
}
