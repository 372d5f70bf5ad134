//! `thumbformer features`: the front end's frames of recordings, for training scripts.

use crate::stdout::Stdout;
use crate::write_file;
use anyhow::{Context, Result};
use clap::Args;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use thumbformer::audio::FrontEnd;
use thumbformer_recordings::{Sound, features};

/// Arguments of `thumbformer features`.
#[derive(Args)]
pub struct Cmd {
    /// WAV files, of the front end's rate, one channel
    #[arg(required = true)]
    recordings: Vec<PathBuf>,
    /// File to write: 32-bit floats, little-endian, [recordings, frames, filters]
    #[arg(short, long)]
    output: PathBuf,
    /// Front end: a preset (thumbformer, kws, torchaudio, librosa, kaldi), a .json that describes one, or an image
    #[arg(long)]
    front_end: String,
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
        let words = crate::features::front_end(&self.front_end)?;
        let front_end = FrontEnd::parse(&words)?;
        let (mut bytes, mut recordings, mut frames) = (Vec::new(), 0, 0);
        for file in &self.recordings {
            let sound = Sound::read(file)?.at(front_end.sample_rate());
            let samples = sound.with_context(|| format!("{}", file.display()))?;
            let length = self.cut.map_or(samples.len().max(1), NonZeroUsize::get);
            // An empty file is a recording that is too short.
            let pieces = samples.chunks(length).chain(samples.is_empty().then_some(&[][..]));
            for piece in pieces {
                let features = features(&front_end, piece, self.frames.map(NonZeroUsize::get));
                let features = features.with_context(|| format!("{}", file.display()))?;
                bytes.extend(features.iter().flat_map(|value| value.to_le_bytes()));
                recordings += 1;
                frames += features.len() / front_end.bands();
            }
        }
        let inputs: Vec<&Path> = self.recordings.iter().map(PathBuf::as_path).collect();
        write_file(&self.output, &bytes, &inputs)?;
        writeln!(out, "{recordings} recordings, {frames} frames of {} bands", front_end.bands())?;
        Ok(())
    }
}
