//! Frames of recordings, for training scripts, by the on-device front end: `thumbformer features`.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use thumbformer::Error;
use thumbformer::audio::{LogMel, LogMelConfig, MelBank};

/// Number of mel filters of the front end for speech.
pub const MELS: usize = 20;

/// The front end for speech, with which the digits model was trained.
pub static SPEECH: MelBank<256, MELS> = thumbformer::mel_bank!(LogMelConfig::SPEECH_8K);

/// Samples of a WAV file: one channel, 16 bits, at the front end's rate.
///
/// # Errors
/// For any other kind of file; the error names its format.
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
            .with_context(|| format!("{}: the front end for speech takes {expected} Hz", file.display()));
    }
    let samples: Result<Vec<i16>, _> = reader.samples::<i16>().collect();
    samples.with_context(|| format!("{}: cut off or damaged; record or copy it again", file.display()))
}

/// Frames of a recording, `[frames, MELS]`; `None` for as many as the recording has.
///
/// # Errors
/// When the recording is too short for one frame.
pub fn features(samples: &[i16], frames: Option<usize>) -> Result<Vec<f32>, Error> {
    let mut features = vec![0.0; frames.unwrap_or_else(|| SPEECH.frames(samples.len()).max(1)) * MELS];
    LogMel::new(&SPEECH).clip(samples, &mut features)?;
    Ok(features)
}
