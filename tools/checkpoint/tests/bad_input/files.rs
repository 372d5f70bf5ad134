//! Golden checkpoints, copied and changed.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, View};
use serde_json::Value;
use tempfile::TempDir;

pub fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(path)
}

/// A copy of a golden Hugging Face folder.
pub fn folder(model: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(golden(model).join("checkpoint").join(file), copy.path().join(file)).unwrap();
    }
    copy
}

/// A key of the configuration and its new value; `None` takes the key out.
pub type Change = (&'static str, Option<Value>);

/// Changes keys of a folder's `config.json`.
pub fn change(folder: &Path, changes: &[Change]) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    for (key, value) in changes {
        match value {
            None => drop(config.as_object_mut().unwrap().remove(*key)),
            Some(value) => config[*key] = value.clone(),
        }
    }
    fs::write(&path, config.to_string()).unwrap();
}

/// A tensor to be written again.
#[derive(Clone)]
pub struct Raw {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}

impl View for &Raw {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        self.data.as_slice().into()
    }
    fn data_len(&self) -> usize {
        self.data.len()
    }
}

pub fn tensors(path: &Path) -> Vec<Raw> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let raw = |(name, view): (String, safetensors::tensor::TensorView<'_>)| Raw {
        name,
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        data: view.data().to_vec(),
    };
    file.tensors().into_iter().map(raw).collect()
}

pub fn write(path: &Path, tensors: &[Raw]) {
    let views = tensors.iter().map(|raw| (raw.name.as_str(), raw));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Takes a tensor out of a file.
pub fn remove(tensors: &mut Vec<Raw>, name: &str) {
    let count = tensors.len();
    tensors.retain(|raw| raw.name != name);
    assert_eq!(tensors.len(), count - 1, "{name}");
}

/// Writes a tensor again under another name.
pub fn copy(tensors: &mut Vec<Raw>, from: &str, to: &str) {
    let name = to.into();
    let raw = Raw { name, ..find(tensors, from).clone() };
    tensors.push(raw);
}

/// Renames a tensor.
pub fn rename(tensors: &mut [Raw], from: &str, to: &str) {
    find(tensors, from).name = to.into();
}

/// Change of a file's tensors in a case.
pub type Spoil = fn(&mut Vec<Raw>);

pub fn find<'a>(tensors: &'a mut [Raw], name: &str) -> &'a mut Raw {
    tensors.iter_mut().find(|raw| raw.name == name).unwrap_or_else(|| panic!("{name}"))
}

pub fn put(raw: &mut Raw, index: usize, value: f32) {
    raw.data[4 * index..4 * index + 4].copy_from_slice(&value.to_le_bytes());
}
