//! Frames of recordings, for training scripts, by the on-device front end: `thumbformer features`.

use anyhow::{Context, Result, ensure};
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
    at_rate(Sound::read(file)?).with_context(|| format!("{}", file.display()))
}

/// Samples of a sound that has the front end's rate.
///
/// # Errors
/// For another rate.
pub fn at_rate(sound: Sound) -> Result<Vec<i16>> {
    let (found, expected) = (sound.rate, SPEECH.config().sample_rate);
    ensure!(
        found == expected,
        "{found} Hz, expected {expected} Hz: resample it, as by `sox in.wav -r {expected} out.wav`"
    );
    Ok(sound.samples)
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
