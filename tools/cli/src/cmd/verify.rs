//! `thumbformer verify`: an image against its float checkpoint.

use super::bounds::Asked;
use super::recordings::Recordings;
use super::{Tokenizer, bar, read_text};
use crate::about::other_weights;
use crate::stdout::Stdout;
use crate::verify::expected::{self, Expected};
use crate::verify::record::{self, Kind, Record};
use crate::verify::sequences::{self, Case};
use crate::verify::{self, Agreement, Bounds, Line, Lost, Selection, Sequence, Windows};
use crate::{model, read_image, text};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
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
    #[arg(long, required_unless_present = "expected")]
    reference: Option<PathBuf>,
    /// Audio front end that the image was converted with, where the checkpoint's config.json has none: as of `convert`
    #[arg(long, requires = "reference")]
    front_end: Option<String>,
    /// Outputs of your framework: .npz, .safetensors, .json or .npy files with `tokens` or `frames`, `logits`, optionally `hidden`
    ///
    /// tokens: [seq] or [batch, seq]; frames: [seq, n_features] or [batch, seq, n_features], with --reference of MFCCs, too; logits: [seq, n_outputs], with a pooling
    /// [n_outputs], each with a batch in front where the input has one; hidden: [layers + 1, batch, seq, d_model], as transformers'
    /// output_hidden_states gives; a .npy file holds the array that it is named for. With --reference, the float reference must meet
    /// them; alone, the image is compared with them, and what int8 rounds away hides small errors.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    expected: Vec<PathBuf>,
    /// Held-out text, for a model of tokens; lines `<|end|>` separate documents
    #[arg(long)]
    text: Option<PathBuf>,
    /// Held-out text as token ids, taken as they are: a JSON list of ids or of lists of ids, or words with lines `<|end|>` between documents
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    tokens: Option<PathBuf>,
    /// Held-out recordings, for an encoder, as `classify` reads them
    #[arg(long, num_args = 1.., value_name = "FILE", conflicts_with_all = ["text", "tokens"])]
    recordings: Vec<PathBuf>,
    #[command(flatten)]
    reading: Recordings,
    /// Number of documents, counted from the end of the text [default: all]
    #[arg(long, conflicts_with = "recordings")]
    last: Option<usize>,
    /// Number of tokens, taken from windows at equal distances in the whole text [default: all]
    #[arg(long, conflicts_with = "recordings")]
    max_tokens: Option<usize>,
    #[command(flatten)]
    asked: Asked,
    /// Write what was measured into the image, where `inspect` shows it, if every bound is kept and --reference has the weights that it was converted from; replaces an earlier record of a text, of recordings or of a framework's outputs
    #[arg(long)]
    record: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A comparison, to be printed.
struct Compared {
    /// Subject of the comparison.
    head: String,
    lines: Vec<Line>,
    json: Value,
    /// Its record in the image.
    record: Record,
    /// Place where the signal is lost, if a bound is missed.
    lost: Option<Lost>,
}

impl Compared {
    /// Looks for the culprit where a bound is missed.
    fn explained(mut self, model: &Model<'_>, checkpoint: &Checkpoint, inputs: &[&Sequence]) -> Result<Compared> {
        if self.lines.iter().any(|line| !line.ok) {
            let lost = Lost::of(model, checkpoint, inputs)?;
            self.json["lost"] = serde_json::to_value(&lost)?;
            self.lost = Some(lost);
        }
        Ok(self)
    }
}

impl Cmd {
    /// Runs the command.
    ///
    /// # Errors
    /// Files that cannot be used; an accuracy bound that is missed; a framework's outputs that the float reference does not meet.
    pub fn run(&self, out: &mut Stdout) -> Result<()> {
        if self.record {
            record::check(&self.image)?;
        }
        let words = read_image(&self.image)?;
        let model = model(&words, &self.image)?;
        let has_input = self.text.is_some() || self.tokens.is_some() || !self.recordings.is_empty();
        ensure!(has_input || !self.expected.is_empty(), "{}: {}", self.image.display(), needs(&model));
        // The image has the tokenizer; the checkpoint's may be of a kind that an image cannot have.
        let load = |folder| super::load(folder, Tokenizer::None, self.front_end.as_deref());
        let checkpoint = self.reference.as_deref().map(load).transpose()?;
        let expected = match &self.expected[..] {
            [] => Vec::new(),
            files => {
                let front_end = checkpoint.as_ref().and_then(|checkpoint| checkpoint.front_end.as_ref());
                let found = expected::load(files, model.dims(), front_end);
                // The image does not know what its first matrix has taken in.
                let hears = checkpoint.is_none() && model.front_end().is_some();
                if hears { found.context("frames of cepstral coefficients need --reference")? } else { found? }
            }
        };
        let Some(checkpoint) = checkpoint else {
            ensure!(
                !has_input,
                "a text, ids or recordings need --reference, the float checkpoint that computes them, too"
            );
            return self.finish(self.against(&model, &expected)?, None, &words, out);
        };
        verify::same_shape(&model, &checkpoint)?;
        if let Some(other) = other_weights(&model, &checkpoint) {
            ensure!(!self.record, "{}: --record is refused: {other}", self.image.display());
            eprintln!("note: {other}");
        }
        let agreement = match &expected[..] {
            [] => None,
            expected => Some(self.agreement(&checkpoint, expected, out)?),
        };
        let compared = if !self.recordings.is_empty() {
            let reading = self.reading.reading()?;
            let mut cases = Vec::new();
            for file in &self.recordings {
                let recording = reading.read(&model, file)?;
                super::noted(&recording);
                cases.extend(Case::of(recording));
            }
            let (windows, files) = (cases.len(), self.recordings.len());
            let unit = if windows > files { format!("windows of {files} recordings") } else { "recordings".into() };
            let mut compared = self.sequences(&model, &checkpoint, &cases, &unit)?;
            (compared.json["recordings"], compared.json["windows"]) = (files.into(), windows.into());
            compared
        } else if has_input {
            self.text(&model, &checkpoint)?
        } else {
            let case = |(index, expected): (usize, Expected)| Case {
                name: format!("sequence {}", index + 1),
                truth: None,
                input: expected.input,
            };
            let cases: Vec<Case> = expected.into_iter().enumerate().map(case).collect();
            self.sequences(&model, &checkpoint, &cases, "sequences")?
        };
        self.finish(compared, agreement, &words, out)
    }

    /// Prints a comparison, and records it where that is asked for and every bound is kept.
    fn finish(&self, compared: Compared, agreement: Option<Agreement>, words: &[u32], out: &mut Stdout) -> Result<()> {
        let record = compared.record.clone();
        self.print(compared, agreement, out)?;
        if self.record {
            record.write(&self.image, words)?;
            if !self.json {
                writeln!(out, "recorded in {}", self.image.display())?;
            }
        }
        Ok(())
    }

    /// The record of a comparison over the command's input.
    fn recorded(&self, measures: String) -> Record {
        let (kind, files) = match (&self.text, &self.tokens) {
            (Some(file), _) | (None, Some(file)) => (Kind::Text, vec![file.clone()]),
            _ if !self.recordings.is_empty() => (Kind::Recordings, Vec::new()),
            _ => (Kind::Expected, self.expected.clone()),
        };
        Record { kind, measures, files }
    }

    /// Compares the float reference with the framework's outputs; prints the result where it fails.
    fn agreement(&self, checkpoint: &Checkpoint, expected: &[Expected], out: &mut Stdout) -> Result<Agreement> {
        let files = self.expected_files();
        let agreement = Agreement::of(checkpoint, expected).with_context(|| files.clone())?;
        if let Err(error) = agreement.check() {
            if self.json {
                writeln!(out, "{}", serde_json::to_string_pretty(&json!({ "framework": agreement }))?)?;
            }
            return Err(error.context(files));
        }
        if !self.json {
            let least = agreement.points.iter().min_by(|a, b| a.decibels.total_cmp(&b.decibels));
            let least = least.map_or(String::new(), |least| {
                format!(", the least of {} points {:.2} dB at {}", agreement.points.len(), least.decibels, least.name)
            });
            let name = "float against framework";
            writeln!(out, "{name} ok {:.2} dB, at least {:.2} dB{least}", agreement.logits, verify::BOUND)?;
        }
        Ok(agreement)
    }

    /// Compares the image with the framework's outputs.
    fn against(&self, model: &Model<'_>, expected: &[Expected]) -> Result<Compared> {
        let bounds = if predicts_tokens(model) {
            let none = "needs --reference and a text";
            ensure!(self.asked.max_perplexity_change.is_none(), "--max-perplexity-change {none}");
            let Bounds { top1, kl, sqnr, .. } = self.asked.of_text(model)?;
            sequences::Bounds { loss: 0.0, agreement: top1, sqnr, kl: Some(kl) }
        } else {
            self.asked.of_sequences(model)?
        };
        let report = sequences::against(model, expected).with_context(|| self.expected_files())?;
        let (outputs, count, backend) = (report.outputs, report.recordings, thumbformer::BACKEND);
        let note =
            "the rounding of the weights hides small errors of the config: with --reference CHECKPOINT they are found";
        let head = format!("{outputs} outputs of {count} sequences of the framework, backend {backend}\n{note}");
        let measures = format!("SQNR {:.2} dB, {count} sequences", report.sqnr);
        let (lines, json) = (report.lines(&bounds), serde_json::to_value(report)?);
        Ok(Compared { head, lines, json, record: self.recorded(measures), lost: None })
    }

    fn expected_files(&self) -> String {
        self.expected.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    /// Compares a model of tokens with its float checkpoint.
    fn text(&self, model: &Model<'_>, checkpoint: &Checkpoint) -> Result<Compared> {
        if predicts_tokens(model) {
            return self.language(model, checkpoint, &self.windows(model, model.dims().max_seq)?);
        }
        // These predict no token: a window has no more than the context.
        let context = model.dims().max_seq - model.dims().n_class;
        let windows = self.windows(model, context.saturating_sub(1))?.windows.into_iter().enumerate();
        let case = |(index, tokens)| {
            let name = format!("sequence {}", index + 1);
            Case { name, truth: None, input: Sequence::Tokens(tokens) }
        };
        self.sequences(model, checkpoint, &windows.map(case).collect::<Vec<_>>(), "sequences")
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
    fn language(&self, model: &Model<'_>, checkpoint: &Checkpoint, windows: &Windows) -> Result<Compared> {
        let bounds = self.asked.of_text(model)?;
        let bar = bar(windows.tokens(), "tokens")?;
        let report = verify::verify(model, checkpoint, &windows.windows, &|tokens| bar.inc(tokens as u64))?;
        bar.finish_and_clear();
        let Windows { documents, total, .. } = *windows;
        let of = if report.tokens < total { format!(" of {total}") } else { String::new() };
        let (count, max_seq, backend) = (report.windows, model.dims().max_seq, thumbformer::BACKEND);
        let cut = match report.tokens < total || count > documents {
            true => format!(", {count} windows of up to {max_seq}"),
            false => String::new(),
        };
        let head = format!("{}{of} tokens in {documents} documents{cut}, backend {backend}", report.tokens);
        let mut json = serde_json::to_value(report)?;
        (json["documents"], json["total_tokens"]) = (documents.into(), total.into());
        let input = |window: &Vec<u16>| Sequence::Tokens(window[..window.len() - 1].to_vec());
        let inputs: Vec<Sequence> = windows.windows.iter().map(input).collect();
        let record = self.recorded(report.summary());
        let compared = Compared { head, lines: report.lines(&bounds), json, record, lost: None };
        compared.explained(model, checkpoint, &inputs.iter().collect::<Vec<_>>())
    }

    /// Compares other models with their float checkpoints.
    fn sequences(&self, model: &Model<'_>, checkpoint: &Checkpoint, cases: &[Case], unit: &str) -> Result<Compared> {
        let bounds = self.asked.of_sequences(model)?;
        let bar = bar(cases.len(), unit)?;
        let report = sequences::compare(model, checkpoint, cases, &|| bar.inc(1))?;
        bar.finish_and_clear();
        let (outputs, count, backend) = (report.outputs, report.recordings, thumbformer::BACKEND);
        let head = format!("{outputs} outputs of {count} {unit}, backend {backend}");
        let (lines, json, record) =
            (report.lines(&bounds), serde_json::to_value(report)?, self.recorded(report.summary(unit)));
        let compared = Compared { head, lines, json, record, lost: None };
        compared.explained(model, checkpoint, &cases.iter().map(|case| &case.input).collect::<Vec<_>>())
    }

    /// Prints a comparison, and fails with the measures that miss their bounds.
    fn print(&self, compared: Compared, agreement: Option<Agreement>, out: &mut Stdout) -> Result<()> {
        let Compared { head, lines, mut json, lost, .. } = compared;
        if self.json {
            if let Some(agreement) = agreement {
                json["framework"] = serde_json::to_value(agreement)?;
            }
            writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
        } else {
            writeln!(out, "{head}")?;
            lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        }
        let missed: Vec<String> =
            lines.iter().filter(|line| !line.ok).map(|line| format!("{} {}", line.name, line.text)).collect();
        if missed.is_empty() {
            return Ok(());
        }
        let lost = lost.map_or(String::new(), |lost| format!("; {}", lost.sentence()));
        bail!("{}: accuracy check failed: {}{lost}", self.image.display(), missed.join("; "))
    }
}

/// True for a model whose outputs at every position are the logits of the next token.
fn predicts_tokens(model: &Model<'_>) -> bool {
    let (dims, options) = (model.dims(), &model.dims().options);
    let causal = options.mask == Mask::Causal && options.pooling == Pooling::None;
    causal && options.input == Input::Tokens && dims.n_outputs == dims.vocab
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
