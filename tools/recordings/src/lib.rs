//! Recordings of sound and of sensors, as people have them.
//!
//! ```text
//! .wav ──► header corrected ──► hound ──► Sound: samples and their rate ──┐
//! .csv ──► separator, header ──► csv ───► Table: rows of numbers ─────────┴─► Windows: one input of the model, or one for each clip
//! ```

mod frames;
#[cfg(feature = "resample")]
mod resample;
mod table;
mod wav;
mod windows;

pub use frames::{features, heard};
pub use table::{Table, rows};
pub use wav::Sound;
pub use windows::{Input, Start, Window, Windows};

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// A recording.
#[derive(Clone, PartialEq, Debug)]
pub enum Recording {
    /// Of a microphone.
    Sound(Sound),
    /// Of sensors.
    Table(Table),
}

impl Recording {
    /// Reads a file: sound from `.wav`, numbers from `.csv`, in either case of letters.
    ///
    /// # Errors
    /// For a file that is neither, cannot be read or has no meaning; with the file, the place in it, and what to do.
    pub fn read(file: &Path) -> Result<Recording> {
        Recording::read_columns(file, &[])
    }

    /// The same with some of a table's columns: [`Table::read_columns`].
    ///
    /// # Errors
    /// As [`Recording::read`].
    pub fn read_columns(file: &Path, columns: &[String]) -> Result<Recording> {
        let extension = file.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match extension.as_str() {
            "wav" => Sound::read(file).map(Recording::Sound),
            "csv" => Table::read_columns(file, columns).map(Recording::Table),
            _ if file.is_dir() => {
                bail!("{0}: a folder, expected files: give those in it, as {0}/*.wav", file.display())
            }
            _ => bail!("{}: expected a .wav or .csv file: convert the recording", file.display()),
        }
    }
}

/// The name of a recording: that of its file, without the extension.
pub fn name(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The recordings in a folder, sorted by name; what is no `.wav` or `.csv` file is left out.
///
/// # Errors
/// When the folder cannot be read or has no recording.
pub fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => bail!("{}: {error}: give a folder of .wav or .csv files", folder.display()),
    };
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| {
        let extension = file.extension().unwrap_or_default();
        ["wav", "csv"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    });
    if files.is_empty() {
        bail!("{}: no .wav or .csv file in this folder", folder.display());
    }
    files.sort();
    Ok(files)
}
