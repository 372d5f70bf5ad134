//! The Llama family: its `config.json`, in which every setting that would change the computation is checked, and the names
//! of its tensors.
//!
//! Two spellings are read: `rope_theta` and `rope_scaling` at the top level, and the newer `rope_parameters`.
//! A setting that is absent has the default of transformers' `LlamaConfig`.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use thumbformer::{Mask, Options, Tensor};

use super::keys;
use crate::names::{Bias, Row, Source, read};
use crate::settings::Settings;
use crate::weights::{Reader, WeightsFile};
use crate::{Checkpoint, Config, Error, Tensors};

/// Larger than any dimension of a model for a microcontroller, small enough that no product overflows 64 bits.
const LARGEST: usize = 1 << 20;

/// Keys that are read below, and `is_decoder`, which a decoder does not read.
const READ: [&str; 21] = [
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "tie_word_embeddings",
    "hidden_act",
    "attention_bias",
    "mlp_bias",
    "rope_scaling",
    "partial_rotary_factor",
    "layer_types",
    "sliding_window",
    "rope_parameters",
    "is_decoder",
    // Llama 1's name for the context of its training, which its code does not read.
    "max_sequence_length",
];

#[derive(Deserialize)]
struct Raw {
    model_type: String,
    architectures: Option<Vec<String>>,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: usize,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    tie_word_embeddings: Option<bool>,
    #[serde(default = "default_bos")]
    bos_token_id: Option<u32>,
    #[serde(default = "default_eos")]
    eos_token_id: Option<OneOrMany>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

/// BOS token: 1 if absent; `null` for none.
fn default_bos() -> Option<u32> {
    Some(1)
}

/// EOS token: 2 if absent; `null` for none.
fn default_eos() -> Option<OneOrMany> {
    Some(OneOrMany::One(2))
}

/// Reads a folder whose `config.json` is `value`.
pub(crate) fn load(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let raw: Raw = serde_json::from_value(value.clone()).map_err(|source| Error::Json { path: path.into(), source })?;
    check_settings(path, &raw)?;
    let mut config = numbers(path, &raw)?;
    check_numbers(path, &config)?;
    let settings = Settings::new(path, value);
    keys::check(&settings, &READ)?;
    config.options.mask = keys::mask(&settings)?;
    if config.options.mask != Mask::Causal && config.sliding_window.is_some() {
        return Err(setting(
            path,
            "is_causal",
            false,
            "true: there is a sliding window",
            "train the model without one of them",
        ));
    }
    keys::finish(&settings)?;

    let mut reader = file.reader();
    let tied = raw.tie_word_embeddings.unwrap_or(false);
    let rows: Vec<Row> = NAMES.iter().map(|(tensor, name)| Row::new(*tensor, name, Bias::Absent)).collect();
    let head = (!tied).then(|| Row::new(Tensor::Head, "lm_head", Bias::Absent));
    let tensors = read(&mut reader, &config, &rows.into_iter().chain(head).collect::<Vec<_>>())?;
    if tied {
        check_tied_head(&mut reader, &tensors)?;
    }
    reader.finish(&["rotary_emb.inv_freq"])?;
    Ok(Checkpoint::new(file.source(), &raw.model_type, config, tensors))
}

/// The names of the family's tensors but for the head.
pub(super) const NAMES: [(Tensor, &str); 11] = [
    (Tensor::Embedding, "model.embed_tokens"),
    (Tensor::AttentionNorm, "model.layers.#.input_layernorm"),
    (Tensor::Query, "model.layers.#.self_attn.q_proj"),
    (Tensor::Key, "model.layers.#.self_attn.k_proj"),
    (Tensor::Value, "model.layers.#.self_attn.v_proj"),
    (Tensor::AttentionOutput, "model.layers.#.self_attn.o_proj"),
    (Tensor::MlpNorm, "model.layers.#.post_attention_layernorm"),
    (Tensor::Gate, "model.layers.#.mlp.gate_proj"),
    (Tensor::Up, "model.layers.#.mlp.up_proj"),
    (Tensor::Down, "model.layers.#.mlp.down_proj"),
    (Tensor::FinalNorm, "model.norm"),
];

/// Checks a copy of a tied head, which some exporters write: it must equal the embedding.
pub(super) fn check_tied_head(reader: &mut Reader<'_>, tensors: &Tensors) -> Result<(), Error> {
    const NAME: &str = "lm_head.weight";
    let embedding = &tensors[(Tensor::Embedding, 0)];
    if reader.has(NAME) && reader.take(NAME, &embedding.shape)?.data != embedding.data {
        return Err(Error::Setting {
            path: reader.path.with_file_name("config.json"),
            key: "tie_word_embeddings".into(),
            found: "true, but `lm_head.weight` differs from the embedding".into(),
            expected: "false, or equal tensors".into(),
            next: "set it to what the model was trained with".into(),
        });
    }
    Ok(())
}

/// Error for one setting.
fn setting(path: &Path, key: &str, found: impl ToString, expected: &str, next: &str) -> Error {
    Error::Setting {
        path: path.into(),
        key: key.into(),
        found: found.to_string(),
        expected: expected.into(),
        next: next.into(),
    }
}

/// Refuses every setting that changes the computation and has no place in [`Config`].
fn check_settings(path: &Path, raw: &Raw) -> Result<(), Error> {
    if let Some(found) = raw.architectures.iter().flatten().find(|name| !name.ends_with("ForCausalLM")) {
        let next = "export the language model, as LlamaForCausalLM";
        return Err(setting(path, "architectures", found, "a name that ends with ForCausalLM", next));
    }
    let retrain = "train the model without it";
    let rules: [(&str, &[Value], &str, &str); 7] = [
        ("hidden_act", &["silu".into(), "swish".into()], "silu (SwiGLU)", "train the model with hidden_act = silu"),
        ("attention_bias", &[false.into()], "false: projections have no bias", retrain),
        ("mlp_bias", &[false.into()], "false: projections have no bias", retrain),
        ("rope_scaling", &[], "null: rotary positions are not rescaled", retrain),
        ("partial_rotary_factor", &[1.0.into(), 1.into()], "1.0: all of a head is rotated", retrain),
        ("quantization_config", &[], "null: the checkpoint must be in floats", "export the unquantized float model"),
        ("layer_types", &[], "absent: every layer has full attention", retrain),
    ];
    for (key, accepted, expected, next) in rules {
        let Some(found) = raw.rest.get(key).filter(|value| !value.is_null()) else {
            continue;
        };
        if key == "layer_types" && only_full_attention(found) {
            continue;
        }
        if !accepted.contains(found) {
            return Err(setting(path, key, found, expected, next));
        }
    }
    check_mistral(path, raw)?;
    sliding_window(path, raw)?;
    check_rope_parameters(path, raw)
}

/// Checks the list of every layer's attention in newer configurations.
pub(super) fn only_full_attention(found: &Value) -> bool {
    found.as_array().is_some_and(|layers| layers.iter().all(|layer| layer == "full_attention"))
}

/// Requires the settings whose defaults in Mistral differ from Llama's.
fn check_mistral(path: &Path, raw: &Raw) -> Result<(), Error> {
    let given = [
        ("num_key_value_heads", raw.num_key_value_heads.is_some()),
        ("max_position_embeddings", raw.max_position_embeddings.is_some()),
        ("sliding_window", raw.rest.contains_key("sliding_window")),
    ];
    match given.iter().find(|(_, given)| !given && raw.model_type == "mistral") {
        None => Ok(()),
        Some((key, _)) => {
            Err(setting(path, key, "absent", "a value", "add the one that the model was trained with to config.json"))
        }
    }
}

/// Sliding window of a Mistral, if it is shorter than the context; a Llama has none.
fn sliding_window(path: &Path, raw: &Raw) -> Result<Option<usize>, Error> {
    let Some(found) = raw.rest.get("sliding_window").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let context = raw.max_position_embeddings.unwrap_or(2048);
    let window = found.as_u64().and_then(|window| usize::try_from(window).ok()).filter(|&window| window > 0);
    match window {
        Some(window) if window >= context => Ok(None),
        Some(window) if raw.model_type == "mistral" => Ok(Some(window)),
        _ => {
            let next = "set max_position_embeddings to at most the window, within which the model computes the same";
            Err(setting(path, "sliding_window", found, "null, or at least max_position_embeddings", next))
        }
    }
}

/// Checks `rope_parameters`, which may hold any kind of rescaling: only the plain kind is supported.
fn check_rope_parameters(path: &Path, raw: &Raw) -> Result<(), Error> {
    let Some(found) = raw.rest.get("rope_parameters").filter(|value| !value.is_null()) else {
        return Ok(());
    };
    if is_plain_rope(found) {
        return Ok(());
    }
    let expected = "rope_theta with rope_type = default: rotary positions are not rescaled";
    Err(setting(path, "rope_parameters", found, expected, "train the model without it"))
}

/// True if `rope_parameters` have a base and no rescaling of positions.
pub(super) fn is_plain_rope(found: &Value) -> bool {
    let plain = |(key, value): (&String, &Value)| match key.as_str() {
        "rope_theta" => value.is_number(),
        "rope_type" | "type" => value == "default",
        "partial_rotary_factor" => value.is_null() || value.as_f64() == Some(1.0),
        _ => value.is_null(),
    };
    found.as_object().is_some_and(|object| object.iter().all(plain))
}

/// The dimensions, with defaults for those that are absent.
fn numbers(path: &Path, raw: &Raw) -> Result<Config, Error> {
    let derived = raw.hidden_size.checked_div(raw.num_attention_heads).unwrap_or(0);
    if raw.head_dim.is_none() && derived * raw.num_attention_heads != raw.hidden_size {
        let expected = format!("a multiple of num_attention_heads ({})", raw.num_attention_heads);
        return Err(setting(path, "hidden_size", raw.hidden_size, &expected, "or give head_dim explicitly"));
    }
    let head_dim = raw.head_dim.unwrap_or(derived);
    let nested = raw.rest.get("rope_parameters").and_then(|rope| rope.get("rope_theta")).and_then(Value::as_f64);
    let mut config = Config::new(Options::LLAMA, raw.hidden_size, raw.num_attention_heads, head_dim);
    config.n_layers = raw.num_hidden_layers;
    config.n_kv_heads = raw.num_key_value_heads.unwrap_or(raw.num_attention_heads);
    config.d_ff = raw.intermediate_size;
    (config.vocab, config.n_outputs) = (raw.vocab_size, raw.vocab_size);
    config.max_seq = raw.max_position_embeddings.unwrap_or(2048);
    config.norm_eps = raw.rms_norm_eps.unwrap_or(1e-6) as f32;
    config.rope_theta = nested.or(raw.rope_theta).unwrap_or(10000.0);
    config.sliding_window = sliding_window(path, raw)?;
    config.bos = raw.bos_token_id;
    config.eos = match &raw.eos_token_id {
        None => Vec::new(),
        Some(OneOrMany::One(id)) => vec![*id],
        Some(OneOrMany::Many(ids)) => ids.clone(),
    };
    Ok(config)
}

/// Refuses numbers that describe no network.
fn check_numbers(path: &Path, config: &Config) -> Result<(), Error> {
    let next = "correct config.json; it must be the one that the model was trained with";
    let sizes = [
        ("hidden_size", config.d_model),
        ("num_hidden_layers", config.n_layers),
        ("num_attention_heads", config.n_heads),
        ("num_key_value_heads", config.n_kv_heads),
        ("head_dim", config.head_dim),
        ("intermediate_size", config.d_ff),
        ("vocab_size", config.vocab),
        ("max_position_embeddings", config.max_seq),
    ];
    for (key, size) in sizes {
        if size == 0 || size > LARGEST {
            return Err(setting(path, key, size, &format!("1 to {LARGEST}"), next));
        }
    }
    if !config.n_heads.is_multiple_of(config.n_kv_heads) {
        let expected = format!("a multiple of num_key_value_heads ({})", config.n_kv_heads);
        return Err(setting(path, "num_attention_heads", config.n_heads, &expected, next));
    }
    if !config.head_dim.is_multiple_of(2) {
        return Err(setting(path, "head_dim", config.head_dim, "an even number: rotary positions turn pairs", next));
    }
    if !(config.norm_eps.is_finite() && config.norm_eps > 0.0) {
        return Err(setting(path, "rms_norm_eps", config.norm_eps, "a positive number", next));
    }
    if !(config.rope_theta.is_finite() && config.rope_theta > 0.0) {
        return Err(setting(path, "rope_theta", config.rope_theta, "a positive number", next));
    }
    Ok(())
}
