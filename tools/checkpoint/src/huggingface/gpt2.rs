//! GPT-2 and nanoGPT: pre-LN decoders (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners").
//!
//! GPT-2's matrices are stored as `[in, out]`, and queries, keys and values as one. nanoGPT (`model_type` =
//! `nanogpt`, weights saved as safetensors) has the same names, `[out, in]`, and biases only if its `bias` says so.

use std::path::Path;

use serde_json::Value;
use thumbformer::{Activation, Norm, Options, Pooling, Positions, Tensor};

use super::keys;
use crate::names::{Bias, Row, Source, read};
use crate::settings::Settings;
use crate::weights::{Reader, WeightsFile};
use crate::{Checkpoint, Config, Error};

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

/// Begin and end of a text where `config.json` names neither, as GPT2Config has it.
const DEFAULT_TOKEN: u32 = 50_256;

/// Reads a folder of GPT-2.
pub(crate) fn load_gpt2(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    settings.only("scale_attn_by_inverse_layer_idx", &[false.into()], "false: all layers compute the same")?;
    let position = if settings.mentions("n_positions") { "n_positions" } else { "n_ctx" };
    let mut config = config(&settings, position, Activation::GeluTanh)?;
    config.options.mask = keys::mask(&settings)?;
    let default = Some(DEFAULT_TOKEN).filter(|id| (*id as usize) < config.vocab);
    if !settings.mentions("bos_token_id") {
        config.bos = default;
    }
    if !settings.mentions("eos_token_id") {
        config.eos = default.into_iter().collect();
    }
    if !settings.flag("scale_attn_weights", Some(true))? {
        config.attention_scale = 1.0;
    }
    load(file, "gpt2", &settings, config, Bias::Required)
}

/// Reads a folder of nanoGPT.
pub(crate) fn load_nanogpt(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    let config = config(&settings, "block_size", Activation::Gelu)?;
    let bias = Bias::of(settings.flag("bias", None)?);
    load(file, "nanogpt", &settings, config, bias)
}

fn config(settings: &Settings, max_seq: &str, activation: Activation) -> Result<Config, Error> {
    keys::check(settings, &SILENT)?;
    let (d_model, n_heads) = (settings.size("n_embd")?, settings.size("n_head")?);
    let head_dim = settings.head_dim(("n_embd", d_model), ("n_head", n_heads))?;
    let mut options = Options::LLAMA;
    options.norm = Norm::Layer;
    options.gated = false;
    options.positions = Positions::Table;
    options.activation = settings.activation("activation_function", Some(activation))?;
    let mut config = Config::new(options, d_model, n_heads, head_dim);
    config.n_layers = settings.size("n_layer")?;
    config.d_ff = settings.size_or("n_inner", 4 * d_model)?;
    config.vocab = settings.size("vocab_size")?;
    config.n_outputs = config.vocab;
    config.max_seq = settings.size(max_seq)?;
    config.norm_eps = settings.positive("layer_norm_epsilon", Some(1e-5))? as f32;
    config.bos = settings.ids("bos_token_id")?.first().copied();
    config.eos = settings.ids("eos_token_id")?;
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
    let matrix = |tensor, name: &str| row(tensor, name).transposed(true);
    let matrix = |tensor, part: &str| if name == "gpt2" { matrix(tensor, part) } else { row(tensor, part) };
    let mut rows = vec![
        row(Tensor::Embedding, "wte"),
        row(Tensor::PositionTable, "wpe"),
        row(Tensor::AttentionNorm, "h.#.ln_1"),
        matrix(Tensor::Query, "h.#.attn.c_attn").third(0),
        matrix(Tensor::Key, "h.#.attn.c_attn").third(1),
        matrix(Tensor::Value, "h.#.attn.c_attn").third(2),
        matrix(Tensor::AttentionOutput, "h.#.attn.c_proj"),
        row(Tensor::MlpNorm, "h.#.ln_2"),
        matrix(Tensor::Up, "h.#.mlp.c_fc"),
        matrix(Tensor::Down, "h.#.mlp.c_proj"),
        row(Tensor::FinalNorm, "ln_f"),
    ];
    rows.extend(head(settings, &reader, &mut config, tied)?);
    let tensors = read(&mut reader, &config, &rows)?;
    // A copy of a tied head must equal the embedding.
    let is_tied = config.options.head && !tensors.has(Tensor::Head);
    if is_tied && reader.has("lm_head.weight") {
        let embedding = &tensors[(Tensor::Embedding, 0)];
        if reader.take("lm_head.weight", &embedding.shape)?.data != embedding.data {
            let found = "true, but `lm_head.weight` differs from the embedding";
            let next = "set it as the model was trained";
            return Err(settings.error("tie_word_embeddings", found, "false, or equal tensors", next));
        }
    }
    keys::finish(settings)?;
    reader.finish(&CONSTANTS)?;
    Ok(Checkpoint::new(file.source(), name, config, tensors))
}

/// The separate head, if there is one; a sequence classifier reads the last token.
fn head(settings: &Settings, reader: &Reader<'_>, config: &mut Config, tied: bool) -> Result<Option<Row>, Error> {
    if reader.has("score.weight") {
        (config.options.pooling, config.n_outputs) = (Pooling::Last, reader.rows("score.weight", config.d_model)?);
        config.labels = settings.id2label(config.n_outputs)?;
        config.options.outputs = settings.problem_type(config.n_outputs)?;
        return Ok(Some(Row::new(Tensor::Head, "score", Bias::Absent)));
    }
    if settings.get("architectures").is_some_and(|names| *names == Value::from(vec!["GPT2Model"])) {
        // Saved without a head: the outputs are the vectors that a head would read.
        (config.options.head, config.n_outputs) = (false, config.d_model);
        return Ok(None);
    }
    Ok((!tied).then(|| Row::new(Tensor::Head, "lm_head", Bias::Absent)))
}
