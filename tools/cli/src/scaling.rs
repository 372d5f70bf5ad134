//! Scaling of features: what brings features in different units to the one int8 scale of a frame.
//!
//! ```text
//! recordings ──► mean and deviation of each feature ──┐
//! embedding: largest weight of each column, bias ─────┴─► offset, scale ──► image, and their inverse into the embedding
//! ```
//! The network is the same: `W x + b = (W / scale) ((x - offset) * scale) + (b + W offset)`. Scales are powers of two, so that
//! neither the features nor the weights are rounded.

use thumbformer::Tensor;
use thumbformer_checkpoint::{Checkpoint, Weights};

/// Offset and scale of each feature, and the embedding that undoes them.
#[derive(Clone, PartialEq, Debug)]
pub struct Scaling {
    /// Subtracted from each feature, `[n_features]`.
    pub offsets: Vec<f32>,
    /// Factor of each feature after that, `[n_features]`.
    pub scales: Vec<f32>,
    /// Embedding, `[d_model, n_features]`.
    pub matrix: Vec<f32>,
    /// Its bias, `[d_model]`; `None` where it has none and needs none.
    pub bias: Option<Vec<f32>>,
}

/// A spread of scales below this has no effect that could be measured: a frame of such features loses less than a bit.
const LEAST_SPREAD: f32 = 8.0;

/// An offset below this many deviations costs less than three bits, and is left out.
const LEAST_OFFSET: f64 = 8.0;

/// The scaling of a checkpoint's features: by recordings, `[seq, n_features]`, where there are any, else by its embedding; `None`
/// where one int8 scale is enough for all.
pub fn scaling(checkpoint: &Checkpoint, frames: Option<&[f32]>) -> Option<Scaling> {
    let n = checkpoint.config.n_features;
    let embedding = checkpoint.tensors.get(Tensor::Embedding, 0)?;
    let bias = checkpoint.tensors.get(Tensor::EmbeddingBias, 0);
    let units = match frames {
        Some(frames) => recorded(frames, n),
        None => from_embedding(embedding, bias, n),
    };
    // A feature that never changes, or that nothing looks at, takes the scale of the others.
    let known: Vec<f64> = units.iter().map(|unit| unit.deviation).filter(|deviation| *deviation > 0.0).collect();
    let (least, most) = known.iter().fold((f64::MAX, 0.0_f64), |(least, most), &d| (least.min(d), most.max(d)));
    let middle = (known.iter().map(|deviation| deviation.log2()).sum::<f64>() / known.len().max(1) as f64).exp2();
    let deviation = |unit: &Unit| if unit.deviation > 0.0 { unit.deviation } else { middle };
    let is_far = |unit: &Unit| unit.centre.abs() > LEAST_OFFSET * deviation(unit);
    let spreads = most > least * f64::from(LEAST_SPREAD);
    if known.is_empty() || !spreads && !units.iter().any(is_far) {
        return None;
    }
    let scale = |unit: &Unit| (middle / deviation(unit)).log2().round().clamp(-60.0, 60.0).exp2() as f32;
    let scales: Vec<f32> = if spreads { units.iter().map(scale).collect() } else { vec![1.0; n] };
    let offsets: Vec<f32> = units.iter().map(|unit| if is_far(unit) { unit.centre as f32 } else { 0.0 }).collect();
    let matrix = embedding.data.chunks_exact(n).flat_map(|row| row.iter().zip(&scales).map(|(w, scale)| w / scale));
    let shift = embedding.data.chunks_exact(n).map(|row| dot(row, &offsets));
    let moved = offsets.iter().any(|&offset| offset != 0.0);
    let bias = match bias {
        Some(bias) => Some(shift.zip(&bias.data).map(|(shift, &bias)| (f64::from(bias) + shift) as f32).collect()),
        None => moved.then(|| shift.map(|shift| shift as f32).collect()),
    };
    Some(Scaling { matrix: matrix.collect(), bias, offsets, scales })
}

fn dot(row: &[f32], values: &[f32]) -> f64 {
    row.iter().zip(values).map(|(&weight, &value)| f64::from(weight) * f64::from(value)).sum()
}

/// Centre and spread of a feature's values.
#[derive(Clone, Copy)]
struct Unit {
    centre: f64,
    deviation: f64,
}

/// Mean and standard deviation of each feature of these frames.
fn recorded(frames: &[f32], n: usize) -> Vec<Unit> {
    let count = (frames.len() / n.max(1)).max(1) as f64;
    let feature = |index: usize| frames.iter().skip(index).step_by(n).map(|&value| f64::from(value));
    let unit = |index| {
        let centre = feature(index).sum::<f64>() / count;
        let variance = feature(index).map(|value| (value - centre).powi(2)).sum::<f64>() / count;
        Unit { centre, deviation: variance.sqrt() }
    };
    (0..n).map(unit).collect()
}

/// Units of the features by a trained embedding: a column of small weights reads large values, as all sums are of one size; and a
/// bias that cancels an offset of its features, as a folded normalisation leaves it, has that offset as its solution.
fn from_embedding(embedding: &Weights, bias: Option<&Weights>, n: usize) -> Vec<Unit> {
    let column = |index: usize| embedding.data.iter().skip(index).step_by(n).map(|&weight| f64::from(weight));
    let norms: Vec<f64> = (0..n).map(|index| column(index).map(|weight| weight * weight).sum::<f64>().sqrt()).collect();
    let deviations: Vec<f64> = norms.iter().map(|&norm| if norm > 0.0 { 1.0 / norm } else { 0.0 }).collect();
    let centres = bias.map_or_else(|| vec![0.0; n], |bias| cancelled(embedding, &bias.data, &deviations));
    centres.into_iter().zip(deviations).map(|(centre, deviation)| Unit { centre, deviation }).collect()
}

/// The offset `o` with the least `|bias + W o|`, by conjugate gradients on the normal equations in units of the deviations, with a
/// penalty that keeps directions small that the bias says nothing of.
fn cancelled(embedding: &Weights, bias: &[f32], deviations: &[f64]) -> Vec<f64> {
    const PENALTY: f64 = 1e-3;
    let n = deviations.len();
    let rows: Vec<Vec<f64>> = embedding
        .data
        .chunks_exact(n)
        .map(|row| row.iter().zip(deviations).map(|(&weight, deviation)| f64::from(weight) * deviation).collect())
        .collect();
    let times =
        |x: &[f64]| -> Vec<f64> { rows.iter().map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect() };
    let transposed = |y: &[f64]| -> Vec<f64> {
        (0..n).map(|index| rows.iter().zip(y).map(|(row, y)| row[index] * y).sum()).collect()
    };
    let norm = |x: &[f64]| x.iter().map(|value| value * value).sum::<f64>();
    let target: Vec<f64> = bias.iter().map(|&bias| -f64::from(bias)).collect();
    let (mut x, mut residual) = (vec![0.0; n], transposed(&target));
    let (mut direction, start) = (residual.clone(), norm(&residual));
    for _ in 0..2 * n {
        let before = norm(&residual);
        if before <= 1e-20 * start {
            break;
        }
        let mapped = transposed(&times(&direction));
        let mapped: Vec<f64> = mapped.iter().zip(&direction).map(|(mapped, d)| mapped + PENALTY * d).collect();
        let step = before / direction.iter().zip(&mapped).map(|(a, b)| a * b).sum::<f64>();
        for index in 0..n {
            x[index] += step * direction[index];
            residual[index] -= step * mapped[index];
        }
        let ratio = norm(&residual) / before;
        direction.iter_mut().zip(&residual).for_each(|(d, r)| *d = r + ratio * *d);
    }
    x.iter().zip(deviations).map(|(x, deviation)| x * deviation).collect()
}
