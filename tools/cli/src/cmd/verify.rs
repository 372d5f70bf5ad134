//! `thumbformer verify`: an image against its float checkpoint.

use super::{bar, read_text};
use crate::stdout::Stdout;
use crate::verify::sequences::{self, Case};
use crate::verify::{self, Bounds, Line, Selection, Sequence, Windows};
use crate::{classify, model, read_image, text};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use thumbformer::{Input, Mask, Model, Pooling};
use thumbformer_checkpoint::Checkpoint;

/// Arguments of `thumbformer verify`.
#[derive(Args)]
pub struct Cmd {
    /// Model image
    image: PathBuf,
    /// Float checkpoint that the image was converted from
    #[arg(long)]
    reference: PathBuf,
    /// Held-out text, for a model of tokens; lines `<|end|>` separate documents
    #[arg(long)]
    text: Option<PathBuf>,
    /// Held-out text as token ids, taken as they are: a JSON list of ids or of lists of ids, or words with lines `<|end|>` between documents
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    tokens: Option<PathBuf>,
    /// Held-out recordings, for an encoder, as `classify` reads them; a file name up to its first `_` is the label or its number
    #[arg(long, num_args = 1.., value_name = "FILE", conflicts_with_all = ["text", "tokens"])]
    recordings: Vec<PathBuf>,
    /// Number of documents, counted from the end of the text [default: all]
    #[arg(long, conflicts_with = "recordings")]
    last: Option<usize>,
    /// Number of tokens, taken from windows at equal distances in the whole text [default: all]
    #[arg(long, conflicts_with = "recordings")]
    max_tokens: Option<usize>,
    #[command(flatten)]
    asked: Asked,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Bounds in place of the usual ones.
#[derive(Args)]
struct Asked {
    /// Minimum fraction of positions with the float model's answer [default: of a text 0.97 for int8, 0.93 for int4; of recordings 0.98, 0.93]
    #[arg(long)]
    min_top1: Option<f64>,
    /// Maximum mean KL divergence in nats [default: of a text 0.005 for int8, 0.03 for int4; of recordings none]
    #[arg(long)]
    max_kl: Option<f64>,
    /// Maximum relative change of a text's perplexity [default: 0.01 for int8, 0.03 for int4]
    #[arg(long)]
    max_perplexity_change: Option<f64>,
    /// Maximum loss of accuracy over labelled recordings, as a fraction [default: 0.005 for int8, 0.03 for int4]
    #[arg(long)]
    max_accuracy_loss: Option<f64>,
    /// Minimum SQNR of the outputs in decibels [default: of a text 30 for int8, 21 for int4; of recordings 28, 16]
    #[arg(long)]
    min_sqnr: Option<f64>,
}

impl Asked {
    /// The bounds of a language model.
    fn of_text(&self, model: &Model<'_>) -> Result<Bounds> {
        let none = "is for labelled recordings; a language model's bounds are --min-top1, --max-kl, --max-perplexity-change and \
                    --min-sqnr";
        ensure!(self.max_accuracy_loss.is_none(), "--max-accuracy-loss {none}");
        let usual = Bounds::of(model);
        Ok(Bounds {
            top1: self.min_top1.unwrap_or(usual.top1),
            kl: self.max_kl.unwrap_or(usual.kl),
            perplexity: self.max_perplexity_change.unwrap_or(usual.perplexity),
            sqnr: self.min_sqnr.unwrap_or(usual.sqnr),
        })
    }

    /// The bounds of other models.
    fn of_sequences(&self, model: &Model<'_>) -> Result<sequences::Bounds> {
        let none = "is for the text of a language model; this model's bounds are --min-top1, --max-kl, --max-accuracy-loss and \
                    --min-sqnr";
        ensure!(self.max_perplexity_change.is_none(), "--max-perplexity-change {none}");
        let usual = sequences::Bounds::of(model);
        Ok(sequences::Bounds {
            loss: self.max_accuracy_loss.unwrap_or(usual.loss),
            agreement: self.min_top1.unwrap_or(usual.agreement),
            sqnr: self.min_sqnr.unwrap_or(usual.sqnr),
            kl: self.max_kl.or(usual.kl),
        })
    }
}

/// A language model's result as JSON.
#[derive(Serialize)]
struct OfText {
    documents: usize,
    total_tokens: usize,
    #[serde(flatten)]
    report: verify::Report,
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Files that cannot be used; an accuracy bound that is missed.
    pub fn run(&self, out: &mut Stdout) -> Result<()> {
        let words = read_image(&self.image)?;
        let model = model(&words, &self.image)?;
        ensure!(
            self.text.is_some() || self.tokens.is_some() || !self.recordings.is_empty(),
            "{}: {}",
            self.image.display(),
            needs(&model)
        );
        let checkpoint = Checkpoint::load(&self.reference, None)?;
        if !self.recordings.is_empty() {
            let cases = self.recordings.iter().map(|file| Ok(classify::read(&model, file)?.into()));
            return self.sequences(&model, &checkpoint, &cases.collect::<Result<Vec<_>>>()?, "recordings", out);
        }
        let options = &model.dims().options;
        let causal = options.mask == Mask::Causal && options.pooling == Pooling::None;
        if causal && model.dims().n_outputs == model.dims().vocab {
            return self.language(&model, &checkpoint, &self.windows(&model, model.dims().max_seq)?, out);
        }
        // These predict no token: a window has no more than the context.
        let context = model.dims().max_seq - usize::from(model.has_class_token());
        let windows = self.windows(&model, context.saturating_sub(1))?.windows.into_iter().enumerate();
        let case = |(index, tokens)| {
            let name = format!("sequence {}", index + 1);
            Case { name, truth: None, input: Sequence::Tokens(tokens) }
        };
        self.sequences(&model, &checkpoint, &windows.map(case).collect::<Vec<_>>(), "sequences", out)
    }

    /// Windows of the text or of the ids.
    fn windows(&self, model: &Model<'_>, context: usize) -> Result<Windows> {
        let selection = Selection { last: self.last, max_tokens: self.max_tokens };
        let (file, windows) = match (&self.text, &self.tokens) {
            (Some(file), _) => (file, Windows::of_text(model, &read_text(file)?, context, selection)),
            (None, Some(file)) => {
                let mut documents = text::read_ids(model, file)?;
                documents.drain(..documents.len() - self.last.unwrap_or(usize::MAX).min(documents.len()));
                let bos = model.tokenizer().and_then(|tokenizer| tokenizer.bos());
                (file, Windows::of(&documents, bos, context, self.max_tokens))
            }
            (None, None) => bail!("no text"),
        };
        windows.with_context(|| format!("{}", file.display()))
    }

    /// Compares a language model with its float checkpoint over windows of a text.
    fn language(&self, model: &Model<'_>, checkpoint: &Checkpoint, windows: &Windows, out: &mut Stdout) -> Result<()> {
        let bounds = self.asked.of_text(model)?;
        let bar = bar(windows.tokens(), "tokens")?;
        let report = verify::verify(model, checkpoint, &windows.windows, &|tokens| bar.inc(tokens as u64))?;
        bar.finish_and_clear();
        let Windows { documents, total, .. } = *windows;
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&OfText { documents, total_tokens: total, report })?)?;
        } else {
            let of = if report.tokens < total { format!(" of {total}") } else { String::new() };
            let (count, max_seq) = (report.windows, model.dims().max_seq);
            let cut = match report.tokens < total || count > documents {
                true => format!(", {count} windows of up to {max_seq}"),
                false => String::new(),
            };
            let backend = thumbformer::BACKEND;
            writeln!(out, "{}{of} tokens in {documents} documents{cut}, backend {backend}", report.tokens)?;
        }
        self.judge(&report.lines(&bounds), out)
    }

    /// Compares other models with their float checkpoints.
    fn sequences(
        &self,
        model: &Model<'_>,
        checkpoint: &Checkpoint,
        cases: &[Case],
        unit: &str,
        out: &mut Stdout,
    ) -> Result<()> {
        let bounds = self.asked.of_sequences(model)?;
        let bar = bar(cases.len(), unit)?;
        let report = sequences::compare(model, checkpoint, cases, &|| bar.inc(1))?;
        bar.finish_and_clear();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
        } else {
            let backend = thumbformer::BACKEND;
            writeln!(out, "{} outputs of {} {unit}, backend {backend}", report.outputs, report.recordings)?;
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
        if !missed.is_empty() {
            bail!("{}: accuracy check failed: {}", self.image.display(), missed.join("; "));
        }
        Ok(())
    }
}

/// The input that a model is compared over, as a sentence.
fn needs(model: &Model<'_>) -> String {
    let dims = model.dims();
    match dims.options.input {
        Input::Tokens if model.tokenizer().is_some() => {
            "the model reads text: give --text FILE, similar to the training data and unseen, or --tokens FILE with ids"
                .into()
        }
        Input::Tokens => {
            "the model reads tokens, and the image has no tokenizer: give --tokens FILE, ids of a text that is unseen"
                .into()
        }
        Input::Frames => format!(
            "the model reads frames of {} numbers: give --recordings FILE..., unseen .wav or .csv files as `classify` reads them",
            dims.n_features
        ),
        other => format!("the model reads {other:?}: an image of blocks alone is not compared"),
    }
}
