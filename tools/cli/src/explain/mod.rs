//! What happens inside of a transformer, shown by the engine of the chip while it computes: `docs/lesson.md` is built on it.
//!
//! ```text
//! text or random streams ──► Session, with a Recording that looks on ──┬─► stream  what the norms leave of the input
//!                                                                      ├─► mix     how far a change of one token gets
//!                                                                      └─► heads   where every head looks
//! ```
//! Each gives a page of text and a picture; the same input gives the same bytes of both on every machine.

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
pub use recording::{Recording, Sequence};
use std::path::{Path, PathBuf};
pub use stream::stream;
use thumbformer::Model;

/// The default language model, seen from the project's folder.
const MODEL: &str = "models/stories/stories.tbf";

/// What the default language model reads.
pub const SENTENCE: &str = "The animal didn't cross the street because it was too wide.";

/// What one lesson shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// For a terminal.
    pub text: String,
    /// The picture, as SVG.
    pub svg: String,
}

/// The arguments of `stream`.
#[derive(Args, Default)]
pub struct Stream {
    /// A language model's image; by default random weights, with the norms in both places
    #[arg(long, value_name = "IMAGE")]
    pub model: Option<PathBuf>,
    /// What the language model reads
    #[arg(long, requires = "model")]
    pub text: Option<String>,
    /// What a model of frames reads: a WAV or CSV file, as `classify` takes it
    #[arg(long, requires = "model", conflicts_with = "text", value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// The layer whose steps are shown in numbers
    #[arg(long, default_value_t = 0)]
    pub layer: usize,
    /// Writes the picture
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// The arguments of `mix`.
#[derive(Args, Default)]
pub struct Mix {
    /// An image; by default the stories' model, then random blocks that see the whole sequence
    #[arg(long, value_name = "IMAGE")]
    pub model: Option<PathBuf>,
    /// What a language model reads
    #[arg(long)]
    pub text: Option<String>,
    /// What a model of frames reads: a WAV or CSV file, as `classify` takes it
    #[arg(long, requires = "model", conflicts_with = "text", value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// The token that is changed, by its number or its text; by default one a third into the sequence
    #[arg(long)]
    pub token: Option<String>,
    /// The layer whose points are shown
    #[arg(long, default_value_t = 0)]
    pub layer: usize,
    /// Writes the picture
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// The arguments of `heads`.
#[derive(Args, Default)]
pub struct Heads {
    /// An image; by default the stories' model
    #[arg(long, value_name = "IMAGE")]
    pub model: Option<PathBuf>,
    /// What a language model reads
    #[arg(long)]
    pub text: Option<String>,
    /// What a model of frames reads: a WAV or CSV file, as `classify` takes it
    #[arg(long, requires = "model", conflicts_with = "text", value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// The token that looks, by its number or its text; by default the last one
    #[arg(long)]
    pub token: Option<String>,
    /// Only this layer
    #[arg(long)]
    pub layer: Option<usize>,
    /// Only this head; together with --layer: all that it looks at
    #[arg(long)]
    pub head: Option<usize>,
    /// Writes the picture
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// An image, or the default one, and the function's result for its model and what it reads.
fn with_model<T>(
    image: Option<&Path>,
    (text, recording): (Option<&str>, Option<&Path>),
    then: impl FnOnce(&Model<'_>, &Sequence) -> Result<T>,
) -> Result<T> {
    let file = image.unwrap_or(Path::new(MODEL));
    let words = match image {
        Some(_) => read_image(file),
        None => read_image(file).context("the default model; run this in the project's folder, or give --model IMAGE"),
    }?;
    let model = model(&words, file)?;
    let name = || file.display().to_string();
    let sequence = Sequence::of(&model, text, recording).with_context(name)?;
    then(&model, &sequence).with_context(name)
}

/// Refuses a layer or head that a model does not have.
fn in_range(what: &str, number: usize, count: usize) -> Result<()> {
    ensure!(number < count, "--{what} {number}: the model has {what}s 0 to {}", count - 1);
    Ok(())
}
