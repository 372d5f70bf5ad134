//! Audio front ends: `front_end` in this project's `config.json`, and transformers' `preprocessor_config.json`.
//!
//! # `front_end`
//! An object. `preset` says where it starts, and each other key replaces what the preset says.
//!
//! | key | value |
//! | --- | --- |
//! | `preset` | `"torchaudio"`, `"librosa"`, `"kws"`, `"kaldi"` or `"thumbformer"`: [`FrontEndConfig`]'s functions of these names |
//! | `sample_rate` | samples per second; where the preset's `f_max` is half its rate, it stays half the rate |
//! | `n_fft`, `win_length`, `hop_length` | samples; who changes the first gives all three |
//! | `window` | `"hann"`, `"hamming"`, `"povey"`, `"blackman"` or `"rectangular"` |
//! | `window_sampling` | `"periodic"` (torchaudio, librosa), `"symmetric"` (Kaldi) or `"half_step"` |
//! | `frame` | `"fft"`: a frame counts `n_fft` samples (torchaudio, librosa); `"window"`: `win_length` (Kaldi) |
//! | `center` | `true`: half a frame is put before and after the recording |
//! | `pad_mode` | `"reflect"` or `"constant"`: what is put there |
//! | `power` | 2: squares of the spectrum, 1: absolute values |
//! | `normalized` | `true`: the spectrum is divided by the root of the sum of the window's squares, as torchaudio does |
//! | `n_mels`, `mel_scale`, `norm`, `f_min`, `f_max` | mel filters: their number; `"htk"`, `"slaney"` or `"kaldi"`; `"slaney"` or `"none"`; hertz |
//! | `filters` | instead of mel filters: a list of filters, each with `n_fft / 2 + 1` weights |
//! | `log` | `"natural"`, `"log2"`, `"log10"`, `"db"` (`10 log10`) or `"db_amplitude"` (`20 log10`) |
//! | `floor_added` or `floor_least` | the number that is added to each energy before its logarithm, or the least energy |
//! | `preemphasis` | the share of a sample that the next one loses; 0: none |
//! | `preemphasis_of` | `"signal"` or `"frame"` (Kaldi) |
//! | `remove_dc` | `true`: a window's mean is subtracted from it (Kaldi) |
//! | `full_scale` | the sample of full scale: 1, or 32768 where the framework took 16-bit integers |
//! | `top_db` | the largest distance from the clip's largest value, in the logarithm's units; 0: any |
//! | `normalize` | over the clip: `"none"`, `"band_mean"`, `"band"` (mean 0, deviation 1), `"clip_mean"`, `"clip"`, or `"max"` (less the largest) |
//! | `normalize_unbiased`, `normalize_epsilon` | `true` as `torch.std`, `false` as `numpy.std`; the number added to the deviation |
//! | `cut` | where the network reads fewer frames than a clip has: `"before"`, the others are cut off before `top_db` and `normalize` (Whisper); `"after"`, they count there, as in torchaudio's and librosa's own `top_db`; required where it makes a difference |
//! | `mean`, `std` | a band becomes `(band - mean) / std`; a number, or one for each band |
//! | `clip_samples` | samples of the recordings in training, all of one length; absent: any |
//! | `fill` | a short clip ends in samples of 0 (`"silence"`), or in frames of 0 (`"frames"`) |
//! | `n_mfcc`, `dct`, `lifter`, `lifter_of` | cepstral coefficients, which the embedding takes in: their number; `"ortho"` or `"none"`; the lifter, of `"librosa"` or `"kaldi"` |
//!
//! # `preprocessor_config.json`
//! `ASTFeatureExtractor`, and `WhisperFeatureExtractor` with an `n_fft` that is a power of two. Others are refused by name.

mod network;
mod preprocessor;

use std::path::Path;

use serde_json::Value;
use thumbformer::audio::{
    Cut, Deviation, Fill, Filters, Floor, FrameLength, FrontEndConfig, Lifter, Logarithm, MelNorm, MelScale, Mfcc,
    Normalize, PadMode, Preemphasis, Sampling, Spectrum, WindowShape,
};

use crate::Error;
use crate::settings::Settings;
pub use network::named;
pub(crate) use network::{fold_mfcc, of_network};
pub use preprocessor::{Preprocessor, read_preprocessor};

/// Next step after a value that the frames are not made with.
const NEXT: &str = "give what the training script makes its frames with";

/// Reads the value of `front_end` in the `config.json` at `path`.
///
/// # Errors
/// [`Error::Setting`] names the first key that is missing, unknown, out of range or contradicts another one.
pub fn read(path: &Path, value: &Value) -> Result<FrontEndConfig, Error> {
    let settings = Settings::within(path, "front_end.", value.clone());
    let presets = [
        ("torchaudio", FrontEndConfig::torchaudio as fn() -> FrontEndConfig),
        ("librosa", FrontEndConfig::librosa),
        ("kws", FrontEndConfig::kws),
        ("kaldi", FrontEndConfig::kaldi),
        ("thumbformer", FrontEndConfig::thumbformer),
    ];
    let mut config = settings.choice("preset", None, &presets)?();
    lengths(&settings, &mut config)?;
    filters(&settings, &mut config)?;
    samples(&settings, &mut config)?;
    levels(&settings, &mut config)?;
    clip(&settings, &mut config)?;
    config.mfcc = mfcc(&settings, &config)?;
    settings.no_others()?;
    checked(&settings, config)
}

fn lengths(settings: &Settings, config: &mut FrontEndConfig) -> Result<(), Error> {
    if settings.get("n_fft").is_some() {
        settings.require(&["win_length", "hop_length"], "numbers, beside n_fft")?;
    }
    config.n_fft = settings.size_or("n_fft", config.n_fft)?;
    config.win_length = settings.size_or("win_length", config.win_length)?;
    config.hop_length = settings.size_or("hop_length", config.hop_length)?;
    let shapes = [
        ("hann", WindowShape::Hann),
        ("hamming", WindowShape::Hamming),
        ("povey", WindowShape::Povey),
        ("blackman", WindowShape::Blackman),
        ("rectangular", WindowShape::Rectangular),
    ];
    config.window.shape = settings.choice("window", Some(config.window.shape), &shapes)?;
    let samplings =
        [("periodic", Sampling::Periodic), ("symmetric", Sampling::Symmetric), ("half_step", Sampling::HalfStep)];
    config.window.sampling = settings.choice("window_sampling", Some(config.window.sampling), &samplings)?;
    let frames = [("fft", FrameLength::Fft), ("window", FrameLength::Window)];
    config.frame = settings.choice("frame", Some(config.frame), &frames)?;
    config.center = settings.flag("center", Some(config.center))?;
    let modes = [("reflect", PadMode::Reflect), ("constant", PadMode::Zeros)];
    config.pad_mode = settings.choice("pad_mode", Some(config.pad_mode), &modes)?;
    Ok(())
}

fn filters(settings: &Settings, config: &mut FrontEndConfig) -> Result<(), Error> {
    let before = f64::from(config.sample_rate);
    config.sample_rate = settings.size_or("sample_rate", config.sample_rate as usize)? as u32;
    if let Some(value) = settings.get("filters") {
        let bins = config.n_fft / 2 + 1;
        let row = |row: &Value| row.as_array().filter(|row| row.len() == bins).cloned();
        let rows: Option<Vec<Vec<Value>>> = value.as_array().and_then(|rows| rows.iter().map(row).collect());
        let weights = rows.iter().flatten().flatten().map(Value::as_f64).collect::<Option<Vec<f64>>>();
        let expected = format!("a list of filters with n_fft / 2 + 1 = {bins} weights each");
        let wrong = || settings.error("filters", "something else", &expected, NEXT);
        let (rows, weights) = rows.zip(weights).ok_or_else(wrong)?;
        config.filters = Filters::Table { bands: rows.len(), weights };
        return Ok(());
    }
    let Filters::Mel { n_mels, scale, norm, f_min, f_max } = &mut config.filters else { return Ok(()) };
    *n_mels = settings.size_or("n_mels", *n_mels)?;
    let scales = [("htk", MelScale::Htk), ("slaney", MelScale::Slaney), ("kaldi", MelScale::Kaldi)];
    *scale = settings.choice("mel_scale", Some(*scale), &scales)?;
    *norm = settings.choice("norm", Some(*norm), &[("slaney", MelNorm::Slaney), ("none", MelNorm::None)])?;
    *f_min = number(settings, "f_min", *f_min)?;
    if *f_max == before / 2.0 {
        *f_max = f64::from(config.sample_rate) / 2.0;
    }
    *f_max = number(settings, "f_max", *f_max)?;
    Ok(())
}

fn samples(settings: &Settings, config: &mut FrontEndConfig) -> Result<(), Error> {
    let powers = [(2.0, Spectrum::Power), (1.0, Spectrum::Magnitude)];
    if settings.get("power").is_some() {
        let power = number(settings, "power", 2.0)?;
        let known = powers.iter().find(|(known, _)| *known == power);
        let (_, spectrum) = known.ok_or_else(|| settings.error("power", power, "2 or 1", NEXT))?;
        config.spectrum = *spectrum;
    }
    if settings.flag("normalized", Some(false))? {
        config.amplitude = config.window.sum_of_squares(config.win_length).sqrt().recip();
    }
    config.remove_dc = settings.flag("remove_dc", Some(config.remove_dc))?;
    config.full_scale = settings.positive("full_scale", Some(config.full_scale))?;
    if settings.get("preemphasis").is_some() {
        let share = number(settings, "preemphasis", 0.0)?;
        config.preemphasis = match share {
            0.0 => Preemphasis::None,
            share => match settings.choice("preemphasis_of", None, &[("signal", true), ("frame", false)])? {
                true => Preemphasis::Signal(share),
                false => Preemphasis::Frame(share),
            },
        };
    }
    Ok(())
}

fn levels(settings: &Settings, config: &mut FrontEndConfig) -> Result<(), Error> {
    let logarithms = [
        ("natural", Logarithm::Natural),
        ("log2", Logarithm::Two),
        ("log10", Logarithm::Ten),
        ("db", Logarithm::PowerDecibel),
        ("db_amplitude", Logarithm::AmplitudeDecibel),
    ];
    config.logarithm = settings.choice("log", Some(config.logarithm), &logarithms)?;
    if settings.get("floor_added").is_some() && settings.get("floor_least").is_some() {
        return Err(settings.error("floor_least", "beside floor_added", "one of the two", NEXT));
    }
    if settings.get("floor_added").is_some() {
        config.floor = Floor::Added(settings.positive("floor_added", None)?);
    }
    if settings.get("floor_least").is_some() {
        config.floor = Floor::Least(settings.positive("floor_least", None)?);
    }
    if settings.get("top_db").is_some() {
        config.top_db = Some(number(settings, "top_db", 0.0)?).filter(|top| *top != 0.0);
    }
    if let Some(offset) = numbers(settings, "mean", config.bands())? {
        config.offset = offset;
    }
    if let Some(deviations) = numbers(settings, "std", config.bands())? {
        config.scale = deviations.into_iter().map(f64::recip).collect();
    }
    Ok(())
}

fn clip(settings: &Settings, config: &mut FrontEndConfig) -> Result<(), Error> {
    if settings.get("clip_samples").is_some() {
        config.clip_samples = settings.size("clip_samples")?;
    }
    let fills = [("silence", Fill::Silence), ("frames", Fill::Frames)];
    config.fill = settings.choice("fill", Some(config.fill), &fills)?;
    let deviation = |settings: &Settings| {
        let unbiased = settings.flag("normalize_unbiased", None)?;
        Ok(Deviation { unbiased, epsilon: number(settings, "normalize_epsilon", 0.0)? })
    };
    const KINDS: [(&str, u8); 6] =
        [("none", 0), ("band_mean", 1), ("band", 2), ("clip_mean", 3), ("clip", 4), ("max", 5)];
    if settings.get("normalize").is_some() {
        config.normalize = match settings.choice("normalize", None, &KINDS)? {
            0 => Normalize::None,
            1 => Normalize::BandMean,
            2 => Normalize::Band(deviation(settings)?),
            3 => Normalize::ClipMean,
            4 => Normalize::Clip(deviation(settings)?),
            _ => Normalize::Max,
        };
    }
    if settings.get("cut").is_some() {
        let after = settings.choice("cut", None, &[("before", false), ("after", true)])?;
        let moments = !matches!(config.normalize, Normalize::None | Normalize::Max);
        if after && moments {
            let next = "cut the frames off before they are normalised, in the training too";
            return Err(settings.error("cut", "after", "before, where means or deviations are of a clip", next));
        }
        if after && config.top_db.is_none() && config.normalize == Normalize::None {
            return Err(settings.error("cut", "after", "absent without top_db and normalize", NEXT));
        }
        config.cut = Some(if after { Cut::After } else { Cut::Before });
    }
    Ok(())
}

fn mfcc(settings: &Settings, config: &FrontEndConfig) -> Result<Option<Mfcc>, Error> {
    if settings.get("n_mfcc").is_none() {
        return Ok(None);
    }
    let (n_mfcc, bands) = (settings.size("n_mfcc")?, config.bands());
    if n_mfcc > bands {
        return Err(settings.error("n_mfcc", n_mfcc, format!("at most the number of bands ({bands})"), NEXT));
    }
    // What a framework does to coefficients is not what it does to bands; a mean over the clip is the same for both.
    for key in ["mean", "std"] {
        if settings.get(key).is_some() {
            let next = "let the model's first matrix take in the mean and the deviation of the coefficients";
            return Err(settings.error(key, "of coefficients", "absent beside n_mfcc: it is of bands", next));
        }
    }
    if !matches!(config.normalize, Normalize::None | Normalize::BandMean) {
        return Err(settings.error("normalize", "of coefficients", "none or band_mean beside n_mfcc", NEXT));
    }
    let ortho = settings.choice("dct", Some(true), &[("ortho", true), ("none", false)])?;
    let lifter = match number(settings, "lifter", 0.0)? {
        0.0 => Lifter::None,
        lifter => match settings.choice("lifter_of", None, &[("librosa", true), ("kaldi", false)])? {
            true => Lifter::Librosa(lifter),
            false => Lifter::Kaldi(lifter),
        },
    };
    Ok(Some(Mfcc { n_mfcc, ortho, lifter }))
}

/// A finite number.
fn number(settings: &Settings, key: &str, default: f64) -> Result<f64, Error> {
    let Some(value) = settings.get(key) else { return Ok(default) };
    let number = value.as_f64().filter(|number| number.is_finite());
    number.ok_or_else(|| settings.error(key, value, "a number", NEXT))
}

/// A finite number, or one for each band.
fn numbers(settings: &Settings, key: &str, bands: usize) -> Result<Option<Vec<f64>>, Error> {
    let Some(value) = settings.get(key) else { return Ok(None) };
    let Value::Array(list) = value else { return Ok(Some(vec![number(settings, key, 0.0)?])) };
    let list: Option<Vec<f64>> = list.iter().map(Value::as_f64).collect();
    let list = list.filter(|list| list.len() == bands && list.iter().all(|number| number.is_finite()));
    list.map(Some).ok_or_else(|| settings.error(key, value, format!("a number, or {bands}, one for each band"), NEXT))
}

/// The settings, after the front end's own checks.
fn checked(settings: &Settings, config: FrontEndConfig) -> Result<FrontEndConfig, Error> {
    let Err(error) = config.words() else { return Ok(config) };
    let words = |key: &str, found: &dyn ToString, expected: String| {
        settings.error(key, found.to_string(), expected, error.message())
    };
    Err(match &error {
        thumbformer::Error::FftLength { found, nearest } => {
            words("n_fft", found, format!("a power of two; the nearest is n_fft = {nearest} with win_length = {found}"))
        }
        thumbformer::Error::SampleRate { found } => words("sample_rate", found, "8000 to 48000".into()),
        thumbformer::Error::FrontEnd { name, found } => words(name, found, "a value in its range".into()),
        other => words("front_end", other, "a front end".into()),
    })
}
