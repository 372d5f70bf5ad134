//! `model.safetensors`: every tensor found by name, converted to `f32` and checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;

use crate::{Checkpoint, Config, Error, Layer, Tensor};

/// Reads all weights that `config` asks for.
pub(super) fn load(folder: &Path, architecture: String, config: Config) -> Result<Checkpoint, Error> {
    let path = folder.join("model.safetensors");
    if !path.is_file() {
        return Err(no_weights(folder, path));
    }
    let bytes = std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(&path, &bytes, &error.to_string()))?;
    let mut reader = Reader { path, file, used: BTreeSet::new() };

    let (d, vocab) = (config.d_model, config.vocab);
    let embedding = reader.take("model.embed_tokens.weight", &[vocab, d])?;
    let layers = (0..config.n_layers).map(|index| layer(&mut reader, &config, index)).collect::<Result<_, _>>()?;
    let final_norm = reader.take("model.norm.weight", &[d])?;
    let head = head(&mut reader, &config, &embedding)?;
    reader.finish()?;
    Ok(Checkpoint { source: folder.into(), architecture, config, embedding, layers, final_norm, head, tokenizer: None })
}

fn layer(reader: &mut Reader<'_>, config: &Config, index: usize) -> Result<Layer, Error> {
    let (d, q, kv, ff) = (config.d_model, config.q_width(), config.kv_width(), config.d_ff);
    let mut take = |part: &str, shape: &[usize]| reader.take(&format!("model.layers.{index}.{part}.weight"), shape);
    Ok(Layer {
        attention_norm: take("input_layernorm", &[d])?,
        wq: take("self_attn.q_proj", &[q, d])?,
        wk: take("self_attn.k_proj", &[kv, d])?,
        wv: take("self_attn.v_proj", &[kv, d])?,
        wo: take("self_attn.o_proj", &[d, q])?,
        mlp_norm: take("post_attention_layernorm", &[d])?,
        gate: take("mlp.gate_proj", &[ff, d])?,
        up: take("mlp.up_proj", &[ff, d])?,
        down: take("mlp.down_proj", &[d, ff])?,
    })
}

/// The separate head. Some exporters write a tied head out again: that copy must be one.
fn head(reader: &mut Reader<'_>, config: &Config, embedding: &Tensor) -> Result<Option<Tensor>, Error> {
    const NAME: &str = "lm_head.weight";
    let shape = [config.vocab, config.d_model];
    if !config.tied_head {
        return reader.take(NAME, &shape).map(Some);
    }
    if reader.file.tensor(NAME).is_ok() && reader.take(NAME, &shape)?.data != embedding.data {
        return Err(Error::Setting {
            path: reader.path.with_file_name("config.json"),
            key: "tie_word_embeddings".into(),
            found: "true, but `lm_head.weight` differs from the embedding".into(),
            expected: "false, or equal tensors".into(),
            next: "set it to what the model was trained with".into(),
        });
    }
    Ok(None)
}

struct Reader<'a> {
    path: PathBuf,
    file: SafeTensors<'a>,
    used: BTreeSet<String>,
}

impl Reader<'_> {
    /// One tensor of known name and shape.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let view = self.file.tensor(name).map_err(|_| self.missing(name))?;
        if view.shape() != shape {
            return Err(Error::Shape {
                path: self.path.clone(),
                tensor: name.into(),
                expected: shape.into(),
                found: view.shape().into(),
            });
        }
        self.used.insert(name.into());
        Tensor::finite(&self.path, name.into(), shape.into(), self.floats(name, &view)?)
    }

    fn floats(&self, name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, Error> {
        let data = view.data();
        match view.dtype() {
            Dtype::F32 => Ok(data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
            Dtype::F16 => Ok(data.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()),
            Dtype::BF16 => Ok(data.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()),
            other => {
                Err(Error::ElementType { path: self.path.clone(), tensor: name.into(), found: format!("{other:?}") })
            }
        }
    }

    /// Names the tensors that could be meant: those of the same layer, else the first few.
    fn missing(&self, name: &str) -> Error {
        let mut names: Vec<String> = self.file.names().iter().map(|name| name.to_string()).collect();
        names.sort();
        let total = names.len();
        let stem = name.rsplitn(4, '.').last().unwrap_or(name);
        let near: Vec<String> = names.iter().filter(|other| other.starts_with(stem)).cloned().collect();
        let mut shown = if near.is_empty() { names } else { near };
        shown.truncate(6);
        let next = match name {
            "lm_head.weight" => {
                "set tie_word_embeddings to true in config.json if the model was trained so, or export the head"
            }
            _ => "export all of the model, or correct num_hidden_layers in config.json",
        };
        Error::MissingTensor {
            path: self.path.clone(),
            tensor: name.into(),
            present: format!("the file has {total} tensors, among them {}", shown.join(", ")),
            next: next.into(),
        }
    }

    /// Every tensor must have been used, but for constants that old exporters saved with the weights.
    fn finish(self) -> Result<(), Error> {
        let unused = self.file.iter().filter(|(name, _)| !self.used.contains(*name));
        match unused.filter(|(name, _)| !name.ends_with("rotary_emb.inv_freq")).min_by_key(|(name, _)| name.to_string())
        {
            None => Ok(()),
            Some((name, view)) => {
                Err(Error::UnexpectedTensor { path: self.path, tensor: name.into(), shape: view.shape().into() })
            }
        }
    }
}

/// There is no `model.safetensors`: says what there is and how to make one of it.
fn no_weights(folder: &Path, path: PathBuf) -> Error {
    let has = |name: &str| folder.join(name).is_file();
    let (found, next) = if has("model.safetensors.index.json") {
        (
            "the weights are split over several files",
            "save them as one: model.save_pretrained(folder, max_shard_size=\"100GB\")",
        )
    } else if has("pytorch_model.bin") {
        (
            "the weights are in pytorch_model.bin, a pickle",
            "load them with transformers and call model.save_pretrained(folder)",
        )
    } else {
        ("the folder holds no weights", "put model.safetensors beside config.json")
    };
    Error::UnknownFormat { path, found: found.into(), next: next.into() }
}

/// Says how long the file should be, where its header still can be read.
fn damaged(path: &Path, bytes: &[u8], reason: &str) -> Error {
    let expected = announced_length(bytes);
    match expected {
        Some(expected) if expected > bytes.len() as u64 => {
            Error::Truncated { path: path.into(), expected, found: bytes.len() as u64 }
        }
        _ => Error::UnknownFormat {
            path: path.into(),
            found: format!("not a readable safetensors file ({reason})"),
            next: "copy or export it again".into(),
        },
    }
}

/// Length of the whole file as its header has it: 8 bytes of header length, the header, the last tensor's end.
fn announced_length(bytes: &[u8]) -> Option<u64> {
    let header_length = u64::from_le_bytes(*bytes.first_chunk::<8>()?);
    let data = 8u64.checked_add(header_length)?;
    let Some(header) = usize::try_from(data).ok().and_then(|end| bytes.get(8..end)) else {
        // Cut inside the header; without the JSON's brace, or with an absurd length, it is no header at all.
        return (header_length < 100_000_000 && bytes.get(8) == Some(&b'{')).then_some(data);
    };
    let header: Value = serde_json::from_slice(header).ok()?;
    let ends = header.as_object()?.values().filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64());
    data.checked_add(ends.max()?)
}
