//! Checkpoints of `torch.save`: a zip of a pickle and its storages, or PyTorch's format before 1.6, which has them one after the other.
//!
//! ```text
//! bytes ─► pickle ─► machine: values, nothing is called ─► model: names of tensors ─┐
//!       └► storages by key ─────────────────────────────────────────────────────────┴─► tensor: views of the bytes
//! ```

mod machine;
mod model;
mod tensor;
mod value;

use std::io::Cursor;
use std::path::Path;

use serde_json::Value;

use super::View;
use crate::Error;
use tensor::Storages;
use value::{Node, Pickle};

/// The number before a file of PyTorch before 1.6.
const LEGACY: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Content of a file.
pub(super) struct Contents {
    pub(super) tensors: Vec<(String, View)>,
    pub(super) notes: Vec<String>,
    pub(super) settings: Option<(&'static str, Value)>,
    pub(super) labels: Option<Value>,
}

/// Way to save the state dict that works wherever the file can be loaded.
const AGAIN: &str = "load it with PyTorch and save the state dict: torch.save(model.state_dict(), \"model.pt\")";

fn unknown(path: &Path, found: impl Into<String>, next: impl Into<String>) -> Error {
    Error::UnknownFormat { path: path.into(), found: found.into(), next: next.into() }
}

/// Reads a zip of `torch.save`.
pub(super) fn read_zip(path: &Path, bytes: &[u8]) -> Result<Contents, Error> {
    let damaged = |reason: String| unknown(path, format!("a damaged zip ({reason})"), "copy or download it again");
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(error.to_string()))?;
    let names: Vec<String> = zip
        .file_names()
        .map(|name| name.map(Into::into))
        .collect::<Result<_, _>>()
        .map_err(|error| damaged(error.to_string()))?;
    if let Some(error) = super::foreign::zip(path, &names) {
        return Err(error);
    }
    let is_pickle = |name: &&String| name.as_str() == "data.pkl" || name.ends_with("/data.pkl");
    let Some(root) = names.iter().find(is_pickle).and_then(|name| name.strip_suffix("data.pkl")) else {
        let shown: Vec<_> = names.iter().take(6).map(String::as_str).collect();
        return Err(unknown(path, format!("a zip of {}, not of torch.save", shown.join(", ")), AGAIN));
    };
    let (mut storages, mut program, mut total) = (Storages::new(), None, 0_u64);
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|error| damaged(error.to_string()))?;
        if entry.compression() != zip::CompressionMethod::Stored {
            return Err(unknown(path, "a compressed zip, which torch.save does not write", AGAIN));
        }
        let name = entry.name().map_err(|error| damaged(error.to_string()))?.into_owned();
        // Entries that share their bytes would take the square of the file's length.
        total = total.saturating_add(entry.size());
        let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
        let size = usize::try_from(entry.size()).ok();
        let range = start.zip(size).and_then(|(start, size)| Some(start..start.checked_add(size)?));
        let range = range.filter(|range| range.end <= bytes.len() && total <= bytes.len() as u64);
        let range = range.ok_or_else(|| damaged(format!("`{name}` is longer than the file")))?;
        // Reading an entry compares its checksum.
        std::io::copy(&mut entry, &mut std::io::sink()).map_err(|error| damaged(format!("`{name}`: {error}")))?;
        match name.strip_prefix(root) {
            Some("data.pkl") => program = Some(range),
            Some("byteorder") if bytes[range.clone()] != *b"little" => {
                return Err(unknown(path, "written on a machine of other byte order", AGAIN));
            }
            Some(name) => {
                if let Some(key) = name.strip_prefix("data/") {
                    storages.insert(key.into(), range);
                }
            }
            None => {}
        }
    }
    let program = program.ok_or_else(|| damaged("no data.pkl".into()))?;
    let (pickle, _) = machine::run(&bytes[program]).map_err(|reason| no_pickle(path, &reason))?;
    contents(path, &pickle, &storages)
}

/// Reads a pickle: PyTorch's format before 1.6, or one of Python's own.
pub(super) fn read_pickle(path: &Path, bytes: &[u8]) -> Result<Contents, Error> {
    let (pickle, rest) = machine::run(bytes).map_err(|reason| no_pickle(path, &reason))?;
    if !matches!(pickle.nodes[pickle.root], Node::Long(number) if number == LEGACY) {
        return contents(path, &pickle, &Storages::new());
    }
    // The number, the protocol, the system; then the object, the keys of its storages, and these.
    let run = |rest| machine::run(rest).map_err(|reason| no_pickle(path, &reason));
    let (_, rest) = run(rest)?;
    let (_, rest) = run(rest)?;
    let (pickle, rest) = run(rest)?;
    let (keys, mut rest) = run(rest)?;
    let keys = keys.texts(keys.root).ok_or_else(|| no_pickle(path, "no storages"))?;
    let sizes = tensor::sizes(&pickle);
    let mut storages = Storages::new();
    for key in keys {
        let cut = || no_pickle(path, &format!("it ends before storage `{key}`"));
        let (count, after) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
        let count = usize::try_from(u64::from_le_bytes(*count)).ok();
        let Some(&size) = sizes.get(key) else {
            return Err(no_pickle(path, &format!("storage `{key}` has no tensor")));
        };
        let size =
            count.and_then(|count| count.checked_mul(size)).filter(|size| *size <= after.len()).ok_or_else(cut)?;
        let start = bytes.len() - after.len();
        storages.insert(key.into(), start..start + size);
        rest = &after[size..];
    }
    contents(path, &pickle, &storages)
}

fn no_pickle(path: &Path, reason: &str) -> Error {
    unknown(path, format!("not a readable pickle ({reason})"), AGAIN)
}

fn contents(path: &Path, pickle: &Pickle<'_>, storages: &Storages) -> Result<Contents, Error> {
    let model = model::find(pickle).map_err(|(found, next)| unknown(path, format!("a pickle of {found}"), next))?;
    let mut tensors = Vec::new();
    for (name, id) in model.tensors {
        let view = tensor::view(pickle, id, storages).map_err(|reason| {
            let next = "save plain tensors: tensor.detach().clone().contiguous() of each, in a dict by name";
            unknown(path, format!("tensor `{name}` cannot be read: {reason}"), next)
        })?;
        tensors.push((name, view));
    }
    let notes = model.note.map(|note| format!("{}: {note}", path.display())).into_iter().collect();
    Ok(Contents { tensors, notes, settings: model.settings, labels: model.labels })
}
