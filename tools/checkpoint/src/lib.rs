//! Float checkpoints in memory.
//!
//! A path flows in, a [`Checkpoint`] flows out: every weight as `f32`, row-major, in one fixed convention, with its
//! tokenizer in tables that a device without Unicode data can use. `Checkpoint::load` recognises the layout:
//! - a folder of `config.json` and `model.safetensors`: this project's own layout (`native`), which any training
//!   script can write; PyTorch's `nn.TransformerEncoder` (`pytorch`); Hugging Face's `llama`, `mistral`, `gpt2`,
//!   `bert`, `distilbert` and `vit`; nanoGPT's names as `model_type` = `nanogpt`;
//! - a file: llama2.c's `.bin`; llama.cpp's GGUF with tensors of F32, F16, BF16, Q8_0 and Q4_0, architecture `llama`.
//!
//! The law of this crate: whatever would change what the network computes, and is not represented in [`Config`] or
//! [`Tokenizer`], is refused by name. A checkpoint that loads is computed completely by the formulas in
//! `thumbformer-reference`.
//!
//! All that reads files needs the feature `std`, which is on by default. Without it the crate is the types, for a device
//! with a heap that computes the float network itself.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "std")]
mod assemble;
mod config;
#[cfg(feature = "std")]
mod error;
#[cfg(feature = "std")]
mod folder;
#[cfg(feature = "std")]
mod gguf;
#[cfg(feature = "std")]
mod huggingface;
#[cfg(feature = "std")]
mod llama2c;
#[cfg(feature = "std")]
pub mod native;
#[cfg(feature = "std")]
pub mod pytorch;
#[cfg(feature = "std")]
pub mod random;
#[cfg(feature = "std")]
mod settings;
mod tensor;
mod tokenizer;
#[cfg(feature = "std")]
mod weights;

use alloc::string::String;
use alloc::vec::Vec;
#[cfg(feature = "std")]
use std::path::Path;

pub use config::{Activation, Config, Input, Mask, Norm, NormPlace, PoolerActivation, Pooling, Positions};
#[cfg(feature = "std")]
pub use error::Error;
pub use tensor::Tensor;
pub use tokenizer::{Merge, Tokenizer, TokenizerKind};

/// The weights of one block. Matrices are `[out, in]`; what is `None` is not there, and adds nothing.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Weights of the attention's norm: `[d_model]`; before the attention or after it ([`NormPlace`]).
    pub attention_norm: Tensor,
    /// Its bias, only with [`Norm::Layer`]: `[d_model]`.
    pub attention_norm_bias: Option<Tensor>,
    /// Query projection: `[n_heads * head_dim, d_model]`; rotary pairs are rows `i` and `i + head_dim / 2` of a head.
    pub wq: Tensor,
    /// Its bias: `[n_heads * head_dim]`.
    pub bq: Option<Tensor>,
    /// Key projection: `[n_kv_heads * head_dim, d_model]`; rotary pairs as in `wq`.
    pub wk: Tensor,
    /// Its bias: `[n_kv_heads * head_dim]`.
    pub bk: Option<Tensor>,
    /// Value projection: `[n_kv_heads * head_dim, d_model]`.
    pub wv: Tensor,
    /// Its bias: `[n_kv_heads * head_dim]`.
    pub bv: Option<Tensor>,
    /// Output projection: `[d_model, n_heads * head_dim]`.
    pub wo: Tensor,
    /// Its bias: `[d_model]`.
    pub bo: Option<Tensor>,
    /// Weights of the MLP's norm: `[d_model]`; before the MLP or after it ([`NormPlace`]).
    pub mlp_norm: Tensor,
    /// Its bias, only with [`Norm::Layer`]: `[d_model]`.
    pub mlp_norm_bias: Option<Tensor>,
    /// The gate of a gated MLP, `down(activation(gate(x)) * up(x))` (Shazeer 2020, "GLU Variants Improve Transformer"):
    /// `[d_ff, d_model]`. `None`: a plain MLP, `down(activation(up(x)))`.
    pub gate: Option<Tensor>,
    /// Its bias: `[d_ff]`.
    pub gate_bias: Option<Tensor>,
    /// Up projection: `[d_ff, d_model]`.
    pub up: Tensor,
    /// Its bias: `[d_ff]`.
    pub up_bias: Option<Tensor>,
    /// Down projection: `[d_model, d_ff]`.
    pub down: Tensor,
    /// Its bias: `[d_model]`.
    pub down_bias: Option<Tensor>,
}

/// A layer between pooling and head: `activation(weight x + bias)`.
#[derive(Clone, Debug)]
pub struct Pooler {
    /// Its matrix: `[d_model, d_model]`.
    pub weight: Tensor,
    /// Its bias: `[d_model]`.
    pub bias: Option<Tensor>,
    /// The function of its output.
    pub activation: PoolerActivation,
}

/// A float checkpoint, complete and checked: every shape agrees with [`Config`] and every weight is finite.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The folder or file it was read from.
    pub source: String,
    /// The architecture that was recognised, by the name that the checkpoint gives itself, for example `llama`.
    pub architecture: String,
    /// The numbers that define the network.
    pub config: Config,
    /// Embedding: `[vocab, d_model]` for tokens, `[d_model, n_features]` for frames.
    pub embedding: Tensor,
    /// Bias of a frame's embedding: `[d_model]`.
    pub embedding_bias: Option<Tensor>,
    /// The learned vector before the sequence, only with [`Pooling::Class`]: `[d_model]`.
    pub class_token: Option<Tensor>,
    /// What is added to the embedding, exactly with [`Positions::Table`]: `[max_seq, d_model]`.
    pub positions: Option<Tensor>,
    /// Weights of a norm between embedding and first block: `[d_model]`.
    pub embedding_norm: Option<Tensor>,
    /// Its bias: `[d_model]`.
    pub embedding_norm_bias: Option<Tensor>,
    /// The blocks, first to last.
    pub layers: Vec<Layer>,
    /// Weights of the norm after the last block: `[d_model]`.
    pub final_norm: Option<Tensor>,
    /// Its bias: `[d_model]`.
    pub final_norm_bias: Option<Tensor>,
    /// The layer between pooling and head, only where there is a pooling.
    pub pooler: Option<Pooler>,
    /// Output head: `[n_outputs, d_model]`. `None` when it is tied to the embedding ([`Config::tied_head`]), or when
    /// there is none and the network's output is what the head would read.
    pub head: Option<Tensor>,
    /// Its bias: `[n_outputs]`.
    pub head_bias: Option<Tensor>,
    /// The tokenizer, where one was found.
    pub tokenizer: Option<Tokenizer>,
}

#[cfg(feature = "std")]
impl Checkpoint {
    /// Reads a checkpoint and checks all of it.
    ///
    /// The crate's documentation lists the layouts. `tokenizer` names the tokenizer's file (`.json`: Hugging Face's,
    /// else llama2.c's). Without it, `tokenizer.json` in the folder or `tokenizer.bin` beside the file is used if it
    /// exists. A network that reads frames has none.
    ///
    /// # Errors
    /// [`Error`] names the file, the tensor or setting, what was expected and found, and the next step.
    pub fn load(path: &Path, tokenizer: Option<&Path>) -> Result<Self, Error> {
        let (mut checkpoint, beside) = if path.is_dir() {
            (folder::load(path)?, path.join("tokenizer.json"))
        } else {
            let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
            let load = if gguf::is_gguf(&bytes) { gguf::load } else { llama2c::load };
            (load(path, &bytes)?, path.with_file_name("tokenizer.bin"))
        };
        let file = match tokenizer {
            Some(file) => file,
            None if beside.is_file() && checkpoint.config.input == Input::Tokens && checkpoint.tokenizer.is_none() => {
                &beside
            }
            None => return Ok(checkpoint),
        };
        let vocab = checkpoint.config.vocab;
        checkpoint.tokenizer = Some(if file.extension().is_some_and(|extension| extension == "json") {
            huggingface::load_tokenizer(file, vocab)?
        } else {
            llama2c::load_tokenizer(file, vocab)?
        });
        Ok(checkpoint)
    }
}

impl Checkpoint {
    /// Number of weights, a tied head counted once.
    pub fn parameters(&self) -> usize {
        let pooler = self.pooler.iter().flat_map(|pooler| [Some(&pooler.weight), pooler.bias.as_ref()]);
        [
            Some(&self.embedding),
            self.embedding_bias.as_ref(),
            self.class_token.as_ref(),
            self.positions.as_ref(),
            self.embedding_norm.as_ref(),
            self.embedding_norm_bias.as_ref(),
            self.final_norm.as_ref(),
            self.final_norm_bias.as_ref(),
            self.head.as_ref(),
            self.head_bias.as_ref(),
        ]
        .into_iter()
        .chain(pooler)
        .flatten()
        .chain(self.layers.iter().flat_map(Layer::tensors))
        .map(|tensor| tensor.data.len())
        .sum()
    }
}

impl Layer {
    /// All tensors that are there, in the order of the computation.
    pub fn tensors(&self) -> Vec<&Tensor> {
        let parts: [(Option<&Tensor>, &Option<Tensor>); 9] = [
            (Some(&self.attention_norm), &self.attention_norm_bias),
            (Some(&self.wq), &self.bq),
            (Some(&self.wk), &self.bk),
            (Some(&self.wv), &self.bv),
            (Some(&self.wo), &self.bo),
            (Some(&self.mlp_norm), &self.mlp_norm_bias),
            (self.gate.as_ref(), &self.gate_bias),
            (Some(&self.up), &self.up_bias),
            (Some(&self.down), &self.down_bias),
        ];
        parts.into_iter().flat_map(|(weight, bias)| [weight, bias.as_ref()]).flatten().collect()
    }
}
