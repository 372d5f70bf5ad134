//! `thumbformer classify`: labels of recordings.

use crate::stdout::Stdout;
use crate::{classify, model, read_image};
use anyhow::{Context, Result};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `thumbformer classify`.
#[derive(Args)]
pub struct Cmd {
    /// Model image
    image: PathBuf,
    /// Recordings: WAV files (8000 Hz, one channel) or CSV files (a line for each sample, a column for each axis)
    #[arg(required = true)]
    recordings: Vec<PathBuf>,
    /// Print JSON, one line per recording
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
        for file in &self.recordings {
            let recording = classify::read(&model, file)?;
            let heard = classify::classify(&model, &recording).with_context(|| format!("{}", file.display()))?;
            if self.json {
                writeln!(out, "{}", serde_json::to_string(&heard)?)?;
            } else {
                writeln!(out, "{heard}")?;
            }
        }
        Ok(())
    }
}
