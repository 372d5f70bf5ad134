//! Classification of recordings and texts: `thumbformer classify`.
//!
//! ```text
//! recording ──► Reading ───► frames [seq, n_features] ──┐
//! text ───────► tokenizer ─► tokens [seq] ──────────────┴─► Session::infer ──► label, probability, CRC-32
//! ```

use crate::reading::Reading;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::fmt;
use std::path::Path;
use thumbformer::state::HostState;
use thumbformer::text::argmax;
use thumbformer::{Error, Input, Inputs, LogitsCrc, Mask, Model, Pooling, softmax};

/// A recording as input of a model.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Name of the file without its extension.
    pub name: String,
    /// The right output, if known.
    pub truth: Option<usize>,
    /// `[seq, n_features]`.
    pub frames: Vec<f32>,
    /// Sentence for the user, where not all of the recording is heard.
    pub note: Option<String>,
}

/// The prediction of a model for a recording.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Prediction {
    /// The recording.
    pub name: String,
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
pub fn classify(model: &Model<'_>, recording: &Recording) -> Result<Prediction, Error> {
    outputs(model, Inputs::Frames(&recording.frames)).map(|outputs| predicted(model, &recording.name, outputs))
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

/// The likeliest of outputs.
fn predicted(model: &Model<'_>, name: &str, mut outputs: Vec<f32>) -> Prediction {
    let (crc32, output) = (LogitsCrc::new().update(&outputs), usize::from(argmax(&outputs)));
    let logits = outputs.clone();
    softmax(&mut outputs);
    Prediction {
        name: name.into(),
        output,
        label: model.label(output).map_or_else(|| output.to_string(), String::from),
        probability: outputs[output],
        crc32,
        logits,
    }
}
