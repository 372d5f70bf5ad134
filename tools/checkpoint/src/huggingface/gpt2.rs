//! GPT-2 and nanoGPT: pre-LN decoders (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"); OpenAI-GPT: a post-LN
//! one (Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training").
//!
//! Matrices of OpenAI's models are stored as `[in, out]`, and queries, keys and values as one. nanoGPT (`model_type` =
//! `nanogpt`, weights saved as safetensors) has the same names, `[out, in]`, and biases only if its `bias` says so.

use std::path::Path;

use serde_json::Value;
use thumbformer::{Activation, Norm, NormPlace, Options, Positions, Tensor};

use super::{heads, keys};
use crate::names::{Bias, QKV, Row, read};
use crate::settings::Settings;
use crate::weights::WeightsFile;
use crate::{Checkpoint, Config, Error, specials};

/// Keys of its own that do not change the computation: dropout, the head of a class that is not read, the type in which scores are
/// computed (float32 here), the length of the training's sequences, nanoGPT's settings of the training.
const SILENT: [&str; 16] = [
    "attn_pdrop",
    "embd_pdrop",
    "resid_pdrop",
    "hidden_dropout",
    "classifier_dropout",
    "dropout",
    "summary_type",
    "summary_use_proj",
    "summary_activation",
    "summary_proj_to_labels",
    "summary_first_dropout",
    "summary_last_dropout",
    "reorder_and_upcast_attn",
    "n_ctx",
    "n_positions",
    "is_decoder",
];

/// Buffers that old exporters saved with the weights: the causal mask.
const CONSTANTS: [&str; 2] = [".attn.bias", ".attn.masked_bias"];

/// Ends of the names of classes with a language model's head.
const LANGUAGE: [&str; 3] = ["LMHeadModel", "ForCausalLM", "GPT"];

/// Reads a folder of GPT-2.
pub(crate) fn load_gpt2(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    settings.only("scale_attn_by_inverse_layer_idx", &[false.into()], "false: all layers compute the same")?;
    let position = if settings.mentions("n_positions") { "n_positions" } else { "n_ctx" };
    let mut config = config(&settings, position, "gpt2")?;
    config.options.activation = settings.activation("activation_function", Some(Activation::GeluTanh))?;
    config.options.mask = keys::mask(&settings)?;
    if !settings.flag("scale_attn_weights", Some(true))? {
        config.attention_scale = 1.0;
    }
    load(file, "gpt2", &settings, config, Bias::Required)
}

/// Reads a folder of nanoGPT.
pub(crate) fn load_nanogpt(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    let mut config = config(&settings, "block_size", "nanogpt")?;
    config.options.activation = settings.activation("activation_function", Some(Activation::Gelu))?;
    let bias = Bias::of(settings.flag("bias", None)?);
    load(file, "nanogpt", &settings, config, bias)
}

/// Reads a folder of OpenAI-GPT.
pub(crate) fn load_openai(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    let mut config = config(&settings, "n_positions", "openai-gpt")?;
    config.options.norm_place = NormPlace::Post;
    // "gelu" is its authors' tanh form.
    let words = [
        ("gelu", Activation::GeluTanh),
        ("relu", Activation::Relu),
        ("silu", Activation::Silu),
        ("swish", Activation::Silu),
    ];
    config.options.activation = settings.choice("afn", Some(Activation::GeluTanh), &words)?;
    load(file, "openai-gpt", &settings, config, Bias::Required)
}

fn config(settings: &Settings, max_seq: &str, architecture: &str) -> Result<Config, Error> {
    keys::check(settings, &SILENT)?;
    let (d_model, n_heads) = (settings.size("n_embd")?, settings.size("n_head")?);
    let head_dim = settings.head_dim(("n_embd", d_model), ("n_head", n_heads))?;
    let mut options = Options::LLAMA;
    options.norm = Norm::Layer;
    options.gated = false;
    options.positions = Positions::Table;
    let mut config = Config::new(options, d_model, n_heads, head_dim);
    config.n_layers = settings.size("n_layer")?;
    config.d_ff = if architecture == "openai-gpt" { 4 * d_model } else { settings.size_or("n_inner", 4 * d_model)? };
    config.vocab = settings.size("vocab_size")?;
    config.n_outputs = config.vocab;
    config.max_seq = settings.size(max_seq)?;
    config.norm_eps = settings.positive("layer_norm_epsilon", Some(1e-5))? as f32;
    specials::read_ids(settings, architecture, &mut config)?;
    settings.check(&config)?;
    Ok(config)
}

fn load(
    file: &WeightsFile,
    name: &str,
    settings: &Settings,
    mut config: Config,
    bias: Bias,
) -> Result<Checkpoint, Error> {
    let mut reader = file.reader();
    let prefix = reader.prefix("transformer");
    let tied = settings.flag("tie_word_embeddings", Some(true))?;
    let row = |tensor, name: &str| Row::new(tensor, format!("{prefix}{name}"), bias);
    let is_openai = name == "openai-gpt";
    let matrix = |tensor, part: &str| row(tensor, part).transposed(name != "nanogpt");
    let mut rows = vec![
        row(Tensor::Embedding, if is_openai { "tokens_embed" } else { "wte" }),
        row(Tensor::PositionTable, if is_openai { "positions_embed" } else { "wpe" }),
        row(Tensor::AttentionNorm, "h.#.ln_1"),
        matrix(Tensor::Query, "h.#.attn.c_attn").stacked(QKV),
        matrix(Tensor::Key, "h.#.attn.c_attn").stacked(QKV),
        matrix(Tensor::Value, "h.#.attn.c_attn").stacked(QKV),
        matrix(Tensor::AttentionOutput, "h.#.attn.c_proj"),
        row(Tensor::MlpNorm, "h.#.ln_2"),
        matrix(Tensor::Up, "h.#.mlp.c_fc"),
        matrix(Tensor::Down, "h.#.mlp.c_proj"),
    ];
    if !is_openai {
        rows.push(row(Tensor::FinalNorm, "ln_f"));
    }
    rows.extend(heads::decoder(settings, &reader, &mut config, &LANGUAGE, tied)?);
    let tensors = read(&mut reader, &config, &rows)?;
    heads::check_tied(settings, &mut reader, &config, &tensors)?;
    keys::finish(settings)?;
    reader.finish(&CONSTANTS)?;
    Ok(Checkpoint::new(file.source(), name, config, tensors))
}
