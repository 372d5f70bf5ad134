//! transformers' `preprocessor_config.json`.

use std::path::Path;

use serde_json::Value;
use thumbformer::audio::{Cut, Filters, Floor, FrontEndConfig, Logarithm, MelNorm, MelScale};

use super::{checked, number};
use crate::Error;
use crate::settings::Settings;

/// Sampling rate of transformers' extractors, on which all their other numbers rest.
const RATE: u64 = 16_000;

/// A front end, with the number of frames of a clip where the file says it.
#[derive(Clone, PartialEq, Debug)]
pub struct Preprocessor {
    /// The front end.
    pub front_end: FrontEndConfig,
    /// Frames of a clip.
    pub frames: usize,
}

/// Reads transformers' `preprocessor_config.json`.
///
/// # Errors
/// [`Error::Setting`] names an extractor that is not supported, or the first key that is.
pub fn read_preprocessor(path: &Path, value: &Value) -> Result<Preprocessor, Error> {
    let settings = Settings::new(path, value.clone());
    let kind = settings.text("feature_extractor_type")?.unwrap_or("absent");
    // What says nothing about the frames of one recording.
    for key in ["processor_class", "return_attention_mask", "padding_side", "auto_map"] {
        settings.get(key);
    }
    settings.only("sampling_rate", &[RATE.into()], &format!("{RATE}"))?;
    settings.only("padding_value", &[0.into(), 0.0.into()], "0")?;
    let found = match kind {
        "ASTFeatureExtractor" => ast(&settings)?,
        "WhisperFeatureExtractor" => whisper(&settings)?,
        other => {
            let why = match other {
                "Wav2Vec2FeatureExtractor" => "one of log-mel frames: this model reads plain samples by convolutions",
                "Speech2TextFeatureExtractor" => {
                    "one without dithering and the mean of the recording before it is padded"
                }
                _ => "ASTFeatureExtractor or WhisperFeatureExtractor",
            };
            let next = "describe the front end by the key `front_end` of this project's own config.json";
            return Err(settings.error("feature_extractor_type", other, why, next));
        }
    };
    settings.no_others()?;
    Ok(Preprocessor { front_end: checked(&settings, found.front_end)?, ..found })
}

fn ast(settings: &Settings) -> Result<Preprocessor, Error> {
    settings.only("feature_size", &[1.into()], "1")?;
    let n_mels = settings.size_or("num_mel_bins", 128)?;
    let mut front_end = FrontEndConfig::kaldi();
    front_end.filters =
        Filters::Mel { n_mels, scale: MelScale::Kaldi, norm: MelNorm::None, f_min: 20.0, f_max: RATE as f64 / 2.0 };
    let mean = number(settings, "mean", -4.267_739_3)?;
    let deviation = settings.positive("std", Some(4.568_997_4))?;
    (front_end.offset, front_end.scale) = match settings.flag("do_normalize", Some(true))? {
        true => (vec![mean], vec![0.5 / deviation]),
        false => (vec![0.0], vec![1.0]),
    };
    Ok(Preprocessor { front_end, frames: settings.size_or("max_length", 1024)? })
}

fn whisper(settings: &Settings) -> Result<Preprocessor, Error> {
    let (hop_length, seconds) = (settings.size_or("hop_length", 160)?, settings.size_or("chunk_length", 30)?);
    let clip_samples = seconds * RATE as usize;
    settings.only("n_samples", &[clip_samples.into()], &format!("{clip_samples}, as chunk_length says"))?;
    let frames = clip_samples / hop_length;
    settings.only("nb_max_frames", &[frames.into()], &format!("{frames}, as chunk_length says"))?;
    settings.only("dither", &[0.into(), 0.0.into()], "0: the frames must not be random")?;
    settings.only("do_normalize", &[false.into()], "false")?;
    // Old files hold the filters, which transformers computes again.
    settings.get("mel_filters");
    let n_fft = settings.size_or("n_fft", 400)?;
    let front_end = FrontEndConfig {
        n_fft,
        win_length: n_fft,
        hop_length,
        filters: Filters::Mel {
            n_mels: settings.size_or("feature_size", 80)?,
            scale: MelScale::Slaney,
            norm: MelNorm::Slaney,
            f_min: 0.0,
            f_max: 8000.0,
        },
        logarithm: Logarithm::Ten,
        floor: Floor::Least(1e-10),
        top_db: Some(8.0),
        offset: vec![-4.0],
        scale: vec![0.25],
        clip_samples,
        // The last frame of 3001 is cut off first.
        cut: Some(Cut::Before),
        ..FrontEndConfig::torchaudio()
    };
    Ok(Preprocessor { front_end, frames })
}
