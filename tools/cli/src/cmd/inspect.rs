//! `thumbformer inspect`: dimensions, sections and sizes of an image; the stack that inference of a program needs.

use crate::stdout::Stdout;
use crate::{inspect, model, read_image};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `thumbformer inspect`.
#[derive(Args)]
pub struct Cmd {
    /// Model image
    #[arg(required_unless_present = "elf")]
    image: Option<PathBuf>,
    /// Program for a Cortex-M, an ELF file with debug information: print the worst case of its stack in inference
    #[arg(long, value_name = "FILE", conflicts_with_all = ["image", "max_seq"])]
    elf: Option<PathBuf>,
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
    /// An image that cannot be read or parsed; a context that the model does not have; a program whose stack has no known bound.
    pub fn run(&self, out: &mut Stdout) -> Result<()> {
        if let Some(elf) = &self.elf {
            return self.stack(elf, out);
        }
        let image = self.image.as_deref().context("give an image, or --elf FILE")?;
        let words = read_image(image)?;
        let model = model(&words, image)?;
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

    fn stack(&self, elf: &Path, out: &mut Stdout) -> Result<()> {
        let stack = thumbformer_machine_code::worst(elf)?;
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&stack)?)?;
        } else {
            write!(out, "{stack}")?;
        }
        Ok(())
    }
}
