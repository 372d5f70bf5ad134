//! The file of weights that a path means, and its tensors under plain names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Stored, WeightsFile, foreign, names, pickle, safetensors};
use crate::{Error, files};

/// Files of weights in a folder, in the order in which transformers looks for them.
const KNOWN: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

/// Ends of files of weights by any name.
const ENDS: [&str; 6] = ["safetensors", "pt", "pth", "ckpt", "pkl", "bin"];

/// Beginnings of files that a training writes beside the weights.
const TRAINING: [&str; 5] = ["optimizer", "scheduler", "scaler", "rng_state", "training_args"];

/// True for the bytes of a file that this module reads: safetensors, a zip, a pickle.
pub(crate) fn is_weights(path: &Path, bytes: &[u8]) -> bool {
    path.extension().is_some_and(|end| end == "safetensors")
        || safetensors::is_safetensors(bytes)
        || is_zip(bytes)
        || is_pickle(bytes)
}

fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// True for a pickle of protocol 2 or later: its version, and an opcode.
fn is_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, 0x28..=0xff, ..])
}

/// The `config.json` of a folder, or beside a file of weights.
pub(crate) fn settings_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("config.json") } else { path.with_file_name("config.json") }
}

impl WeightsFile {
    /// Reads the weights of a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let mut notes = Vec::new();
        let path = chosen(folder, &mut notes)?;
        let mut file = if path.extension().is_some_and(|end| end == "json") {
            shards(folder, &path)?
        } else {
            Self::of_file(&path, files::read(&path)?)?
        };
        file.source = folder.into();
        notes.append(&mut file.notes);
        file.notes = notes;
        Ok(file)
    }

    /// Reads a file of weights, whose bytes these are.
    pub(crate) fn of_file(path: &Path, bytes: Vec<u8>) -> Result<Self, Error> {
        let mut file = Self::empty(path);
        file.add(path, bytes)?;
        names::settle(&mut file)?;
        Ok(file)
    }

    fn empty(path: &Path) -> Self {
        WeightsFile {
            source: path.into(),
            files: Vec::new(),
            tensors: BTreeMap::new(),
            prefix: String::new(),
            settings: None,
            labels: None,
            notes: Vec::new(),
        }
    }

    /// Adds the tensors of a file.
    fn add(&mut self, path: &Path, bytes: Vec<u8>) -> Result<(), Error> {
        let (tensors, aliases) = if is_zip(&bytes) || is_pickle(&bytes) {
            let found =
                if is_zip(&bytes) { pickle::read_zip(path, &bytes)? } else { pickle::read_pickle(path, &bytes)? };
            (self.settings, self.labels) = (found.settings, found.labels);
            self.notes.extend(found.notes);
            (found.tensors, Vec::new())
        } else {
            if !safetensors::is_safetensors(&bytes) {
                let is_named = path.extension().is_some_and(|end| end == "safetensors");
                match foreign::named(path, &bytes) {
                    Some(error) => return Err(error),
                    None if !is_named => {
                        let found = format!("no file of torch.save, and no safetensors ({} bytes)", bytes.len());
                        return Err(unknown(path, found, "copy or download it again, or save it with save_pretrained"));
                    }
                    None => {}
                }
            }
            let found = safetensors::read(path, &bytes)?;
            (found.views, found.aliases)
        };
        let number = self.files.len();
        for (name, view) in tensors {
            if self.tensors.contains_key(&name) {
                let found = format!("tensor `{name}` is there twice");
                return Err(unknown(path, found, "export the model again"));
            }
            self.tensors.insert(name, Stored::View(number, view));
        }
        for (alias, kept) in aliases {
            if let Some(stored) = self.tensors.get(&kept).cloned() {
                self.tensors.insert(alias, stored);
            }
        }
        self.files.push((path.into(), bytes));
        Ok(())
    }
}

pub(super) fn unknown(path: &Path, found: impl Into<String>, next: impl Into<String>) -> Error {
    Error::UnknownFormat { path: path.into(), found: found.into(), next: next.into() }
}

/// The file of weights in a folder.
fn chosen(folder: &Path, notes: &mut Vec<String>) -> Result<PathBuf, Error> {
    let known: Vec<&str> = KNOWN.into_iter().filter(|name| folder.join(name).is_file()).collect();
    if let [name, ref others @ ..] = known[..] {
        if !others.is_empty() {
            let others = others.join(", ");
            notes.push(format!("{}: read, as transformers does, and {others} is not", folder.join(name).display()));
        }
        return Ok(folder.join(name));
    }
    let entries = std::fs::read_dir(folder).map_err(|source| Error::Read { path: folder.into(), source })?;
    let mut all: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    all.sort();
    let is_weights = |name: &&String| {
        let end = Path::new(name).extension().and_then(|end| end.to_str());
        end.is_some_and(|end| ENDS.contains(&end)) && !TRAINING.iter().any(|start| name.starts_with(start))
    };
    // A tokenizer.bin is llama2.c's, a model.bin is too.
    let candidates: Vec<&String> =
        all.iter().filter(is_weights).filter(|name| !name.starts_with("tokenizer")).collect();
    match candidates[..] {
        [name] if name == "adapter_model.safetensors" || name == "adapter_model.bin" => {
            Err(unknown(&folder.join(name), "a LoRA adapter without its model", names::MERGE))
        }
        [name] => Ok(folder.join(name)),
        [] => match all
            .iter()
            .filter(|name| !name.ends_with(".json"))
            .find_map(|name| foreign::named(&folder.join(name), &[]))
        {
            Some(error) => Err(error),
            None => {
                let next = "put model.safetensors, or the .pt of torch.save, beside config.json";
                Err(unknown(&folder.join("model.safetensors"), "the folder holds no weights", next))
            }
        },
        ref several => {
            let names: Vec<_> = several.iter().map(|name| name.as_str()).collect();
            let found = format!("several files of weights, {}", names.join(" and "));
            Err(unknown(folder, found, "give the one to convert in place of the folder"))
        }
    }
}

/// Reads the shards that an index names.
fn shards(folder: &Path, index: &Path) -> Result<WeightsFile, Error> {
    let value: Value =
        serde_json::from_str(&files::read_json(index)?).map_err(|source| Error::Json { path: index.into(), source })?;
    let map = value.get("weight_map").and_then(Value::as_object);
    let again = "save the model again with transformers' save_pretrained";
    let map = map.ok_or_else(|| unknown(index, "no index of shards: it has no `weight_map`", again))?;
    let mut file = WeightsFile::empty(folder);
    file.files.push((index.into(), Vec::new()));
    let shards: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    for shard in shards {
        if Path::new(shard).file_name().is_none_or(|name| name != shard) {
            return Err(unknown(index, format!("shard `{shard}` is not in its folder"), again));
        }
        let path = folder.join(shard);
        if !path.is_file() {
            let found = format!("shard {shard} is missing");
            return Err(unknown(index, found, "download or copy all of the files that it names"));
        }
        file.add(&path, files::read(&path)?)?;
    }
    if let Some((name, shard)) = map.iter().find(|(name, _)| !file.tensors.contains_key(*name)) {
        let found = format!("tensor `{name}` is not in its shard {}", shard.as_str().unwrap_or("?"));
        return Err(unknown(index, found, "download or copy the shards again: they belong to different exports"));
    }
    names::settle(&mut file)?;
    Ok(file)
}
