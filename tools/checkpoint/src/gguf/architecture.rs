//! Architectures of GGUF files: what each has beside a Llama's blocks, by the names of llama.cpp.
//!
//! | architecture | differences from llama |
//! | --- | --- |
//! | `llama` | rows of queries and keys are in an order of its own, in which neighbours are turned; biases as the file has them |
//! | `qwen2` | biases of queries, keys and values |
//! | `qwen3` | queries and keys are normalised, head by head |
//! | `gemma` | the embedding is multiplied by `sqrt(d_model)`, and is the head; tanh GELU; the file's gains are whole |
//! | `phi3` | one matrix for queries, keys and values, one for gate and up |
//! | `gpt2` | LayerNorm, a table of positions, biases, no gate, tanh GELU |
//!
//! Every key of an architecture is computed, or refused by name: it may change the computation.

use thumbformer::{Activation, Norm, Options, Positions, Tensor};

use super::Keys;
use super::file::{File, Value};
use crate::huggingface::llama::Factors;
use crate::names::{Bias, QKV, Row, Source};
use crate::{Config, Error};

/// Differences of an architecture.
pub(super) struct Architecture {
    pub(super) name: &'static str,
    activation: Activation,
    /// Biases of queries, keys and values.
    qkv: Bias,
    /// Biases of the other matrices of a block.
    others: Bias,
    /// True if pairs of rotary positions are neighbours in the file.
    is_adjacent: bool,
    qk_norm: bool,
    /// True if a table of positions and LayerNorms are there, and no gate.
    is_gpt2: bool,
    /// True if the head is always the embedding, which has a factor.
    is_gemma: bool,
    /// True if one matrix holds gate and up.
    is_fused: bool,
}

const QWEN3: Architecture = Architecture {
    name: "qwen3",
    activation: Activation::Silu,
    qkv: Bias::Absent,
    others: Bias::Absent,
    is_adjacent: false,
    qk_norm: true,
    is_gpt2: false,
    is_gemma: false,
    is_fused: false,
};

const ARCHITECTURES: [Architecture; 6] = [
    Architecture {
        name: "llama",
        qkv: Bias::AsInFile,
        others: Bias::AsInFile,
        is_adjacent: true,
        qk_norm: false,
        ..QWEN3
    },
    Architecture { name: "qwen2", qkv: Bias::Required, qk_norm: false, ..QWEN3 },
    QWEN3,
    Architecture { name: "gemma", activation: Activation::GeluTanh, qk_norm: false, is_gemma: true, ..QWEN3 },
    Architecture { name: "phi3", qk_norm: false, is_fused: true, ..QWEN3 },
    Architecture {
        name: "gpt2",
        activation: Activation::GeluTanh,
        qkv: Bias::Required,
        others: Bias::Required,
        qk_norm: false,
        is_gpt2: true,
        ..QWEN3
    },
];

/// Keys below the architecture's name that are sizes, which are read or are in the tensors too, or change nothing.
const KNOWN: [&str; 14] = [
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "rope.dimension_count",
    "rope.freq_base",
    "vocab_size",
    "tensor_data_layout",
    // Read where positions are rescaled only.
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
];

/// Keys whose other values change the computation: the number that changes nothing.
const NEUTRAL: [(&str, f64); 7] = [
    ("rope.scaling.factor", 1.0),
    ("rope.scale_linear", 1.0),
    ("rope.scaling.attn_factor", 1.0),
    ("logit_scale", 1.0),
    ("attention.clamp_kqv", 0.0),
    ("expert_count", 0.0),
    ("expert_used_count", 0.0),
];

impl Architecture {
    /// The architecture that a file names.
    pub(super) fn of(keys: &Keys<'_, '_>) -> Result<&'static Architecture, Error> {
        let found = keys.get("general.architecture");
        let name = if let Some(Value::Text(name)) = found { name } else { "(none named by general.architecture)" };
        ARCHITECTURES.iter().find(|architecture| architecture.name == name).ok_or_else(|| Error::Architecture {
            path: keys.path.into(),
            found: name.into(),
            supported: ARCHITECTURES.map(|architecture| architecture.name).join(", "),
            tensors: crate::weights::summary(keys.file.rest().map(|(name, _)| name)),
        })
    }

    /// Factors that llama.cpp applies; what it folds itself is in the file.
    pub(super) fn factors(&self, config: &Config) -> Factors {
        Factors::of_embedding(if self.is_gemma { (config.d_model as f64).sqrt() } else { 1.0 })
    }

    /// Names of the tensors.
    pub(super) fn rows(&self, file: &File<'_>) -> Vec<Row> {
        const GATE_UP: &[Tensor] = &[Tensor::Gate, Tensor::Up];
        let norms = Bias::of(self.is_gpt2);
        let layer = |tensor, name: &str, bias| Row::new(tensor, format!("blk.#.{name}"), bias);
        let mut rows = vec![
            Row::new(Tensor::Embedding, "token_embd", Bias::Absent),
            layer(Tensor::AttentionNorm, "attn_norm", norms),
            layer(Tensor::AttentionOutput, "attn_output", self.others),
            layer(Tensor::MlpNorm, "ffn_norm", norms),
            layer(Tensor::Down, "ffn_down", self.others),
            Row::new(Tensor::FinalNorm, "output_norm", norms),
        ];
        // Rows of a Llama's queries and keys cannot be put back in a matrix that holds the values as well.
        if !self.is_adjacent && file.has("blk.0.attn_qkv.weight") {
            rows.extend(QKV.iter().map(|part| layer(*part, "attn_qkv", self.qkv).stacked(QKV)));
        } else {
            let turned = |row: Row| if self.is_adjacent { row.adjacent() } else { row };
            rows.extend([
                turned(layer(Tensor::Query, "attn_q", self.qkv)),
                turned(layer(Tensor::Key, "attn_k", self.qkv)),
                layer(Tensor::Value, "attn_v", self.qkv),
            ]);
        }
        if self.is_fused {
            rows.extend(GATE_UP.iter().map(|part| layer(*part, "ffn_up", self.others).stacked(GATE_UP)));
        } else {
            rows.push(layer(Tensor::Up, "ffn_up", self.others));
            rows.extend((!self.is_gpt2).then(|| layer(Tensor::Gate, "ffn_gate", self.others)));
        }
        if self.qk_norm {
            rows.push(layer(Tensor::QueryNorm, "attn_q_norm", Bias::Absent));
            rows.push(layer(Tensor::KeyNorm, "attn_k_norm", Bias::Absent));
        }
        rows.extend(self.is_gpt2.then(|| Row::new(Tensor::PositionTable, "position_embd", Bias::Absent)));
        let has_head = file.has("output.weight") && !self.is_gemma;
        rows.extend(has_head.then(|| Row::new(Tensor::Head, "output", Bias::Absent)));
        rows
    }

    pub(super) fn config(&self, keys: &Keys<'_, '_>) -> Result<Config, Error> {
        let key = |name: &str| format!("{}.{name}", self.name);
        let norm = if self.is_gpt2 { "attention.layer_norm_epsilon" } else { "attention.layer_norm_rms_epsilon" };
        let max_seq = keys.size(&key("context_length"), None)?;
        self.check(keys, norm, max_seq)?;
        let (d_model, n_heads) =
            (keys.size(&key("embedding_length"), None)?, keys.size(&key("attention.head_count"), None)?);
        let head_dim = keys.size(&key("attention.key_length"), Some(d_model / n_heads))?;
        for name in ["attention.value_length", "rope.dimension_count"] {
            let found = keys.size(&key(name), Some(head_dim))?;
            if found != head_dim {
                return Err(keys.error(&key(name), found, &format!("{head_dim}, the width of a head")));
            }
        }
        let n_kv_heads = keys.size(&key("attention.head_count_kv"), Some(n_heads))?;
        if !n_heads.is_multiple_of(n_kv_heads) {
            let expected = format!("a multiple of {n_kv_heads}");
            return Err(keys.error(&key("attention.head_count"), n_heads, &expected));
        }
        if head_dim == 0 || !self.is_gpt2 && !head_dim.is_multiple_of(2) {
            let expected = "an even number: rotary positions turn pairs";
            return Err(keys.error(&key("attention.key_length"), head_dim, expected));
        }
        let mut options = Options::LLAMA;
        (options.activation, options.qk_norm) = (self.activation, self.qk_norm);
        if self.is_gpt2 {
            (options.norm, options.positions, options.gated) = (Norm::Layer, Positions::Table, false);
        }
        let shape = keys.file.rest().find(|(name, _)| *name == "token_embd.weight").map(|(_, shape)| shape);
        let vocab = keys.size(&key("vocab_size"), shape.and_then(|shape| shape.first().copied()))?;
        let mut config = Config::new(options, d_model, n_heads, head_dim);
        config.n_layers = keys.size(&key("block_count"), None)?;
        config.n_kv_heads = n_kv_heads;
        config.d_ff = keys.size(&key("feed_forward_length"), None)?;
        (config.vocab, config.n_outputs, config.max_seq) = (vocab, vocab, max_seq);
        config.norm_eps = keys.positive(&key(norm), None)? as f32;
        config.rope_theta = keys.positive(&key("rope.freq_base"), Some(10_000.0))?;
        Ok(config)
    }

    /// Refuses keys that may change the computation.
    fn check(&self, keys: &Keys<'_, '_>, norm: &str, max_seq: usize) -> Result<(), Error> {
        let prefix = format!("{}.", self.name);
        for (key, name) in keys.file.keys.keys().filter_map(|key| Some((*key, key.strip_prefix(&prefix)?))) {
            let found = keys.file.keys[key];
            let number = match found {
                Value::Unsigned(number) => Some(number as f64),
                Value::Signed(number) => Some(number as f64),
                Value::Float(number) => Some(number),
                _ => None,
            };
            let neutral = NEUTRAL.iter().find(|(other, _)| *other == name).map(|(_, neutral)| *neutral);
            let expected = match (name, found) {
                ("rope.scaling.type", Value::Text("none" | "linear")) | ("attention.causal", Value::Bool(true)) => {
                    continue;
                }
                ("rope.scaling.type", _) => "none: rotary positions are not rescaled".into(),
                ("attention.causal", _) => "true: attention is causal".into(),
                // llama.cpp reads it of none of these: what the model was trained with is not what it computes.
                ("attention.sliding_window", _) if number.is_some_and(|n| n == 0.0 || n >= max_seq as f64) => continue,
                ("attention.sliding_window", _) => {
                    format!(
                        "0, or at least {prefix}context_length ({max_seq}), which may be set to the window: llama.cpp leaves a shorter one out"
                    )
                }
                _ if KNOWN.contains(&name) || name == norm || neutral.is_some() && number == neutral => continue,
                _ => match neutral {
                    Some(neutral) => format!("{neutral}, or absent: another value changes what the model computes"),
                    None => "absent: it may change what the model computes".into(),
                },
            };
            return Err(keys.error(key, format!("{found:?}"), &expected));
        }
        Ok(())
    }
}
