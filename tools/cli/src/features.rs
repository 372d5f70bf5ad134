//! Frames of recordings, for training scripts, by the on-device front end: `thumbformer features`.

use anyhow::{Context, Result};
use std::path::Path;
use thumbformer::Error;
use thumbformer::audio::{LogMel, LogMelConfig, MelBank};
use thumbformer_recordings::Sound;

/// Number of mel filters of the front end for speech.
pub const MELS: usize = 20;

/// The front end for speech, with which the digits model was trained.
pub static SPEECH: MelBank<256, MELS> = thumbformer::mel_bank!(LogMelConfig::SPEECH_8K);

/// Samples of a WAV file, at the front end's rate.
///
/// # Errors
/// For a file that cannot be read, and for another rate.
pub fn read_wav(file: &Path) -> Result<Vec<i16>> {
    Sound::read(file)?.at(SPEECH.config().sample_rate).with_context(|| format!("{}", file.display()))
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
