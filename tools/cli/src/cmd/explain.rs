//! `thumbformer explain`: pages of text and pictures of a computation.

use crate::explain::{Heads, Mix, Stream, heads, mix, stream};
use crate::stdout::Stdout;
use crate::write_file;
use anyhow::Result;
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `thumbformer explain`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Cmd {
    #[command(subcommand)]
    lesson: Option<Lesson>,
    /// Folder that stream.svg, mix.svg and heads.svg are written to
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Lesson {
    /// The stream: a block's steps in numbers, then layer by layer
    Stream(Stream),
    /// Mixing: which tokens change when one token changes. Attention mixes them, the MLP does not
    Mix(Mix),
    /// Attention weights of every head of every layer
    Heads(Heads),
}

impl Cmd {
    /// Prints one lesson, or all of them, and writes the pictures.
    ///
    /// # Errors
    /// An argument that names something the model does not have; files that cannot be read or written.
    pub fn run(&self, out: &mut Stdout) -> Result<()> {
        let (page, svg) = match &self.lesson {
            Some(Lesson::Stream(arguments)) => (stream(arguments)?, &arguments.svg),
            Some(Lesson::Mix(arguments)) => (mix(arguments)?, &arguments.svg),
            Some(Lesson::Heads(arguments)) => (heads(arguments)?, &arguments.svg),
            None => return all(self.out.as_deref(), out),
        };
        write!(out, "{}", page.text)?;
        svg.as_deref().map_or(Ok(()), |file| write_file(file, page.svg.as_bytes(), &[]))
    }
}

fn all(folder: Option<&Path>, out: &mut Stdout) -> Result<()> {
    let pages =
        [("stream", stream(&Stream::default())?), ("mix", mix(&Mix::default())?), ("heads", heads(&Heads::default())?)];
    for (index, (name, page)) in pages.iter().enumerate() {
        writeln!(out, "{}# {name}\n", if index > 0 { "\n" } else { "" })?;
        write!(out, "{}", page.text)?;
        if let Some(folder) = folder {
            write_file(&folder.join(name).with_extension("svg"), page.svg.as_bytes(), &[])?;
        }
    }
    Ok(())
}
