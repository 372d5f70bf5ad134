//! The inputs of a model: recordings, or a text.

use crate::image::Image;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use thumbformer::{Input, Model};

/// Text that a language model is given.
const TEXT: &str = "Once upon a time, there was a little girl named Lily. She loved";

/// Bytes of flash that a model's first input takes.
///
/// # Errors
/// As [`signals`].
pub fn first_bytes(image: &Image) -> Result<usize> {
    Ok(signals(image, &image.model()?)?.first().map_or(0, |(_, signal)| signal.bytes()))
}

/// A model's input.
pub enum Signal {
    /// Tokens.
    Tokens(Vec<u16>),
    /// Numbers of frames.
    Frames(Vec<f32>),
    /// Samples.
    Sound(Vec<i16>),
}

impl Signal {
    /// Bytes of flash.
    pub fn bytes(&self) -> usize {
        match self {
            Signal::Tokens(tokens) => 2 * tokens.len(),
            Signal::Frames(frames) => 4 * frames.len(),
            Signal::Sound(samples) => 2 * samples.len(),
        }
    }
}

/// Has cargo run the build script again when a file changes; says nothing to other programs.
pub fn watch(file: &Path) {
    // Cargo sets OUT_DIR for the programs of a package with a build script too, which must print nothing of this.
    if ["OUT_DIR", "NUM_JOBS"].iter().all(|name| std::env::var_os(name).is_some()) {
        println!("cargo:rerun-if-changed={}", file.display());
    }
}

/// A model's inputs, by name.
///
/// # Errors
/// When a recording cannot be read, or a language model has no tokenizer.
pub fn signals(image: &Image, model: &Model<'_>) -> Result<Vec<(String, Signal)>> {
    if model.dims().options.input == Input::Tokens {
        let tokenizer = model.tokenizer().context("a language model without a tokenizer: convert it with one")?;
        let mut tokens = vec![0; TEXT.len() + 2];
        let length = tokenizer.encode(TEXT, true, &mut tokens)?;
        tokens.truncate(length);
        return Ok(vec![("text".into(), Signal::Tokens(tokens))]);
    }
    watch(&image.fixtures);
    files(&image.fixtures)?.into_iter().map(|file| Ok((stem(&file), read(&file)?))).collect()
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
