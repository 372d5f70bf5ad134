//! Accuracy of a language model's image: its logits against the float model's, over a text.
//!
//! ```text
//! text ──► documents ──► tokens ──┬─► Session::decode     ──► logits ──┐
//!                                 └─► Reference::forward  ──► logits ──┴─► metrics, summed in the documents' order
//! ```

use crate::{convert, reads_text, tokens};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use thumbformer::state::HostState;
use thumbformer::{Error, Model};
use thumbformer_checkpoint::Checkpoint;
use thumbformer_reference::Reference;
use thumbformer_reference::metrics::{Sqnr, kl_divergence, log_softmax};

/// The line that ends a document.
pub const SEPARATOR: &str = "<|end|>";

/// Accuracy bounds of an image.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    /// Minimum top-1 agreement: the fraction of positions where both models find the same token the likeliest.
    pub top1: f64,
    /// Maximum mean KL divergence, in nats.
    pub kl: f64,
    /// Maximum difference of the perplexities, as a fraction of the float model's.
    pub perplexity: f64,
    /// Minimum signal-to-quantization-noise ratio of the logits, in decibels.
    pub sqnr: f64,
}

impl Bounds {
    /// Bounds of an image with int8 matrices only.
    pub const INT8: Bounds = Bounds { top1: 0.97, kl: 0.005, perplexity: 0.01, sqnr: 30.0 };
    /// Bounds of an image with int4 matrices.
    pub const INT4: Bounds = Bounds { top1: 0.93, kl: 0.03, perplexity: 0.03, sqnr: 21.0 };

    /// The bounds for an image, by its quantization.
    pub const fn of(model: &Model<'_>) -> Bounds {
        if model.image().has_int4() { Bounds::INT4 } else { Bounds::INT8 }
    }
}

/// The part of a text that is used.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Selection {
    /// Number of documents, counted from the end; `None`: all.
    pub last: Option<usize>,
    /// Number of tokens after which no further document is taken; `None`: no limit.
    pub max_tokens: Option<usize>,
}

/// The result of a comparison.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Report {
    /// Number of documents.
    pub documents: usize,
    /// Number of positions at which logits were compared.
    pub tokens: usize,
    /// Top-1 agreement: the fraction of positions where both models find the same token the likeliest.
    pub top1: f64,
    /// Mean KL divergence of the float model's distribution from the image's, in nats.
    pub kl: f64,
    /// Perplexity of the float model over the next tokens.
    pub reference_perplexity: f64,
    /// Perplexity of the image over the next tokens.
    pub perplexity: f64,
    /// Signal-to-quantization-noise ratio of the logits, in decibels.
    pub sqnr: f64,
}

/// A metric with its bound.
pub struct Line {
    /// Name of the metric.
    pub name: &'static str,
    /// The measured value and its bound.
    pub text: String,
    /// True if the value is within its bound.
    pub ok: bool,
}

impl Report {
    /// Difference of the perplexities, as a fraction of the float model's.
    pub fn perplexity_change(&self) -> f64 {
        self.perplexity / self.reference_perplexity - 1.0
    }

    /// Every metric with its bound. NaN is within no bound.
    pub fn lines(&self, bounds: &Bounds) -> Vec<Line> {
        let change = self.perplexity_change();
        vec![
            Line {
                name: "top-1 agreement",
                text: format!("{:.2} %, at least {:.2} %", 100.0 * self.top1, 100.0 * bounds.top1),
                ok: self.top1 >= bounds.top1,
            },
            Line {
                name: "mean KL divergence",
                text: format!("{:.5} nats, at most {:.5}", self.kl, bounds.kl),
                ok: self.kl <= bounds.kl,
            },
            Line {
                name: "perplexity",
                text: format!(
                    "{:.4}, float {:.4}, {:+.3} %, within {:.3} %",
                    self.perplexity,
                    self.reference_perplexity,
                    100.0 * change,
                    100.0 * bounds.perplexity
                ),
                ok: change.abs() <= bounds.perplexity,
            },
            Line {
                name: "SQNR of the logits",
                text: format!("{:.2} dB, at least {:.2} dB", self.sqnr, bounds.sqnr),
                ok: self.sqnr >= bounds.sqnr,
            },
        ]
    }

    /// True if every metric is within its bound.
    pub fn keeps(&self, bounds: &Bounds) -> bool {
        self.lines(bounds).iter().all(|line| line.ok)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<20} {:<4} {}", self.name, if self.ok { "ok" } else { "FAIL" }, self.text)
    }
}

/// Documents of a text as tokens: BOS, text, end token; cut at the model's context.
///
/// # Errors
/// When the image has no tokenizer, or no document is left to compare.
pub fn documents(model: &Model<'_>, text: &str, selection: Selection) -> Result<Vec<Vec<u16>>> {
    reads_text(model)?;
    let tokenizer = model.tokenizer().ok_or(Error::NoTokenizer)?;
    let texts: Vec<&str> = text.split(SEPARATOR).map(str::trim).filter(|text| !text.is_empty()).collect();
    let skip = selection.last.map_or(0, |last| texts.len().saturating_sub(last));
    let (mut documents, mut total) = (Vec::new(), 0);
    for text in texts.into_iter().skip(skip) {
        if selection.max_tokens.is_some_and(|max| total >= max) {
            break;
        }
        let mut tokens = tokens(&tokenizer, text)?;
        // The model predicts the end of a document, too.
        tokens.extend(tokenizer.end());
        tokens.truncate(model.dims().max_seq + 1);
        if tokens.len() > 1 {
            total += tokens.len() - 1;
            documents.push(tokens);
        }
    }
    ensure!(!documents.is_empty(), "the text has no document of at least two tokens: give a longer text");
    Ok(documents)
}

/// Sums over one document.
#[derive(Default)]
struct Sums {
    tokens: usize,
    agreed: usize,
    kl: f64,
    reference_loss: f64,
    loss: f64,
    sqnr: Sqnr,
}

/// Compares an image with its checkpoint; `progress` is called with the number of tokens of every finished document.
///
/// # Errors
/// When image and checkpoint are of different models, or the engine or the reference refuses a document.
pub fn verify(
    model: &Model<'_>,
    checkpoint: &Checkpoint,
    documents: &[Vec<u16>],
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Report> {
    same_shape(model, checkpoint)?;
    let reference = Reference::new(checkpoint);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(document) = documents.get(index) else { return Ok(done) };
            let sums = compare(model, &reference, document).with_context(|| format!("document {}", index + 1))?;
            progress(sums.tokens);
            done.push((index, sums));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<Result<Vec<(usize, Sums)>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| bail!("a worker panicked"))).collect()
    });
    let mut done = Vec::new();
    for result in results {
        done.extend(result?);
    }
    // In the documents' order, so that a sum of floats does not depend on the threads' speed.
    done.sort_by_key(|(index, _)| *index);
    let mut all = Sums::default();
    for (_, sums) in &done {
        all.tokens += sums.tokens;
        all.agreed += sums.agreed;
        all.kl += sums.kl;
        all.reference_loss += sums.reference_loss;
        all.loss += sums.loss;
        all.sqnr.merge(&sums.sqnr);
    }
    let count = all.tokens as f64;
    Ok(Report {
        documents: done.len(),
        tokens: all.tokens,
        top1: all.agreed as f64 / count,
        kl: all.kl / count,
        reference_perplexity: (all.reference_loss / count).exp(),
        perplexity: (all.loss / count).exp(),
        sqnr: all.sqnr.decibels(),
    })
}

fn compare(model: &Model<'_>, reference: &Reference, document: &[u16]) -> Result<Sums> {
    let inputs = &document[..document.len() - 1];
    let ids: Vec<u32> = inputs.iter().map(|&token| token.into()).collect();
    let expected = reference.forward(&ids, &mut |_, _| ())?;
    let mut state = HostState::new(model.dims(), inputs.len());
    let mut session = model.session(state.memory());
    let mut sums = Sums::default();
    for ((&token, &next), expected) in inputs.iter().zip(&document[1..]).zip(&expected) {
        let found: Vec<f64> = session.decode(token)?.iter().map(|&logit| logit.into()).collect();
        sums.tokens += 1;
        sums.agreed += usize::from(likeliest(expected) == likeliest(&found));
        sums.kl += kl_divergence(expected, &found);
        sums.reference_loss -= log_softmax(expected)[usize::from(next)];
        sums.loss -= log_softmax(&found)[usize::from(next)];
        sums.sqnr.add(expected, &found);
    }
    Ok(sums)
}

pub(crate) fn likeliest(logits: &[f64]) -> usize {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best
}

/// Refuses an image and a checkpoint of different models; the image's context may be shorter.
pub(crate) fn same_shape(model: &Model<'_>, checkpoint: &Checkpoint) -> Result<()> {
    convert::computed(checkpoint)?;
    let (dims, config) = (model.dims(), &checkpoint.config);
    let options = convert::options(checkpoint, dims.options.input);
    ensure!(
        dims.options == options && dims.attention_scale == config.attention_scale as f32,
        "the image has {:?}, {} has {options:?}: give the checkpoint that the image was converted from",
        dims.options,
        checkpoint.source
    );
    let table = [
        ("d_model", dims.d_model, config.d_model),
        ("n_layers", dims.n_layers, config.n_layers),
        ("n_heads", dims.n_heads, config.n_heads),
        ("n_kv_heads", dims.n_kv_heads, config.n_kv_heads),
        ("head_dim", dims.head_dim, config.head_dim),
        ("d_ff", dims.d_ff, config.d_ff),
        ("vocab", dims.vocab, config.vocab),
        ("n_outputs", dims.n_outputs, config.n_outputs),
    ];
    for (name, image, float) in table {
        ensure!(
            image == float,
            "{name}: the image has {image}, {} has {float}: give the checkpoint that the image was converted from",
            checkpoint.source
        );
    }
    ensure!(
        dims.max_seq <= config.max_seq,
        "max_seq: the image has {}, {} only {}: give the checkpoint that the image was converted from",
        dims.max_seq,
        checkpoint.source,
        config.max_seq
    );
    Ok(())
}
