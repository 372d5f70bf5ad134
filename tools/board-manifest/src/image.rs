//! A model's image, in a file, and the applications that are for it.

use crate::manifest::Application;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use thumbformer::audio::FrontEnd;
use thumbformer::audio::layout::word;
use thumbformer::{Input, Model};

/// A model's image, in a file.
pub struct Image {
    /// The model's name.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// Recordings for it, a folder.
    pub recordings: Option<PathBuf>,
    words: Vec<u32>,
}

impl Image {
    /// Reads an image.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn read(file: &Path) -> Result<Image> {
        let bytes = std::fs::read(file)
            .with_context(|| format!("{}: cannot be read; make an image with `thumbformer convert`", file.display()))?;
        ensure!(bytes.len() % 4 == 0, "{}: {} bytes are no whole words; convert it anew", file.display(), bytes.len());
        let words: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word)).collect();
        Model::parse(&words).with_context(|| format!("{}", file.display()))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Image { name, file: file.into(), recordings: None, words })
    }

    /// The same under another name, which becomes a module's.
    pub fn named(self, name: &str) -> Image {
        Image { name: name.into(), ..self }
    }

    /// The same with its recordings in this folder.
    pub fn with_recordings(self, folder: Option<&Path>) -> Image {
        Image { recordings: folder.map(PathBuf::from), ..self }
    }

    /// The model.
    ///
    /// # Errors
    /// Never, as it was parsed before.
    pub fn model(&self) -> Result<Model<'_>> {
        Model::parse(&self.words).with_context(|| format!("{}", self.file.display()))
    }

    /// The file's words.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Bytes of flash.
    pub fn bytes(&self) -> usize {
        4 * self.words.len()
    }
}

/// Room that a program has for an input of a model, beside the model's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// Numbers of the frames of a clip, of a stream those of one frame.
    pub numbers: usize,
    /// Samples of a clip of sound that arrives on the serial port, where its frames need all of it.
    pub samples: usize,
    /// Bytes of the front end's own memory.
    pub front_end: usize,
}

impl Room {
    /// The room that an application needs: stored frames need none, those that arrive or are made of sound do.
    pub fn of(model: &Model<'_>, application: Application) -> Room {
        let (front_end, listens) = (model.front_end(), application == Application::Classify);
        Room {
            numbers: if front_end.is_some() || listens { numbers(model) } else { 0 },
            samples: if listens && is_heard_whole(model) { clip_samples(model) } else { 0 },
            front_end: front_end.map_or(0, |front_end| 6 * front_end.fft() + 4 * front_end.bands()),
        }
    }

    /// Bytes of RAM.
    pub fn bytes(&self) -> usize {
        4 * self.numbers + 2 * self.samples + self.front_end
    }
}

/// Numbers of the frames of a clip, of a stream those of one frame; 0 for a model of tokens.
pub fn numbers(model: &Model<'_>) -> usize {
    let dims = model.dims();
    let frames = if dims.is_causal() { 1 } else { dims.max_seq - dims.n_class };
    frames * dims.n_features
}

/// Samples of a clip of sound; 0 for other models.
pub fn clip_samples(model: &Model<'_>) -> usize {
    let clip = model.front_end().zip(model.clip_frames());
    clip.map_or(0, |(front_end, frames)| front_end.clip_samples(frames))
}

/// True if a clip's frames need all of its samples: values over the whole clip, or padding at its end.
pub fn is_heard_whole(model: &Model<'_>) -> bool {
    let pads = |front_end: FrontEnd<'_>| front_end.header()[word::PAD] != 0;
    let whole = |front_end: FrontEnd<'_>| front_end.streams().is_err() || pads(front_end);
    model.clip_frames().is_some() && model.front_end().is_some_and(whole)
}

/// True if the application is for models of this kind.
pub fn is_for(model: &Model<'_>, application: Application) -> bool {
    let text = model.dims().options.input == Input::Tokens;
    match application {
        Application::Generate => text,
        Application::Classify => !text,
        Application::Bench | Application::Verify => true,
    }
}
