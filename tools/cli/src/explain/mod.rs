//! Intermediate values of a transformer, shown by the on-device engine while it computes; `docs/lesson.md` is built on them.
//!
//! ```text
//! text or random streams ──► Session, observed by a Recording ──┬─► stream  the part of the input that each norm keeps
//!                                                                ├─► mix     spread of a change of one token
//!                                                                └─► heads   attention of every head
//! ```
//! Each makes a page of text and a picture; the same input gives the same bytes of both on every machine.

mod grid;
mod heads;
mod mix;
mod networks;
mod recording;
mod stream;
mod svg;

use crate::{model, read_image};
use anyhow::{Context, Result, ensure};
use clap::Args;
pub use heads::heads;
pub use mix::mix;
pub use networks::{Place, Shape, streams};
pub use recording::{Given, Recording, Sequence};
use std::path::{Path, PathBuf};
pub use stream::stream;
use thumbformer::Model;

/// Folder of the default models, from the repository's folder.
const MODELS: &str = "models";

/// Text for the default language model.
pub const SENTENCE: &str = "The animal didn't cross the street because it was too wide.";

/// A page of the lesson.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Text for a terminal.
    pub text: String,
    /// The picture, as SVG.
    pub svg: String,
}

/// The arguments of `stream`.
#[derive(Args, Default)]
pub struct Stream {
    /// Language model's image [default: random weights, once with each place of the norms]
    #[arg(long, value_name = "IMAGE")]
    pub model: Option<PathBuf>,
    /// Text for the language model
    #[arg(long, requires = "model")]
    pub text: Option<String>,
    /// Token ids in place of the text, one sequence: a JSON list, or words
    #[arg(long, requires = "model", conflicts_with = "text", value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Recording for a model of frames: a WAV or CSV file, as for `classify`
    #[arg(long, requires = "model", conflicts_with_all = ["text", "tokens"], value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// Layer whose steps are shown in numbers
    #[arg(long, default_value_t = 0)]
    pub layer: usize,
    /// SVG file of the picture
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// The arguments of `mix`.
#[derive(Args, Default)]
pub struct Mix {
    /// Image [default: the default language model, then random blocks that see the whole sequence]
    #[arg(long, value_name = "IMAGE")]
    pub model: Option<PathBuf>,
    /// Text for a language model
    #[arg(long)]
    pub text: Option<String>,
    /// Token ids in place of the text, one sequence: a JSON list, or words
    #[arg(long, conflicts_with = "text", value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Recording for a model of frames: a WAV or CSV file, as for `classify`
    #[arg(long, requires = "model", conflicts_with_all = ["text", "tokens"], value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// Token to change, by its number or its text [default: one a third into the sequence]
    #[arg(long)]
    pub token: Option<String>,
    /// Layer whose points are shown
    #[arg(long, default_value_t = 0)]
    pub layer: usize,
    /// SVG file of the picture
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// The arguments of `heads`.
#[derive(Args, Default)]
pub struct Heads {
    /// Image [default: the default language model]
    #[arg(long, value_name = "IMAGE")]
    pub model: Option<PathBuf>,
    /// Text for a language model
    #[arg(long)]
    pub text: Option<String>,
    /// Token ids in place of the text, one sequence: a JSON list, or words
    #[arg(long, conflicts_with = "text", value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Recording for a model of frames: a WAV or CSV file, as for `classify`
    #[arg(long, requires = "model", conflicts_with_all = ["text", "tokens"], value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// Query token, by its number or its text [default: the last one]
    #[arg(long)]
    pub token: Option<String>,
    /// Layer to show [default: all]
    #[arg(long)]
    pub layer: Option<usize>,
    /// Head to show [default: all]; with --layer: its attention from every token
    #[arg(long)]
    pub head: Option<usize>,
    /// SVG file of the picture
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

macro_rules! given {
    ($($arguments:ident),*) => {
        $(impl $arguments {
            /// The input that they name.
            pub fn given(&self) -> Given<'_> {
                let (text, tokens) = (self.text.as_deref(), self.tokens.as_deref());
                Given { text, tokens, recording: self.recording.as_deref() }
            }
        })*
    };
}

given!(Stream, Mix, Heads);

/// Loads an image, or the default one, and calls the function with its model and its input.
fn with_model<T>(
    image: Option<&Path>,
    given: &Given<'_>,
    then: impl FnOnce(&Model<'_>, &Sequence) -> Result<T>,
) -> Result<T> {
    let file = match image {
        Some(file) => file.into(),
        None => {
            default_image().context("the default model; run this in the repository's folder, or give --model IMAGE")?
        }
    };
    let words = read_image(&file)?;
    let model = model(&words, &file)?;
    let name = || file.display().to_string();
    let sequence = Sequence::of(&model, given).with_context(name)?;
    then(&model, &sequence).with_context(name)
}

/// The image of the default language model.
fn default_image() -> Result<PathBuf> {
    Ok(board_manifest::first(board_manifest::Kind::Language, Path::new(MODELS))?.file())
}

/// Refuses a layer or head that a model does not have.
fn in_range(what: &str, number: usize, count: usize) -> Result<()> {
    ensure!(number < count, "--{what} {number}: the model has {what}s 0 to {}", count - 1);
    Ok(())
}
