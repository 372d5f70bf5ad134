//! Accuracy of an image that reads recordings, or whole sequences of tokens: its outputs against the float checkpoint's.
//!
//! A model of whole sequences gives one answer per sequence or per position, a causal one an answer at every position.

use super::bounds::Line;
use super::expected::Expected;
use super::numbers::{Errors, Numbers};
use super::same_shape;
use super::sequence::{Sequence, in_parallel, likeliest};
use crate::classify::{Recording, Window};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use thumbformer::observe::NoObserver;
use thumbformer::{Mask, Model, Outputs, Pooling};
use thumbformer_checkpoint::Checkpoint;
use thumbformer_reference::Reference;
use thumbformer_reference::metrics::{Sqnr, kl_divergence};

/// An input with what is known of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, for messages.
    pub name: String,
    /// The right output, if known.
    pub truth: Option<usize>,
    /// The input.
    pub input: Sequence,
}

impl Case {
    /// The inputs of a recording: each of its windows has its label.
    pub fn of(recording: Recording) -> Vec<Case> {
        let Recording { truth, windows, .. } = recording;
        let case = |window: Window| Case { name: window.name, truth, input: Sequence::Frames(window.frames) };
        windows.into_iter().map(case).collect()
    }
}

/// Accuracy bounds of an image.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    /// Maximum loss of accuracy, as a fraction of all answers.
    pub loss: f64,
    /// Minimum fraction of the answers that agree with the float model's.
    pub agreement: f64,
    /// Minimum signal-to-quantization-noise ratio of the outputs, in decibels.
    pub sqnr: f64,
    /// Maximum mean KL divergence of the answers' distributions, in nats; `None`: not judged, as outputs may be no classes.
    pub kl: Option<f64>,
}

impl Bounds {
    /// Bounds of an image with int8 matrices only.
    pub const INT8: Bounds = Bounds { loss: 0.005, agreement: 0.98, sqnr: 28.0, kl: None };
    /// Bounds of an image with int4 matrices.
    pub const INT4: Bounds = Bounds { loss: 0.03, agreement: 0.93, sqnr: 16.0, kl: None };

    /// The bounds for an image, by its quantization.
    pub const fn of(model: &Model<'_>) -> Bounds {
        if model.image().has_int4() { Bounds::INT4 } else { Bounds::INT8 }
    }
}

/// The result of a comparison.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Report {
    /// Number of recordings, of windows where these are longer than a clip, or of sequences.
    pub recordings: usize,
    /// Number of answers that were compared.
    pub outputs: usize,
    /// Number of answers of labelled recordings: those whose name gives the right answer.
    pub labelled: usize,
    /// Accuracy of the float model: the fraction of the labelled answers that are right.
    pub float_accuracy: f64,
    /// Accuracy of the image.
    pub accuracy: f64,
    /// Agreement: the fraction of all answers that are the same in both.
    pub agreement: f64,
    /// Mean KL divergence of the float model's distribution from the image's, in nats.
    pub kl: f64,
    /// Signal-to-quantization-noise ratio of the outputs, in decibels.
    pub sqnr: f64,
    /// Errors of outputs that are numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Errors>,
}

impl Report {
    /// Every metric with its bound.
    pub fn lines(&self, bounds: &Bounds) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some(error) = &self.error {
            lines.extend(error.line(bounds.sqnr));
            lines.extend(bounds.kl.map(|kl| Line::divergence(self.kl, kl)));
            lines.push(Line::decibels("SQNR of the outputs", self.sqnr, bounds.sqnr));
            return lines;
        }
        if self.labelled > 0 {
            let text = format!(
                "{:.2} %, float {:.2} %, at most {:.2} points less",
                100.0 * self.accuracy,
                100.0 * self.float_accuracy,
                100.0 * bounds.loss
            );
            let ok = self.float_accuracy - self.accuracy <= bounds.loss;
            lines.push(Line { name: "accuracy", text, ok });
        }
        lines.push(Line::at_least("same answer", self.agreement, bounds.agreement));
        lines.extend(bounds.kl.map(|kl| Line::divergence(self.kl, kl)));
        lines.push(Line::decibels("SQNR of the outputs", self.sqnr, bounds.sqnr));
        lines
    }

    /// The measures in one line, with the unit of what was compared.
    pub fn summary(&self, unit: &str) -> String {
        if let Some(Errors { mean, largest, .. }) = self.error {
            return format!(
                "error {mean:.3e}, at most {largest:.3e}, SQNR {:.2} dB, {} {unit}",
                self.sqnr, self.recordings
            );
        }
        let accuracy = match self.labelled {
            0 => String::new(),
            _ => format!("accuracy {:.2} % (float {:.2} %), ", 100.0 * self.accuracy, 100.0 * self.float_accuracy),
        };
        let (agreement, sqnr) = (100.0 * self.agreement, self.sqnr);
        format!("{accuracy}same answer {agreement:.2} %, SQNR {sqnr:.2} dB, {} {unit}", self.recordings)
    }
}

/// Sums over sequences.
#[derive(Clone, Default)]
pub(super) struct Sums {
    numbers: Numbers,
    sequences: usize,
    outputs: usize,
    labelled: usize,
    float_right: usize,
    right: usize,
    agreed: usize,
    kl: f64,
    sqnr: Sqnr,
}

impl Sums {
    /// The sums of one sequence's outputs.
    pub(super) fn of(meaning: Outputs, truth: Option<usize>, expected: &[Vec<f64>], found: &[Vec<f64>]) -> Sums {
        let mut sums = Sums { sequences: 1, ..Sums::default() };
        for (expected, found) in expected.iter().zip(found) {
            sums.outputs += 1;
            match meaning {
                Outputs::Numbers => sums.numbers.add(expected, found),
                Outputs::Labels => {
                    let labels = |outputs: &[f64]| outputs.iter().map(|&output| output > 0.0).collect::<Vec<_>>();
                    let (float, int) = (labels(expected), labels(found));
                    sums.add_answer(float == int, truth.map(|truth| (float[truth], int[truth])));
                }
                _ => {
                    let (float, int) = (likeliest(expected), likeliest(found));
                    sums.add_answer(float == int, truth.map(|truth| (float == truth, int == truth)));
                }
            }
            sums.kl += kl_divergence(expected, found);
            sums.sqnr.add(expected, found);
        }
        sums
    }

    /// Adds an answer: whether it is the same in both, and whether each is right, if that is known.
    fn add_answer(&mut self, same: bool, right: Option<(bool, bool)>) {
        self.agreed += usize::from(same);
        if let Some((float, int)) = right {
            self.labelled += 1;
            self.float_right += usize::from(float);
            self.right += usize::from(int);
        }
    }

    /// Adds the sums of others.
    pub(super) fn add(&mut self, other: &Sums) {
        self.numbers.merge(&other.numbers);
        self.sequences += other.sequences;
        self.outputs += other.outputs;
        self.labelled += other.labelled;
        self.float_right += other.float_right;
        self.right += other.right;
        self.agreed += other.agreed;
        self.kl += other.kl;
        self.sqnr.merge(&other.sqnr);
    }

    /// The metrics.
    pub(super) fn report(&self) -> Report {
        let part = |count: usize, of: usize| count as f64 / of as f64;
        Report {
            recordings: self.sequences,
            outputs: self.outputs,
            labelled: self.labelled,
            float_accuracy: part(self.float_right, self.labelled),
            accuracy: part(self.right, self.labelled),
            agreement: part(self.agreed, self.outputs),
            kl: self.kl / self.outputs as f64,
            sqnr: self.sqnr.decibels(),
            error: self.numbers.errors(),
        }
    }
}

/// The float reference of an image; of a causal one with an output at every position, as the engine gives them.
pub(super) fn reference(model: &Model<'_>, checkpoint: &Checkpoint) -> Result<Reference> {
    same_shape(model, checkpoint)?;
    let mut every = checkpoint.clone();
    if model.dims().options.mask == Mask::Causal {
        every.config.options.pooling = Pooling::None;
        every.config.max_seq = usize::MAX;
    }
    Ok(Reference::new(&every))
}

/// Compares an image with its checkpoint; `progress` is called for every sequence.
///
/// # Errors
/// When image and checkpoint are of different models, or the engine or the reference refuses a sequence.
pub fn compare(
    model: &Model<'_>,
    checkpoint: &Checkpoint,
    cases: &[Case],
    progress: &(dyn Fn() + Sync),
) -> Result<Report> {
    ensure!(!cases.is_empty(), "no recording: give at least one file");
    let reference = reference(model, checkpoint)?;
    let done = in_parallel(cases, |_, case| {
        let expected = case.input.expected(&reference, &mut |_, _| ()).with_context(|| case.name.clone())?;
        let found = case.input.found(model, &mut NoObserver).with_context(|| case.name.clone())?;
        progress();
        Ok(Sums::of(model.dims().options.outputs, case.truth, &expected, &found))
    })?;
    let mut all = Sums::default();
    done.iter().for_each(|sums| all.add(sums));
    Ok(all.report())
}

/// Compares an image with outputs of a framework: of a causal model with one output at the last position.
///
/// # Errors
/// When the engine refuses a sequence, or gives another number of outputs.
pub fn against(model: &Model<'_>, expected: &[Expected]) -> Result<Report> {
    let done = in_parallel(expected, |index, expected| {
        let name = || format!("sequence {}", index + 1);
        let found = expected.input.found(model, &mut NoObserver).with_context(name)?;
        let found = if expected.outputs.len() == 1 { &found[found.len() - 1..] } else { &found[..] };
        ensure!(
            found.len() == expected.outputs.len(),
            "{} outputs, the image gives {}",
            expected.outputs.len(),
            found.len()
        );
        Ok(Sums::of(model.dims().options.outputs, None, &expected.outputs, found))
    })?;
    let mut all = Sums::default();
    done.iter().for_each(|sums| all.add(sums));
    Ok(all.report())
}
