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
use clap::{Args, Subcommand};
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

/// The arguments of `thumbformer explain`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Explain {
    #[command(subcommand)]
    lesson: Option<Lesson>,
    /// Writes stream.svg, mix.svg and heads.svg into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Lesson {
    /// What the norms leave of the input: a block's steps in numbers, then layer by layer
    Stream(Stream),
    /// Which tokens change when one token changes: attention mixes them, the MLP does not
    Mix(Mix),
    /// Where every head of every layer looks
    Heads(Heads),
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

/// Prints the lesson that was asked for, or all of them, and writes pictures.
///
/// # Errors
/// What an argument names and the model does not have; files that cannot be read or written.
pub fn run(arguments: &Explain) -> Result<()> {
    let (page, svg) = match &arguments.lesson {
        Some(Lesson::Stream(arguments)) => (stream(arguments)?, &arguments.svg),
        Some(Lesson::Mix(arguments)) => (mix(arguments)?, &arguments.svg),
        Some(Lesson::Heads(arguments)) => (heads(arguments)?, &arguments.svg),
        None => return all(arguments.out.as_deref()),
    };
    print!("{}", page.text);
    svg.as_deref().map_or(Ok(()), |file| write(file, &page.svg))
}

fn all(folder: Option<&Path>) -> Result<()> {
    let pages =
        [("stream", stream(&Stream::default())?), ("mix", mix(&Mix::default())?), ("heads", heads(&Heads::default())?)];
    for (index, (name, page)) in pages.iter().enumerate() {
        println!("{}# {name}\n", if index > 0 { "\n" } else { "" });
        print!("{}", page.text);
        if let Some(folder) = folder {
            write(&folder.join(name).with_extension("svg"), &page.svg)?;
        }
    }
    Ok(())
}

fn write(file: &Path, svg: &str) -> Result<()> {
    let next = "cannot be written; give a file in a folder that exists";
    std::fs::write(file, svg).with_context(|| format!("{}: {next}", file.display()))
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
