//! Configuration of a network: the dimensions and options of every transformer that this project computes.
//!
//! ```text
//! tokens or frames ─► embedding (+ class token) (+ positions) ─► [embedding norm] ─► blocks ─► [final norm]
//!                 ─► [pooling] ─► [norm] ─► [pooler] ─► [hidden layers] ─► [head] ─► outputs
//! ```
//! The options are the core's; each has its formula and its paper there.

use alloc::string::String;
use alloc::vec::Vec;

use thumbformer::{Dims, MAX_HIDDEN, Options};

/// Configuration of a network.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of blocks.
    pub n_layers: usize,
    /// Number of query heads.
    pub n_heads: usize,
    /// Number of key and value heads; `n_heads` is a multiple of it (Ainslie et al. 2023, "GQA").
    pub n_kv_heads: usize,
    /// Width of one head: not always `d_model / n_heads`, and even with rotary positions.
    pub head_dim: usize,
    /// Hidden width of the MLP; of the widest MLP, where layers differ.
    pub d_ff: usize,
    /// Number of token ids; 0 when the input is frames.
    pub vocab: usize,
    /// Numbers in a frame; 0 when the input is tokens.
    pub n_features: usize,
    /// Class tokens, learned vectors that are part of the sequence.
    pub n_class: usize,
    /// Widths of the head's hidden layers, the first ones; 0 behind the last one.
    pub head_widths: [usize; MAX_HIDDEN],
    /// Longest sequence, in tokens or frames; class tokens count as well.
    pub max_seq: usize,
    /// The epsilon inside every norm.
    pub norm_eps: f32,
    /// Number of positions that a position attends to under a causal mask, itself included: `i` sees
    /// `i - sliding_window + 1 ..= i` (Beltagy, Peters and Cohan 2020, "Longformer", section 3.1); `None`: all before it.
    pub sliding_window: Option<usize>,
    /// Base of the frequencies of rotary positions: pair `(i, i + head_dim / 2)` of a head is rotated by
    /// `position * rope_theta^(-2 i / head_dim)`.
    pub rope_theta: f64,
    /// Factor of the scores before the softmax: usually `1 / sqrt(head_dim)`.
    pub attention_scale: f64,
    /// Width of an output: the rows of the head (`vocab` for a language model, classes or regressed numbers for an encoder), or
    /// `d_model` without a head.
    pub n_outputs: usize,
    /// Names of the outputs; empty for none.
    pub labels: Vec<String>,
    /// Names of the columns of a sensor's recordings; empty for none.
    pub columns: Vec<String>,
    /// Samples of the sensor that make a frame, one after the other; 1 where a sample is a frame.
    pub frame_samples: usize,
    /// Samples from the beginning of one frame to that of the next.
    pub frame_hop: usize,
    /// The token that begins a text.
    pub bos: Option<u32>,
    /// The tokens that end a text.
    pub eos: Vec<u32>,
    /// Options of the network.
    pub options: Options,
}

impl Config {
    /// A configuration with usual attention: `n_heads` heads of width `head_dim`, a key and value head for each, all positions
    /// seen. Other numbers are 0, optional parts are absent.
    pub fn new(options: Options, d_model: usize, n_heads: usize, head_dim: usize) -> Config {
        Config {
            d_model,
            n_layers: 0,
            n_heads,
            n_kv_heads: n_heads,
            head_dim,
            d_ff: 0,
            vocab: 0,
            n_features: 0,
            n_class: 0,
            head_widths: [0; MAX_HIDDEN],
            max_seq: 0,
            norm_eps: 1e-5,
            sliding_window: None,
            rope_theta: 10_000.0,
            attention_scale: Config::usual_scale(head_dim),
            n_outputs: d_model,
            labels: Vec::new(),
            columns: Vec::new(),
            frame_samples: 1,
            frame_hop: 1,
            bos: None,
            eos: Vec::new(),
            options,
        }
    }

    /// Dimensions of this network in the core's form, unchecked.
    pub fn dims(&self) -> Dims {
        let mut dims = Dims::block(self.d_model, self.n_heads, self.d_ff, self.max_seq, self.options);
        dims.n_layers = self.n_layers;
        dims.n_kv_heads = self.n_kv_heads;
        dims.head_dim = self.head_dim;
        dims.vocab = self.vocab;
        dims.n_features = self.n_features;
        dims.n_outputs = self.n_outputs;
        dims.n_class = self.n_class;
        dims.head_widths = self.head_widths;
        dims.sliding_window = self.sliding_window.unwrap_or(0);
        dims.norm_eps = self.norm_eps;
        dims.attention_scale = self.attention_scale as f32;
        dims
    }

    /// Width of all query heads together.
    pub fn q_width(&self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Width of all key (or value) heads together.
    pub fn kv_width(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// The usual scale of the scores, `1 / sqrt(head_dim)` (Vaswani et al. 2017, eq. 1).
    pub fn usual_scale(head_dim: usize) -> f64 {
        1.0 / libm::sqrt(head_dim as f64)
    }
}
