//! The numbers and options that define a network: every transformer block that this project computes.
//!
//! ```text
//! tokens or frames ─► embedding (+ class token) (+ positions) ─► [embedding norm] ─► blocks ─► [final norm]
//!                 ─► [pooling] ─► [pooler] ─► [head] ─► outputs
//! ```

use alloc::string::String;
use alloc::vec::Vec;

/// How a vector is normalised. `eps` is [`Config::norm_eps`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Norm {
    /// `x / sqrt(mean(x^2) + eps) * weight` (Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", eq. 4).
    Rms,
    /// `(x - mean(x)) / sqrt(var(x) + eps) * weight + bias`, with the variance over `n`, not `n - 1` (Ba, Kiros and
    /// Hinton 2016, "Layer Normalization", section 3.1); the bias is optional.
    Layer,
}

/// Where the norms of a block stand (Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NormPlace {
    /// `x = x + f(norm(x))`: nothing but addition touches the stream.
    Pre,
    /// `x = norm(x + f(x))`, as in Vaswani et al. 2017: `attention_norm` follows the attention, `mlp_norm` the MLP.
    Post,
}

/// The function between the matrices of the MLP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activation {
    /// `x / (1 + exp(-x))` (Elfwing et al. 2017; Ramachandran et al. 2017, "Searching for Activation Functions").
    Silu,
    /// `x / 2 * (1 + erf(x / sqrt(2)))` (Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", section 2).
    GeluErf,
    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`: the same paper's approximation, GPT-2's `gelu_new`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

/// What a position may attend to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mask {
    /// Itself and what stands before it: language models.
    Causal,
    /// All of the sequence: encoders.
    Bidirectional,
}

/// How the network knows where a vector stands. A class token is position 0, and the sequence begins at 1 then.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Positions {
    /// Pair `(i, i + head_dim / 2)` of every query and key head turns by `position * theta^(-2 i / head_dim)`
    /// (Su et al. 2021, "RoFormer", eq. 34).
    Rotary {
        /// Base of the frequencies.
        theta: f64,
    },
    /// A row of [`Checkpoint::positions`](crate::Checkpoint::positions) is added to the embedding, learned or
    /// sinusoidal.
    Table,
    /// It does not.
    None,
}

/// What a sequence consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// Token ids below [`Config::vocab`]; the embedding is `[vocab, d_model]`.
    Tokens,
    /// Vectors of numbers: sensor samples, spectra, or flattened patches of a picture (Dosovitskiy et al. 2020, "An
    /// Image is Worth 16x16 Words", eq. 1). The embedding is a linear map `[d_model, n_features]`.
    Frames {
        /// Numbers in a frame.
        n_features: usize,
    },
}

/// What the head reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pooling {
    /// Every vector of the sequence: an output for each, as in language models.
    None,
    /// The first vector. It is the learned [`Checkpoint::class_token`](crate::Checkpoint::class_token), which stands
    /// before the sequence (ViT), or where there is none, the sequence's own first token (BERT's `[CLS]`).
    Class,
    /// The mean of all vectors.
    Mean,
    /// The last vector.
    Last,
}

/// The function after the pooler's matrix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolerActivation {
    /// `tanh(x)`: BERT.
    Tanh,
    /// `max(x, 0)`: DistilBERT.
    Relu,
}

/// The numbers that define the network.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of blocks.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; `n_heads` is a multiple of it (Ainslie et al. 2023, "GQA").
    pub n_kv_heads: usize,
    /// Width of one head: not always `d_model / n_heads`, and even with rotary positions.
    pub head_dim: usize,
    /// Hidden width of the MLP; of the widest, where layers differ.
    pub d_ff: usize,
    /// Number of token ids; 0 when the input is frames.
    pub vocab: usize,
    /// Longest sequence, in tokens or frames; a class token counts as one of them.
    pub max_seq: usize,
    /// The kind of every norm.
    pub norm: Norm,
    /// Where the norms of a block stand.
    pub norm_place: NormPlace,
    /// The epsilon inside every norm.
    pub norm_eps: f32,
    /// The function inside the MLP.
    pub activation: Activation,
    /// What a position may attend to.
    pub mask: Mask,
    /// Most positions that one attends to under [`Mask::Causal`], itself included: `i` sees `i - sliding_window + 1 ..= i`
    /// (Beltagy, Peters and Cohan 2020, "Longformer", section 3.1); `None`: all before it.
    pub sliding_window: Option<usize>,
    /// How positions enter.
    pub positions: Positions,
    /// What a sequence consists of.
    pub input: Input,
    /// What the head reads.
    pub pooling: Pooling,
    /// Scores are multiplied by it before the softmax: usually `1 / sqrt(head_dim)`.
    pub attention_scale: f64,
    /// Width of an output: rows of the head, `vocab` for language models, classes or regressed numbers for encoders;
    /// `d_model` where there is no head.
    pub n_outputs: usize,
    /// Names of the outputs, or none.
    pub labels: Vec<String>,
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

    /// The usual scale of the scores, `1 / sqrt(head_dim)` (Vaswani et al. 2017, eq. 1).
    pub fn usual_scale(head_dim: usize) -> f64 {
        1.0 / libm::sqrt(head_dim as f64)
    }
}
