//! The front end of a network: what a frame consists of, and cepstral coefficients, which the first matrix takes in.

use std::path::Path;

use serde_json::{Value, json};
use thumbformer::audio::{FrontEnd, Normalize};

use super::{NEXT, read, read_preprocessor};
use crate::settings::Settings;
use crate::{Checkpoint, Config, Error, FrontEndConfig, Input, Tensor, Tensors, Weights};

/// Reads `front_end` of a network's `config.json`: an object, or the name of a preset. Its numbers are the columns of a frame's samples.
///
/// `window`: kernel and stride of a convolution that embeds the frames.
pub(crate) fn of_network(
    settings: &Settings,
    config: &mut Config,
    window: Option<(usize, usize)>,
) -> Result<Option<FrontEndConfig>, Error> {
    if config.options.input != Input::Frames {
        return Ok(None);
    }
    let Some(value) = settings.get("front_end") else { return Ok(None) };
    let front_end = described(&settings.path, value)?;
    let hop = settings.size_or("frame_hop", window.map_or(0, |(_, stride)| stride))?;
    attach(&front_end, &settings.path, config, hop)?;
    let samples = config.frame_samples;
    if let Some((kernel, _)) = window.filter(|(kernel, _)| *kernel != samples) {
        let expected = format!("{} numbers, the channels of the convolution", config.n_features / kernel);
        let found = format!("{} numbers", config.n_features / samples);
        return Err(settings.error("front_end", found, expected, NEXT));
    }
    if settings.size_or("frame_samples", samples)? != samples {
        let expected = format!("{samples}, or absent: the front end makes the numbers of a frame");
        return Err(settings.error("frame_samples", settings.size("frame_samples")?, expected, NEXT));
    }
    if settings.get("columns").is_some() {
        let expected = "absent: the columns are the front end's bands";
        return Err(settings.error("columns", "present", expected, "leave it out, or leave front_end out"));
    }
    Ok(Some(front_end))
}

/// A front end as `config.json` has it: an object, or the name of a preset.
fn described(path: &Path, value: &Value) -> Result<FrontEndConfig, Error> {
    match value {
        Value::String(preset) => read(path, &json!({ "preset": preset })),
        value => read(path, value),
    }
}

/// A front end by name: a preset, or a JSON file, which is a `config.json` with `front_end`, the value of such a key, or transformers'
/// `preprocessor_config.json`.
///
/// # Errors
/// For a file that cannot be read, and as [`read`].
pub fn named(name: &str) -> Result<FrontEndConfig, Error> {
    let path = Path::new(name);
    if path.extension().is_none_or(|extension| extension != "json") {
        return read(Path::new("--front-end"), &json!({ "preset": name }));
    }
    let value = crate::registry::read_json(path)?;
    if value.get("feature_extractor_type").is_some() {
        return Ok(read_preprocessor(path, &value)?.front_end);
    }
    described(path, value.get("front_end").unwrap_or(&value))
}

impl Checkpoint {
    /// The same network with this front end, which its frames come from.
    ///
    /// # Errors
    /// When its numbers do not make the network's frames, or there is a front end already.
    pub fn with_front_end(mut self, front_end: FrontEndConfig) -> Result<Self, Error> {
        let wrong = |found: &str, expected: &str, next: &str| Error::Setting {
            path: Path::new(&self.source).into(),
            key: "front_end".into(),
            found: found.into(),
            expected: expected.into(),
            next: next.into(),
        };
        if self.config.options.input != Input::Frames {
            return Err(wrong("given", "none: the network reads no frames", "leave it out"));
        }
        if self.front_end.is_some() {
            return Err(wrong("given", "none: config.json has one", "leave one of them out"));
        }
        attach(&front_end, Path::new(&self.source), &mut self.config, 0)?;
        fold_mfcc(&front_end, &mut self.config, &mut self.tensors);
        self.front_end = Some(front_end);
        Ok(self)
    }
}

/// Has the numbers of a front end as the columns of a network's frames; a hop of 0 is that of frames that do not overlap.
fn attach(front_end: &FrontEndConfig, path: &Path, config: &mut Config, hop: usize) -> Result<(), Error> {
    let numbers = front_end.mfcc.map_or(front_end.bands(), |mfcc| mfcc.n_mfcc);
    if !config.n_features.is_multiple_of(numbers) {
        return Err(Error::Setting {
            path: path.into(),
            key: "front_end".into(),
            found: format!("{numbers} numbers"),
            expected: format!("bands or coefficients that divide the {} numbers of a frame", config.n_features),
            next: "name the front end of the training".into(),
        });
    }
    config.frame_samples = config.n_features / numbers;
    config.frame_hop = if hop == 0 { config.frame_samples } else { hop };
    if config.frame_hop > config.frame_samples {
        return Err(Error::Setting {
            path: path.into(),
            key: "frame_hop".into(),
            found: hop.to_string(),
            expected: format!("at most {}, the front end's frames that make one of the network", config.frame_samples),
            next: NEXT.into(),
        });
    }
    cut(front_end, path, config)
}

/// Refuses to guess whether frames that the network does not read count for the largest value and the normalisation of a clip.
fn cut(front_end: &FrontEndConfig, path: &Path, config: &Config) -> Result<(), Error> {
    let whole = front_end.top_db.is_some() || front_end.normalize != Normalize::None;
    let words = front_end.words().ok().filter(|_| whole && front_end.cut.is_none() && front_end.clip_samples > 0);
    let Some(has) = words.and_then(|words| Some(FrontEnd::parse(&words).ok()?.frames(front_end.clip_samples))) else {
        return Ok(());
    };
    let positions = config.max_seq.saturating_sub(config.n_class);
    let read = positions.saturating_sub(1) * config.frame_hop + config.frame_samples;
    if has <= read {
        return Ok(());
    }
    Err(Error::Setting {
        path: path.into(),
        key: "front_end.cut".into(),
        found: "absent".into(),
        expected: format!("\"before\" or \"after\": a clip has {has} frames, the network reads {read} of them"),
        next: "say whether the training cut the others off before top_db and normalize or after".into(),
    })
}

/// Has the first matrix read the front end's bands in place of their cepstral coefficients: a DCT is a matrix, and two matrices are one.
///
/// A coefficient is `dct (band / scale + offset)`, so that of `W coefficients + b` the matrix becomes `W dct / scale` and the bias
/// `b + W dct offset`.
pub(crate) fn fold_mfcc(front_end: &FrontEndConfig, config: &mut Config, tensors: &mut Tensors) {
    let Some((dct, n_mfcc)) = front_end.mfcc_matrix().zip(front_end.mfcc.map(|mfcc| mfcc.n_mfcc)) else { return };
    let (bands, samples) = (front_end.bands(), config.frame_samples);
    let of = |values: &[f64], band: usize| values.get(band).or(values.first()).copied().unwrap_or_default();
    let Some(embedding) = tensors.get_mut(Tensor::Embedding, 0) else { return };
    let (mut folded, mut moved) = (Vec::new(), Vec::new());
    for row in embedding.data.chunks_exact(samples * n_mfcc) {
        let mut sum = 0.0;
        for coefficients in row.chunks_exact(n_mfcc) {
            for band in 0..bands {
                let column = dct.iter().skip(band).step_by(bands);
                let weight: f64 = coefficients.iter().zip(column).map(|(&weight, dct)| f64::from(weight) * dct).sum();
                sum += weight * of(&front_end.offset, band);
                folded.push((weight / of(&front_end.scale, band)) as f32);
            }
        }
        moved.push(sum);
    }
    let rows = moved.len();
    config.n_features = samples * bands;
    embedding.shape = vec![rows, config.n_features];
    embedding.data = folded;
    if moved.iter().all(|&moved| moved == 0.0) {
        return;
    }
    match tensors.get_mut(Tensor::EmbeddingBias, 0) {
        Some(bias) => {
            bias.data.iter_mut().zip(moved).for_each(|(bias, moved)| *bias = (f64::from(*bias) + moved) as f32)
        }
        None => {
            let data = moved.iter().map(|&moved| moved as f32).collect();
            let bias = Weights { name: "offset of the front end".into(), shape: vec![rows], data };
            tensors.insert(Tensor::EmbeddingBias, 0, bias);
        }
    }
}
