//! `thumbformer inspect`: dimensions, sections and sizes of an image.

use crate::stdout::Stdout;
use crate::{inspect, model, read_image};
use anyhow::{Result, bail};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `thumbformer inspect`.
#[derive(Args)]
pub struct Cmd {
    /// Model image
    image: PathBuf,
    /// Context of the state, in tokens [default: the model's]
    #[arg(long)]
    max_seq: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// An image that cannot be read or parsed; a context that the model does not have.
    pub fn run(&self, out: &mut Stdout) -> Result<()> {
        let words = read_image(&self.image)?;
        let model = model(&words, &self.image)?;
        let longest = model.dims().max_seq;
        let max_seq = self.max_seq.unwrap_or(longest);
        if max_seq == 0 || max_seq > longest {
            bail!("--max-seq {max_seq}: the model's context is {longest}; give 1 to that many");
        }
        let report = inspect::inspect(&model, max_seq);
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
        } else {
            writeln!(out, "{report}")?;
        }
        Ok(())
    }
}
