//! The verbs of the command, one a file: a new one is a file and two lines here.

mod bounds;
mod classify;
mod convert;
mod explain;
mod features;
mod inspect;
mod int4;
mod recordings;
mod run;
mod verify;

use crate::classify::Recording;
use crate::stdout::Stdout;
use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::Path;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_checkpoint::front_end::named;

/// Quantized transformers for Cortex-M: make, run, measure, verify and explain model images
#[derive(Parser)]
#[command(name = "thumbformer", version)]
pub struct Arguments {
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

/// `Verb(module)`: each module has a `Cmd` with `run`.
macro_rules! verbs {
    ($($(#[$doc:meta])* $verb:ident($module:ident),)*) => {
        /// A verb and its arguments.
        #[derive(Subcommand)]
        pub enum Command {
            $($(#[$doc])* $verb($module::Cmd),)*
        }

        impl Command {
            /// Runs the verb; results go to `out`, progress to standard error.
            ///
            /// # Errors
            /// The verb's: the file, the cause and the next step.
            pub fn run(&self, out: &mut Stdout) -> Result<()> {
                match self {
                    $(Command::$verb(cmd) => cmd.run(out),)*
                }
            }
        }
    };
}

/// Tells the user what of a recording is left out.
fn noted(recording: &Recording) {
    if let Some(note) = &recording.note {
        eprintln!("note: {note}");
    }
}

verbs! {
    /// Convert a float checkpoint to a model image
    Convert(convert),
    /// Generate text on the host, with the on-device engine
    Run(run),
    /// Print dimensions, sections, flash, RAM and multiply-accumulates of an image
    Inspect(inspect),
    /// Write the audio front end's frames of recordings to a file, for training scripts
    Features(features),
    /// Classify WAV or CSV recordings on the host, with the on-device engine
    Classify(classify),
    /// Compare an image with its float checkpoint; fail when an accuracy bound is missed
    Verify(verify),
    /// Show the inside of a transformer while the engine computes: stream, mix, heads
    Explain(explain),
}

/// A progress bar on standard error; indicatif hides it where that is no terminal.
fn bar(length: usize, unit: &str) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {unit}, {{eta}} left {{wide_msg}}"))?;
    Ok(ProgressBar::new(length as u64).with_style(style))
}

/// The tokenizer that is read with a checkpoint.
#[derive(Clone, Copy)]
enum Tokenizer<'a> {
    /// None.
    None,
    /// The one that belongs to it, if there is one.
    Beside,
    /// This one.
    File(&'a Path),
}

/// A checkpoint, with a front end where it names none.
fn load(checkpoint: &Path, tokenizer: Tokenizer<'_>, front_end: Option<&str>) -> Result<Checkpoint> {
    let loaded = match tokenizer {
        Tokenizer::None => Checkpoint::load_network(checkpoint),
        Tokenizer::Beside => Checkpoint::load(checkpoint, None),
        Tokenizer::File(file) => Checkpoint::load(checkpoint, Some(file)),
    }?;
    Ok(match front_end {
        Some(name) => loaded.with_front_end(named(name)?)?,
        None => loaded,
    })
}

fn read_text(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("{}: cannot be read", file.display()))?;
    String::from_utf8(bytes).with_context(|| format!("{}: is not UTF-8 text", file.display()))
}
