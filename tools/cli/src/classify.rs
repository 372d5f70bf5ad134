//! Classification of recordings with an image that reads frames: `thumbformer classify`.
//!
//! ```text
//! .wav ──► front end of the image ──┐
//! .csv ──► columns of the image ────┴─► frames [seq, n_features] ──► Session::infer ──► label, probability, CRC-32
//! ```

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::fmt;
use std::path::Path;
use thumbformer::state::HostState;
use thumbformer::text::argmax;
use thumbformer::{Error, Input, LogitsCrc, Mask, Model, Pooling, softmax};
use thumbformer_recordings::Recording::{Sound, Table};
use thumbformer_recordings::heard;

/// A recording as input of a model.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Name of the file without its extension.
    pub name: String,
    /// The right output, if known: the name up to the first `_` is a label of the image or the number of an output.
    pub truth: Option<usize>,
    /// `[seq, n_features]`.
    pub frames: Vec<f32>,
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

/// Reads a recording for a model.
///
/// # Errors
/// When the model reads no frames, or the file cannot be turned into its frames.
pub fn read(model: &Model<'_>, file: &Path) -> Result<Recording> {
    read_columns(model, file, &[])
}

/// The same with some of a table's columns, by name or number.
///
/// # Errors
/// As [`read`].
pub fn read_columns(model: &Model<'_>, file: &Path, columns: &[String]) -> Result<Recording> {
    let dims = model.dims();
    ensure!(
        dims.options.input == Input::Frames,
        "the image reads {:?}, not frames: use `run` for a language model",
        dims.options.input
    );
    let frames = match thumbformer_recordings::Recording::read_columns(file, columns)? {
        Sound(sound) => sound.samples_for(model).and_then(|samples| heard(model, &samples)),
        Table(table) => table.frames(model),
    };
    let frames = frames.with_context(|| format!("{}", file.display()))?;
    let name = thumbformer_recordings::name(file);
    let truth = truth(model, name.split('_').next().unwrap_or(""));
    Ok(Recording { name, truth, frames })
}

fn truth(model: &Model<'_>, name: &str) -> Option<usize> {
    let outputs = 0..model.dims().n_outputs;
    let number = name.parse().ok().filter(|number| outputs.contains(number));
    outputs.clone().find(|&output| model.label(output) == Some(name)).or(number)
}

/// Classifies a recording; without a pooling, the outputs of the last frame count.
///
/// # Errors
/// Those of the engine, for example for a recording that is too long.
pub fn classify(model: &Model<'_>, recording: &Recording) -> Result<Prediction, Error> {
    let mut state = HostState::new(model.dims(), model.dims().max_seq);
    let mut session = model.session(state.memory());
    let mut outputs = Vec::new();
    if model.dims().options.pooling == Pooling::None && model.dims().options.mask == Mask::Bidirectional {
        session.infer_each(&recording.frames[..], None, |_, found| outputs = found.to_vec())?;
    } else {
        outputs = session.infer(&recording.frames[..])?.to_vec();
    }
    let (crc32, output) = (LogitsCrc::new().update(&outputs), usize::from(argmax(&outputs)));
    let logits = outputs.clone();
    softmax(&mut outputs);
    Ok(Prediction {
        name: recording.name.clone(),
        output,
        label: model.label(output).map_or_else(|| output.to_string(), String::from),
        probability: outputs[output],
        crc32,
        logits,
    })
}
