//! Attention and its backward pass: the reduce, the only place where positions meet.
//!
//! ```text
//! x ─┬─► query ─► rotate ─┐
//!    ├─► key ───► rotate ─┴─► scores ─► softmax ─► weights ─┐
//!    └─► value ─────────────────────────────────────────────┴─► context ─► output
//! ```

use super::math::softmax;
use super::multiply::{View, multiply};
use super::rows::{Gradients, Linear, Rows};
use thumbformer_checkpoint::{Config, Positions, Tensor, Tensors};

/// The reduce: every position becomes an average of the values that it sees.
#[derive(Clone)]
pub(super) struct Attention {
    config: Config,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) output: Linear,
}

/// Values for the backward pass.
pub(super) struct AttentionTape {
    x: Rows,
    q: Rows,
    k: Rows,
    v: Rows,
    /// `[n_heads, seq, seq]`.
    weights: Vec<f32>,
    context: Rows,
}

impl Attention {
    pub(super) fn new(config: &Config, tensors: &Tensors, layer: usize) -> Attention {
        let linear = |tensor| Linear::of(tensors, tensor, layer);
        Attention {
            config: config.clone(),
            query: linear(Tensor::Query),
            key: linear(Tensor::Key),
            value: linear(Tensor::Value),
            output: linear(Tensor::AttentionOutput),
        }
    }

    pub(super) fn forward(&self, x: Rows) -> (Rows, AttentionTape) {
        let (mut q, mut k, v) = (self.query.forward(&x), self.key.forward(&x), self.value.forward(&x));
        self.rotate(&mut q, 1.0);
        self.rotate(&mut k, 1.0);
        let (seq, dim) = (x.len(), self.config.head_dim);
        let mut weights = vec![0.0; self.config.n_heads * seq * seq];
        let mut context = Rows::zeros(seq, q.width);
        for (head, weights) in weights.chunks_exact_mut(seq * seq).enumerate() {
            let kv = self.kv_column(head);
            let keys = transpose(k.columns(kv, dim), seq, dim);
            multiply(q.columns(head * dim, dim), View::new(&keys, dim, seq, seq), weights, seq);
            for (position, row) in weights.chunks_exact_mut(seq).enumerate() {
                let seen = self.seen(position);
                row[..seen.start].fill(0.0);
                row[seen.end..].fill(0.0);
                let row = &mut row[seen];
                row.iter_mut().for_each(|score| *score *= self.config.attention_scale as f32);
                softmax(row);
            }
            let out = &mut context.data[head * dim..];
            multiply(View::new(weights, seq, seq, seq), v.columns(kv, dim), out, q.width);
        }
        (self.output.forward(&context), AttentionTape { x, q, k, v, weights, context })
    }

    pub(super) fn backward(&self, tape: &AttentionTape, dy: &Rows, gradients: &mut Gradients) -> Rows {
        let AttentionTape { x, q, k, v, weights, context } = tape;
        let d_context = self.output.backward(context, dy, gradients);
        let (seq, dim) = (x.len(), self.config.head_dim);
        let (mut dq, mut dk, mut dv) =
            (Rows::zeros(seq, q.width), Rows::zeros(seq, k.width), Rows::zeros(seq, v.width));
        for (head, weights) in weights.chunks_exact(seq * seq).enumerate() {
            let (column, kv) = (head * dim, self.kv_column(head));
            let d_out = d_context.columns(column, dim);
            let weights_view = View::new(weights, seq, seq, seq);
            multiply(weights_view.transposed(), d_out, &mut dv.data[kv..], v.width);
            let values = transpose(v.columns(kv, dim), seq, dim);
            let mut scores = vec![0.0; seq * seq];
            multiply(d_out, View::new(&values, dim, seq, seq), &mut scores, seq);
            through_softmax(weights, &mut scores, seq, self.config.attention_scale as f32);
            let scores = View::new(&scores, seq, seq, seq);
            multiply(scores, k.columns(kv, dim), &mut dq.data[column..], q.width);
            multiply(scores.transposed(), q.columns(column, dim), &mut dk.data[kv..], k.width);
        }
        self.rotate(&mut dq, -1.0);
        self.rotate(&mut dk, -1.0);
        let mut dx = self.query.backward(x, &dq, gradients);
        dx.add(&self.key.backward(x, &dk, gradients));
        dx.add(&self.value.backward(x, &dv, gradients));
        dx
    }

    /// Consecutive query heads share a head of keys and values.
    fn kv_column(&self, head: usize) -> usize {
        head / (self.config.n_heads / self.config.n_kv_heads) * self.config.head_dim
    }

    fn seen(&self, position: usize) -> std::ops::Range<usize> {
        self.config.sliding_window.map_or(0, |window| (position + 1).saturating_sub(window))..position + 1
    }

    /// Rotates pairs by their positions; the backward pass rotates them the other way.
    fn rotate(&self, x: &mut Rows, direction: f64) {
        if self.config.options.positions != Positions::Rotary {
            return;
        }
        let theta = self.config.rope_theta;
        let (dim, half) = (self.config.head_dim, self.config.head_dim / 2);
        for i in 0..half {
            let frequency = direction * libm::pow(theta, -2.0 * i as f64 / dim as f64);
            for (position, row) in x.iter_mut().enumerate() {
                let angle = position as f64 * frequency;
                let (sin, cos) = (libm::sin(angle) as f32, libm::cos(angle) as f32);
                for head in row.chunks_exact_mut(dim) {
                    let (a, b) = (head[i], head[i + half]);
                    (head[i], head[i + half]) = (a * cos - b * sin, b * cos + a * sin);
                }
            }
        }
    }
}

/// Backward pass of the softmax: from the gradient of its outputs to that of the scores before their scale.
fn through_softmax(weights: &[f32], gradient: &mut [f32], seq: usize, scale: f32) {
    for (weights, row) in weights.chunks_exact(seq).zip(gradient.chunks_exact_mut(seq)) {
        let mean: f32 = weights.iter().zip(row.iter()).map(|(weight, d)| weight * d).sum();
        row.iter_mut().zip(weights).for_each(|(d, weight)| *d = scale * weight * (*d - mean));
    }
}

/// `[seq, dim]` to `[dim, seq]`.
fn transpose(view: View<'_>, seq: usize, dim: usize) -> Vec<f32> {
    let mut out = vec![0.0; seq * dim];
    for (col, out) in out.chunks_exact_mut(seq.max(1)).enumerate() {
        out.iter_mut().enumerate().for_each(|(row, out)| *out = view.at(row, col));
    }
    out
}
