//! A model with inputs, and what the host computes of them: as Rust source.

use crate::fit::{Fit, Image};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use thumbformer::audio::{LogMel, LogMelConfig, MelBank};
use thumbformer::state::HostState;
use thumbformer::{Input, LogitsCrc, Model};

/// The front end for speech.
static SPEECH: MelBank<256, 20> = thumbformer::mel_bank!(LogMelConfig::SPEECH_8K);
/// What works on it.
pub(crate) type FrontEnd = LogMel<'static, 256, 20>;
/// What a language model is given.
const TEXT: &str = "Once upon a time, there was a little girl named Lily. She loved";

/// Bytes of flash that a model's first input takes, at least.
pub(crate) fn least_bytes(model: &str) -> usize {
    match model {
        "digits" => 16 * 1024,
        "motion" => 12 * 1024,
        _ => 256,
    }
}

/// What goes into a model.
pub enum Signal {
    /// Tokens.
    Tokens(Vec<u16>),
    /// Numbers of frames.
    Frames(Vec<f32>),
    /// Samples.
    Sound(Vec<i16>),
}

/// A model with inputs.
pub struct Subject {
    /// The model.
    pub image: Image,
    /// How it fits.
    pub fit: Fit,
    /// Names, signals, and CRC-32 of the outputs that this machine computes.
    pub inputs: Vec<(String, Signal, u32)>,
}

impl Subject {
    /// A model with as many of its inputs as `bytes` hold, at least one and at most `most`.
    ///
    /// # Errors
    /// When an input cannot be read, or the engine refuses it.
    pub fn new(image: Image, fit: Fit, bytes: usize, most: usize) -> Result<Subject> {
        let model = image.model()?;
        let mut free = bytes;
        let mut inputs = Vec::new();
        for (name, signal) in signals(&image, &model)?.into_iter().take(most) {
            let size = signal.bytes();
            if !inputs.is_empty() && size > free {
                break;
            }
            free = free.saturating_sub(size);
            let outputs = outputs(&model, &signal).with_context(|| format!("{}: {name}", image.file.display()))?;
            inputs.push((name, signal, LogitsCrc::new().update(&outputs)));
        }
        Ok(Subject { image, fit, inputs })
    }

    /// Whether its inputs are samples.
    pub fn hears(&self) -> bool {
        self.inputs.iter().any(|(_, signal, _)| matches!(signal, Signal::Sound(_)))
    }

    /// The module of its model, and its entry of `SUBJECTS`.
    pub(crate) fn source(&self, place: &str) -> (String, String) {
        let (name, Fit { max_seq, batch, .. }) = (&self.image.name, self.fit);
        let module = format!(
            "    thumbformer::model!({place}pub mod {name} = {:?}, max_seq = {max_seq}, batch = {batch});\n",
            self.image.file
        );
        let mut entry = format!(
            "    Subject {{ name: {name:?}, model: models::{name}::MODEL, max_seq: {max_seq}, batch: {batch}, inputs: &["
        );
        for (name, signal, crc32) in &self.inputs {
            let signal = match signal {
                Signal::Tokens(tokens) => format!("Tokens(&{tokens:?})"),
                Signal::Frames(frames) => format!("Frames(&{frames:?})"),
                Signal::Sound(samples) => format!("Sound(&{samples:?})"),
            };
            let _ =
                write!(entry, "\n        Input {{ name: {name:?}, signal: Signal::{signal}, crc32: {crc32:#010x} }},");
        }
        entry += "\n    ] },\n";
        (module, entry)
    }
}

impl Signal {
    fn bytes(&self) -> usize {
        match self {
            Signal::Tokens(tokens) => 2 * tokens.len(),
            Signal::Frames(frames) => 4 * frames.len(),
            Signal::Sound(samples) => 2 * samples.len(),
        }
    }
}

/// A model's inputs: recordings beside it, or a text.
pub(crate) fn signals(image: &Image, model: &Model<'_>) -> Result<Vec<(String, Signal)>> {
    if model.dims().options.input == Input::Tokens {
        let tokenizer = model.tokenizer().context("a language model without a tokenizer: convert it with one")?;
        let mut tokens = vec![0; TEXT.len() + 2];
        let length = tokenizer.encode(TEXT, true, &mut tokens)?;
        tokens.truncate(length);
        return Ok(vec![("text".into(), Signal::Tokens(tokens))]);
    }
    let folder = image.file.with_file_name("fixtures");
    crate::script::watch(&folder);
    files(&folder)?.into_iter().map(|file| Ok((stem(&file), read(&file)?))).collect()
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}: no recordings", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// A recording: samples of a WAV file, or the numbers of a table with a header.
fn read(file: &Path) -> Result<Signal> {
    let about = || format!("{}", file.display());
    if file.extension().is_some_and(|extension| extension == "wav") {
        let samples = hound::WavReader::open(file).with_context(about)?.into_samples::<i16>();
        return Ok(Signal::Sound(samples.collect::<Result<_, _>>().with_context(about)?));
    }
    let text = std::fs::read_to_string(file).with_context(about)?;
    let numbers = text.lines().skip(1).flat_map(|line| line.split(',')).map(str::parse);
    Ok(Signal::Frames(numbers.collect::<Result<_, _>>().with_context(about)?))
}

/// What this machine makes of an input.
pub(crate) fn outputs(model: &Model<'_>, signal: &Signal) -> Result<Vec<f32>> {
    let dims = model.dims();
    let mut state = HostState::new(dims, dims.max_seq);
    let mut session = model.session(state.memory());
    let outputs = match signal {
        Signal::Tokens(tokens) => session.prefill(tokens)?,
        Signal::Frames(frames) if dims.is_causal() => session.push(frames)?,
        Signal::Frames(frames) => session.infer(&frames[..])?,
        Signal::Sound(samples) => {
            let mut frames = vec![0.0; dims.max_seq * dims.n_features];
            LogMel::new(&SPEECH).clip(samples, &mut frames)?;
            session.infer(&frames[..])?
        }
    };
    Ok(outputs.to_vec())
}
