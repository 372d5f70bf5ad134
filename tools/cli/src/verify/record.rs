//! The record of a comparison in the image itself, beside where it came from.

use crate::files::{is_replaceable, write_file};
use crate::{model, read_image};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use thumbformer::image::{ImageWriter, bytes};

/// The kind of input that an image was compared over: an image has one record of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A text or token ids.
    Text,
    /// Recordings.
    Recordings,
    /// Sequences with the outputs of a framework.
    Expected,
}

/// Measures of a comparison.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The kind of input.
    pub kind: Kind,
    /// The measures, and the number of inputs.
    pub measures: String,
    /// The inputs, of which names are recorded and no folder.
    pub files: Vec<PathBuf>,
}

impl Record {
    /// Key in the image.
    pub fn key(&self) -> &'static str {
        match self.kind {
            Kind::Text => "verified text",
            Kind::Recordings => "verified recordings",
            Kind::Expected => "verified outputs",
        }
    }

    /// Value in the image; of recordings the number alone.
    pub fn value(&self) -> String {
        let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().replace('\n', " ");
        let names: Vec<String> = self.files.iter().map(name).collect();
        let of = if names.is_empty() { String::new() } else { format!(" of {}", names.join(", ")) };
        format!("{}{of}", self.measures)
    }

    /// Writes the record into the image `words` of a file, in place of an earlier one of its kind; nothing else changes.
    ///
    /// # Errors
    /// When the file is no longer that image, when the image is of a later version, or when the file cannot be written.
    pub fn write(&self, file: &Path, words: &[u32]) -> Result<()> {
        let name = || file.display().to_string();
        let mut writer = ImageWriter::of(model(words, file)?.image()).with_context(name)?;
        writer.info(&[(self.key(), &self.value())]).with_context(name)?;
        let recorded = writer.finish().with_context(name)?;
        ensure!(
            read_image(file)? == words,
            "{}: has changed since it was read, and stays as it is; verify it again",
            name()
        );
        write_file(file, bytes(&recorded), &[])
    }
}

/// Refuses a file that a record could not be written into, before the work.
///
/// # Errors
/// For a file that is read-only, or none that can be replaced.
pub fn check(file: &Path) -> Result<()> {
    is_replaceable(file)?;
    ensure!(
        file.is_file(),
        "{}: --record writes into a file, and this is none; give an image in a file",
        file.display()
    );
    Ok(())
}
