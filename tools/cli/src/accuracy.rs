//! Accuracy of an image that reads frames: its outputs against the float checkpoint's, over recordings.
//!
//! ```text
//! recording ──► frames ──┬─► Session::infer, push        ──► outputs ──┐
//!                        └─► Reference::forward_frames   ──► outputs ──┴─► right answers of both, agreement, SQNR
//! ```
//! A model of whole sequences gives one answer per recording, a streaming model one after every frame.

use crate::classify::Recording;
use crate::verify::{Line, likeliest, same_shape};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use thumbformer::state::HostState;
use thumbformer::{Error, Mask, Model, Pooling};
use thumbformer_checkpoint::Checkpoint;
use thumbformer_reference::Reference;
use thumbformer_reference::metrics::Sqnr;

/// Accuracy bounds of an image.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    /// Maximum loss of accuracy, as a fraction of all answers.
    pub loss: f64,
    /// Minimum fraction of the answers that agree with the float model's.
    pub agreement: f64,
    /// Minimum signal-to-quantization-noise ratio of the outputs, in decibels.
    pub sqnr: f64,
}

impl Bounds {
    /// Bounds of an image with int8 matrices only.
    pub const INT8: Bounds = Bounds { loss: 0.005, agreement: 0.98, sqnr: 28.0 };
    /// Bounds of an image with int4 matrices.
    pub const INT4: Bounds = Bounds { loss: 0.03, agreement: 0.93, sqnr: 16.0 };

    /// The bounds for an image, by its quantization.
    pub const fn of(model: &Model<'_>) -> Bounds {
        if model.image().has_int4() { Bounds::INT4 } else { Bounds::INT8 }
    }
}

/// The result of a comparison.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Report {
    /// Number of recordings.
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
    /// Signal-to-quantization-noise ratio of the outputs, in decibels.
    pub sqnr: f64,
}

impl Report {
    /// Every metric with its bound. NaN is within no bound.
    pub fn lines(&self, bounds: &Bounds) -> Vec<Line> {
        let loss = self.float_accuracy - self.accuracy;
        let mut lines = vec![
            Line {
                name: "same answer",
                text: format!("{:.2} %, at least {:.2} %", 100.0 * self.agreement, 100.0 * bounds.agreement),
                ok: self.agreement >= bounds.agreement,
            },
            Line {
                name: "SQNR of the outputs",
                text: format!("{:.2} dB, at least {:.2} dB", self.sqnr, bounds.sqnr),
                ok: self.sqnr >= bounds.sqnr,
            },
        ];
        if self.labelled > 0 {
            let text = format!(
                "{:.2} %, float {:.2} %, at most {:.2} points less",
                100.0 * self.accuracy,
                100.0 * self.float_accuracy,
                100.0 * bounds.loss
            );
            lines.insert(0, Line { name: "accuracy", text, ok: loss <= bounds.loss });
        }
        lines
    }
}

/// Compares an image with its checkpoint; `progress` is called for every recording.
///
/// # Errors
/// When image and checkpoint are of different models, or the engine or the reference refuses a recording.
pub fn compare(
    model: &Model<'_>,
    checkpoint: &Checkpoint,
    recordings: &[Recording],
    progress: &dyn Fn(),
) -> Result<Report> {
    same_shape(model, checkpoint)?;
    ensure!(!recordings.is_empty(), "no recording: give at least one file");
    let mut every = checkpoint.clone();
    if model.dims().options.mask == Mask::Causal {
        // An answer after every frame.
        every.config.options.pooling = Pooling::None;
        every.config.max_seq = usize::MAX;
    }
    let reference = Reference::new(&every);
    let (mut outputs, mut labelled, mut float_right, mut right, mut agreed) = (0, 0, 0, 0, 0);
    let mut sqnr = Sqnr::default();
    for recording in recordings {
        let frames = recording.frames.chunks_exact(model.dims().n_features);
        let floats: Vec<Vec<f64>> = frames.map(|frame| frame.iter().map(|&x| x.into()).collect()).collect();
        let expected = reference.forward_frames(&floats, &mut |_, _| ()).with_context(|| recording.name.clone())?;
        let found = answers(model, &recording.frames).with_context(|| recording.name.clone())?;
        for (expected, found) in expected.iter().zip(&found) {
            let (float, int) = (likeliest(expected), likeliest(found));
            outputs += 1;
            agreed += usize::from(float == int);
            if let Some(truth) = recording.truth {
                labelled += 1;
                float_right += usize::from(float == truth);
                right += usize::from(int == truth);
            }
            sqnr.add(expected, found);
        }
        progress();
    }
    let part = |count: usize, of: usize| count as f64 / of as f64;
    Ok(Report {
        recordings: recordings.len(),
        outputs,
        labelled,
        float_accuracy: part(float_right, labelled),
        accuracy: part(right, labelled),
        agreement: part(agreed, outputs),
        sqnr: sqnr.decibels(),
    })
}

/// Answers of an image.
fn answers(model: &Model<'_>, frames: &[f32]) -> Result<Vec<Vec<f64>>, Error> {
    let (dims, double) = (model.dims(), |outputs: &[f32]| outputs.iter().map(|&output| output.into()).collect());
    let mut state = HostState::new(dims, dims.max_seq);
    let mut session = model.session(state.memory());
    let mut found: Vec<Vec<f64>> = Vec::new();
    if dims.options.mask == Mask::Causal {
        for frame in frames.chunks_exact(dims.n_features) {
            found.push(double(session.push(frame)?));
        }
    } else if dims.options.pooling == Pooling::None {
        session.infer_each(frames, None, |_, outputs| found.push(double(outputs)))?;
    } else {
        found.push(double(session.infer(frames)?));
    }
    Ok(found)
}
