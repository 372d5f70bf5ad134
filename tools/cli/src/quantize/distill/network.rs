//! A decoder with a backward pass that computes the gradient of every trained matrix.
//!
//! ```text
//! tokens ─► embedding (+ positions) ─► [norm] ─► blocks ─► [norm] ─► head ─► logits
//!                                              ◄ blocks ◄ [norm] ◄ head ◄ gradient of the logits
//! ```

use super::block::{Block, BlockTape};
use super::rows::{Gradients, Linear, Norm, Normed, Rows};
use thumbformer::Tensor;
use thumbformer_checkpoint::{Checkpoint, Input, Mask, Pooler, Pooling, Weights};

/// A decoder in `f32`.
#[derive(Clone)]
pub(super) struct Network {
    embedding: Weights,
    positions: Option<Weights>,
    embedding_norm: Option<Norm>,
    blocks: Vec<Block>,
    final_norm: Option<Norm>,
    head: Linear,
}

/// Values for the backward pass.
pub(super) struct Tape {
    blocks: Vec<BlockTape>,
    final_norm: Option<Normed>,
}

/// The first property of a checkpoint that this network does not support, if any.
pub(super) fn lacking(checkpoint: &Checkpoint) -> Option<&'static str> {
    let options = &checkpoint.config.options;
    let table = [
        (options.mask != Mask::Causal, "a bidirectional mask"),
        (options.input != Input::Tokens, "an input of frames"),
        (options.qk_norm, "normalised queries and keys"),
        (options.pooling != Pooling::None || options.pooler != Pooler::None, "a pooling"),
        (checkpoint.tensors.has(Tensor::ClassToken), "a class token"),
        (!options.head, "no head"),
    ];
    table.into_iter().find_map(|(lacking, name)| lacking.then_some(name))
}

impl Network {
    /// The network of a checkpoint in which nothing is [`lacking`].
    pub(super) fn new(checkpoint: &Checkpoint) -> Network {
        let (config, tensors) = (&checkpoint.config, &checkpoint.tensors);
        let norm = |gain| tensors.has(gain).then(|| Norm::new(config, tensors, gain, 0));
        let embedding = tensors[(Tensor::Embedding, 0)].clone();
        Network {
            positions: tensors.get(Tensor::PositionTable, 0).cloned(),
            embedding_norm: norm(Tensor::EmbeddingNorm),
            blocks: (0..config.n_layers).map(|layer| Block::new(config, tensors, layer)).collect(),
            final_norm: norm(Tensor::FinalNorm),
            head: Linear::new(checkpoint.head().unwrap_or(&embedding), tensors.get(Tensor::HeadBias, 0)),
            embedding,
        }
    }

    /// A matrix of a layer by the core's name.
    pub(super) fn linear_mut(&mut self, layer: usize, tensor: Tensor) -> Option<&mut Linear> {
        self.blocks.get_mut(layer)?.linear_mut(tensor)
    }

    /// Logits for every position: `[seq, vocab]`.
    pub(super) fn forward(&self, tokens: &[u16]) -> (Rows, Tape) {
        let width = self.embedding.shape[1];
        let row = |&token: &u16| &self.embedding.data[usize::from(token) * width..][..width];
        let mut x = Rows { width, data: tokens.iter().flat_map(row).copied().collect() };
        if let Some(positions) = &self.positions {
            x.data.iter_mut().zip(&positions.data).for_each(|(x, position)| *x += position);
        }
        if let Some(norm) = &self.embedding_norm {
            x = norm.forward(&x).0;
        }
        let blocks = self.blocks.iter().map(|block| block.forward(&mut x)).collect();
        let mut final_norm = None;
        if let Some(norm) = &self.final_norm {
            let (normed, tape) = norm.forward(&x);
            (x, final_norm) = (normed, Some(tape));
        }
        (self.head.forward(&x), Tape { blocks, final_norm })
    }

    /// Adds the gradients of the trained matrices; layers before the blocks are not trained.
    pub(super) fn backward(&self, tape: &Tape, d_logits: &Rows, gradients: &mut Gradients) {
        let mut dx = self.head.backward_input(d_logits);
        if let (Some(norm), Some(tape)) = (&self.final_norm, &tape.final_norm) {
            dx = norm.backward(tape, &dx);
        }
        for (block, tape) in self.blocks.iter().zip(&tape.blocks).rev() {
            block.backward(tape, &mut dx, gradients);
        }
    }
}
