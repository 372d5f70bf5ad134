//! Recordings as inputs of a model: which columns, which rate, which truth.
//!
//! ```text
//! .wav ──► [resampled] ──► front end of the image ──┐
//! .csv ──► [chosen columns] ────────────────────────┴─► frames [seq, n_features], of each clip
//! name, folder or list ──► truth
//! ```

use crate::classify::{Recording, Window};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::Path;
use thumbformer::{Input, Model};
use thumbformer_recordings::Recording::Sound;
use thumbformer_recordings::Windows;

/// Options of reading recordings; by default they are read as they are.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Columns of a table, by name or number; empty for all.
    pub columns: Vec<String>,
    /// True if sound of another rate is resampled.
    pub resample: bool,
    /// Labels by the names of files; without a list, names and folders are labels.
    pub labels: Option<BTreeMap<String, String>>,
}

impl Reading {
    /// Reads a recording for a model.
    ///
    /// # Errors
    /// When the model reads no frames, or the file cannot be turned into its frames; for a label that is no output of the model.
    pub fn read(&self, model: &Model<'_>, file: &Path) -> Result<Recording> {
        let input = model.dims().options.input;
        ensure!(
            input == Input::Frames,
            "the image reads {input:?}, not frames: use `run` for a language model, `classify --text` for a classifier of texts"
        );
        let recording = match (thumbformer_recordings::Recording::read_columns(file, &self.columns)?, model.front_end())
        {
            (Sound(sound), Some(front_end)) if self.resample => sound.resampled(front_end.sample_rate()).map(Sound),
            (recording, _) => Ok(recording),
        };
        let windows = recording.and_then(|recording| recording.windows(model));
        let Windows { windows, note } = windows.with_context(|| format!("{}", file.display()))?;
        let name = thumbformer_recordings::name(file);
        let window = |window: thumbformer_recordings::Window| {
            let (name, start) = (window.name(&name), window.start);
            Ok(Window { name, start, frames: window.frames(model)? })
        };
        let windows = windows.into_iter().map(window).collect::<Result<_>>();
        let windows = windows.with_context(|| format!("{}", file.display()))?;
        let truth = self.truth(model, file).with_context(|| format!("{}", file.display()))?;
        Ok(Recording { name, truth, windows, note: note.map(|note| format!("{}: {note}", file.display())) })
    }

    /// The right output of a recording, if it is known: by the list; else by its name up to the first `_`, else by its folder.
    fn truth(&self, model: &Model<'_>, file: &Path) -> Result<Option<usize>> {
        let name = thumbformer_recordings::name(file);
        if let Some(labels) = &self.labels {
            let whole = file.file_name().unwrap_or_default().to_string_lossy();
            let Some(label) = labels.get(whole.as_ref()).or_else(|| labels.get(&name)) else { return Ok(None) };
            let Some(truth) = output(model, label) else { bail!("the label {label:?} is no output of the model") };
            return Ok(Some(truth));
        }
        let folder = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let beginning = name.split('_').next().unwrap_or("");
        Ok(output(model, beginning).or_else(|| model.label(0).and_then(|_| label(model, &folder))))
    }
}

/// The output of a label, or of a number.
fn output(model: &Model<'_>, name: &str) -> Option<usize> {
    let number = name.parse().ok().filter(|number| (0..model.dims().n_outputs).contains(number));
    label(model, name).or(number)
}

fn label(model: &Model<'_>, name: &str) -> Option<usize> {
    (0..model.dims().n_outputs).find(|&output| model.label(output) == Some(name))
}

/// Reads a list of labels: a line for each file, its name and its label, separated as a table's cells are.
///
/// # Errors
/// For a file that cannot be read, and a line that has not two cells.
pub fn labels(file: &Path) -> Result<BTreeMap<String, String>> {
    let rows = thumbformer_recordings::rows(file)?;
    let pair = |(line, row): (usize, Vec<String>)| match <[String; 2]>::try_from(row) {
        Ok([name, label]) => {
            let name = Path::new(&name).file_name().map_or(name.clone(), |name| name.to_string_lossy().into_owned());
            Ok((name, label))
        }
        Err(row) => {
            bail!("{}: line {}: {} cells, expected 2: a file's name and its label", file.display(), line + 1, row.len())
        }
    };
    rows.into_iter().enumerate().map(pair).collect()
}
