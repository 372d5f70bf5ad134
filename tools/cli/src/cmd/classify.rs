//! `thumbformer classify`: labels of recordings and texts.

use super::recordings::Recordings;
use crate::classify::{Prediction, classify, classify_text};
use crate::stdout::Stdout;
use crate::{model, read_image};
use anyhow::{Context, Result};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use thumbformer::Input;

/// Arguments of `thumbformer classify`.
#[derive(Args)]
pub struct Cmd {
    /// Model image
    image: PathBuf,
    /// Recordings: WAV files of one channel, or CSV files (a line for each sample, a column for each axis); of a classifier of texts .txt files, a text in each line
    #[arg(required_unless_present = "text")]
    recordings: Vec<PathBuf>,
    /// Text to classify
    #[arg(long)]
    text: Vec<String>,
    #[command(flatten)]
    reading: Recordings,
    /// Print JSON, one line per recording; of one that is longer than the model's clip it has `windows`, each with its start and its logits
    #[arg(long)]
    json: bool,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// An image or a recording that cannot be used, and why.
    pub fn run(&self, out: &mut Stdout) -> Result<()> {
        let words = read_image(&self.image)?;
        let model = model(&words, &self.image)?;
        for text in &self.text {
            self.print(&classify_text(&model, text)?, out)?;
        }
        let (reading, mut labelled, mut right) = (self.reading.reading()?, 0, 0);
        for file in &self.recordings {
            if model.dims().options.input == Input::Tokens && file.extension().is_some_and(|found| found == "txt") {
                let texts =
                    std::fs::read_to_string(file).with_context(|| format!("{}: cannot be read", file.display()))?;
                for (line, text) in texts.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
                    let found = classify_text(&model, text);
                    self.print(&found.with_context(|| format!("{}: line {}", file.display(), line + 1))?, out)?;
                }
                continue;
            }
            let recording = reading.read(&model, file)?;
            super::noted(&recording);
            let found = classify(&model, &recording).with_context(|| format!("{}", file.display()))?;
            let is_right = recording.truth.and_then(|truth| found.said.is(&model, truth));
            labelled += usize::from(is_right.is_some());
            right += usize::from(is_right == Some(true));
            match &found.windows[..] {
                [whole] => self.print(whole, out)?,
                _ if self.json => writeln!(out, "{}", serde_json::to_string(&found)?)?,
                windows => {
                    windows.iter().try_for_each(|window| self.print(window, out))?;
                    writeln!(out, "{found}")?;
                }
            }
        }
        if self.recordings.len() > 1 && model.dims().options.input == Input::Frames {
            eprintln!("{} recordings, {labelled} labelled, {right} of these right", self.recordings.len());
        }
        Ok(())
    }

    fn print(&self, found: &Prediction, out: &mut Stdout) -> Result<()> {
        if self.json {
            return Ok(writeln!(out, "{}", serde_json::to_string(found)?)?);
        }
        Ok(writeln!(out, "{found}")?)
    }
}
