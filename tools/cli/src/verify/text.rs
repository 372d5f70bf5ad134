//! Accuracy of a language model's image: its logits against the float model's, over windows of a text.

use super::bounds::Line;
use super::same_shape;
use super::sequence::{Sequence, in_parallel, likeliest};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use thumbformer::Model;
use thumbformer::observe::NoObserver;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_reference::Reference;
use thumbformer_reference::metrics::{Sqnr, kl_divergence_of_logs, log_softmax};

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

/// The result of a comparison.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Report {
    /// Number of windows.
    pub windows: usize,
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

impl Report {
    /// Difference of the perplexities, as a fraction of the float model's.
    pub fn perplexity_change(&self) -> f64 {
        self.perplexity / self.reference_perplexity - 1.0
    }

    /// Every metric with its bound.
    pub fn lines(&self, bounds: &Bounds) -> Vec<Line> {
        let change = self.perplexity_change();
        let perplexity = format!(
            "{:.4}, float {:.4}, {:+.3} %, within {:.3} %",
            self.perplexity,
            self.reference_perplexity,
            100.0 * change,
            100.0 * bounds.perplexity
        );
        vec![
            Line::at_least("top-1 agreement", self.top1, bounds.top1),
            Line::divergence(self.kl, bounds.kl),
            Line { name: "perplexity", text: perplexity, ok: change.abs() <= bounds.perplexity },
            Line::decibels("SQNR of the logits", self.sqnr, bounds.sqnr),
        ]
    }

    /// The measures in one line.
    pub fn summary(&self) -> String {
        format!(
            "top-1 {:.2} %, KL {:.5} nats, perplexity {:.4} (float {:.4}), SQNR {:.2} dB, {} tokens",
            100.0 * self.top1,
            self.kl,
            self.perplexity,
            self.reference_perplexity,
            self.sqnr,
            self.tokens
        )
    }

    /// True if every metric is within its bound.
    pub fn keeps(&self, bounds: &Bounds) -> bool {
        self.lines(bounds).iter().all(|line| line.ok)
    }
}

/// Sums over one window.
#[derive(Default)]
struct Sums {
    tokens: usize,
    agreed: usize,
    kl: f64,
    reference_loss: f64,
    loss: f64,
    sqnr: Sqnr,
}

/// Compares an image with its checkpoint; `progress` is called with the number of tokens of every finished window.
///
/// # Shapes
/// `windows`: the inputs, and one token more, which is only predicted.
///
/// # Errors
/// When image and checkpoint are of different models, a window has no two tokens, or the engine or the reference refuses a window.
pub fn verify(
    model: &Model<'_>,
    checkpoint: &Checkpoint,
    windows: &[Vec<u16>],
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Report> {
    same_shape(model, checkpoint)?;
    let reference = Reference::new(checkpoint);
    let done = in_parallel(windows, |index, window| {
        let sums = compare(model, &reference, window).with_context(|| format!("window {}", index + 1))?;
        progress(sums.tokens);
        Ok(sums)
    })?;
    let mut all = Sums::default();
    for sums in &done {
        all.tokens += sums.tokens;
        all.agreed += sums.agreed;
        all.kl += sums.kl;
        all.reference_loss += sums.reference_loss;
        all.loss += sums.loss;
        all.sqnr.merge(&sums.sqnr);
    }
    let count = all.tokens as f64;
    Ok(Report {
        windows: done.len(),
        tokens: all.tokens,
        top1: all.agreed as f64 / count,
        kl: all.kl / count,
        reference_perplexity: (all.reference_loss / count).exp(),
        perplexity: (all.loss / count).exp(),
        sqnr: all.sqnr.decibels(),
    })
}

fn compare(model: &Model<'_>, reference: &Reference, window: &[u16]) -> Result<Sums> {
    ensure!(window.len() > 1, "{} tokens, expected at least two: one is only predicted", window.len());
    let inputs = Sequence::Tokens(window[..window.len() - 1].to_vec());
    let expected = inputs.expected(reference, &mut |_, _| ())?;
    let found = inputs.found(model, &mut NoObserver)?;
    let mut sums = Sums::default();
    for ((&next, expected), found) in window[1..].iter().zip(&expected).zip(&found) {
        sums.tokens += 1;
        sums.agreed += usize::from(likeliest(expected) == likeliest(found));
        let (expected_logs, found_logs) = (log_softmax(expected), log_softmax(found));
        sums.kl += kl_divergence_of_logs(&expected_logs, &found_logs);
        sums.reference_loss -= expected_logs[usize::from(next)];
        sums.loss -= found_logs[usize::from(next)];
        sums.sqnr.add(expected, found);
    }
    Ok(sums)
}
