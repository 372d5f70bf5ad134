//! Classification of recordings and texts: `thumbformer classify`.
//!
//! ```text
//! recording ──► Reading ───► windows, frames [seq, n_features] ──┐
//! text ───────► tokenizer ─► tokens [seq] ───────────────────────┴─► Session::infer ──► Prediction: label, probability, CRC-32
//! predictions of a recording's windows ──► mean of the probabilities, or of the numbers ──► Answer
//! ```

use crate::reading::Reading;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::fmt;
use std::path::Path;
use thumbformer::state::HostState;
use thumbformer::text::argmax;
use thumbformer::{Error, Input, Inputs, LogitsCrc, Mask, Model, Outputs, Pooling, probabilities};
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
    /// The outputs' meaning: of the mean of the windows' probabilities, or of their numbers.
    #[serde(flatten)]
    pub said: Said,
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
    /// The outputs' meaning.
    #[serde(flatten)]
    pub said: Said,
    /// CRC-32 of the outputs.
    pub crc32: u32,
    /// The outputs as the network gives them, before a softmax or sigmoid.
    pub logits: Vec<f32>,
}

/// The meaning of outputs, by [`Outputs`].
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub enum Said {
    /// The likeliest class.
    Class {
        /// Its output.
        output: usize,
        /// Its label, or its number.
        label: String,
        /// Its probability.
        probability: f32,
    },
    /// The labels that are likelier than not.
    Labels {
        /// Each with its probability, in the order of the outputs.
        labels: Vec<(String, f32)>,
    },
    /// Numbers.
    Numbers {
        /// Each with its label, or its number.
        numbers: Vec<(String, f32)>,
    },
}

impl Said {
    /// The meaning of probabilities, or of numbers.
    fn of(model: &Model<'_>, outputs: &[f32]) -> Said {
        let named = |(output, &value): (usize, &f32)| (label(model, output), value);
        let all = outputs.iter().enumerate();
        match model.dims().options.outputs {
            Outputs::Numbers => Said::Numbers { numbers: all.map(named).collect() },
            Outputs::Labels => Said::Labels { labels: all.filter(|(_, value)| **value > 0.5).map(named).collect() },
            _ => {
                let output = usize::from(argmax(outputs));
                Said::Class { output, label: label(model, output), probability: outputs[output] }
            }
        }
    }

    /// The likeliest class' label.
    pub fn class(&self) -> Option<&str> {
        match self {
            Said::Class { label, .. } => Some(label),
            _ => None,
        }
    }

    /// True if this is the right answer, by its output; `None` where no single output can be.
    pub fn is(&self, model: &Model<'_>, truth: usize) -> Option<bool> {
        match self {
            Said::Class { output, .. } => Some(*output == truth),
            Said::Labels { labels } => Some(labels.iter().any(|(found, _)| *found == label(model, truth))),
            Said::Numbers { .. } => None,
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |all: Vec<String>| if all.is_empty() { "no label".into() } else { all.join(", ") };
        let likely = |(label, probability): &(String, f32)| format!("{label} ({:.1} %)", 100.0 * probability);
        match self {
            Said::Class { label, probability, .. } => write!(f, "{label} ({:.1} %)", 100.0 * probability),
            Said::Labels { labels } => write!(f, "{}", list(labels.iter().map(likely).collect())),
            Said::Numbers { numbers } => {
                write!(f, "{}", list(numbers.iter().map(|(label, value)| format!("{label} {value}")).collect()))
            }
        }
    }
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, crc32 {:08x}", self.name, self.said, self.crc32)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, mean of {} windows", self.name, self.said, self.windows.len())
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
        let mut outputs = prediction.logits.clone();
        probabilities(&mut outputs, model.dims().options.outputs);
        sums.iter_mut().zip(outputs).for_each(|(sum, output)| *sum += output);
        windows.push(Prediction { start: *start, ..prediction });
    }
    let means: Vec<f32> = sums.iter().map(|sum| sum / windows.len() as f32).collect();
    Ok(Answer { name: recording.name.clone(), said: Said::of(model, &means), windows })
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

/// The meaning of outputs.
fn predicted(model: &Model<'_>, name: &str, logits: Vec<f32>) -> Prediction {
    let (crc32, mut outputs) = (LogitsCrc::new().update(&logits), logits.clone());
    probabilities(&mut outputs, model.dims().options.outputs);
    Prediction { name: name.into(), start: None, said: Said::of(model, &outputs), crc32, logits }
}
