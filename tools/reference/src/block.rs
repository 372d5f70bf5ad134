//! One transformer block: attention is the reduce, the MLP is the map.

use alloc::vec;
use alloc::vec::Vec;

use thumbformer_checkpoint::{Activation, Config, Layer, Mask, Norm, NormPlace, Positions, Tensor};

use crate::Observe;
use crate::matrix::{Linear, Matrix, dot, softmax, vector};

/// A norm's weights.
pub(crate) struct NormWeights {
    weight: Vec<f64>,
    bias: Option<Vec<f64>>,
}

pub(crate) struct Block {
    attention_norm: NormWeights,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    mlp_norm: NormWeights,
    gate: Option<Linear>,
    up: Linear,
    down: Linear,
}

impl NormWeights {
    pub(crate) fn new(weight: &Tensor, bias: &Option<Tensor>) -> Self {
        Self { weight: vector(weight), bias: bias.as_ref().map(vector) }
    }

    /// Every row normalised, as [`Norm`] has it.
    pub(crate) fn apply(&self, config: &Config, x: &Matrix) -> Matrix {
        let mut out = Matrix::rows(x.data.chunks(x.width).map(|row| {
            let width = row.len() as f64;
            let mean = match config.norm {
                Norm::Rms => 0.0,
                Norm::Layer => row.iter().sum::<f64>() / width,
            };
            let centred: Vec<f64> = row.iter().map(|x| x - mean).collect();
            let scale = 1.0 / libm::sqrt(dot(&centred, &centred) / width + f64::from(config.norm_eps));
            centred.iter().zip(&self.weight).map(|(x, weight)| x * scale * weight).collect()
        }));
        if let Some(bias) = &self.bias {
            out.add_to_every_row(bias);
        }
        out
    }
}

impl Block {
    pub(crate) fn new(layer: &Layer) -> Self {
        Self {
            attention_norm: NormWeights::new(&layer.attention_norm, &layer.attention_norm_bias),
            query: Linear::new(&layer.wq, &layer.bq),
            key: Linear::new(&layer.wk, &layer.bk),
            value: Linear::new(&layer.wv, &layer.bv),
            output: Linear::new(&layer.wo, &layer.bo),
            mlp_norm: NormWeights::new(&layer.mlp_norm, &layer.mlp_norm_bias),
            gate: layer.gate.as_ref().map(|gate| Linear::new(gate, &layer.gate_bias)),
            up: Linear::new(&layer.up, &layer.up_bias),
            down: Linear::new(&layer.down, &layer.down_bias),
        }
    }

    /// The stream after the block.
    pub(crate) fn forward(&self, config: &Config, x: &mut Matrix, visible: &[bool], observe: &mut Observe<'_>) {
        let norm = |weights: &NormWeights, x: &Matrix, point: &str, observe: &mut Observe<'_>| {
            let out = weights.apply(config, x);
            observe(point, &out.data);
            out
        };
        match config.norm_place {
            NormPlace::Pre => {
                let branch = norm(&self.attention_norm, x, "attention_norm", observe);
                x.add(&self.attention(config, &branch, visible, observe));
                let branch = norm(&self.mlp_norm, x, "mlp_norm", observe);
                x.add(&self.mlp(config, &branch, observe));
            }
            NormPlace::Post => {
                x.add(&self.attention(config, x, visible, observe));
                *x = norm(&self.attention_norm, x, "attention_norm", observe);
                x.add(&self.mlp(config, x, observe));
                *x = norm(&self.mlp_norm, x, "mlp_norm", observe);
            }
        }
        observe("output", &x.data);
    }

    /// The reduce: every position becomes an average of the values that it sees.
    fn attention(&self, config: &Config, x: &Matrix, visible: &[bool], observe: &mut Observe<'_>) -> Matrix {
        let (mut q, mut k, v) = (self.query.apply(x), self.key.apply(x), self.value.apply(x));
        if let Positions::Rotary { theta } = config.positions {
            rotate(&mut q, config.head_dim, theta);
            rotate(&mut k, config.head_dim, theta);
        }
        observe("attention.q", &q.data);
        observe("attention.k", &k.data);
        observe("attention.v", &v.data);

        let scores = scores(config, &q, &k, visible);
        observe("attention.scores", &scores);
        let (seq, dim) = (q.len(), config.head_dim);
        let mut heads = Matrix { width: q.width, data: vec![0.0; q.data.len()] };
        for (head, scores) in scores.chunks(seq * seq).enumerate() {
            for (position, weights) in scores.chunks(seq).enumerate() {
                for (other, weight) in weights.iter().enumerate() {
                    let value = &v.row(other)[kv_columns(config, head)];
                    let out = &mut heads.row_mut(position)[head * dim..(head + 1) * dim];
                    out.iter_mut().zip(value).for_each(|(out, value)| *out += weight * value);
                }
            }
        }
        observe("attention.gathered", &heads.data);
        let out = self.output.apply(&heads);
        observe("attention.output", &out.data);
        out
    }

    /// The map: `down(activation(gate(x)) * up(x))`, or `down(activation(up(x)))`, every position alone.
    fn mlp(&self, config: &Config, x: &Matrix, observe: &mut Observe<'_>) -> Matrix {
        let up = self.up.apply(x);
        let hidden = match &self.gate {
            None => up.map(|x| activate(config.activation, x)),
            Some(gate) => {
                let mut hidden = gate.apply(x).map(|x| activate(config.activation, x));
                hidden.data.iter_mut().zip(&up.data).for_each(|(hidden, up)| *hidden *= up);
                hidden
            }
        };
        observe("mlp.hidden", &hidden.data);
        let out = self.down.apply(&hidden);
        observe("mlp.output", &out.data);
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
        // What is not seen stays 0.
        let first = config.sliding_window.map_or(0, |window| (position + 1).saturating_sub(window));
        let seen = match config.mask {
            Mask::Causal => &mut row[first..=position],
            Mask::Bidirectional => row,
        };
        for (index, score) in seen.iter_mut().enumerate() {
            let other = first + index;
            *score = match visible[other] {
                true => dot(query, &k.row(other)[kv_columns(config, head)]) * config.attention_scale,
                false => f64::NEG_INFINITY,
            };
        }
        softmax(seen);
    }
    scores
}

/// Where a query head finds its keys and values: consecutive query heads share one.
fn kv_columns(config: &Config, head: usize) -> core::ops::Range<usize> {
    let kv_head = head / (config.n_heads / config.n_kv_heads);
    kv_head * config.head_dim..(kv_head + 1) * config.head_dim
}

/// Turns each pair `(i, i + half)` of each head by `position * theta^(-2 i / head_dim)`.
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

/// The formulas of [`Activation`].
fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Silu => x / (1.0 + libm::exp(-x)),
        Activation::GeluErf => 0.5 * x * (1.0 + libm::erf(x / core::f64::consts::SQRT_2)),
        Activation::GeluTanh => {
            let inner = libm::sqrt(2.0 / core::f64::consts::PI) * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + libm::tanh(inner))
        }
        Activation::Relu => x.max(0.0),
    }
}
