//! Classification of recordings and texts: `thumbformer classify`.
//!
//! ```text
//! recording ──► Reading ───► windows, frames [seq, n_features] ──┐
//! text ───────► tokenizer ─► tokens [seq] ───────────────────────┴─► Session::infer ──► Prediction: label, probability, CRC-32
//! predictions of a recording's windows ──► mean of the probabilities ──► Answer
//! ```

use crate::reading::Reading;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::fmt;
use std::path::Path;
use thumbformer::state::HostState;
use thumbformer::text::argmax;
use thumbformer::{Error, Input, Inputs, LogitsCrc, Mask, Model, Pooling, softmax};
use thumbformer_recordings::Start;

/// A recording as inputs of a model.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Name of the file without its extension.
    pub name: String,
    /// The right output, if known.
    pub truth: Option<usize>,
    /// One, or several of one that is longer than the model's clip.
    pub windows: Vec<Window>,
    /// Sentence for the user, where the recording's end is left out.
    pub note: Option<String>,
}

/// A window of a recording, or all of it.
#[derive(Clone, Debug)]
pub struct Window {
    /// The recording's name, with the window's start where there are several.
    pub name: String,
    /// Its start where there are several.
    pub start: Option<Start>,
    /// `[seq, n_features]`.
    pub frames: Vec<f32>,
}

/// The prediction of a model for a recording: that of its window, or the mean of its windows' probabilities.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Answer {
    /// The recording.
    pub name: String,
    /// The likeliest output.
    pub output: usize,
    /// Label of that output, or its number.
    pub label: String,
    /// Probability of that output.
    pub probability: f32,
    /// Predictions of the windows, in order.
    pub windows: Vec<Prediction>,
}

/// The prediction of a model for an input.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Prediction {
    /// The text, the recording or its window.
    pub name: String,
    /// Start of a window, where a recording has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// The likeliest output.
    pub output: usize,
    /// Label of that output, or its number.
    pub label: String,
    /// Probability of that output.
    pub probability: f32,
    /// CRC-32 of the outputs.
    pub crc32: u32,
    /// The outputs as the network gives them, before the softmax.
    pub logits: Vec<f32>,
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({:.1} %), crc32 {:08x}", self.name, self.label, 100.0 * self.probability, self.crc32)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer { name, label, probability, windows, .. } = self;
        write!(f, "{name}: {label} ({:.1} %), mean of {} windows", 100.0 * probability, windows.len())
    }
}

/// Reads a recording for a model, as it is.
///
/// # Errors
/// As [`Reading::read`].
pub fn read(model: &Model<'_>, file: &Path) -> Result<Recording> {
    Reading::default().read(model, file)
}

/// Classifies a recording; without a pooling, the outputs of the last frame count.
///
/// # Errors
/// Those of the engine, for example for a recording that is too long.
pub fn classify(model: &Model<'_>, recording: &Recording) -> Result<Answer, Error> {
    let (mut windows, mut sums) = (Vec::new(), vec![0.0; model.dims().n_outputs]);
    for Window { name, start, frames } in &recording.windows {
        let prediction = predicted(model, name, outputs(model, Inputs::Frames(frames))?);
        let mut probabilities = prediction.logits.clone();
        softmax(&mut probabilities);
        sums.iter_mut().zip(probabilities).for_each(|(sum, probability)| *sum += probability);
        windows.push(Prediction { start: *start, ..prediction });
    }
    let output = usize::from(argmax(&sums));
    let (name, label) = (recording.name.clone(), label(model, output));
    Ok(Answer { name, output, label, probability: sums[output] / windows.len() as f32, windows })
}

/// Classifies a text with a model of tokens.
///
/// # Errors
/// For a language model, and a model without a tokenizer; those of the engine, for example for a text that is too long.
pub fn classify_text(model: &Model<'_>, text: &str) -> Result<Prediction> {
    let dims = model.dims();
    ensure!(
        dims.options.input == Input::Tokens,
        "the image reads {:?}, not text: give it recordings",
        dims.options.input
    );
    ensure!(
        dims.options.pooling != Pooling::None,
        "the model has outputs for every token and none for a text: use `run` for a language model"
    );
    let tokens = crate::text::tokenizer(model)?.encode_long(text)?;
    let outputs = outputs(model, Inputs::Tokens(&tokens)).with_context(|| format!("{} tokens", tokens.len()))?;
    Ok(predicted(model, text, outputs))
}

/// Outputs of an input; without a pooling those of its last position.
fn outputs(model: &Model<'_>, inputs: Inputs<'_>) -> Result<Vec<f32>, Error> {
    let options = &model.dims().options;
    let mut state = HostState::new(model.dims(), model.dims().max_seq);
    let mut session = model.session(state.memory());
    if options.pooling == Pooling::None && options.mask == Mask::Bidirectional {
        let mut outputs = Vec::new();
        session.infer_each(inputs, None, |_, found| outputs = found.to_vec())?;
        return Ok(outputs);
    }
    Ok(session.infer(inputs)?.to_vec())
}

/// The label of an output, or its number.
fn label(model: &Model<'_>, output: usize) -> String {
    model.label(output).map_or_else(|| output.to_string(), String::from)
}

/// The likeliest of outputs.
fn predicted(model: &Model<'_>, name: &str, mut outputs: Vec<f32>) -> Prediction {
    let (crc32, output) = (LogitsCrc::new().update(&outputs), usize::from(argmax(&outputs)));
    let logits = outputs.clone();
    softmax(&mut outputs);
    Prediction {
        name: name.into(),
        start: None,
        output,
        label: label(model, output),
        probability: outputs[output],
        crc32,
        logits,
    }
}
