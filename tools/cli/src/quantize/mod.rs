//! Quantization to int4. Decoders are trained for it as a whole: [`distill`]. Matrices of other models are quantized one after the
//! other, with calibration text: the weights that are not rounded yet compensate every rounding error (GPTQ: Frantar et al. 2022;
//! Optimal Brain Surgeon: Hassibi & Stork 1993).
//!
//! ```text
//! documents ─┬─► float model ─────────────────────────────────► inputs x, streams s ──┐
//!            └─► the same, earlier matrices already quantized ─► inputs x', streams s' ──┴─► H = sum(x' x'^T), losses
//! weights ──► weights that compensate the losses ──► integers, column after column, errors passed on ──► single steps
//!         ──► scales of groups by least squares ──► again, from several first scales; the best result is kept
//! ```
//! Compensating the losses of earlier layers halves the divergence on the default model: its matrices are small, and each
//! contributes to the error of all later ones.

pub mod distill;
mod matrix;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail, ensure};
pub use matrix::Hessian;
use std::collections::BTreeMap;
use thumbformer::Tensor;
use thumbformer::image::{Int4, MAX_INT4_COLUMNS};
use thumbformer_checkpoint::{Checkpoint, NormPlace, Weights};
use thumbformer_reference::Reference;

/// The int4 matrices of a checkpoint's layers.
#[derive(Debug, Default)]
pub struct Quantized {
    matrices: BTreeMap<(usize, Tensor), Int4>,
}

impl Quantized {
    /// The matrix of a layer; `None` where it becomes int8.
    pub fn get(&self, layer: usize, tensor: Tensor) -> Option<&Int4> {
        self.matrices.get(&(layer, tensor))
    }
}

/// Inputs of the matrices of a layer: the reference's point, and the matrices that read it.
const STAGES: [(&str, &[Tensor]); 4] = [
    ("attention", &[Tensor::Query, Tensor::Key, Tensor::Value]),
    ("attention.gathered", &[Tensor::AttentionOutput]),
    ("mlp", &[Tensor::Gate, Tensor::Up]),
    ("mlp.hidden", &[Tensor::Down]),
];

/// Rounds the matrices of all layers, each weight to the nearest integer.
///
/// # Errors
/// For weights that are not finite, by name.
pub fn rounded(checkpoint: &Checkpoint) -> Result<Quantized> {
    let mut quantized = Quantized::default();
    let mut tensors = checkpoint.tensors.clone();
    for index in 0..checkpoint.config.n_layers {
        for tensor in STAGES.iter().flat_map(|(_, tensors)| *tensors) {
            let Some(float) = tensors.get_mut(*tensor, index) else { continue };
            quantize(&mut quantized, index, *tensor, float, None)?;
        }
    }
    Ok(quantized)
}

/// Rounds the matrices of all layers so that their outputs for the documents change least.
///
/// `progress` is called with the number of finished layers.
///
/// # Shapes
/// `documents`: sequences of tokens, each cut at the context.
///
/// # Errors
/// For an empty calibration and for weights that are not finite, by name.
pub fn calibrated(
    checkpoint: &Checkpoint,
    documents: &[Vec<u16>],
    progress: &mut dyn FnMut(usize),
) -> Result<Quantized> {
    let tokens: usize = documents.iter().map(Vec::len).sum();
    ensure!(tokens >= LEAST_TOKENS, "the calibration text has {tokens} tokens; give at least {LEAST_TOKENS}");
    let mut quantized = Quantized::default();
    // Its matrices are replaced by the image's, one after the other.
    let mut so_far = checkpoint.clone();
    for index in 0..checkpoint.config.n_layers {
        for (stage, tensors) in STAGES {
            let statistics = observe(checkpoint, &so_far, documents, index, stage)?;
            let on_stream = matches!(stage, "attention.gathered" | "mlp.hidden");
            for &tensor in tensors {
                let Some(float) = so_far.tensors.get_mut(tensor, index) else { continue };
                if let Some(weights) = statistics.compensated(&float.data, on_stream) {
                    float.data = weights;
                }
                quantize(&mut quantized, index, tensor, float, Some(&statistics.hessian))?;
            }
        }
        progress(index + 1);
    }
    Ok(quantized)
}

/// Minimum number of tokens; fewer give no useful statistics of a matrix.
const LEAST_TOKENS: usize = 256;

/// Rounds one matrix, stores it, and replaces the float matrix by its values. A matrix that is too wide for int4 stays int8.
fn quantize(
    quantized: &mut Quantized,
    layer: usize,
    tensor: Tensor,
    float: &mut Weights,
    hessian: Option<&Hessian>,
) -> Result<()> {
    let &[rows, cols] = &float.shape[..] else { return Ok(()) };
    if cols > MAX_INT4_COLUMNS {
        return Ok(());
    }
    let finite = float.data.iter().position(|weight| !weight.is_finite());
    ensure!(finite.is_none(), "{}: weight {} is not finite; check the training run", float.name, finite.unwrap_or(0));
    let identity;
    let hessian = match hessian {
        Some(hessian) => hessian,
        None => {
            identity = Hessian::identity(cols);
            &identity
        }
    };
    let int4 = matrix::quantize(rows, cols, &float.data, hessian).with_context(|| float.name.clone())?;
    for (index, weight) in float.data.iter_mut().enumerate() {
        let (row, col) = (index / cols, index % cols);
        let group_scale = int4.group_scales[row * Int4::groups(cols) + Int4::group(cols, col)];
        *weight = f32::from(i16::from(int4.integers[index]) * i16::from(group_scale)) * int4.scale;
    }
    quantized.matrices.insert((layer, tensor), int4);
    Ok(())
}

/// Statistics of the inputs of a stage: those of the float model, and those that the layers quantized so far give.
pub struct Statistics {
    /// `sum(x' x'^T)` over the inputs `x'` of the quantized model.
    hessian: Hessian,
    /// `sum((x - x') x'^T)`: losses of the inputs, `[cols, cols]`.
    lost: Outer,
    /// `sum((s - s') x'^T)`: losses of the stream that the stage's output is added to, `[d_model, cols]`.
    stream_lost: Outer,
}

/// `sum(a b^T)`.
#[derive(Clone)]
pub(crate) struct Outer {
    cols: usize,
    /// `[rows, cols]`.
    data: Vec<f64>,
}

impl Outer {
    fn zeros(rows: usize, cols: usize) -> Outer {
        Outer { cols, data: vec![0.0; rows * cols] }
    }

    fn add(&mut self, a: impl Iterator<Item = f64>, b: &[f64]) {
        for (row, a) in self.data.chunks_exact_mut(self.cols.max(1)).zip(a) {
            row.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
        }
    }

    fn merge(&mut self, other: &Outer) {
        self.data.iter_mut().zip(&other.data).for_each(|(sum, other)| *sum += other);
    }

    fn row(&self, row: usize) -> &[f64] {
        self.data.get(row * self.cols..(row + 1) * self.cols).unwrap_or(&[])
    }
}

impl Statistics {
    fn zeros(d_model: usize, width: usize) -> Statistics {
        Statistics {
            hessian: Hessian::zeros(width),
            lost: Outer::zeros(width, width),
            stream_lost: Outer::zeros(d_model, width),
        }
    }

    fn merge(&mut self, other: &Statistics) {
        self.hessian.merge(&other.hessian);
        self.lost.merge(&other.lost);
        self.stream_lost.merge(&other.stream_lost);
    }

    /// The weights whose outputs for the quantized model's inputs are nearest to the float model's outputs: they compensate the
    /// losses of the layers before. With `on_stream`, those of the stream as well.
    ///
    /// # Shapes
    /// `weights: [rows, cols]`.
    fn compensated(&self, weights: &[f32], on_stream: bool) -> Option<Vec<f32>> {
        let cols = self.lost.cols;
        let solver = self.hessian.solver()?;
        let rows = weights.chunks_exact(cols.max(1)).enumerate().map(|(index, row)| {
            let mut right: Vec<f64> = if on_stream { self.stream_lost.row(index).to_vec() } else { vec![0.0; cols] };
            for (&weight, lost) in row.iter().zip(self.lost.data.chunks_exact(cols.max(1))) {
                right.iter_mut().zip(lost).for_each(|(sum, lost)| *sum += f64::from(weight) * lost);
            }
            let change = solver.solve(right);
            row.iter().zip(change).map(|(&weight, change)| (f64::from(weight) + change) as f32).collect::<Vec<f32>>()
        });
        Some(rows.collect::<Vec<_>>().concat())
    }
}

/// Input of a stage of a layer, and the stream that its branch is added to, by the reference's names.
struct Points {
    input: String,
    /// Their sum is the stream.
    stream: Vec<String>,
}

impl Points {
    fn of(checkpoint: &Checkpoint, layer: usize, stage: &str) -> Points {
        let pre = checkpoint.config.options.norm_place == NormPlace::Pre;
        let here = |point: &str| format!("layers.{layer}.{point}");
        // With norms after the branches, a branch reads the stream after the part before it.
        let before = match layer {
            0 if checkpoint.tensors.has(Tensor::EmbeddingNorm) => "embedding_norm".to_string(),
            0 => "embedding".into(),
            _ => format!("layers.{}.output", layer - 1),
        };
        let input = match (stage, pre) {
            ("attention", true) => here("attention_norm"),
            ("attention", false) => before.clone(),
            ("mlp", true) => here("mlp_norm"),
            ("mlp", false) => here("attention_norm"),
            _ => here(stage),
        };
        let stream = match (stage, pre) {
            ("attention.gathered", _) => vec![before],
            ("mlp.hidden", true) => vec![before, here("attention.output")],
            ("mlp.hidden", false) => vec![here("attention_norm")],
            _ => Vec::new(),
        };
        Points { input, stream }
    }

    /// Inputs and streams of a document, `[seq, …]`.
    fn observe(&self, reference: &Reference, tokens: &[u32]) -> Result<(Vec<f64>, Vec<f64>)> {
        let (mut input, mut stream) = (Vec::new(), Vec::<f64>::new());
        reference.forward(tokens, &mut |name, values| {
            if name == self.input {
                input = values.to_vec();
            }
            if self.stream.iter().any(|point| point == name) {
                stream.resize(values.len(), 0.0);
                stream.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
        })?;
        Ok((input, stream))
    }
}

/// Statistics of a stage of a layer over all documents.
fn observe(
    float: &Checkpoint,
    so_far: &Checkpoint,
    documents: &[Vec<u16>],
    layer: usize,
    stage: &str,
) -> Result<Statistics> {
    // Later layers have no influence.
    let cut = |checkpoint: &Checkpoint| {
        let mut cut = checkpoint.clone();
        cut.tensors.truncate(layer + 1);
        cut.config.n_layers = layer + 1;
        Reference::new(&cut)
    };
    let (float_reference, reference) = (cut(float), cut(so_far));
    let points = Points::of(float, layer, stage);
    let config = &float.config;
    let width = match stage {
        "attention.gathered" => config.q_width(),
        "mlp.hidden" => float.tensors[(Tensor::Up, layer)].shape[0],
        _ => config.d_model,
    };
    // Documents are assigned to threads by their number and added up in order: the same sum in every run.
    let work = |part: usize| -> Result<Statistics> {
        let mut sum = Statistics::zeros(config.d_model, width);
        for document in documents.iter().skip(part).step_by(PARTS) {
            let tokens: Vec<u32> = document.iter().map(|&token| token.into()).collect();
            let (wanted, wanted_stream) = points.observe(&float_reference, &tokens)?;
            let (found, found_stream) = points.observe(&reference, &tokens)?;
            let streams = wanted_stream.chunks_exact(config.d_model).zip(found_stream.chunks_exact(config.d_model));
            let mut streams = streams.map(|(wanted, found)| wanted.iter().zip(found).map(|(a, b)| a - b));
            for (wanted, found) in wanted.chunks_exact(width).zip(found.chunks_exact(width)) {
                sum.hessian.add(found);
                sum.lost.add(wanted.iter().zip(found).map(|(a, b)| a - b), found);
                if let Some(lost) = streams.next() {
                    sum.stream_lost.add(lost, found);
                }
            }
        }
        Ok(sum)
    };
    let parts = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..PARTS).map(|part| scope.spawn(move || work(part))).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Result<Statistics>>| {
            worker.join().unwrap_or_else(|_| bail!("a worker panicked"))
        };
        workers.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let mut all = Statistics::zeros(config.d_model, width);
    parts.iter().for_each(|part| all.merge(part));
    Ok(all)
}

/// Number of threads; a constant, as the order of the sums depends on it.
const PARTS: usize = 4;
