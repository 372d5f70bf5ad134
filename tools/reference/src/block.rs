//! One transformer block: attention is the reduce, the MLP is the map.

use alloc::vec;
use alloc::vec::Vec;

use thumbformer_checkpoint::{Activation, Config, Mask, Norm, NormPlace, Positions, Tensor, Tensors};

use crate::exp::exp;
use crate::matrix::{LANES, Linear, Matrix, Panels, dot, pair, products, put, softmax, vector};
use crate::{Probe, Seen};

/// A norm's weights.
pub(crate) struct NormWeights {
    weight: Vec<f64>,
    bias: Option<Vec<f64>>,
}

pub(crate) struct Block {
    attention_norm: NormWeights,
    query: Linear,
    /// Of each head's query, before rotation.
    query_norm: Option<NormWeights>,
    key: Linear,
    key_norm: Option<NormWeights>,
    value: Linear,
    output: Linear,
    mlp_norm: NormWeights,
    gate: Option<Linear>,
    up: Linear,
    down: Linear,
}

impl NormWeights {
    /// A norm of a layer, with its bias if it has one; `None` where there is no norm.
    pub(crate) fn of(tensors: &Tensors, gain: Tensor, layer: usize) -> Option<Self> {
        let bias = gain.bias().and_then(|bias| tensors.get(bias, layer));
        Some(Self { weight: vector(tensors.get(gain, layer)?), bias: bias.map(vector) })
    }

    /// Norms every row by the formula of [`Norm`].
    pub(crate) fn apply(&self, config: &Config, x: &Matrix) -> Matrix {
        let mut out = Matrix::rows(x.data.chunks(x.width).map(|row| {
            let width = row.len() as f64;
            let mean = if config.options.norm == Norm::Layer { row.iter().sum::<f64>() / width } else { 0.0 };
            let centred: Vec<f64> = row.iter().map(|x| x - mean).collect();
            let scale = 1.0 / libm::sqrt(dot(&centred, &centred) / width + f64::from(config.norm_eps));
            centred.iter().zip(&self.weight).map(|(x, weight)| x * scale * weight).collect()
        }));
        if let Some(bias) = &self.bias {
            out.add_to_every_row(bias);
        }
        out
    }

    /// Every head of every row by itself: `x / sqrt(mean(x^2) + eps) * weight` over `head_dim` (Henry et al. 2020,
    /// "Query-Key Normalization for Transformers", with RMSNorm in place of the L2 norm).
    fn apply_to_heads(&self, config: &Config, x: &mut Matrix) {
        for head in x.data.chunks_mut(config.head_dim) {
            let scale = 1.0 / libm::sqrt(dot(head, head) / head.len() as f64 + f64::from(config.norm_eps));
            head.iter_mut().zip(&self.weight).for_each(|(x, weight)| *x *= scale * weight);
        }
    }
}

impl Block {
    /// The block of a layer; `None` where a tensor that every block has is missing.
    pub(crate) fn of(tensors: &Tensors, layer: usize) -> Option<Self> {
        Some(Self {
            attention_norm: NormWeights::of(tensors, Tensor::AttentionNorm, layer)?,
            query: Linear::of(tensors, Tensor::Query, layer)?,
            query_norm: NormWeights::of(tensors, Tensor::QueryNorm, layer),
            key: Linear::of(tensors, Tensor::Key, layer)?,
            key_norm: NormWeights::of(tensors, Tensor::KeyNorm, layer),
            value: Linear::of(tensors, Tensor::Value, layer)?,
            output: Linear::of(tensors, Tensor::AttentionOutput, layer)?,
            mlp_norm: NormWeights::of(tensors, Tensor::MlpNorm, layer)?,
            gate: Linear::of(tensors, Tensor::Gate, layer),
            up: Linear::of(tensors, Tensor::Up, layer)?,
            down: Linear::of(tensors, Tensor::Down, layer)?,
        })
    }

    /// The stream after the block.
    pub(crate) fn forward(&self, config: &Config, x: &mut Matrix, visible: &[bool], probe: &mut Probe<'_>) {
        let norm = |weights: &NormWeights, x: &Matrix, point: &str, probe: &mut Probe<'_>| {
            let out = weights.apply(config, x);
            probe(point, Seen::Value(&out.data));
            out
        };
        if config.options.norm_place == NormPlace::Post {
            x.add(&self.attention(config, x.clone(), visible, probe));
            *x = norm(&self.attention_norm, x, "attention_norm", probe);
            x.add(&self.mlp(config, x.clone(), probe));
            *x = norm(&self.mlp_norm, x, "mlp_norm", probe);
        } else {
            let branch = norm(&self.attention_norm, x, "attention_norm", probe);
            x.add(&self.attention(config, branch, visible, probe));
            let branch = norm(&self.mlp_norm, x, "mlp_norm", probe);
            x.add(&self.mlp(config, branch, probe));
        }
        probe("output", Seen::Value(&x.data));
    }

    /// The reduce: every position becomes an average of the values that it sees.
    fn attention(&self, config: &Config, mut x: Matrix, visible: &[bool], probe: &mut Probe<'_>) -> Matrix {
        probe("attention.input", Seen::Operand(&mut x.data));
        let (mut q, mut k, mut v) = (self.query.apply(&x), self.key.apply(&x), self.value.apply(&x));
        for (heads, norm) in [(&mut q, &self.query_norm), (&mut k, &self.key_norm)] {
            if let Some(norm) = norm {
                norm.apply_to_heads(config, heads);
            }
        }
        if config.options.positions == Positions::Rotary {
            rotate(&mut q, config.head_dim, config.rope_theta);
            rotate(&mut k, config.head_dim, config.rope_theta);
        }
        for (point, values) in [("attention.q", &mut q), ("attention.k", &mut k), ("attention.v", &mut v)] {
            probe(point, Seen::Value(&values.data));
            probe(point, Seen::Operand(&mut values.data));
        }

        let (scores, mut heads) = attend(config, [&q, &k, &v], visible);
        probe("attention.scores", Seen::Value(&scores));
        probe("attention.gathered", Seen::Value(&heads.data));
        probe("attention.gathered", Seen::Operand(&mut heads.data));
        let out = self.output.apply(&heads);
        probe("attention.output", Seen::Value(&out.data));
        out
    }

    /// The map: `down(activation(gate(x)) * up(x))`, or `down(activation(up(x)))`, every position alone.
    fn mlp(&self, config: &Config, mut x: Matrix, probe: &mut Probe<'_>) -> Matrix {
        probe("mlp.input", Seen::Operand(&mut x.data));
        let gate = self.gate.as_ref().map(|gate| gate.apply(&x));
        let up = self.up.apply(&x);
        let (mut hidden, up) = match gate {
            None => (up, None),
            Some(gate) => (gate, Some(up)),
        };
        activate(config.options.activation, &mut hidden.data);
        if let Some(up) = up {
            hidden.data.iter_mut().zip(&up.data).for_each(|(hidden, up)| *hidden *= up);
        }
        probe("mlp.hidden", Seen::Value(&hidden.data));
        probe("mlp.hidden", Seen::Operand(&mut hidden.data));
        let out = self.down.apply(&hidden);
        probe("mlp.output", Seen::Value(&out.data));
        out
    }
}

/// `softmax(q k^T * scale)` over the positions that each one sees, `[n_heads, seq, seq]`; and those averages of `v`,
/// `[seq, n_heads * head_dim]`.
fn attend(config: &Config, [q, k, v]: [&Matrix; 3], visible: &[bool]) -> (Vec<f64>, Matrix) {
    let (seq, dim) = (q.len(), config.head_dim);
    // Positions that are not seen keep probability 0.
    let mut scores = vec![0.0; config.n_heads * seq * seq];
    let mut gathered = Matrix { width: q.width, data: vec![0.0; q.data.len()] };
    for (head, scores) in scores.chunks_mut(seq * seq).enumerate() {
        let (columns, kv_columns) = (head * dim..(head + 1) * dim, kv_columns(config, head));
        let keys = Panels::new(seq, dim, |position, i| k.row(position)[kv_columns.start + i]);
        let values = Panels::new(dim, seq, |i, position| v.row(position)[kv_columns.start + i]);
        for (index, scores) in scores.chunks_mut(2 * seq).enumerate() {
            let positions = 2 * index..2 * index + scores.len() / seq;
            let last = positions.end - 1;
            let queries = [positions.start, last].map(|position| &q.row(position)[columns.clone()]);
            let seen = seen(config, positions.start, seq).start..seen(config, last, seq).end;
            for panel in seen.start / LANES..seen.end.div_ceil(LANES) {
                for (scores, sums) in scores.chunks_mut(seq).zip(&products(queries, keys.panel(panel))) {
                    put(sums, &mut scores[panel * LANES..]);
                }
            }
            let rows = scores.chunks_mut(seq).zip(positions.clone());
            rows.for_each(|(scores, position)| weigh(config, position, scores, visible));
            let weights = pair(scores, seq).map(|weights| &weights[seen.clone()]);
            for start in (0..dim).step_by(LANES) {
                let sums = products(weights, &values.panel(start / LANES)[seen.clone()]);
                for (position, sums) in positions.clone().zip(&sums) {
                    put(sums, &mut gathered.row_mut(position)[columns.clone()][start..]);
                }
            }
        }
    }
    (scores, gathered)
}

/// Makes one position's products probabilities; those that it does not see, 0.
fn weigh(config: &Config, position: usize, scores: &mut [f64], visible: &[bool]) {
    let seen = seen(config, position, scores.len());
    scores[..seen.start].fill(0.0);
    scores[seen.end..].fill(0.0);
    let scores = &mut scores[seen.clone()];
    scores.iter_mut().for_each(|score| *score *= config.attention_scale);
    let hidden = scores.iter_mut().zip(&visible[seen]).filter(|(_, visible)| !**visible);
    hidden.for_each(|(score, _)| *score = f64::NEG_INFINITY);
    softmax(scores);
}

/// Positions that one sees.
fn seen(config: &Config, position: usize, seq: usize) -> core::ops::Range<usize> {
    let first = config.sliding_window.map_or(0, |window| (position + 1).saturating_sub(window));
    if config.options.mask == Mask::Causal { first..position + 1 } else { 0..seq }
}

/// Columns of a query head's keys and values: consecutive query heads share one head of them.
fn kv_columns(config: &Config, head: usize) -> core::ops::Range<usize> {
    let kv_head = head / (config.n_heads / config.n_kv_heads);
    kv_head * config.head_dim..(kv_head + 1) * config.head_dim
}

/// Rotates each pair `(i, i + half)` of each head by `position * theta^(-2 i / head_dim)`.
fn rotate(x: &mut Matrix, dim: usize, theta: f64) {
    let half = dim / 2;
    let frequencies: Vec<f64> = (0..half).map(|i| libm::pow(theta, -2.0 * i as f64 / dim as f64)).collect();
    for position in 0..x.len() {
        let angles = frequencies.iter().map(|frequency| libm::sincos(position as f64 * frequency));
        let angles: Vec<(f64, f64)> = angles.collect();
        for head in x.row_mut(position).chunks_mut(dim) {
            for (i, (sin, cos)) in angles.iter().enumerate() {
                let (a, b) = (head[i], head[i + half]);
                (head[i], head[i + half]) = (a * cos - b * sin, b * cos + a * sin);
            }
        }
    }
}

/// The formulas of [`Activation`]; NaN for one without a formula, so that nothing agrees with it.
pub(crate) fn activate(activation: Activation, x: &mut [f64]) {
    match activation {
        Activation::Silu => x.iter_mut().for_each(|x| *x /= 1.0 + exp(-*x)),
        Activation::Gelu => {
            x.iter_mut().for_each(|x| *x *= 0.5 * (1.0 + libm::erf(*x / core::f64::consts::SQRT_2)));
        }
        Activation::GeluTanh => x.iter_mut().for_each(|x| {
            let inner = libm::sqrt(2.0 / core::f64::consts::PI) * (*x + 0.044715 * *x * *x * *x);
            *x *= 0.5 * (1.0 + libm::tanh(inner));
        }),
        Activation::Relu => x.iter_mut().for_each(|x| *x = x.max(0.0)),
        _ => x.fill(f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_activation_of_the_core_has_a_formula() {
        for &activation in Activation::ALL {
            let mut x = [0.5];
            activate(activation, &mut x);
            assert!(x[0].is_finite(), "{activation:?}");
        }
    }
}
