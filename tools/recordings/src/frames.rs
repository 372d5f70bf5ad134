//! Frames of a model, from samples of sensors or of sound.
//!
//! ```text
//! rows of a table ─────────────────────────────┐
//! samples ──► front end of the image ──► rows ─┴─► frame_samples rows side by side, every frame_hop rows ──► [seq, n_features]
//! ```

use crate::Sound;
use anyhow::{Context, Result, ensure};
use thumbformer::Model;
use thumbformer::audio::{FrontEnd, HostBuffers};

/// Frames of rows, `[rows, n_columns]`: as many as the rows fill.
pub(crate) fn framed(rows: &[f32], model: &Model<'_>) -> Vec<f32> {
    let hop = model.n_columns().max(1) * model.frame_hop().max(1);
    (0..rows.len())
        .step_by(hop)
        .map_while(|first| rows.get(first..first + model.dims().n_features))
        .flatten()
        .copied()
        .collect()
}

/// Number of rows that the frames of so many rows take.
pub(crate) fn framed_rows(rows: usize, model: &Model<'_>) -> usize {
    let (samples, hop) = (model.dims().n_features / model.n_columns().max(1), model.frame_hop().max(1));
    rows.checked_sub(samples).map_or(0, |later| later / hop * hop + samples)
}

/// The frames of a front end, `[frames, bands]`; `None` for as many as the samples have.
///
/// # Errors
/// For less than one frame of samples, and for more frames than a clip of the front end has.
pub fn features(front_end: &FrontEnd<'_>, samples: &[i16], frames: Option<usize>) -> Result<Vec<f32>> {
    let frames = frames.unwrap_or_else(|| front_end.frames(samples.len()).max(1));
    let mut features = vec![0.0; frames * front_end.bands()];
    front_end.extractor(HostBuffers::new(front_end).memory())?.clip(samples, &mut features)?;
    Ok(features)
}

impl Sound {
    /// Samples for a model's front end.
    ///
    /// # Errors
    /// For a model without one, and for another rate.
    pub fn samples_for(self, model: &Model<'_>) -> Result<Vec<i16>> {
        let front_end = model.front_end().context(
            "the image has no audio front end: name it in the checkpoint's config.json (`front_end`), or by `convert --front-end`",
        )?;
        self.at(front_end.sample_rate())
    }
}

/// The front end's frames of a stream, `[frames, bands]`.
pub(crate) fn streamed(model: &Model<'_>, samples: &[i16]) -> Result<Vec<f32>> {
    let front_end = model.front_end().context("the image has no audio front end")?;
    let (mut rows, mut buffers) = (Vec::new(), HostBuffers::new(&front_end));
    front_end.extractor(buffers.memory())?.push(samples, |frame| rows.extend(frame))?;
    Ok(rows)
}

/// Frames of a model that hears, `[seq, n_features]`: of one that reads whole clips the sound is cut off or filled up to its length.
///
/// # Errors
/// For a model without a front end, for less than one frame of samples, and for a front end of clips in a model of streams.
pub fn heard(model: &Model<'_>, samples: &[i16]) -> Result<Vec<f32>> {
    let front_end = model.front_end().context("the image has no audio front end")?;
    let rows = match model.clip_frames() {
        Some(frames) => features(&front_end, samples, Some(frames))?,
        None => streamed(model, samples)?,
    };
    let frames = framed(&rows, model);
    let needed = model.dims().n_features / model.n_columns().max(1);
    ensure!(!frames.is_empty(), "too short for a frame of {needed} of the front end's: record for longer");
    Ok(frames)
}
