//! `thumbformer features`: the frames of recordings, by the front end that the chip runs; for training scripts.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use thumbformer::Error;
use thumbformer::audio::{LogMel, LogMelConfig, MelBank};

/// Mel filters of the front end for speech.
pub const MELS: usize = 20;

/// The front end for speech: what the digits model was trained with.
pub static SPEECH: MelBank<256, MELS> = thumbformer::mel_bank!(LogMelConfig::SPEECH_8K);

/// The samples of a WAV file: one channel, 16 bits, at the front end's rate.
///
/// # Errors
/// For another kind of file, which the error names.
pub fn read_wav(file: &Path) -> Result<Vec<i16>> {
    let mut reader = hound::WavReader::open(file).with_context(|| format!("{}: not a WAV file", file.display()))?;
    let spec = reader.spec();
    let kind = (spec.channels, spec.bits_per_sample, spec.sample_format);
    ensure!(
        kind == (1, 16, hound::SampleFormat::Int),
        "{}: {} channels of {} bits ({:?}), expected 1 channel of 16 bits; convert it",
        file.display(),
        spec.channels,
        spec.bits_per_sample,
        spec.sample_format
    );
    let expected = SPEECH.config().sample_rate;
    if spec.sample_rate != expected {
        return Err(Error::SampleRate { found: spec.sample_rate })
            .with_context(|| format!("{}: the front end for speech is for {expected} Hz", file.display()));
    }
    let samples: Result<Vec<i16>, _> = reader.samples::<i16>().collect();
    samples.with_context(|| format!("{}: cut off or damaged", file.display()))
}

/// The frames of a recording, `[frames, MELS]`: as many as are wanted, else as many as it has.
///
/// # Errors
/// When the recording is too short for one frame.
pub fn features(samples: &[i16], frames: Option<usize>) -> Result<Vec<f32>, Error> {
    let mut features = vec![0.0; frames.unwrap_or_else(|| SPEECH.frames(samples.len()).max(1)) * MELS];
    LogMel::new(&SPEECH).clip(samples, &mut features)?;
    Ok(features)
}
