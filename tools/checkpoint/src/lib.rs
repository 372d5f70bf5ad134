//! Float checkpoints in memory.
//!
//! A path flows in, a [`Checkpoint`] flows out: every weight as `f32`, row-major, in one fixed convention, with its
//! tokenizer in tables that a device without Unicode data can use. Two layouts are read: Hugging Face folders of the
//! Llama family ([`Checkpoint::load`] on a folder) and llama2.c's `.bin` (on a file).
//!
//! The law of this crate: whatever would change what the network computes, and is not represented in [`Config`] or
//! [`Tokenizer`], is refused by name. A checkpoint that loads is computed completely by the formulas in
//! `thumbformer-reference`.

mod error;
mod huggingface;
mod llama2c;
mod tensor;
mod tokenizer;

use std::path::{Path, PathBuf};

pub use error::Error;
pub use tensor::Tensor;
pub use tokenizer::{Merge, Tokenizer, TokenizerKind};

/// The numbers that define the network.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of blocks.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; `n_heads` is a multiple of it.
    pub n_kv_heads: usize,
    /// Width of one head; even, and not always `d_model / n_heads`.
    pub head_dim: usize,
    /// Hidden width of the MLP.
    pub d_ff: usize,
    /// Number of token ids.
    pub vocab: usize,
    /// Longest context, in tokens.
    pub max_seq: usize,
    /// The epsilon inside every RMSNorm.
    pub norm_eps: f32,
    /// Base of the rotary frequencies: pair `i` turns by `position * rope_theta^(-2 i / head_dim)`.
    pub rope_theta: f64,
    /// The head uses the embedding's matrix.
    pub tied_head: bool,
    /// The token that begins a text.
    pub bos: Option<u32>,
    /// The tokens that end a text.
    pub eos: Vec<u32>,
}

impl Config {
    /// Width of all query heads together.
    pub fn q_width(&self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Width of all key (or value) heads together.
    pub fn kv_width(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }
}

/// The weights of one block. Matrices are `[out, in]`.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Weights of the norm before the attention: `[d_model]`.
    pub attention_norm: Tensor,
    /// Query projection: `[n_heads * head_dim, d_model]`; rotary pairs are rows `i` and `i + head_dim / 2` of a head.
    pub wq: Tensor,
    /// Key projection: `[n_kv_heads * head_dim, d_model]`; rotary pairs as in `wq`.
    pub wk: Tensor,
    /// Value projection: `[n_kv_heads * head_dim, d_model]`.
    pub wv: Tensor,
    /// Output projection: `[d_model, n_heads * head_dim]`.
    pub wo: Tensor,
    /// Weights of the norm before the MLP: `[d_model]`.
    pub mlp_norm: Tensor,
    /// SwiGLU gate: `[d_ff, d_model]`; SiLU is applied to its output.
    pub gate: Tensor,
    /// SwiGLU up projection: `[d_ff, d_model]`.
    pub up: Tensor,
    /// Down projection: `[d_model, d_ff]`.
    pub down: Tensor,
}

/// A float checkpoint, complete and checked: every shape agrees with [`Config`] and every weight is finite.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The folder or file it was read from.
    pub source: PathBuf,
    /// The architecture by the name that the checkpoint gives itself, for example `llama`.
    pub architecture: String,
    /// The numbers that define the network.
    pub config: Config,
    /// Token embedding: `[vocab, d_model]`.
    pub embedding: Tensor,
    /// The blocks, first to last.
    pub layers: Vec<Layer>,
    /// Weights of the norm after the last block: `[d_model]`.
    pub final_norm: Tensor,
    /// Output head: `[vocab, d_model]`; `None` when it is tied to the embedding.
    pub head: Option<Tensor>,
    /// The tokenizer, where one was found.
    pub tokenizer: Option<Tokenizer>,
}

impl Checkpoint {
    /// Reads a checkpoint and checks all of it.
    ///
    /// A folder is read as Hugging Face's layout (`config.json`, `model.safetensors`, `tokenizer.json`), a file as
    /// llama2.c's `.bin`. `tokenizer` names the tokenizer's file (`.json`: Hugging Face's, else llama2.c's). Without
    /// it, `tokenizer.json` in the folder or `tokenizer.bin` beside the file is used if it exists.
    ///
    /// # Errors
    /// [`Error`] names the file, the tensor or setting, what was expected and found, and the next step.
    pub fn load(path: &Path, tokenizer: Option<&Path>) -> Result<Self, Error> {
        let (mut checkpoint, beside) = if path.is_dir() {
            (huggingface::load(path)?, path.join("tokenizer.json"))
        } else {
            (llama2c::load(path)?, path.with_file_name("tokenizer.bin"))
        };
        let file = match tokenizer {
            Some(file) => file,
            None if beside.is_file() => &beside,
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

    /// Number of weights, a tied head counted once.
    pub fn parameters(&self) -> usize {
        let layers = self.layers.iter().flat_map(Layer::tensors);
        [Some(&self.embedding), Some(&self.final_norm), self.head.as_ref()]
            .into_iter()
            .flatten()
            .chain(layers)
            .map(|tensor| tensor.data.len())
            .sum()
    }
}

impl Layer {
    /// All nine tensors, in the order of the computation.
    pub fn tensors(&self) -> [&Tensor; 9] {
        [&self.attention_norm, &self.wq, &self.wk, &self.wv, &self.wo, &self.mlp_norm, &self.gate, &self.up, &self.down]
    }
}
