//! One transformer block: attention is the reduce, the MLP is the map.

use alloc::vec;
use alloc::vec::Vec;

use thumbformer_checkpoint::{Activation, Config, Mask, Norm, NormPlace, Positions, Tensor, Tensors};

use crate::matrix::{Linear, Matrix, dot, dots, softmax, vector};
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

        let scores = scores(config, &q, &k, visible);
        probe("attention.scores", Seen::Value(&scores));
        let (seq, dim) = (q.len(), config.head_dim);
        let mut heads = Matrix { width: q.width, data: vec![0.0; q.data.len()] };
        for (head, scores) in scores.chunks(seq * seq).enumerate() {
            for (position, weights) in scores.chunks(seq).enumerate() {
                // Positions that are not seen have weight 0.
                for (other, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
                    let value = &v.row(other)[kv_columns(config, head)];
                    let out = &mut heads.row_mut(position)[head * dim..(head + 1) * dim];
                    out.iter_mut().zip(value).for_each(|(out, value)| *out += weight * value);
                }
            }
        }
        probe("attention.gathered", Seen::Value(&heads.data));
        probe("attention.gathered", Seen::Operand(&mut heads.data));
        let out = self.output.apply(&heads);
        probe("attention.output", Seen::Value(&out.data));
        out
    }

    /// The map: `down(activation(gate(x)) * up(x))`, or `down(activation(up(x)))`, every position alone.
    fn mlp(&self, config: &Config, mut x: Matrix, probe: &mut Probe<'_>) -> Matrix {
        probe("mlp.input", Seen::Operand(&mut x.data));
        let up = self.up.apply(&x);
        let mut hidden = match &self.gate {
            None => up.map(|x| activate(config.options.activation, x)),
            Some(gate) => {
                let mut hidden = gate.apply(&x).map(|x| activate(config.options.activation, x));
                hidden.data.iter_mut().zip(&up.data).for_each(|(hidden, up)| *hidden *= up);
                hidden
            }
        };
        probe("mlp.hidden", Seen::Value(&hidden.data));
        probe("mlp.hidden", Seen::Operand(&mut hidden.data));
        let out = self.down.apply(&hidden);
        probe("mlp.output", Seen::Value(&out.data));
        out
    }
}

/// `softmax(q k^T * scale)` over the positions that each one sees: `[n_heads, seq, seq]`.
fn scores(config: &Config, q: &Matrix, k: &Matrix, visible: &[bool]) -> Vec<f64> {
    let (seq, dim) = (q.len(), config.head_dim);
    let mut scores = vec![0.0; config.n_heads * seq * seq];
    for (index, row) in scores.chunks_mut(seq).enumerate() {
        let (head, position) = (index / seq, index % seq);
        let query = &q.row(position)[head * dim..(head + 1) * dim];
        // Positions that are not seen keep probability 0.
        let first = config.sliding_window.map_or(0, |window| (position + 1).saturating_sub(window));
        let seen = if config.options.mask == Mask::Causal { &mut row[first..=position] } else { row };
        let key = |other: usize| &k.row(other)[kv_columns(config, head)];
        for (index, scores) in seen.chunks_mut(4).enumerate() {
            let start = first + 4 * index;
            match &mut *scores {
                [a, b, c, d] => [*a, *b, *c, *d] = dots([0, 1, 2, 3].map(|i| key(start + i)), query),
                fewer => fewer.iter_mut().enumerate().for_each(|(i, score)| *score = dot(query, key(start + i))),
            }
            for (score, &visible) in scores.iter_mut().zip(&visible[start..]) {
                *score = if visible { *score * config.attention_scale } else { f64::NEG_INFINITY };
            }
        }
        softmax(seen);
    }
    scores
}

/// Columns of a query head's keys and values: consecutive query heads share one head of them.
fn kv_columns(config: &Config, head: usize) -> core::ops::Range<usize> {
    let kv_head = head / (config.n_heads / config.n_kv_heads);
    kv_head * config.head_dim..(kv_head + 1) * config.head_dim
}

/// Rotates each pair `(i, i + half)` of each head by `position * theta^(-2 i / head_dim)`.
fn rotate(x: &mut Matrix, dim: usize, theta: f64) {
    let half = dim / 2;
    for position in 0..x.len() {
        for head in x.row_mut(position).chunks_mut(dim) {
            for i in 0..half {
                let frequency = libm::pow(theta, -2.0 * i as f64 / dim as f64);
                let (sin, cos) = libm::sincos(position as f64 * frequency);
                let (a, b) = (head[i], head[i + half]);
                (head[i], head[i + half]) = (a * cos - b * sin, b * cos + a * sin);
            }
        }
    }
}

/// The formulas of [`Activation`]; NaN for one without a formula, so that nothing agrees with it.
fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Silu => x / (1.0 + libm::exp(-x)),
        Activation::Gelu => 0.5 * x * (1.0 + libm::erf(x / core::f64::consts::SQRT_2)),
        Activation::GeluTanh => {
            let inner = libm::sqrt(2.0 / core::f64::consts::PI) * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + libm::tanh(inner))
        }
        Activation::Relu => x.max(0.0),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_activation_of_the_core_has_a_formula() {
        assert!(Activation::ALL.iter().all(|&activation| activate(activation, 0.5).is_finite()));
    }
}
