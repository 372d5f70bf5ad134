//! The float reference: computes a checkpoint's network in `f64`, in plain code.
//!
//! The inputs are token ids or frames; the outputs are logits for every position, or one output of the pooled sequence. A
//! whole sequence is computed at once, without a cache, so that the reference shares neither code nor structure with the
//! engine that it checks. It is itself compared with PyTorch at every named point (`tests/golden.rs`).
//!
//! # Source
//! - block and attention: Vaswani et al. 2017, "Attention Is All You Need", sections 3.1 and 3.2, in post-LN order as
//!   there, or in pre-LN order (Xiong et al. 2020)
//! - everything optional: the papers at the options of [`thumbformer_checkpoint::Config`]
//!
//! It needs a heap but no operating system. It takes its functions from `libm` or its own `exp` on every machine, so that a device and
//! the host compute the same values.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod block;
mod exp;
mod matrix;
pub mod metrics;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use block::{Block, NormWeights};
use core::ops::Range;
use matrix::{Linear, Matrix, vector};

use thumbformer_checkpoint::{
    Activation, Checkpoint, ClassPlace, Config, DenseActivation, Input, Mask, Pooler, Pooling, Tensor,
};

/// The reason that a sequence was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The sequence is empty.
    #[error("the sequence is empty; pass at least one token or frame")]
    Empty,
    /// A token id has no row in the embedding.
    #[error(
        "token {token} at position {position} is beyond the vocabulary of {vocab}; encode the text with this model's tokenizer"
    )]
    Token {
        /// The token id.
        token: u32,
        /// Its position in the sequence.
        position: usize,
        /// Size of the vocabulary.
        vocab: usize,
    },
    /// The network reads frames and was given tokens, or vice versa.
    #[error("the network reads {expected}, found {found}; call the function for {expected}")]
    Input {
        /// The network's input: `tokens` or `frames`.
        expected: &'static str,
        /// The input of the call.
        found: &'static str,
    },
    /// The width of a frame is not that of the embedding.
    #[error("frame {position} has {found} numbers, the embedding reads {expected}; use this model's front end")]
    Frame {
        /// Index of the frame.
        position: usize,
        /// Numbers that the embedding reads.
        expected: usize,
        /// Numbers in the frame.
        found: usize,
    },
    /// A number of a frame is NaN or infinite.
    #[error("frame {position} holds {value} at {index}, expected finite numbers; check the front end")]
    NotFinite {
        /// Index of the frame.
        position: usize,
        /// Index of the number in the frame.
        index: usize,
        /// The number, as text.
        value: String,
    },
    /// The mask is not valid for this sequence.
    #[error(
        "a mask of {found} entries for {length} tokens or frames; give one entry for each, at least one of them true, and no mask \
         to a causal network"
    )]
    Mask {
        /// Tokens or frames of the sequence.
        length: usize,
        /// Entries of the mask.
        found: usize,
    },
    /// The sequence is longer than the model's context.
    #[error(
        "the sequence has {length} tokens or frames, class token included, but the context holds {max_seq}; cut it into parts"
    )]
    TooLong {
        /// Tokens or frames of the sequence, and the class token.
        length: usize,
        /// Tokens or frames that fit.
        max_seq: usize,
    },
}

/// An observer, called at every named point with a row-major array; see [`Reference::forward`].
pub type Observe<'a> = dyn FnMut(&str, &[f64]) + 'a;

/// A function that changes the operands of matrices and of attention in place; see [`Reference::forward_changed`].
pub type Change<'a> = dyn FnMut(&str, &mut [f64]) + 'a;

/// Values at a point.
pub(crate) enum Seen<'a> {
    /// Values as they are.
    Value(&'a [f64]),
    /// Values that a product is about to read, and nothing else.
    Operand(&'a mut [f64]),
}

pub(crate) type Probe<'a> = dyn FnMut(&str, Seen<'_>) + 'a;

/// A probe of values.
fn values(observe: &mut Observe<'_>) -> impl FnMut(&str, Seen<'_>) {
    |point, seen| {
        if let Seen::Value(values) = seen {
            observe(point, values);
        }
    }
}

/// A probe of operands.
fn operands(change: &mut Change<'_>) -> impl FnMut(&str, Seen<'_>) {
    |point, seen| {
        if let Seen::Operand(values) = seen {
            change(point, values);
        }
    }
}

/// The network of a checkpoint in `f64`.
pub struct Reference {
    config: Config,
    embedding: Linear,
    /// `[n_class, d_model]`.
    class_tokens: Vec<f64>,
    positions: Option<Matrix>,
    embedding_norm: Option<NormWeights>,
    blocks: Vec<Block>,
    final_norm: Option<NormWeights>,
    head_norm: Option<NormWeights>,
    pooler: Option<Linear>,
    head_layers: Vec<Linear>,
    /// A copy of the embedding when the head is tied to it.
    head: Option<Linear>,
}

impl Reference {
    /// The reference of a checkpoint, whose shapes `Checkpoint::load` has checked.
    ///
    /// # Panics
    /// When a tensor that every network has is missing.
    pub fn new(checkpoint: &Checkpoint) -> Self {
        let (config, tensors) = (checkpoint.config.clone(), &checkpoint.tensors);
        let head = checkpoint.head().map(|head| Linear::new(head, tensors.get(Tensor::HeadBias, 0)));
        let block = |layer| Block::of(tensors, layer).unwrap_or_else(|| panic!("layer {layer} lacks a tensor"));
        Self {
            embedding: Linear::new(&tensors[(Tensor::Embedding, 0)], tensors.get(Tensor::EmbeddingBias, 0)),
            class_tokens: tensors.get(Tensor::ClassToken, 0).map(vector).unwrap_or_default(),
            positions: tensors.get(Tensor::PositionTable, 0).map(Matrix::from),
            embedding_norm: NormWeights::of(tensors, Tensor::EmbeddingNorm, 0),
            blocks: (0..config.n_layers).map(block).collect(),
            final_norm: NormWeights::of(tensors, Tensor::FinalNorm, 0),
            head_norm: NormWeights::of(tensors, Tensor::HeadNorm, 0),
            pooler: Linear::of(tensors, Tensor::Pooler, 0),
            head_layers: (0..).map_while(|layer| Linear::of(tensors, Tensor::HeadHidden, layer)).collect(),
            head,
            config,
        }
    }

    /// Dimensions and options of the network.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Outputs for one sequence of tokens that begins at position 0: `[seq][n_outputs]`, or with a pooling
    /// `[1][n_outputs]`.
    ///
    /// `observe` is called once per point, with `[seq, width]` unless stated otherwise, a class token being the first of
    /// `seq`. A point whose part the network lacks is left out. The points are
    /// `embedding` (with class token and positions), `embedding_norm`; for each layer `n`: `layers.n.attention_norm`,
    /// `layers.n.attention.q` and `.k` (rotated), `.v`, `layers.n.attention.scores` (probabilities,
    /// `[n_heads, seq, seq]`), `layers.n.attention.gathered` (the context of all heads), `layers.n.attention.output`,
    /// `layers.n.mlp_norm`, `layers.n.mlp.hidden`, `layers.n.mlp.output`, `layers.n.output` (the stream);
    /// `final_norm`; `pooled`, `head_norm` and `pooler` (`[d_model]`), `head_layers.n`; `logits` (the result). The order is that of the
    /// computation: with norms after the branches, `layers.n.attention_norm` comes after `layers.n.attention.output`
    /// and is the stream between the branches, and `layers.n.mlp_norm` equals `layers.n.output`.
    ///
    /// # Errors
    /// [`Error`] when the sequence is empty, too long, or has a token beyond the vocabulary, or when the network reads
    /// frames.
    pub fn forward(&self, tokens: &[u32], observe: &mut Observe<'_>) -> Result<Vec<Vec<f64>>, Error> {
        self.forward_masked(tokens, &vec![true; tokens.len()], observe)
    }

    /// As [`Self::forward`], with hidden tokens, which no token sees and no pooling includes; their own outputs are computed. This
    /// is the padding of most frameworks; `visible: [seq]`.
    ///
    /// # Errors
    /// As of [`Self::forward`], and when the mask's length differs, when it hides everything, or when the network is causal.
    pub fn forward_masked(
        &self,
        tokens: &[u32],
        visible: &[bool],
        observe: &mut Observe<'_>,
    ) -> Result<Vec<Vec<f64>>, Error> {
        self.check_tokens(tokens)?;
        self.check_mask(tokens.len(), visible)?;
        Ok(self.blocks(self.embedded(tokens), visible, &mut values(observe)))
    }

    /// As [`Self::forward`], where `change` may alter what a product reads, as an engine of integers rounds it: `attention.input`,
    /// `attention.q`, `.k`, `.v`, `.gathered`, `mlp.input` and `mlp.hidden` of each layer `layers.n`, `pooler.input`, `head_layers.n.input`,
    /// `head.input`; with
    /// frames `embedding.input`. Each is `[seq, width]`, and the residual stream is never among them.
    ///
    /// # Errors
    /// As of [`Self::forward`].
    pub fn forward_changed(&self, tokens: &[u32], change: &mut Change<'_>) -> Result<Vec<Vec<f64>>, Error> {
        self.check_tokens(tokens)?;
        Ok(self.blocks(self.embedded(tokens), &vec![true; tokens.len()], &mut operands(change)))
    }

    /// As [`Self::forward_changed`], for a sequence of frames `[seq][n_features]`.
    ///
    /// # Errors
    /// As of [`Self::forward_frames`].
    pub fn forward_frames_changed(&self, frames: &[Vec<f64>], change: &mut Change<'_>) -> Result<Vec<Vec<f64>>, Error> {
        self.check_frames(frames)?;
        let mut operand = Matrix::rows(frames.iter().cloned());
        change("embedding.input", &mut operand.data);
        Ok(self.blocks(self.embedded_frames(&operand), &vec![true; frames.len()], &mut operands(change)))
    }

    fn embedded(&self, tokens: &[u32]) -> Matrix {
        Matrix::rows(tokens.iter().map(|&token| self.embedding.row(token as usize)))
    }

    fn embedded_frames(&self, frames: &Matrix) -> Matrix {
        let mut x = self.embedding.apply(frames);
        dense(self.config.options.embedding_activation, &mut x.data);
        x
    }

    /// As [`Self::forward`], for a sequence of frames `[seq][n_features]`.
    ///
    /// # Errors
    /// [`Error`] when the sequence is empty or too long, when a frame has another width than the embedding or holds
    /// NaN or infinity, or when the network reads tokens.
    pub fn forward_frames(&self, frames: &[Vec<f64>], observe: &mut Observe<'_>) -> Result<Vec<Vec<f64>>, Error> {
        self.forward_frames_masked(frames, &vec![true; frames.len()], observe)
    }

    /// As [`Self::forward_masked`], for a sequence of frames `[seq][n_features]`.
    ///
    /// # Errors
    /// As of [`Self::forward_frames`] and [`Self::forward_masked`].
    pub fn forward_frames_masked(
        &self,
        frames: &[Vec<f64>],
        visible: &[bool],
        observe: &mut Observe<'_>,
    ) -> Result<Vec<Vec<f64>>, Error> {
        self.check_frames(frames)?;
        self.check_mask(frames.len(), visible)?;
        Ok(self.blocks(self.embedded_frames(&Matrix::rows(frames.iter().cloned())), visible, &mut values(observe)))
    }

    /// Signal-to-quantization-noise ratio of an engine's outputs for frames `[seq, n_features]`, against this network's outputs at
    /// the last position, or with a pooling, its one output.
    ///
    /// # Errors
    /// As of [`Self::forward_frames`].
    pub fn compare_frames(&self, frames: &[f32], outputs: &[f32]) -> Result<metrics::Sqnr, Error> {
        let n_features = self.config.n_features;
        if self.config.options.input != Input::Frames {
            return Err(Error::Input { expected: "tokens", found: "frames" });
        }
        let wide = |row: &[f32]| row.iter().copied().map(f64::from).collect::<Vec<f64>>();
        let frames: Vec<Vec<f64>> = frames.chunks(n_features).map(wide).collect();
        let expected = self.forward_frames(&frames, &mut |_, _| ())?;
        let mut sqnr = metrics::Sqnr::default();
        sqnr.add(expected.last().map_or(&[], Vec::as_slice), &wide(outputs));
        Ok(sqnr)
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<(), Error> {
        let vocab = self.config.vocab;
        if self.config.options.input != Input::Tokens {
            return Err(Error::Input { expected: "frames", found: "tokens" });
        }
        self.check_length(tokens.len())?;
        match tokens.iter().position(|&token| token as usize >= vocab) {
            Some(position) => Err(Error::Token { token: tokens[position], position, vocab }),
            None => Ok(()),
        }
    }

    fn check_frames(&self, frames: &[Vec<f64>]) -> Result<(), Error> {
        let n_features = self.config.n_features;
        if self.config.options.input != Input::Frames {
            return Err(Error::Input { expected: "tokens", found: "frames" });
        }
        self.check_length(frames.len())?;
        for (position, frame) in frames.iter().enumerate() {
            if frame.len() != n_features {
                return Err(Error::Frame { position, expected: n_features, found: frame.len() });
            }
            if let Some(index) = frame.iter().position(|value| !value.is_finite()) {
                return Err(Error::NotFinite { position, index, value: frame[index].to_string() });
            }
        }
        Ok(())
    }

    fn check_length(&self, length: usize) -> Result<(), Error> {
        let max_seq = self.config.max_seq;
        let whole = length + self.n_class();
        match length {
            0 => Err(Error::Empty),
            _ if whole > max_seq => Err(Error::TooLong { length: whole, max_seq }),
            _ => Ok(()),
        }
    }

    fn check_mask(&self, length: usize, visible: &[bool]) -> Result<(), Error> {
        let hides = visible.contains(&false);
        match visible.len() == length && visible.contains(&true) && !(hides && self.config.options.mask == Mask::Causal)
        {
            true => Ok(()),
            false => Err(Error::Mask { length, found: visible.len() }),
        }
    }

    /// Everything from the embedded sequence to the outputs.
    fn blocks(&self, x: Matrix, visible: &[bool], probe: &mut Probe<'_>) -> Vec<Vec<f64>> {
        let rows = |data: &[f64]| data.chunks(x.width).map(<[f64]>::to_vec).collect::<Vec<_>>();
        let class_seen = vec![true; self.n_class()];
        let (mut parts, mut seen) = ([rows(&self.class_tokens), rows(&x.data)], [class_seen, visible.to_vec()]);
        if self.config.options.class_place == ClassPlace::Last {
            parts.swap(0, 1);
            seen.swap(0, 1);
        }
        let visible = seen.concat();
        let mut x = Matrix::rows(parts.concat().into_iter());
        if let Some(positions) = &self.positions {
            // Rows beyond the sequence's length are not used.
            x.add(positions);
        }
        probe("embedding", Seen::Value(&x.data));
        if let Some(norm) = &self.embedding_norm {
            x = norm.apply(&self.config, &x);
            probe("embedding_norm", Seen::Value(&x.data));
        }
        for (index, block) in self.blocks.iter().enumerate() {
            block.forward(&self.config, &mut x, &visible, &mut |point, seen| {
                probe(&format!("layers.{index}.{point}"), seen);
            });
        }
        if let Some(norm) = &self.final_norm {
            x = norm.apply(&self.config, &x);
            probe("final_norm", Seen::Value(&x.data));
        }
        if let Some(pooled) = self.pool(&x, &visible) {
            x = Matrix::rows(core::iter::once(pooled));
            probe("pooled", Seen::Value(&x.data));
        }
        if let Some(norm) = &self.head_norm {
            x = norm.apply(&self.config, &x);
            probe("head_norm", Seen::Value(&x.data));
        }
        if let Some(pooler) = &self.pooler {
            probe("pooler.input", Seen::Operand(&mut x.data));
            // NaN for an unknown function, so that nothing agrees with it.
            x = pooler.apply(&x);
            x.data.iter_mut().for_each(|x| {
                *x = match self.config.options.pooler {
                    Pooler::Tanh => libm::tanh(*x),
                    Pooler::Relu => x.max(0.0),
                    _ => f64::NAN,
                };
            });
            probe("pooler", Seen::Value(&x.data));
        }
        for (index, layer) in self.head_layers.iter().enumerate() {
            probe(&format!("head_layers.{index}.input"), Seen::Operand(&mut x.data));
            x = layer.apply(&x);
            dense(self.config.options.head_activation, &mut x.data);
            probe(&format!("head_layers.{index}"), Seen::Value(&x.data));
        }
        if let Some(head) = &self.head {
            probe("head.input", Seen::Operand(&mut x.data));
            x = head.apply(&x);
        }
        probe("logits", Seen::Value(&x.data));
        x.data.chunks(x.width).map(<[f64]>::to_vec).collect()
    }

    /// The pooled vector of the sequence, if the network has a pooling.
    fn pool(&self, x: &Matrix, visible: &[bool]) -> Option<Vec<f64>> {
        let n_class = self.n_class();
        let (class, inputs) = match self.config.options.class_place {
            ClassPlace::First => (0..n_class, n_class..x.len()),
            _ => (x.len() - n_class..x.len(), 0..x.len() - n_class),
        };
        let seen = |range: Range<usize>| range.filter(|&index| visible[index]).collect::<Vec<_>>();
        let mean = |seen: Vec<usize>| {
            let mut mean = vec![0.0; x.width];
            for &index in &seen {
                mean.iter_mut().zip(x.row(index)).for_each(|(mean, row)| *mean += row / seen.len() as f64);
            }
            mean
        };
        match self.config.options.pooling {
            Pooling::None => None,
            Pooling::Class => Some(x.row(class.start.min(x.len() - 1)).to_vec()),
            Pooling::Last => seen(0..x.len()).last().map(|&last| x.row(last).to_vec()),
            Pooling::Mean => Some(mean(seen(0..x.len()))),
            Pooling::MeanOfInputs => Some(mean(seen(inputs))),
            Pooling::MeanOfClass => Some(mean(seen(class))),
            Pooling::Classes => Some(class.flat_map(|index| x.row(index).to_vec()).collect()),
            _ => Some(vec![f64::NAN; x.width]),
        }
    }

    fn n_class(&self) -> usize {
        self.class_tokens.len() / self.config.d_model
    }
}

/// The activation of a layer outside the blocks, in place; NaN for an unknown one, so that nothing agrees with it.
fn dense(activation: DenseActivation, x: &mut [f64]) {
    match activation {
        DenseActivation::None => {}
        DenseActivation::Tanh => x.iter_mut().for_each(|x| *x = libm::tanh(*x)),
        DenseActivation::Relu => block::activate(Activation::Relu, x),
        DenseActivation::Gelu => block::activate(Activation::Gelu, x),
        DenseActivation::GeluTanh => block::activate(Activation::GeluTanh, x),
        DenseActivation::Silu => block::activate(Activation::Silu, x),
        _ => x.fill(f64::NAN),
    }
}
