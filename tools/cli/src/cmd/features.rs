//! `thumbformer features`: the front end's frames of recordings, for training scripts.

use crate::stdout::Stdout;
use crate::{features, write_file};
use anyhow::{Context, Result};
use clap::Args;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Arguments of `thumbformer features`.
#[derive(Args)]
pub struct Cmd {
    /// WAV files: 8000 Hz, one channel
    #[arg(required = true)]
    recordings: Vec<PathBuf>,
    /// File to write: 32-bit floats, little-endian, [recordings, frames, filters]
    #[arg(short, long)]
    output: PathBuf,
    /// Frames per recording, which is cut off or filled up with silence [default: as many as it has]
    #[arg(long)]
    frames: Option<NonZeroUsize>,
    /// Split each file into recordings of this many samples
    #[arg(long, value_name = "SAMPLES")]
    cut: Option<NonZeroUsize>,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// A recording that cannot be read; an output file that cannot be written.
    pub fn run(&self, out: &mut Stdout) -> Result<()> {
        let (mut bytes, mut recordings, mut frames) = (Vec::new(), 0, 0);
        for file in &self.recordings {
            let samples = features::read_wav(file)?;
            let length = self.cut.map_or(samples.len().max(1), NonZeroUsize::get);
            // An empty file is a recording that is too short.
            let pieces = samples.chunks(length).chain(samples.is_empty().then_some(&[][..]));
            for piece in pieces {
                let features = features::features(piece, self.frames.map(NonZeroUsize::get));
                let features = features.with_context(|| format!("{}", file.display()))?;
                bytes.extend(features.iter().flat_map(|value| value.to_le_bytes()));
                recordings += 1;
                frames += features.len() / features::MELS;
            }
        }
        let inputs: Vec<&Path> = self.recordings.iter().map(PathBuf::as_path).collect();
        write_file(&self.output, &bytes, &inputs)?;
        writeln!(out, "{recordings} recordings, {frames} frames of {} filters", features::MELS)?;
        Ok(())
    }
}
