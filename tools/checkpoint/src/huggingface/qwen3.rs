//! Importer of Qwen3 (2025): a Llama whose queries and keys go through an RMSNorm, head by head, before they are rotated.
//!
//! An absent setting has the default of transformers' `Qwen3Config`, except for the dimensions of the model, which are required.
//! Every key of `config.json` is read, or refused by name.

use std::path::Path;

use serde_json::Value;
use thumbformer::{Options, Tensor};

use super::{keys, llama};
use crate::names::{Bias, Row, read};
use crate::settings::Settings;
use crate::weights::WeightsFile;
use crate::{Checkpoint, Config, Error};

/// Keys of its own that do not change the computation: numbers that only sliding windows read, and `is_decoder`, which a decoder does not.
const SILENT: [&str; 3] = ["max_window_layers", "sliding_window", "is_decoder"];

/// Reads a folder of Qwen3.
pub(crate) fn load(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    check_settings(&settings)?;
    let config = config(&settings)?;
    let tied = settings.flag("tie_word_embeddings", Some(false))?;
    keys::finish(&settings)?;

    let mut reader = file.reader();
    let norms =
        [(Tensor::QueryNorm, "model.layers.#.self_attn.q_norm"), (Tensor::KeyNorm, "model.layers.#.self_attn.k_norm")];
    let head = (!tied).then_some((Tensor::Head, "lm_head"));
    let names = llama::NAMES.into_iter().chain(norms).chain(head);
    let rows: Vec<Row> = names.map(|(tensor, name)| Row::new(tensor, name, Bias::Absent)).collect();
    let tensors = read(&mut reader, &config, &rows)?;
    if tied {
        llama::check_tied_head(&mut reader, &tensors)?;
    }
    reader.finish(&["rotary_emb.inv_freq"])?;
    Ok(Checkpoint::new(file.source(), "qwen3", config, tensors))
}

/// Refuses settings that would change the computation.
fn check_settings(settings: &Settings) -> Result<(), Error> {
    keys::check(settings, &SILENT)?;
    let model = Value::from(vec!["Qwen3ForCausalLM"]);
    settings.only("architectures", &[model], "[\"Qwen3ForCausalLM\"]: the language model")?;
    settings.only("hidden_act", &["silu".into(), "swish".into()], "silu (SwiGLU)")?;
    settings.only("attention_bias", &[false.into()], "false: projections have no bias")?;
    settings.only("use_sliding_window", &[false.into()], "false: every layer has full attention")?;
    settings.only("rope_scaling", &[], "null: rotary positions are not rescaled")?;
    let refused =
        |key, found: &Value, expected: &str| Err(settings.error(key, found, expected, "train the model without it"));
    match settings.get("layer_types") {
        Some(found) if !llama::only_full_attention(found) => {
            return refused("layer_types", found, "full_attention for every layer");
        }
        _ => {}
    }
    match settings.get("rope_parameters") {
        Some(found) if !llama::is_plain_rope(found) => {
            let expected = "rope_theta with rope_type = default: rotary positions are not rescaled";
            refused("rope_parameters", found, expected)
        }
        _ => Ok(()),
    }
}

fn config(settings: &Settings) -> Result<Config, Error> {
    let mut options = Options::LLAMA;
    options.qk_norm = true;
    options.mask = keys::mask(settings)?;
    let (d_model, n_heads) = (settings.size("hidden_size")?, settings.size("num_attention_heads")?);
    let mut config = Config::new(options, d_model, n_heads, settings.size("head_dim")?);
    config.n_layers = settings.size("num_hidden_layers")?;
    config.n_kv_heads = settings.size("num_key_value_heads")?;
    config.d_ff = settings.size("intermediate_size")?;
    config.vocab = settings.size("vocab_size")?;
    config.n_outputs = config.vocab;
    config.max_seq = settings.size("max_position_embeddings")?;
    config.norm_eps = settings.positive("rms_norm_eps", Some(1e-6))? as f32;
    let nested = settings.get("rope_parameters").and_then(|rope| rope.get("rope_theta")).and_then(Value::as_f64);
    config.rope_theta = settings.positive("rope_theta", Some(10_000.0))?;
    if let Some(theta) = nested {
        if !(theta.is_finite() && theta > 0.0) {
            let next = "correct config.json; it must be the one that the model was trained with";
            return Err(settings.error("rope_theta", theta, "a positive number", next));
        }
        config.rope_theta = theta;
    }
    config.bos = settings.ids("bos_token_id")?.first().copied();
    config.eos = settings.ids("eos_token_id")?;
    settings.check(&config)?;
    Ok(config)
}
