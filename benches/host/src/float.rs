//! The plain float implementation: the checkpoint in `f32`, loops as one writes them first, one token at a time.
//!
//! ```text
//! token ─► row of the embedding ─► x ─► [ x += wo · heads(q, cache of k and v); x += down · (silu(gate) * up) ] × layers
//!                                                                         ─► norm ─► head ─► logits
//! ```
//! `SUMS` is how many sums a dot product is gathered in. 1 is the plain loop, in which every addition waits for the one
//! before it: the order of float additions is part of the result, so no compiler may change it. 8 is what somebody writes
//! who knows that, still without intrinsics (on x86-64 16 and 32 are slower, 4 is as fast); it is there so that nobody
//! takes a ratio to plain loops for one to the best float code. Formulas and sources are those of `thumbformer-reference`.

use crate::decoder::Decoder;
use anyhow::{Context, Result, ensure};
use thumbformer_checkpoint::{Checkpoint, Config, Positions, Tensor, Weights};

/// A checkpoint with a KV cache.
pub struct Float<'c, const SUMS: usize> {
    config: &'c Config,
    embedding: &'c Weights,
    layers: Vec<Layer<'c>>,
    final_norm: &'c Weights,
    head: &'c Weights,
    /// Cosine and sine for every pair of a head at every position: `[context][head_dim / 2]`.
    rotary: Vec<Vec<(f32, f32)>>,
    /// One for each layer.
    caches: Vec<Cache>,
    buffers: Buffers,
    position: usize,
}

/// A layer's tensors.
struct Layer<'c> {
    attention_norm: &'c Weights,
    query: &'c Weights,
    key: &'c Weights,
    value: &'c Weights,
    output: &'c Weights,
    mlp_norm: &'c Weights,
    gate: &'c Weights,
    up: &'c Weights,
    down: &'c Weights,
}

/// Keys and values of one layer: `[context * kv_width]` each.
struct Cache {
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// Buffers of a token's forward pass.
struct Buffers {
    /// The residual stream, `[d_model]`.
    x: Vec<f32>,
    /// The stream after a norm, `[d_model]`.
    normed: Vec<f32>,
    /// Output of a branch, added to the stream, `[d_model]`.
    branch: Vec<f32>,
    /// `[q_width]`
    query: Vec<f32>,
    /// The heads' averages of values, `[q_width]`.
    heads: Vec<f32>,
    /// One head's, `[context]`.
    scores: Vec<f32>,
    /// `[d_ff]`
    gate: Vec<f32>,
    /// `[d_ff]`
    up: Vec<f32>,
    /// `[vocab]`
    logits: Vec<f32>,
}

impl<'c, const SUMS: usize> Float<'c, SUMS> {
    /// A session of the checkpoint with room for `context` tokens.
    ///
    /// # Errors
    /// For positions that it does not compute, and a tensor that it wants.
    pub fn new(checkpoint: &'c Checkpoint, context: usize) -> Result<Self> {
        let config = &checkpoint.config;
        ensure!(
            config.options.positions == Positions::Rotary,
            "plain float: it computes rotary positions only; give a checkpoint of the Llama family"
        );
        let of = |tensor: Tensor, layer| {
            let found = checkpoint.tensors.get(tensor, layer);
            found.with_context(|| format!("plain float: the checkpoint has no {}", tensor.name()))
        };
        let layers = (0..config.n_layers).map(|layer| {
            Ok(Layer {
                attention_norm: of(Tensor::AttentionNorm, layer)?,
                query: of(Tensor::Query, layer)?,
                key: of(Tensor::Key, layer)?,
                value: of(Tensor::Value, layer)?,
                output: of(Tensor::AttentionOutput, layer)?,
                mlp_norm: of(Tensor::MlpNorm, layer)?,
                gate: of(Tensor::Gate, layer)?,
                up: of(Tensor::Up, layer)?,
                down: of(Tensor::Down, layer)?,
            })
        });
        let angle = |position: usize, pair: usize| {
            (position as f64 * config.rope_theta.powf(-2.0 * pair as f64 / config.head_dim as f64)).sin_cos()
        };
        let rotary = (0..context).map(|position| {
            let angles = (0..config.head_dim / 2).map(|pair| angle(position, pair));
            angles.map(|(sin, cos)| (cos as f32, sin as f32)).collect()
        });
        let zeros = |count: usize| vec![0.0; count];
        let cache = || Cache { keys: zeros(context * config.kv_width()), values: zeros(context * config.kv_width()) };
        Ok(Self {
            config,
            embedding: of(Tensor::Embedding, 0)?,
            layers: layers.collect::<Result<_>>()?,
            final_norm: of(Tensor::FinalNorm, 0)?,
            head: checkpoint.head().context("plain float: the checkpoint has no head")?,
            rotary: rotary.collect(),
            caches: (0..config.n_layers).map(|_| cache()).collect(),
            buffers: Buffers {
                x: zeros(config.d_model),
                normed: zeros(config.d_model),
                branch: zeros(config.d_model),
                query: zeros(config.q_width()),
                heads: zeros(config.q_width()),
                scores: zeros(context),
                gate: zeros(config.d_ff),
                up: zeros(config.d_ff),
                logits: zeros(config.vocab),
            },
            position: 0,
        })
    }
}

impl<const SUMS: usize> Decoder for Float<'_, SUMS> {
    fn reset(&mut self) -> Result<()> {
        self.position = 0;
        Ok(())
    }

    fn decode(&mut self, token: u16) -> Result<&[f32]> {
        let (config, embedding, layers) = (self.config, self.embedding, &self.layers);
        let (token, position) = (usize::from(token), self.position);
        ensure!(token < config.vocab, "plain float: token {token}, but the vocabulary has {}", config.vocab);
        ensure!(position < self.rotary.len(), "plain float: the context of {position} tokens is full; reset first");
        let buffers = &mut self.buffers;
        buffers.x.copy_from_slice(&embedding.data[token * config.d_model..][..config.d_model]);
        for (layer, cache) in layers.iter().zip(&mut self.caches) {
            norm(&mut buffers.normed, &buffers.x, layer.attention_norm, config.norm_eps);
            attention::<SUMS>(layer, config, cache, &self.rotary[position], position, buffers);
            add(&mut buffers.x, &buffers.branch);
            norm(&mut buffers.normed, &buffers.x, layer.mlp_norm, config.norm_eps);
            mlp::<SUMS>(layer, buffers);
            add(&mut buffers.x, &buffers.branch);
        }
        norm(&mut buffers.normed, &buffers.x, self.final_norm, config.norm_eps);
        matvec::<SUMS>(&mut buffers.logits, self.head, &buffers.normed);
        self.position += 1;
        Ok(&self.buffers.logits)
    }
}

/// `branch = wo · heads`, each head the average of the values up to `position`, weighted by `softmax(q k / sqrt(head_dim))`.
fn attention<const SUMS: usize>(
    layer: &Layer<'_>,
    config: &Config,
    cache: &mut Cache,
    rotary: &[(f32, f32)],
    position: usize,
    buffers: &mut Buffers,
) {
    let (dim, width) = (config.head_dim, config.kv_width());
    let Buffers { normed, branch, query, heads, scores, .. } = buffers;
    let key = &mut cache.keys[position * width..][..width];
    matvec::<SUMS>(query, layer.query, normed);
    matvec::<SUMS>(key, layer.key, normed);
    matvec::<SUMS>(&mut cache.values[position * width..][..width], layer.value, normed);
    query.chunks_mut(dim).for_each(|head| rotate(head, rotary));
    key.chunks_mut(dim).for_each(|head| rotate(head, rotary));

    let scores = &mut scores[..=position];
    let scale = 1.0 / (dim as f32).sqrt();
    for (head, (query, out)) in query.chunks(dim).zip(heads.chunks_mut(dim)).enumerate() {
        let first = head / (config.n_heads / config.n_kv_heads) * dim;
        for (score, key) in scores.iter_mut().zip(cache.keys.chunks(width)) {
            *score = scale * dot::<SUMS>(query, &key[first..first + dim]);
        }
        softmax(scores);
        out.fill(0.0);
        for (weight, value) in scores.iter().zip(cache.values.chunks(width)) {
            for (out, value) in out.iter_mut().zip(&value[first..first + dim]) {
                *out += weight * value;
            }
        }
    }
    matvec::<SUMS>(branch, layer.output, heads);
}

/// `branch = down · (silu(gate · x) * (up · x))`
fn mlp<const SUMS: usize>(layer: &Layer<'_>, buffers: &mut Buffers) {
    let Buffers { normed, branch, gate, up, .. } = buffers;
    matvec::<SUMS>(gate, layer.gate, normed);
    matvec::<SUMS>(up, layer.up, normed);
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate *= *up / (1.0 + (-*gate).exp());
    }
    matvec::<SUMS>(branch, layer.down, gate);
}

/// `out = x / sqrt(mean(x²) + eps) * gain`
fn norm(out: &mut [f32], x: &[f32], gain: &Weights, eps: f32) {
    let mean_square = dot::<1>(x, x) / x.len() as f32;
    let factor = 1.0 / (mean_square + eps).sqrt();
    for ((out, x), gain) in out.iter_mut().zip(x).zip(&gain.data) {
        *out = x * factor * gain;
    }
}

/// Turns each pair `(i, i + half)` of a head.
fn rotate(head: &mut [f32], rotary: &[(f32, f32)]) {
    let (low, high) = head.split_at_mut(rotary.len());
    for ((low, high), (cos, sin)) in low.iter_mut().zip(high).zip(rotary) {
        (*low, *high) = (*low * cos - *high * sin, *high * cos + *low * sin);
    }
}

fn softmax(x: &mut [f32]) {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for x in x.iter_mut() {
        *x = (*x - max).exp();
        sum += *x;
    }
    x.iter_mut().for_each(|x| *x /= sum);
}

fn add(x: &mut [f32], branch: &[f32]) {
    x.iter_mut().zip(branch).for_each(|(x, branch)| *x += branch);
}

/// `out = weights · x`, the weights `[out, in]`.
fn matvec<const SUMS: usize>(out: &mut [f32], weights: &Weights, x: &[f32]) {
    for (out, row) in out.iter_mut().zip(weights.data.chunks_exact(x.len())) {
        *out = dot::<SUMS>(row, x);
    }
}

/// `sum(a[i] * b[i])`, gathered in `SUMS` sums.
fn dot<const SUMS: usize>(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<SUMS>(), b.as_chunks::<SUMS>());
    let mut sums = [0.0; SUMS];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
