//! Reader of an importer: finds every tensor of a file by name, converts it to `f32` and checks it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::names::Source;
pub(crate) use crate::stored::WeightsFile;
use crate::{Error, Weights};

impl WeightsFile {
    /// Tensors of the file, none of them taken yet.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { path: self.path().into(), file: self, used: BTreeSet::new() }
    }
}

/// Tensors of a file, with a record of those that were taken.
pub(crate) struct Reader<'a> {
    pub(crate) path: PathBuf,
    file: &'a WeightsFile,
    used: BTreeSet<String>,
}

impl Source for Reader<'_> {
    fn has(&self, name: &str) -> bool {
        self.file.resolve(name).is_some()
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Weights, Error> {
        let found = self.file.resolve(name).ok_or_else(|| self.missing(name))?;
        // A dimension of 1 changes nothing: the numbers and their order are the same.
        let wide = |shape: &[usize]| shape.iter().copied().filter(|size| *size != 1).collect::<Vec<_>>();
        if self.file.shape(name).map(wide) != Some(wide(shape)) {
            return Err(self.wrong_shape(name, shape));
        }
        let path = self.file.file_of(name);
        match self.file.floats(name) {
            Some(Ok(data)) => {
                self.used.insert(found.into());
                Weights::finite(path, name.into(), shape.into(), data)
            }
            Some(Err(found)) => Err(Error::ElementType { path: path.into(), tensor: name.into(), found: found.into() }),
            None => Err(self.missing(name)),
        }
    }
}

impl Reader<'_> {
    /// Shape of a required tensor.
    pub(crate) fn shape(&self, name: &str) -> Result<Vec<usize>, Error> {
        self.file.shape(name).map(<[usize]>::to_vec).ok_or_else(|| self.missing(name))
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
        Error::Shape { path: self.file.file_of(name).into(), tensor: name.into(), expected: expected.into(), found }
    }

    /// Prefix `model.`, if the names have it: a model that was saved without a task's head has none.
    pub(crate) fn prefix(&self, model: &str) -> String {
        let prefix = format!("{model}.");
        if self.iter_names().any(|name| name.starts_with(&prefix)) { prefix } else { String::new() }
    }

    /// The part of a name in front of its `end`, by the first such name in order; `usual` where there is none.
    pub(crate) fn before(&self, end: &str, usual: &str) -> String {
        let found = self.iter_names().filter_map(|name| name.strip_suffix(end));
        found.min().unwrap_or(usual).to_string()
    }

    /// All names, in order.
    pub(crate) fn iter_names(&self) -> impl Iterator<Item = &str> {
        self.file.names()
    }

    /// Names of tensors that may be meant: those of the same layer, or else the first few.
    fn missing(&self, name: &str) -> Error {
        let names: Vec<String> = self.iter_names().map(str::to_string).collect();
        let total = names.len();
        let stem = name.rsplitn(4, '.').last().unwrap_or(name);
        let near: Vec<String> = names.iter().filter(|other| other.starts_with(stem)).cloned().collect();
        let mut shown = if near.is_empty() { names } else { near };
        shown.truncate(6);
        let next = match name {
            "lm_head.weight" => {
                "set tie_word_embeddings to true in config.json if the model was trained so, or export the head"
            }
            name if name.ends_with(".bias") => {
                "export all of the model, or correct the key of config.json that says which layers have a bias"
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
        summary(self.iter_names())
    }

    /// Names of tensors that were not taken, in order.
    pub(crate) fn unused(&self) -> impl Iterator<Item = &str> {
        self.iter_names().filter(|name| !self.used.contains(*name))
    }

    /// Refuses tensors that were not taken, except for constants that exporters save with the weights.
    ///
    /// `constants`: ends of their names.
    pub(crate) fn finish(self, constants: &[&str]) -> Result<(), Error> {
        let is_constant = |name: &&str| constants.iter().any(|end| name.ends_with(end));
        let mut unused = self.unused().filter(|name| !is_constant(name));
        match unused.next() {
            None => Ok(()),
            Some(name) => Err(Error::UnexpectedTensor {
                path: self.file.file_of(name).into(),
                tensor: name.to_string(),
                shape: self.shape(name)?,
                others: summary(unused),
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
