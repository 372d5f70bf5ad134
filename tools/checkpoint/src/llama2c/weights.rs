//! Importer of the checkpoint that llama2.c's training writes: a `.pt` of tensors by name and `model_args`.
//!
//! A rotary pair is two rows of a head that follow each other. The width of the MLP is in the tensors; the rotary base is the constant
//! of the program, 10000.

use std::path::Path;

use serde_json::Value;
use thumbformer::{Options, Tensor};

use super::NAME;
use crate::names::{Bias, Row, Source, read};
use crate::settings::Settings;
use crate::stored::WeightsFile;
use crate::{Checkpoint, Config, Error};

/// End of a tensor's name that every layer has.
pub(crate) const MARK: &str = "attention.wq.weight";

/// Tensors that are computed again: cosines, sines and the mask.
const CONSTANTS: [&str; 3] = ["freqs_cos", "freqs_sin", ".mask"];

/// Keys that do not change the computation: dropout, and what the tensors tell.
const SILENT: [&str; 5] = ["model_type", "architecture", "dropout", "multiple_of", "hidden_dim"];

/// Reads tensors whose `model_args` are `value`.
pub(crate) fn load(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    let why = "the model_args of the training";
    settings.require(&["dim", "n_layers", "n_heads", "max_seq_len", "norm_eps"], why)?;
    SILENT.iter().for_each(|key| _ = settings.get(key));
    let mut reader = file.reader();
    let (d_model, n_heads) = (settings.size("dim")?, settings.size("n_heads")?);
    let head_dim = settings.head_dim(("dim", d_model), ("n_heads", n_heads))?;
    let mut config = Config::new(Options::LLAMA, d_model, n_heads, head_dim);
    config.n_layers = settings.size("n_layers")?;
    config.n_kv_heads = settings.size_or("n_kv_heads", n_heads)?;
    config.max_seq = settings.size("max_seq_len")?;
    config.norm_eps = settings.positive("norm_eps", None)? as f32;
    config.d_ff = reader.rows("layers.0.feed_forward.w1.weight", d_model)?;
    config.vocab = reader.rows("tok_embeddings.weight", d_model)?;
    config.vocab = settings.size_or("vocab_size", config.vocab)?;
    config.n_outputs = config.vocab;
    config.bos = (config.vocab > 1).then_some(1);
    config.eos = (1..3).filter(|&id| id < config.vocab as u32).collect();
    settings.check(&config)?;
    let row = |tensor, name: &str| Row::new(tensor, name, Bias::Absent);
    let mut rows = vec![
        row(Tensor::Embedding, "tok_embeddings"),
        row(Tensor::AttentionNorm, "layers.#.attention_norm"),
        row(Tensor::Query, "layers.#.attention.wq").adjacent(),
        row(Tensor::Key, "layers.#.attention.wk").adjacent(),
        row(Tensor::Value, "layers.#.attention.wv"),
        row(Tensor::AttentionOutput, "layers.#.attention.wo"),
        row(Tensor::MlpNorm, "layers.#.ffn_norm"),
        row(Tensor::Gate, "layers.#.feed_forward.w1"),
        row(Tensor::Up, "layers.#.feed_forward.w3"),
        row(Tensor::Down, "layers.#.feed_forward.w2"),
        row(Tensor::FinalNorm, "norm"),
        row(Tensor::Head, "output"),
    ];
    // The training ties the head; a file without its copy says the same.
    if !reader.has("output.weight") {
        rows.pop();
    }
    let mut tensors = read(&mut reader, &config, &rows)?;
    let is_tied = tensors.get(Tensor::Head, 0).map(|head| &head.data) == Some(&tensors[(Tensor::Embedding, 0)].data);
    if is_tied {
        tensors.remove(Tensor::Head, 0);
    }
    settings.no_others()?;
    reader.finish(&CONSTANTS)?;
    Ok(Checkpoint::new(file.source(), NAME, config, tensors))
}
