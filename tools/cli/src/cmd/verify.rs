//! `thumbformer verify`: an image against its float checkpoint.

use super::{bar, read_text};
use crate::stdout::Stdout;
use crate::verify::{self, Bounds, Line, Selection};
use crate::{accuracy, classify, model, read_image};
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use thumbformer::Model;
use thumbformer_checkpoint::Checkpoint;

/// Arguments of `thumbformer verify`.
#[derive(Args)]
pub struct Cmd {
    /// Model image
    image: PathBuf,
    /// Float checkpoint that the image was converted from
    #[arg(long)]
    reference: PathBuf,
    /// Held-out text, for a language model; lines `<|end|>` separate documents
    #[arg(long, required_unless_present = "recordings", conflicts_with = "recordings")]
    text: Option<PathBuf>,
    /// Held-out recordings, for an encoder, as `classify` reads them; a file name up to its first `_` is the label or its number
    #[arg(long, num_args = 1.., value_name = "FILE")]
    recordings: Vec<PathBuf>,
    /// Number of documents, counted from the end of the text [default: all]
    #[arg(long)]
    last: Option<usize>,
    /// Maximum number of tokens, rounded up to whole documents [default: all]
    #[arg(long)]
    max_tokens: Option<usize>,
    /// Minimum top-1 agreement as a fraction [default: 0.97 for int8, 0.92 for int4]
    #[arg(long)]
    min_top1: Option<f64>,
    /// Maximum mean KL divergence in nats [default: 0.005 for int8, 0.03 for int4]
    #[arg(long)]
    max_kl: Option<f64>,
    /// Maximum relative change of the perplexity [default: 0.01 for int8, 0.03 for int4]
    #[arg(long)]
    max_perplexity_change: Option<f64>,
    /// Minimum SQNR of the logits in decibels [default: 30 for int8, 21 for int4]
    #[arg(long)]
    min_sqnr: Option<f64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Files that cannot be used; an accuracy bound that is missed.
    pub fn run(&self, out: &mut Stdout) -> Result<()> {
        let words = read_image(&self.image)?;
        let model = model(&words, &self.image)?;
        let checkpoint = Checkpoint::load(&self.reference, None)?;
        let Some(file) = &self.text else { return self.recordings(&model, &checkpoint, out) };
        let text = read_text(file)?;
        let selection = Selection { last: self.last, max_tokens: self.max_tokens };
        let documents = verify::documents(&model, &text, selection).with_context(|| format!("{}", file.display()))?;
        let bar = bar(documents.iter().map(|document| document.len() - 1).sum(), "tokens")?;
        let report = verify::verify(&model, &checkpoint, &documents, &|tokens| bar.inc(tokens as u64))?;
        bar.finish_and_clear();
        let usual = Bounds::of(&model);
        let bounds = Bounds {
            top1: self.min_top1.unwrap_or(usual.top1),
            kl: self.max_kl.unwrap_or(usual.kl),
            perplexity: self.max_perplexity_change.unwrap_or(usual.perplexity),
            sqnr: self.min_sqnr.unwrap_or(usual.sqnr),
        };
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
        } else {
            let backend = thumbformer::BACKEND;
            writeln!(out, "{} tokens in {} documents, backend {backend}", report.tokens, report.documents)?;
        }
        self.judge(&report.lines(&bounds), out)
    }

    /// Compares an encoder with its float checkpoint over recordings.
    fn recordings(&self, model: &Model<'_>, checkpoint: &Checkpoint, out: &mut Stdout) -> Result<()> {
        let recordings: Vec<_> =
            self.recordings.iter().map(|file| classify::read(model, file)).collect::<Result<_>>()?;
        let bar = bar(recordings.len(), "recordings")?;
        let report = accuracy::compare(model, checkpoint, &recordings, &|| bar.inc(1))?;
        bar.finish_and_clear();
        let bounds = accuracy::Bounds::of(model);
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
        } else {
            let backend = thumbformer::BACKEND;
            writeln!(out, "{} outputs of {} recordings, backend {backend}", report.outputs, report.recordings)?;
        }
        self.judge(&report.lines(&bounds), out)
    }

    /// Prints the measures, as JSON has been printed where it was asked for, and fails with those that miss their bounds.
    fn judge(&self, lines: &[Line], out: &mut Stdout) -> Result<()> {
        if !self.json {
            lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        }
        let missed: Vec<String> =
            lines.iter().filter(|line| !line.ok).map(|line| format!("{} {}", line.name, line.text)).collect();
        ensure!(missed.is_empty(), "{}: accuracy check failed: {}", self.image.display(), missed.join("; "));
        Ok(())
    }
}
