//! A model with inputs, and what the host computes of them: as Rust source.

use anyhow::{Context, Result};
use board_manifest::{Fit, Image, Signal, clip_samples, held, numbers, signals};
use std::fmt::Write;
use thumbformer::state::HostState;
use thumbformer::{LogitsCrc, Model};

/// A model with inputs.
pub struct TestModel {
    /// The model.
    pub image: Image,
    /// Context, batch and state that fit.
    pub fit: Fit,
    /// Names, signals, and CRC-32 of the outputs that this machine computes.
    pub inputs: Vec<(String, Signal, u32)>,
}

impl TestModel {
    /// A model with as many of its inputs as `bytes` hold, at least one and at most `most`.
    ///
    /// # Errors
    /// When an input cannot be read, or the engine refuses it.
    pub fn new(image: Image, fit: Fit, bytes: usize, most: usize) -> Result<TestModel> {
        let model = image.model()?;
        let mut inputs = Vec::new();
        let mut signals = signals(&image, &model)?;
        signals.truncate(most.min(held(&signals, bytes)));
        for (name, signal) in signals {
            let outputs = outputs(&model, &signal).with_context(|| format!("{}: {name}", image.file.display()))?;
            inputs.push((name, signal, LogitsCrc::new().update(&outputs)));
        }
        Ok(TestModel { image, fit, inputs })
    }

    /// The module of its model, and its entry of `MODELS`.
    ///
    /// # Errors
    /// As [`Image::model`].
    pub(crate) fn source(&self, place: &str) -> Result<(String, String)> {
        let (name, Fit { max_seq, batch, .. }) = (&self.image.name, self.fit);
        let model = self.image.model()?;
        let (numbers, clip_samples) = (numbers(&model), clip_samples(&model));
        let module = format!(
            "    thumbformer::model!({place}pub mod {name} = {:?}, max_seq = {max_seq}, batch = {batch});\n",
            self.image.file
        );
        let mut entry = format!(
            "    TestModel {{ name: {name:?}, model: models::{name}::MODEL, max_seq: {max_seq}, batch: {batch}, \
             numbers: {numbers}, clip_samples: {clip_samples}, inputs: &["
        );
        for (name, signal, crc32) in &self.inputs {
            let signal = match signal {
                Signal::Tokens(tokens) => format!("Tokens(&{tokens:?})"),
                Signal::Frames(frames) => format!("Frames(&{frames:?})"),
                Signal::Sound(samples) => format!("Sound(&{samples:?})"),
            };
            let _ =
                write!(entry, "\n        Input {{ name: {name:?}, signal: Signal::{signal}, crc32: {crc32:#010x} }},");
        }
        entry += "\n    ] },\n";
        Ok((module, entry))
    }
}

/// Outputs of an input on this machine.
pub(crate) fn outputs(model: &Model<'_>, signal: &Signal) -> Result<Vec<f32>> {
    let dims = model.dims();
    let mut state = HostState::new(dims, dims.max_seq);
    let mut session = model.session(state.memory());
    let outputs = match signal {
        Signal::Tokens(tokens) => session.prefill(tokens)?,
        Signal::Frames(frames) if dims.is_causal() => session.push(frames)?,
        Signal::Frames(frames) => session.infer(&frames[..])?,
        Signal::Sound(samples) => {
            let frames = thumbformer_recordings::heard(model, samples)?;
            if dims.is_causal() { session.push(&frames)? } else { session.infer(&frames[..])? }
        }
    };
    Ok(outputs.to_vec())
}
