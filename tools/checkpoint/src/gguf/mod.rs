//! GGUF, the file format of llama.cpp: models of the Llama family with float, Q8_0 or Q4_0 tensors, and their tokenizer.
//!
//! ```text
//! bytes ─► File: keys, tensors made float ─► settings checked by name ─► Checkpoint
//! ```
//! llama.cpp turns neighbouring numbers of a head, so its files hold the rows of queries and keys in that order; they are put
//! back into pairs `(i, i + head_dim / 2)`. Quantized tensors are what the file says they are: the float model is lost to it.

mod file;

use std::path::Path;

use crate::assemble::{Affine, Network, Parts};
use crate::llama2c::scored_tokenizer;
use crate::{
    Activation, Checkpoint, Config, Error, Input, Layer, Mask, Norm, NormPlace, Pooling, Positions, Tensor, Tokenizer,
};
use file::{File, Value};

/// Whether these are the first bytes of such a file.
pub(crate) fn is_gguf(bytes: &[u8]) -> bool {
    bytes.starts_with(&file::MAGIC)
}

/// Keys below `llama.` that say nothing which the tensors do not say.
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

impl Keys<'_, '_> {
    fn error(&self, key: &str, found: impl ToString, expected: &str) -> Error {
        Error::Setting {
            path: self.path.into(),
            key: key.into(),
            found: found.to_string(),
            expected: expected.into(),
            next: "convert a model without it, or correct the file with llama.cpp's gguf scripts".into(),
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.file.keys.get(key)
    }

    fn size(&self, key: &str, default: Option<usize>) -> Result<usize, Error> {
        const EXPECTED: &str = "a whole number from 1 to 1048576";
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (Some(Value::Unsigned(size @ 1..=1_048_576)), _) => Ok(*size as usize),
            (None, None) => Err(self.error(key, "absent", EXPECTED)),
            (Some(found), _) => Err(self.error(key, format!("{found:?}"), EXPECTED)),
        }
    }

    fn positive(&self, key: &str, default: Option<f64>) -> Result<f64, Error> {
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (Some(Value::Float(number)), _) if number.is_finite() && *number as f32 > 0.0 => Ok(*number),
            (None, None) => Err(self.error(key, "absent", "a positive number")),
            (Some(found), _) => Err(self.error(key, format!("{found:?}"), "a positive number")),
        }
    }

    fn token(&self, key: &str, vocab: usize) -> Result<Option<u32>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Unsigned(id)) if (*id as usize) < vocab => Ok(Some(*id as u32)),
            Some(found) => Err(self.error(key, format!("{found:?}"), &format!("below the vocabulary of {vocab}"))),
        }
    }
}

/// Reads a model file.
pub(crate) fn load(path: &Path, bytes: &[u8]) -> Result<Checkpoint, Error> {
    let mut file = File::new(path, bytes)?;
    let config = config(path, &file)?;
    let tokenizer = tokenizer(path, &file, config.vocab)?;
    let (d, vocab) = (config.d_model, config.vocab);
    let plain = |file: &mut File<'_>, name: &str, shape: &[usize]| -> Result<Affine, Error> {
        Ok((file.take(&format!("{name}.weight"), shape)?, None))
    };
    let embedding = plain(&mut file, "token_embd", &[vocab, d])?;
    let layers = (0..config.n_layers).map(|index| layer(&mut file, &config, index)).collect::<Result<_, _>>()?;
    let final_norm = Some(plain(&mut file, "output_norm", &[d])?);
    let head = if config.tied_head { None } else { Some(plain(&mut file, "output", &[vocab, d])?) };
    let mut rest = file.rest();
    if let Some((tensor, shape)) = rest.next() {
        let others: Vec<&str> = rest.take(12).map(|(name, _)| name.as_str()).collect();
        return Err(Error::UnexpectedTensor {
            path: path.into(),
            tensor: tensor.clone(),
            shape: shape.clone(),
            others: if others.is_empty() { "none".into() } else { others.join(", ") },
        });
    }
    let network = Network {
        embedding,
        class_token: None,
        positions: None,
        embedding_norm: None,
        layers,
        final_norm,
        pooler: None,
        head,
    };
    let mut checkpoint = network.into_checkpoint(path, "llama", config);
    checkpoint.tokenizer = tokenizer;
    Ok(checkpoint)
}

fn layer(file: &mut File<'_>, config: &Config, index: usize) -> Result<Layer, Error> {
    let (d, q, kv, ff) = (config.d_model, config.q_width(), config.kv_width(), config.d_ff);
    let mut take = |part: &str, shape: &[usize]| -> Result<Affine, Error> {
        Ok((file.take(&format!("blk.{index}.{part}.weight"), shape)?, None))
    };
    let halves = |(weight, bias): Affine| (halves_of_heads(weight, config.head_dim), bias);
    Ok(Layer::from(Parts {
        attention_norm: take("attn_norm", &[d])?,
        q: halves(take("attn_q", &[q, d])?),
        k: halves(take("attn_k", &[kv, d])?),
        v: take("attn_v", &[kv, d])?,
        o: take("attn_output", &[d, q])?,
        mlp_norm: take("ffn_norm", &[d])?,
        gate: Some(take("ffn_gate", &[ff, d])?),
        up: take("ffn_up", &[ff, d])?,
        down: take("ffn_down", &[d, ff])?,
    }))
}

/// Rows `2 i` and `2 i + 1` of a head become rows `i` and `i + head_dim / 2`.
fn halves_of_heads(mut matrix: Tensor, head_dim: usize) -> Tensor {
    let columns = matrix.shape[1];
    let heads = matrix.data.chunks_exact(head_dim * columns);
    let row = |head: &[f32], row: usize| head[row * columns..(row + 1) * columns].to_vec();
    let order = (0..head_dim).step_by(2).chain((1..head_dim).step_by(2));
    matrix.data = heads.flat_map(|head| order.clone().flat_map(|index| row(head, index))).collect();
    matrix
}

fn config(path: &Path, file: &File<'_>) -> Result<Config, Error> {
    let keys = Keys { path, file };
    match keys.get("general.architecture") {
        Some(Value::Text(name)) if name == "llama" => {}
        found => {
            let tensors: Vec<&str> = file.rest().take(12).map(|(name, _)| name.as_str()).collect();
            return Err(Error::Architecture {
                path: path.into(),
                found: match found {
                    Some(Value::Text(name)) => name.clone(),
                    _ => "(none named by general.architecture)".into(),
                },
                supported: "llama".into(),
                tensors: tensors.join(", "),
            });
        }
    }
    // What is not known may change the computation: rope scaling, experts, sliding windows.
    let unknown = file.keys.keys().filter_map(|key| key.strip_prefix("llama.")).find(|key| !KNOWN.contains(key));
    if let Some(key) = unknown {
        let key = format!("llama.{key}");
        let found = format!("{:?}", file.keys[&key]);
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
    Ok(Config {
        d_model,
        n_layers: keys.size("llama.block_count", None)?,
        n_heads,
        n_kv_heads,
        head_dim,
        d_ff: keys.size("llama.feed_forward_length", None)?,
        vocab,
        max_seq: keys.size("llama.context_length", None)?,
        norm: Norm::Rms,
        norm_place: NormPlace::Pre,
        norm_eps: keys.positive("llama.attention.layer_norm_rms_epsilon", None)? as f32,
        activation: Activation::Silu,
        mask: Mask::Causal,
        sliding_window: None,
        positions: Positions::Rotary { theta: keys.positive("llama.rope.freq_base", Some(10_000.0))? },
        input: Input::Tokens,
        pooling: Pooling::None,
        attention_scale: Config::usual_scale(head_dim),
        n_outputs: vocab,
        labels: Vec::new(),
        tied_head: !file.has("output.weight"),
        bos: keys.token("tokenizer.ggml.bos_token_id", vocab)?,
        eos: keys.token("tokenizer.ggml.eos_token_id", vocab)?.into_iter().collect(),
    })
}

/// The tokenizer of scores; another kind is left to a file of its own.
fn tokenizer(path: &Path, file: &File<'_>, vocab: usize) -> Result<Option<Tokenizer>, Error> {
    let get = |key: &str| file.keys.get(&format!("tokenizer.ggml.{key}"));
    if get("model") != Some(&Value::Text("llama".into())) {
        return Ok(None);
    }
    let (Some(Value::List(tokens)), Some(Value::List(scores))) = (get("tokens"), get("scores")) else {
        return Ok(None);
    };
    let entries: Option<Vec<(Vec<u8>, f32)>> = tokens
        .iter()
        .zip(scores)
        .map(|pair| match pair {
            (Value::Text(text), Value::Float(score)) => Some((text.replace('▁', " ").into_bytes(), *score as f32)),
            _ => None,
        })
        .collect();
    let wrong = || Error::Tokenizer {
        path: path.into(),
        what: format!("{} tokens and {} scores for a vocabulary of {vocab}", tokens.len(), scores.len()),
        next: "give another tokenizer with --tokenizer".into(),
    };
    let entries = entries.filter(|entries| entries.len() == vocab && tokens.len() == scores.len()).ok_or_else(wrong)?;
    let mut tokenizer = scored_tokenizer(path, &entries)?;
    tokenizer.prefix_space = get("add_space_prefix") != Some(&Value::Bool(false));
    Ok(Some(tokenizer))
}
