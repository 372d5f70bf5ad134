//! A block, with its forward and backward pass.
//!
//! ```text
//! x ─┬─► norm ─► attention ─► + ─┬─► norm ─► mlp ─► + ─► x          with norms before the branches
//!    └────────────────────────┘  └─────────────────┘
//! dx ◄ gradients flow back along the same paths, and every matrix collects its own
//! ```

use super::attention::{Attention, AttentionTape};
use super::mlp::{Mlp, MlpTape};
use super::rows::{Gradients, Linear, Norm, Normed, Rows};
use thumbformer::Tensor;
use thumbformer_checkpoint::{Config, NormPlace, Tensors};

/// A block.
#[derive(Clone)]
pub(super) struct Block {
    place: NormPlace,
    attention_norm: Norm,
    attention: Attention,
    mlp_norm: Norm,
    mlp: Mlp,
}

/// Values for the backward pass.
pub(super) struct BlockTape {
    attention_norm: Normed,
    attention: AttentionTape,
    mlp_norm: Normed,
    mlp: MlpTape,
}

impl Block {
    pub(super) fn new(config: &Config, tensors: &Tensors, layer: usize) -> Block {
        let norm = |gain| Norm::new(config, tensors, gain, layer);
        Block {
            place: config.options.norm_place,
            attention_norm: norm(Tensor::AttentionNorm),
            attention: Attention::new(config, tensors, layer),
            mlp_norm: norm(Tensor::MlpNorm),
            mlp: Mlp::new(config, tensors, layer),
        }
    }

    /// A matrix by the core's name.
    pub(super) fn linear_mut(&mut self, tensor: Tensor) -> Option<&mut Linear> {
        match tensor {
            Tensor::Query => Some(&mut self.attention.query),
            Tensor::Key => Some(&mut self.attention.key),
            Tensor::Value => Some(&mut self.attention.value),
            Tensor::AttentionOutput => Some(&mut self.attention.output),
            Tensor::Gate => self.mlp.gate.as_mut(),
            Tensor::Up => Some(&mut self.mlp.up),
            Tensor::Down => Some(&mut self.mlp.down),
            _ => None,
        }
    }

    pub(super) fn forward(&self, x: &mut Rows) -> BlockTape {
        if self.place == NormPlace::Post {
            let (branch, attention) = self.attention.forward(x.clone());
            x.add(&branch);
            let (normed, attention_norm) = self.attention_norm.forward(x);
            let (branch, mlp) = self.mlp.forward(normed.clone());
            *x = normed;
            x.add(&branch);
            let (normed, mlp_norm) = self.mlp_norm.forward(x);
            *x = normed;
            return BlockTape { attention_norm, attention, mlp_norm, mlp };
        }
        let (normed, attention_norm) = self.attention_norm.forward(x);
        let (branch, attention) = self.attention.forward(normed);
        x.add(&branch);
        let (normed, mlp_norm) = self.mlp_norm.forward(x);
        let (branch, mlp) = self.mlp.forward(normed);
        x.add(&branch);
        BlockTape { attention_norm, attention, mlp_norm, mlp }
    }

    pub(super) fn backward(&self, tape: &BlockTape, dx: &mut Rows, gradients: &mut Gradients) {
        if self.place == NormPlace::Post {
            *dx = self.mlp_norm.backward(&tape.mlp_norm, dx);
            dx.add(&self.mlp.backward(&tape.mlp, dx, gradients));
            *dx = self.attention_norm.backward(&tape.attention_norm, dx);
            dx.add(&self.attention.backward(&tape.attention, dx, gradients));
            return;
        }
        let branch = self.mlp.backward(&tape.mlp, dx, gradients);
        dx.add(&self.mlp_norm.backward(&tape.mlp_norm, &branch));
        let branch = self.attention.backward(&tape.attention, dx, gradients);
        dx.add(&self.attention_norm.backward(&tape.attention_norm, &branch));
    }
}
