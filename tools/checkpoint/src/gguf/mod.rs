//! Importer of GGUF, llama.cpp's file format: models of the Llama family with float, Q8_0 or Q4_0 tensors, and their tokenizer.
//!
//! ```text
//! bytes ─► File: keys, tensors made float ─► settings checked by name ─► Checkpoint
//! ```
//! llama.cpp rotates neighbouring numbers of a head, and its files hold the rows of queries and keys in that order; they are
//! moved back into pairs `(i, i + head_dim / 2)`. Quantized tensors have the file's values: the original float model is lost.

mod file;
#[cfg(test)]
mod tests;
mod tokenizer;

use std::path::Path;

use thumbformer::{Options, Tensor};

use crate::names::{Bias, Row, Source, read};
use crate::{Checkpoint, Config, Error};
use file::{File, Value};

/// The first four bytes of such a file.
pub(crate) const MAGIC: [u8; 4] = *b"GGUF";

/// Keys below `llama.` whose information is also in the tensors.
const KNOWN: [&str; 13] = [
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.layer_norm_rms_epsilon",
    "attention.key_length",
    "attention.value_length",
    "rope.dimension_count",
    "rope.freq_base",
    "vocab_size",
    "tensor_data_layout",
];

struct Keys<'f, 'a> {
    path: &'f Path,
    file: &'f File<'a>,
}

impl<'a> Keys<'_, 'a> {
    fn error(&self, key: &str, found: impl ToString, expected: &str) -> Error {
        Error::Setting {
            path: self.path.into(),
            key: key.into(),
            found: found.to_string(),
            expected: expected.into(),
            next: "convert a model without it, or correct the file with llama.cpp's gguf scripts".into(),
        }
    }

    fn get(&self, key: &str) -> Option<Value<'a>> {
        self.file.keys.get(key).copied()
    }

    fn size(&self, key: &str, default: Option<usize>) -> Result<usize, Error> {
        const EXPECTED: &str = "a whole number from 1 to 1048576";
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (Some(Value::Unsigned(size @ 1..=1_048_576)), _) => Ok(size as usize),
            (None, None) => Err(self.error(key, "absent", EXPECTED)),
            (Some(found), _) => Err(self.error(key, format!("{found:?}"), EXPECTED)),
        }
    }

    fn positive(&self, key: &str, default: Option<f64>) -> Result<f64, Error> {
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (Some(Value::Float(number)), _) if number.is_finite() && number as f32 > 0.0 => Ok(number),
            (None, None) => Err(self.error(key, "absent", "a positive number")),
            (Some(found), _) => Err(self.error(key, format!("{found:?}"), "a positive number")),
        }
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, Error> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(found) => Err(self.error(key, format!("{found:?}"), "true or false")),
        }
    }

    fn token(&self, key: &str, vocab: usize) -> Result<Option<u32>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Unsigned(id)) if (id as usize) < vocab => Ok(Some(id as u32)),
            Some(found) => Err(self.error(key, format!("{found:?}"), &format!("below the vocabulary of {vocab}"))),
        }
    }
}

/// Reads a model file.
pub(crate) fn load(path: &Path, bytes: &[u8]) -> Result<Checkpoint, Error> {
    let mut file = File::new(path, bytes)?;
    let mut config = config(path, &file)?;
    let mut notes = Vec::new();
    let tokenizer = tokenizer::read(&Keys { path, file: &file }, &mut config, &mut notes)?;
    let rows = rows(file.has("output.weight"));
    let tensors = read(&mut file, &config, &rows)?;
    let mut rest = file.rest();
    if let Some((tensor, shape)) = rest.next() {
        let others: Vec<&str> = rest.take(12).map(|(name, _)| name).collect();
        return Err(Error::UnexpectedTensor {
            path: path.into(),
            tensor: tensor.into(),
            shape: shape.clone(),
            others: if others.is_empty() { "none".into() } else { others.join(", ") },
        });
    }
    let mut checkpoint = Checkpoint::new(path, "llama", config, tensors);
    (checkpoint.tokenizer, checkpoint.notes) = (tokenizer, notes);
    Ok(checkpoint)
}

/// Names of the tensors.
fn rows(head: bool) -> Vec<Row> {
    let row = |tensor, name: &str| Row::new(tensor, name, Bias::Absent);
    let mut rows = vec![
        row(Tensor::Embedding, "token_embd"),
        row(Tensor::AttentionNorm, "blk.#.attn_norm"),
        row(Tensor::Query, "blk.#.attn_q").adjacent(),
        row(Tensor::Key, "blk.#.attn_k").adjacent(),
        row(Tensor::Value, "blk.#.attn_v"),
        row(Tensor::AttentionOutput, "blk.#.attn_output"),
        row(Tensor::MlpNorm, "blk.#.ffn_norm"),
        row(Tensor::Gate, "blk.#.ffn_gate"),
        row(Tensor::Up, "blk.#.ffn_up"),
        row(Tensor::Down, "blk.#.ffn_down"),
        row(Tensor::FinalNorm, "output_norm"),
    ];
    rows.extend(head.then(|| row(Tensor::Head, "output")));
    rows
}

fn config(path: &Path, file: &File<'_>) -> Result<Config, Error> {
    let keys = Keys { path, file };
    match keys.get("general.architecture") {
        Some(Value::Text("llama")) => {}
        found => {
            let tensors: Vec<&str> = file.rest().take(12).map(|(name, _)| name).collect();
            return Err(Error::Architecture {
                path: path.into(),
                found: match found {
                    Some(Value::Text(name)) => name.into(),
                    _ => "(none named by general.architecture)".into(),
                },
                supported: "llama".into(),
                tensors: tensors.join(", "),
            });
        }
    }
    // An unknown key may change the computation: rope scaling, experts, sliding windows.
    let unknown = file.keys.keys().filter_map(|key| key.strip_prefix("llama.")).find(|key| !KNOWN.contains(key));
    if let Some(key) = unknown {
        let key = format!("llama.{key}");
        let found = format!("{:?}", file.keys[&*key]);
        return Err(keys.error(&key, found, "absent: it may change what the model computes"));
    }
    let (d_model, n_heads) =
        (keys.size("llama.embedding_length", None)?, keys.size("llama.attention.head_count", None)?);
    let head_dim = keys.size("llama.attention.key_length", Some(d_model / n_heads))?;
    let widths = [("llama.attention.value_length", head_dim), ("llama.rope.dimension_count", head_dim)];
    for (key, expected) in widths {
        let found = keys.size(key, Some(expected))?;
        if found != expected {
            return Err(keys.error(key, found, &format!("{expected}, the width of a head")));
        }
    }
    let n_kv_heads = keys.size("llama.attention.head_count_kv", Some(n_heads))?;
    if !n_heads.is_multiple_of(n_kv_heads) {
        return Err(keys.error("llama.attention.head_count", n_heads, &format!("a multiple of {n_kv_heads}")));
    }
    if head_dim < 2 || !head_dim.is_multiple_of(2) {
        return Err(keys.error("llama.attention.key_length", head_dim, "an even number: rotary positions turn pairs"));
    }
    let shape = file.rest().find(|(name, _)| *name == "token_embd.weight").map(|(_, shape)| shape.clone());
    let vocab = keys.size("llama.vocab_size", shape.and_then(|shape| shape.first().copied()))?;
    let mut config = Config::new(Options::LLAMA, d_model, n_heads, head_dim);
    config.n_layers = keys.size("llama.block_count", None)?;
    config.n_kv_heads = n_kv_heads;
    config.d_ff = keys.size("llama.feed_forward_length", None)?;
    (config.vocab, config.n_outputs) = (vocab, vocab);
    config.max_seq = keys.size("llama.context_length", None)?;
    config.norm_eps = keys.positive("llama.attention.layer_norm_rms_epsilon", None)? as f32;
    config.rope_theta = keys.positive("llama.rope.freq_base", Some(10_000.0))?;
    Ok(config)
}
