//! A model's image, in a file, and the applications that are for it.

use crate::manifest::Application;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
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

/// Bytes of RAM that a model's audio front end takes: its memory, and the frames of a clip, or of one input of a stream.
pub fn hearing(model: &Model<'_>) -> usize {
    let Some(front_end) = model.front_end() else { return 0 };
    6 * front_end.fft() + 4 * front_end.bands() + 4 * heard_numbers(model)
}

/// Numbers of a clip's frames as the front end makes them, of a stream those of one input; 0 for a model without a front end.
pub fn heard_numbers(model: &Model<'_>) -> usize {
    let n_features = model.dims().n_features;
    model.front_end().map_or(0, |front_end| model.clip_frames().map_or(n_features, |frames| frames * front_end.bands()))
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
