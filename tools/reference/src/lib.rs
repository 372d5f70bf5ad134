//! The float reference: what a checkpoint computes, plainly, slowly and in `f64`.
//!
//! Token ids flow in, logits for every position flow out. A whole sequence is computed at once, without a cache, so
//! that it shares neither code nor structure with the engine that it judges. It is itself compared with PyTorch at
//! every named point (`tests/golden.rs`).
//!
//! # Source
//! - block and attention: Vaswani et al. 2017, "Attention Is All You Need", sections 3.1 and 3.2, in pre-LN order
//! - RMSNorm: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", equation 4
//! - rotary positions: Su et al. 2021, "RoFormer", equation 34, with the pairs `(i, i + head_dim / 2)`
//! - SwiGLU: Shazeer 2020, "GLU Variants Improve Transformer", equation 6
//! - grouped key and value heads: Ainslie et al. 2023, "GQA", section 2.2

pub mod metrics;

use thumbformer_checkpoint::{Checkpoint, Config, Tensor};

/// Why a sequence was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to compute.
    #[error("the sequence is empty; give at least one token, such as BOS")]
    Empty,
    /// A token id has no row in the embedding.
    #[error(
        "token {token} at position {position} is beyond the vocabulary of {vocab}; encode the text with this model's tokenizer"
    )]
    Token {
        /// The token id.
        token: u32,
        /// Where it stands.
        position: usize,
        /// Number of token ids.
        vocab: usize,
    },
    /// The sequence is longer than the context that the model was trained for.
    #[error("the sequence has {length} tokens, the context holds {max_seq}; cut it into parts")]
    TooLong {
        /// Tokens given.
        length: usize,
        /// Tokens that fit.
        max_seq: usize,
    },
}

/// Called at every named point with a row-major array; see [`Reference::forward`].
pub type Observe<'a> = dyn FnMut(&str, &[f64]) + 'a;

/// A checkpoint's network in `f64`.
pub struct Reference {
    config: Config,
    embedding: Matrix,
    layers: Vec<Block>,
    final_norm: Vec<f64>,
    /// A copy of the embedding when the head is tied to it.
    head: Matrix,
}

struct Block {
    attention_norm: Vec<f64>,
    wq: Matrix,
    wk: Matrix,
    wv: Matrix,
    wo: Matrix,
    mlp_norm: Vec<f64>,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

/// Rows of equal width: a weight matrix `[out, in]`, or a sequence of vectors `[seq, width]`.
#[derive(Clone)]
struct Matrix {
    width: usize,
    data: Vec<f64>,
}

impl Reference {
    /// The network of a checkpoint, whose shapes [`Checkpoint::load`] has checked.
    pub fn new(checkpoint: &Checkpoint) -> Self {
        let embedding = Matrix::from(&checkpoint.embedding);
        let layers = checkpoint.layers.iter().map(|layer| Block {
            attention_norm: vector(&layer.attention_norm),
            wq: Matrix::from(&layer.wq),
            wk: Matrix::from(&layer.wk),
            wv: Matrix::from(&layer.wv),
            wo: Matrix::from(&layer.wo),
            mlp_norm: vector(&layer.mlp_norm),
            gate: Matrix::from(&layer.gate),
            up: Matrix::from(&layer.up),
            down: Matrix::from(&layer.down),
        });
        Self {
            config: checkpoint.config.clone(),
            layers: layers.collect(),
            final_norm: vector(&checkpoint.final_norm),
            head: checkpoint.head.as_ref().map_or_else(|| embedding.clone(), Matrix::from),
            embedding,
        }
    }

    /// The numbers of the network.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Logits for every position of one sequence that begins at position 0: `[seq][vocab]`.
    ///
    /// `observe` sees each of these once per call, in this order, `[seq, width]` unless said:
    /// `embedding`; for each layer `n`: `layers.n.attention_norm`, `layers.n.attention.q` and `.k` (rotated), `.v`,
    /// `layers.n.attention.scores` (probabilities, `[n_heads, seq, seq]`), `layers.n.attention.output`,
    /// `layers.n.mlp_norm`, `layers.n.mlp.output`, `layers.n.output` (the stream); `final_norm`; `logits`.
    ///
    /// # Errors
    /// [`Error`] when the sequence is empty, too long, or has a token beyond the vocabulary.
    pub fn forward(&self, tokens: &[u32], observe: &mut Observe<'_>) -> Result<Vec<Vec<f64>>, Error> {
        self.check(tokens)?;
        let mut x = Matrix::rows(tokens.iter().map(|&t| self.embedding.row(t as usize).to_vec()));
        observe("embedding", &x.data);
        for (index, layer) in self.layers.iter().enumerate() {
            let mut here = |point: &str, values: &[f64]| {
                observe(&format!("layers.{index}.{point}"), values);
            };
            x.add(&self.attention(layer, &x, &mut here));
            x.add(&self.mlp(layer, &x, &mut here));
            here("output", &x.data);
        }
        let x = self.norm(&x, &self.final_norm);
        observe("final_norm", &x.data);
        let logits = x.project(&self.head);
        observe("logits", &logits.data);
        Ok(logits.data.chunks(logits.width).map(<[f64]>::to_vec).collect())
    }

    fn check(&self, tokens: &[u32]) -> Result<(), Error> {
        let (vocab, max_seq) = (self.config.vocab, self.config.max_seq);
        if tokens.is_empty() {
            return Err(Error::Empty);
        }
        if tokens.len() > max_seq {
            return Err(Error::TooLong { length: tokens.len(), max_seq });
        }
        match tokens.iter().position(|&token| token as usize >= vocab) {
            None => Ok(()),
            Some(position) => Err(Error::Token { token: tokens[position], position, vocab }),
        }
    }

    /// `attention(norm(x))`: the reduce. Every position becomes an average of the values up to it.
    fn attention(&self, layer: &Block, x: &Matrix, observe: &mut Observe<'_>) -> Matrix {
        let x = self.norm(x, &layer.attention_norm);
        observe("attention_norm", &x.data);
        let (mut q, mut k, v) = (x.project(&layer.wq), x.project(&layer.wk), x.project(&layer.wv));
        self.rotate(&mut q);
        self.rotate(&mut k);
        observe("attention.q", &q.data);
        observe("attention.k", &k.data);
        observe("attention.v", &v.data);

        let scores = self.scores(&q, &k);
        observe("attention.scores", &scores);
        let (seq, dim) = (q.len(), self.config.head_dim);
        let mut heads = Matrix { width: q.width, data: vec![0.0; q.data.len()] };
        for (head, scores) in scores.chunks(seq * seq).enumerate() {
            for (position, weights) in scores.chunks(seq).enumerate() {
                for (other, weight) in weights.iter().enumerate() {
                    let value = &v.row(other)[self.kv_columns(head)];
                    let out = &mut heads.row_mut(position)[head * dim..(head + 1) * dim];
                    out.iter_mut().zip(value).for_each(|(out, value)| *out += weight * value);
                }
            }
        }
        let out = heads.project(&layer.wo);
        observe("attention.output", &out.data);
        out
    }

    /// `softmax(q k^T / sqrt(head_dim))` over the positions up to each one: `[n_heads, seq, seq]`.
    fn scores(&self, q: &Matrix, k: &Matrix) -> Vec<f64> {
        let (seq, dim) = (q.len(), self.config.head_dim);
        let mut scores = vec![0.0; self.config.n_heads * seq * seq];
        for (index, row) in scores.chunks_mut(seq).enumerate() {
            let (head, position) = (index / seq, index % seq);
            let query = &q.row(position)[head * dim..(head + 1) * dim];
            // Later positions stay 0: the causal mask.
            let seen = &mut row[..=position];
            for (other, score) in seen.iter_mut().enumerate() {
                *score = dot(query, &k.row(other)[self.kv_columns(head)]) / (dim as f64).sqrt();
            }
            softmax(seen);
        }
        scores
    }

    /// Where a query head finds its keys and values: consecutive query heads share one.
    fn kv_columns(&self, head: usize) -> std::ops::Range<usize> {
        let kv_head = head / (self.config.n_heads / self.config.n_kv_heads);
        kv_head * self.config.head_dim..(kv_head + 1) * self.config.head_dim
    }

    /// Turns each pair `(i, i + half)` of each head by `position * theta^(-2 i / head_dim)`.
    fn rotate(&self, x: &mut Matrix) {
        let (dim, half) = (self.config.head_dim, self.config.head_dim / 2);
        for position in 0..x.len() {
            for head in x.row_mut(position).chunks_mut(dim) {
                for i in 0..half {
                    let frequency = self.config.rope_theta.powf(-2.0 * i as f64 / dim as f64);
                    let (sin, cos) = (position as f64 * frequency).sin_cos();
                    let (a, b) = (head[i], head[i + half]);
                    (head[i], head[i + half]) = (a * cos - b * sin, b * cos + a * sin);
                }
            }
        }
    }

    /// `mlp(norm(x))`: the map. `down(silu(gate(x)) * up(x))`, every position alone.
    fn mlp(&self, layer: &Block, x: &Matrix, observe: &mut Observe<'_>) -> Matrix {
        let x = self.norm(x, &layer.mlp_norm);
        observe("mlp_norm", &x.data);
        let (mut hidden, up) = (x.project(&layer.gate), x.project(&layer.up));
        for (gate, up) in hidden.data.iter_mut().zip(&up.data) {
            let silu = *gate / (1.0 + (-*gate).exp());
            *gate = silu * up;
        }
        let out = hidden.project(&layer.down);
        observe("mlp.output", &out.data);
        out
    }

    /// `x / sqrt(mean(x^2) + eps) * weight` for every row.
    fn norm(&self, x: &Matrix, weight: &[f64]) -> Matrix {
        Matrix::rows(x.data.chunks(x.width).map(|row| {
            let mean_square = dot(row, row) / row.len() as f64;
            let scale = 1.0 / (mean_square + f64::from(self.config.norm_eps)).sqrt();
            row.iter().zip(weight).map(|(x, weight)| x * scale * weight).collect()
        }))
    }
}

impl Matrix {
    fn rows(rows: impl Iterator<Item = Vec<f64>>) -> Self {
        let rows: Vec<Vec<f64>> = rows.collect();
        Self { width: rows.first().map_or(0, Vec::len), data: rows.concat() }
    }

    fn len(&self) -> usize {
        self.data.len() / self.width
    }

    fn row(&self, index: usize) -> &[f64] {
        &self.data[index * self.width..(index + 1) * self.width]
    }

    fn row_mut(&mut self, index: usize) -> &mut [f64] {
        &mut self.data[index * self.width..(index + 1) * self.width]
    }

    /// `self * weights^T`: every row through a projection `[out, in]`.
    fn project(&self, weights: &Matrix) -> Matrix {
        let outputs = weights.len();
        let mut data = Vec::with_capacity(self.len() * outputs);
        for row in self.data.chunks(self.width) {
            data.extend(weights.data.chunks(weights.width).map(|weights| dot(weights, row)));
        }
        Matrix { width: outputs, data }
    }

    fn add(&mut self, other: &Matrix) {
        self.data.iter_mut().zip(&other.data).for_each(|(x, other)| *x += other);
    }
}

impl From<&Tensor> for Matrix {
    fn from(tensor: &Tensor) -> Self {
        Self { width: tensor.shape.last().copied().unwrap_or(0), data: vector(tensor) }
    }
}

fn vector(tensor: &Tensor) -> Vec<f64> {
    tensor.data.iter().copied().map(f64::from).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The maximum is taken off first, which changes nothing but keeps `exp` from overflowing.
fn softmax(x: &mut [f64]) {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    x.iter_mut().for_each(|x| *x = (*x - max).exp());
    let sum: f64 = x.iter().sum();
    x.iter_mut().for_each(|x| *x /= sum);
}
