//! The place where an image loses the signal: the computation of the image is repeated by the float reference, with the image's weights
//! and its roundings to int8, and one tensor or one rounding at a time is exchanged for float. The exchange that wins most names the
//! culprit. (The layer with the smallest ratio does not: noise adds up, so it is always the last.)
//!
//! ```text
//! image ──► its weights as floats ─┐
//! checkpoint ──► float weights ────┴─► one exchanged ─► Reference, operands rounded but for one ─► decibels against float
//! ```

use super::sequence::{Sequence, in_parallel};
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeSet;
use thumbformer::{Encoding, Mask, Model, Pooling, Tensor};
use thumbformer_checkpoint::{Checkpoint, Config, Weights};
use thumbformer_reference::Reference;
use thumbformer_reference::metrics::Sqnr;

/// Positions that are computed: one exchange after the other, each with the whole network.
const POSITIONS: usize = 48;
/// Gain in decibels of an exchange that is named.
const LEAST_GAIN: f64 = 1.0;

/// Place where the signal is lost.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Lost {
    /// Ratio of the outputs with the image's weights and roundings, in decibels.
    pub decibels: f64,
    /// Exchanges for float and the ratio with each alone; the best first, at most three.
    pub exchanges: Vec<Exchange>,
}

/// A tensor or a rounding that is exchanged for float.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Exchange {
    /// Name and layer.
    pub name: String,
    /// The ratio with this exchange, in decibels.
    pub decibels: f64,
}

/// A part that can be exchanged.
#[derive(Clone)]
enum Part {
    Nothing,
    Tensor(Tensor, usize),
    Operand(String),
}

impl Lost {
    /// Finds the culprit over the beginning of some sequences; the image and the checkpoint are of one model.
    ///
    /// # Errors
    /// When the reference refuses a sequence.
    pub fn of(model: &Model<'_>, checkpoint: &Checkpoint, sequences: &[&Sequence]) -> Result<Lost> {
        let (float, frames) = scaled(model, checkpoint);
        let image = of_image(model, &float);
        let sequences = sample(model, sequences, &frames);
        let reference = Reference::new(&float);
        let (mut expected, mut operands) = (Vec::new(), BTreeSet::new());
        for sequence in &sequences {
            expected.push(changed(sequence, &reference, &mut |point, _| {
                operands.insert(point.to_string());
            })?);
        }
        let tensors = float.tensors.iter().map(|(tensor, layer, _)| Part::Tensor(tensor, layer));
        let operands = operands.into_iter().filter(|point| !point.ends_with("attention.q")).map(Part::Operand);
        let parts: Vec<Part> = std::iter::once(Part::Nothing).chain(tensors).chain(operands).collect();
        let ratios = in_parallel(&parts, |_, part| {
            let mut exchanged = image.clone();
            if let Part::Tensor(tensor, layer) = part {
                exchanged.tensors.insert(*tensor, *layer, float.tensors[(*tensor, *layer)].clone());
            }
            let reference = Reference::new(&exchanged);
            let mut sqnr = Sqnr::default();
            for (sequence, expected) in sequences.iter().zip(&expected) {
                let mut round = |point: &str, values: &mut [f64]| {
                    if !matches!(part, Part::Operand(kept) if kept == point) {
                        rounded(point, values, &float.config, positions(sequence, model, &float));
                    }
                };
                let found = changed(sequence, &reference, &mut round)?;
                expected.iter().zip(&found).for_each(|(expected, found)| sqnr.add(expected, found));
            }
            Ok(sqnr.decibels())
        })?;
        let decibels = ratios.first().copied().unwrap_or(f64::NAN);
        let named = parts.iter().zip(&ratios).skip(1);
        let mut exchanges: Vec<Exchange> =
            named.map(|(part, &decibels)| Exchange { name: part.name(&float), decibels }).collect();
        exchanges.retain(|exchange| exchange.decibels >= decibels + LEAST_GAIN);
        exchanges.sort_by(|a, b| b.decibels.total_cmp(&a.decibels));
        exchanges.truncate(3);
        Ok(Lost { decibels, exchanges })
    }

    /// The finding as a sentence, beside the ratio that the engine has over the whole input.
    pub fn sentence(&self) -> String {
        let base =
            format!("over the beginning of the input the image's weights and roundings leave {:.1} dB", self.decibels);
        match &self.exchanges[..] {
            [] => format!(
                "{base}; no single tensor or rounding costs {LEAST_GAIN} dB of that: the loss is spread over all"
            ),
            [most, others @ ..] => {
                let others: Vec<String> =
                    others.iter().map(|other| format!("{}, {:.1} dB", other.name, other.decibels)).collect();
                let others = if others.is_empty() { String::new() } else { format!("; next {}", others.join("; ")) };
                format!("most is lost in {}: {base}, with it in float {:.1} dB{others}", most.name, most.decibels)
            }
        }
    }
}

impl Part {
    fn name(&self, checkpoint: &Checkpoint) -> String {
        match self {
            Part::Nothing => "nothing".into(),
            Part::Tensor(tensor, layer) => {
                let source = &checkpoint.tensors[(*tensor, *layer)].name;
                match tensor.part() {
                    thumbformer::Part::Layer => format!("{} of layer {layer} ({source})", tensor.name()),
                    _ => format!("{} ({source})", tensor.name()),
                }
            }
            Part::Operand(point) => format!("the rounding of activations to int8 at {point}"),
        }
    }
}

/// The checkpoint in the units of the image's features, and what brings frames to them: offset and scale of each feature.
fn scaled(model: &Model<'_>, checkpoint: &Checkpoint) -> (Checkpoint, Option<[Vec<f32>; 2]>) {
    let mut float = checkpoint.clone();
    // An answer at every position, as the engine gives them.
    if model.dims().options.mask == Mask::Causal {
        float.config.options.pooling = Pooling::None;
        float.config.max_seq = usize::MAX;
    }
    let n = model.dims().n_features;
    let mut rows = [vec![0.0; n], vec![0.0; n]];
    let [offsets, scales] = &mut rows;
    let image = model.image();
    let there = image.row(Tensor::FeatureScaling, 0, 0, offsets).and(image.row(Tensor::FeatureScaling, 0, 1, scales));
    if there.is_none() {
        return (float, None);
    }
    let embedding = &mut float.tensors[(Tensor::Embedding, 0)];
    let moved: Vec<f32> =
        embedding.data.chunks(n).map(|row| row.iter().zip(&*offsets).map(|(w, x)| w * x).sum()).collect();
    embedding.data.chunks_mut(n).for_each(|row| row.iter_mut().zip(&*scales).for_each(|(w, scale)| *w /= scale));
    let bias = float.tensors.get(Tensor::EmbeddingBias, 0).cloned();
    let mut bias =
        bias.unwrap_or(Weights { name: "bias".into(), shape: vec![moved.len()], data: vec![0.0; moved.len()] });
    bias.data.iter_mut().zip(moved).for_each(|(bias, moved)| *bias += moved);
    float.tensors.insert(Tensor::EmbeddingBias, 0, bias);
    (float, Some(rows))
}

/// The checkpoint with the image's weights.
fn of_image(model: &Model<'_>, float: &Checkpoint) -> Checkpoint {
    let mut image = float.clone();
    for (tensor, layer, weights) in float.tensors.iter() {
        if !matches!(tensor.encoding(), Encoding::Matrix | Encoding::Vector) {
            continue;
        }
        let width = if tensor.encoding() == Encoding::Vector {
            weights.data.len()
        } else {
            weights.shape[weights.shape.len() - 1]
        };
        let mut stored = weights.clone();
        for (row, out) in stored.data.chunks_mut(width.max(1)).enumerate() {
            // A table of positions may be longer in the checkpoint.
            if model.image().row(tensor, layer, row, out).is_none() {
                break;
            }
        }
        image.tensors.insert(tensor, layer, stored);
    }
    image
}

/// The beginning of sequences, as many as are computed in a short time; of a model that sees whole sequences all of one at least.
fn sample(model: &Model<'_>, sequences: &[&Sequence], scaling: &Option<[Vec<f32>; 2]>) -> Vec<Sequence> {
    let dims = model.dims();
    let causal = dims.options.mask == Mask::Causal;
    let (mut left, mut taken) = (POSITIONS, Vec::new());
    for sequence in sequences {
        let mut part = if causal { sequence.begin(left, dims.n_features) } else { (*sequence).clone() };
        let length = match &mut part {
            Sequence::Tokens(tokens) => tokens.len(),
            Sequence::Frames(frames) => {
                if let Some([offsets, scales]) = scaling {
                    for frame in frames.chunks_mut(dims.n_features.max(1)) {
                        let units = offsets.iter().zip(scales);
                        frame.iter_mut().zip(units).for_each(|(x, (offset, scale))| *x = (*x - offset) * scale);
                    }
                }
                frames.len() / dims.n_features.max(1)
            }
        };
        taken.push(part);
        left = left.saturating_sub(length);
        if left == 0 {
            break;
        }
    }
    taken
}

fn changed(
    sequence: &Sequence,
    reference: &Reference,
    change: &mut dyn FnMut(&str, &mut [f64]),
) -> Result<Vec<Vec<f64>>, thumbformer_reference::Error> {
    match sequence {
        Sequence::Tokens(tokens) => {
            let ids: Vec<u32> = tokens.iter().map(|&token| token.into()).collect();
            reference.forward_changed(&ids, change)
        }
        Sequence::Frames(frames) => {
            let wide = |frame: &[f32]| frame.iter().map(|&x| f64::from(x)).collect();
            let frames: Vec<Vec<f64>> = frames.chunks(reference.config().n_features.max(1)).map(wide).collect();
            reference.forward_frames_changed(&frames, change)
        }
    }
}

/// Positions of a sequence inside the network.
fn positions(sequence: &Sequence, model: &Model<'_>, checkpoint: &Checkpoint) -> usize {
    let length = match sequence {
        Sequence::Tokens(tokens) => tokens.len(),
        Sequence::Frames(frames) => frames.len() / model.dims().n_features.max(1),
    };
    length + checkpoint.config.n_class
}

/// Rounds operands to int8: each vector with one scale, keys and values head by head. Queries have 16 bits.
fn rounded(point: &str, values: &mut [f64], config: &Config, positions: usize) {
    if point.ends_with("attention.q") {
        return;
    }
    let is_cached = point.ends_with("attention.k") || point.ends_with("attention.v");
    let width = match (is_cached, point) {
        (true, _) => config.head_dim,
        (false, "embedding.input") => config.n_features,
        // One vector of the whole sequence.
        (false, point) if !point.starts_with("layers.") && config.options.pooling != Pooling::None => values.len(),
        _ => values.len() / positions,
    };
    for vector in values.chunks_mut(width.max(1)) {
        let largest = vector.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        if largest > 0.0 {
            let scale = largest / 127.0;
            vector.iter_mut().for_each(|value| *value = (*value / scale).round_ties_even() * scale);
        }
    }
}
