//! The Llama family: decoders with rotary positions, of which each has a row with its differences.
//!
//! ```text
//! config.json ─► Family ─► Config, names of the tensors ─► tensors ─► factors folded into them
//! ```
//! | family | differences from Llama |
//! | --- | --- |
//! | Mistral, Phi-3 | a sliding window; Phi-3: one matrix for queries, keys and values, one for gate and up |
//! | Qwen2 | biases of queries, keys and values; a sliding window if every layer has it |
//! | Qwen3 | queries and keys are normalised, head by head; the window as Qwen2 |
//! | Gemma | gains are `1 + weight`; the embedding is multiplied by `sqrt(d_model)`; tanh GELU |
//! | Granite | factors of embedding, branches, scores and logits |
//! | OLMo | LayerNorm without weights |
//!
//! A key that is absent has the default of the family's configuration class, or is asked for by name.

use std::path::Path;

use serde_json::Value;
use thumbformer::{Activation, Mask, Norm, Options, Tensor};

use super::{heads, keys, opt, rope};
use crate::names::{Bias, QKV, Row, read};
use crate::settings::{NEXT, Settings};
use crate::weights::WeightsFile;
use crate::{Checkpoint, Config, Error, Tensors, specials};

/// Meaning of a window's keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Window {
    /// There is none: `sliding_window` must be absent, or as long as the context.
    Never,
    /// `sliding_window`, which must be there.
    Required,
    /// `sliding_window`, none where it is absent.
    Optional,
    /// `sliding_window` where `use_sliding_window` says so, for the layers from `max_window_layers` on.
    ByLayer,
}

/// Biases of queries, keys, values and of the attention's output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Biases {
    Never,
    /// By `attention_bias`.
    ByKey,
    /// Of queries, keys and values.
    Inputs,
}

/// Differences of a family.
struct Family {
    model_type: &'static str,
    biases: Biases,
    /// True if `mlp_bias` is a key.
    mlp_bias: bool,
    window: Window,
    qk_norm: bool,
    /// True if some matrices are stacked.
    is_fused: bool,
    activation: Activation,
    norm_eps: f64,
    /// True if `num_key_value_heads` and `head_dim` may be absent.
    optional: [bool; 2],
    is_tied: bool,
    /// Keys of its own that change nothing: dropout, and numbers that other keys replace.
    silent: &'static [&'static str],
}

const LLAMA: Family = Family {
    model_type: "llama",
    biases: Biases::ByKey,
    mlp_bias: true,
    window: Window::Never,
    qk_norm: false,
    is_fused: false,
    activation: Activation::Silu,
    norm_eps: 1e-6,
    optional: [true, true],
    is_tied: false,
    // Llama 1's name for the context of its training, which its code does not read.
    silent: &["is_decoder", "max_sequence_length"],
};

const FAMILIES: [Family; 8] = [
    LLAMA,
    Family {
        model_type: "mistral",
        biases: Biases::Never,
        mlp_bias: false,
        window: Window::Required,
        optional: [false, true],
        ..LLAMA
    },
    Family {
        model_type: "qwen2",
        biases: Biases::Inputs,
        mlp_bias: false,
        window: Window::ByLayer,
        optional: [false, true],
        ..LLAMA
    },
    Family {
        model_type: "qwen3",
        mlp_bias: false,
        window: Window::ByLayer,
        qk_norm: true,
        optional: [false, false],
        ..LLAMA
    },
    Family {
        model_type: "gemma",
        mlp_bias: false,
        activation: Activation::GeluTanh,
        optional: [false, false],
        is_tied: true,
        ..LLAMA
    },
    Family {
        model_type: "phi3",
        biases: Biases::Never,
        mlp_bias: false,
        window: Window::Optional,
        is_fused: true,
        norm_eps: 1e-5,
        // Read where positions are rescaled, which is refused.
        silent: &["is_decoder", "embd_pdrop", "resid_pdrop", "original_max_position_embeddings"],
        ..LLAMA
    },
    Family { model_type: "granite", ..LLAMA },
    Family { model_type: "olmo", mlp_bias: false, norm_eps: 1e-5, ..LLAMA },
];

/// Reads a folder whose `config.json` is `value`.
pub(crate) fn load(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    let name = settings.text("model_type")?;
    let family = FAMILIES.iter().find(|family| Some(family.model_type) == name).unwrap_or(&LLAMA);
    keys::check(&settings, family.silent)?;
    let mut config = family.config(&settings)?;
    let factors = Factors::read(family, &settings, &mut config)?;
    let tied = settings.flag("tie_word_embeddings", Some(family.is_tied))?;

    let mut reader = file.reader();
    let prefix = reader.before("embed_tokens.weight", "model.");
    let mut rows = family.rows(&settings, &prefix)?;
    rows.extend(heads::decoder(&settings, &reader, &mut config, &["ForCausalLM"], tied)?);
    keys::finish(&settings)?;
    let mut tensors = read(&mut reader, &config, &rows)?;
    heads::check_tied(&settings, &mut reader, &config, &tensors)?;
    reader.finish(&["rotary_emb.inv_freq"])?;
    if family.model_type == "olmo" {
        opt::add_unit_gains(&config, &mut tensors, true);
    }
    factors.fold(&config, &mut tensors);
    Ok(Checkpoint::new(file.source(), family.model_type, config, tensors))
}

impl Family {
    fn config(&self, settings: &Settings) -> Result<Config, Error> {
        let mut options = Options::LLAMA;
        options.qk_norm = self.qk_norm;
        options.mask = keys::mask(settings)?;
        if self.model_type == "gemma" {
            // With it, transformers' ways to compute attention differ: eager is causal, sdpa is not.
            settings.only("use_bidirectional_attention", &[false.into()], "false or null: attention is causal")?;
        }
        options.activation = settings.activation("hidden_act", Some(self.activation))?;
        if self.model_type == "olmo" {
            options.norm = Norm::Layer;
            settings.only("clip_qkv", &[], "null: queries, keys and values are not clipped")?;
        }
        let (d_model, n_heads) = (settings.size("hidden_size")?, settings.size("num_attention_heads")?);
        let [optional_kv, optional_width] = self.optional;
        let head_dim = if optional_width && settings.get("head_dim").is_none() {
            settings.head_dim(("hidden_size", d_model), ("num_attention_heads", n_heads))?
        } else {
            settings.size("head_dim")?
        };
        let mut config = Config::new(options, d_model, n_heads, head_dim);
        config.n_layers = settings.size("num_hidden_layers")?;
        config.n_kv_heads = if optional_kv {
            settings.size_or("num_key_value_heads", n_heads)?
        } else {
            settings.size("num_key_value_heads")?
        };
        if !n_heads.is_multiple_of(config.n_kv_heads) {
            let expected = format!("a multiple of num_key_value_heads ({})", config.n_kv_heads);
            return Err(settings.error("num_attention_heads", n_heads, expected, NEXT));
        }
        config.d_ff = settings.size("intermediate_size")?;
        config.vocab = settings.size("vocab_size")?;
        config.n_outputs = config.vocab;
        config.max_seq = if self.window == Window::Required {
            settings.size("max_position_embeddings")?
        } else {
            settings.size_or("max_position_embeddings", 2048)?
        };
        config.norm_eps = match self.model_type {
            // Not a key: its class has it as a number.
            "olmo" => self.norm_eps as f32,
            _ => settings.positive("rms_norm_eps", Some(self.norm_eps))? as f32,
        };
        config.rope_theta = rope::theta(settings)?;
        config.sliding_window = self.window(settings, &config)?;
        specials::read_ids(settings, self.model_type, &mut config)?;
        settings.check(&config)?;
        Ok(config)
    }

    /// The window, where it is shorter than the context and every layer has it.
    fn window(&self, settings: &Settings, config: &Config) -> Result<Option<usize>, Error> {
        const KEY: &str = "sliding_window";
        let retrain = "train the model with the same attention in every layer";
        let by_layer = self.window == Window::ByLayer;
        if self.window == Window::Required && !settings.mentions(KEY) {
            let next = "add the one that the model was trained with to config.json";
            return Err(settings.error(KEY, "absent", "a value, or null", next));
        }
        let is_used = !by_layer || settings.flag("use_sliding_window", Some(false))?;
        let first = settings.get("max_window_layers").filter(|_| by_layer && is_used);
        let first = first.map_or(Ok(28), |first| {
            let number = first.as_u64().and_then(|first| usize::try_from(first).ok());
            number.ok_or_else(|| settings.error("max_window_layers", first, "a whole number", retrain))
        })?;
        let kinds = settings.texts("layer_types")?;
        if let Some(kind) =
            kinds.iter().find(|kind| !(**kind == "full_attention" || by_layer && **kind == "sliding_attention"))
        {
            let expected =
                if by_layer { "full_attention or sliding_attention" } else { "full_attention for every layer" };
            return Err(settings.error("layer_types", kind, expected, retrain));
        }
        let has_window = |layer: usize| match kinds.get(layer) {
            Some(kind) if by_layer => *kind == "sliding_attention",
            _ => !by_layer || layer >= first,
        };
        let with = (0..config.n_layers).filter(|layer| has_window(*layer)).count();
        if settings.get(KEY).is_none() || !is_used {
            if let Some(kind) = kinds.iter().find(|kind| **kind != "full_attention") {
                let expected = "full_attention: there is no window (`sliding_window`, `use_sliding_window`)";
                return Err(settings.error("layer_types", kind, expected, retrain));
            }
            return Ok(None);
        }
        let window = settings.size(KEY)?;
        if window >= config.max_seq || with == 0 {
            return Ok(None);
        }
        if self.window == Window::Never {
            let next = "set max_position_embeddings to at most the window, within which the model computes the same";
            return Err(settings.error(KEY, window, "null, or at least max_position_embeddings", next));
        }
        if with != config.n_layers {
            let found = format!("a window in {with} of {} layers", config.n_layers);
            return Err(settings.error(
                "layer_types`, `max_window_layers",
                found,
                "in all of them, or in none",
                retrain,
            ));
        }
        if config.options.mask != Mask::Causal {
            let next = "train the model without one of them";
            return Err(settings.error("is_causal", false, "true: there is a sliding window", next));
        }
        Ok(Some(window))
    }

    /// Names of the tensors but for the head.
    fn rows(&self, settings: &Settings, prefix: &str) -> Result<Vec<Row>, Error> {
        const GATE_UP: &[Tensor] = &[Tensor::Gate, Tensor::Up];
        let named = |tensor, name: &str, bias: bool| Row::new(tensor, format!("{prefix}{name}"), Bias::of(bias));
        let layer = |tensor, name: &str, bias| named(tensor, &format!("layers.#.{name}"), bias);
        let flag = |key: &str, is_key: bool| {
            if !is_key {
                settings.only(key, &[false.into()], "false, or absent: the model's class does not read it")?;
            }
            settings.flag(key, Some(false))
        };
        let of_attention = flag("attention_bias", self.biases == Biases::ByKey)?;
        let of_inputs = of_attention || self.biases == Biases::Inputs;
        let of_mlp = flag("mlp_bias", self.mlp_bias)?;
        let mut rows = vec![
            named(Tensor::Embedding, "embed_tokens", false),
            layer(Tensor::AttentionOutput, "self_attn.o_proj", of_attention),
            layer(Tensor::Down, "mlp.down_proj", of_mlp),
        ];
        if self.is_fused {
            rows.extend(QKV.iter().map(|part| layer(*part, "self_attn.qkv_proj", false).stacked(QKV)));
            rows.extend(GATE_UP.iter().map(|part| layer(*part, "mlp.gate_up_proj", false).stacked(GATE_UP)));
        } else {
            rows.extend([
                layer(Tensor::Query, "self_attn.q_proj", of_inputs),
                layer(Tensor::Key, "self_attn.k_proj", of_inputs),
                layer(Tensor::Value, "self_attn.v_proj", of_inputs),
                layer(Tensor::Gate, "mlp.gate_proj", of_mlp),
                layer(Tensor::Up, "mlp.up_proj", of_mlp),
            ]);
        }
        if self.qk_norm {
            rows.extend([
                layer(Tensor::QueryNorm, "self_attn.q_norm", false),
                layer(Tensor::KeyNorm, "self_attn.k_norm", false),
            ]);
        }
        if self.model_type != "olmo" {
            rows.extend([
                layer(Tensor::AttentionNorm, "input_layernorm", false),
                layer(Tensor::MlpNorm, "post_attention_layernorm", false),
                named(Tensor::FinalNorm, "norm", false),
            ]);
        }
        Ok(rows)
    }
}

/// Factors that are folded into the tensors before or behind them.
pub(crate) struct Factors {
    /// Added to every gain.
    gain: f32,
    embedding: f64,
    /// Of attention and MLP, before they are added to the stream.
    branch: f64,
    logits: f64,
}

impl Factors {
    /// Factors that change nothing.
    const NONE: Factors = Factors { gain: 0.0, embedding: 1.0, branch: 1.0, logits: 1.0 };

    /// The factor of an embedding alone.
    pub(crate) fn of_embedding(embedding: f64) -> Factors {
        Factors { embedding, ..Factors::NONE }
    }

    /// The factors of a family; that of the scores is the configuration's.
    fn read(family: &Family, settings: &Settings, config: &mut Config) -> Result<Factors, Error> {
        match family.model_type {
            "gemma" => Ok(Factors { gain: 1.0, embedding: (config.d_model as f64).sqrt(), ..Factors::NONE }),
            "granite" => {
                let factor = |key: &str| settings.positive(key, Some(1.0));
                config.attention_scale = factor("attention_multiplier")?;
                let (embedding, branch) = (factor("embedding_multiplier")?, factor("residual_multiplier")?);
                Ok(Factors { embedding, branch, logits: 1.0 / factor("logits_scaling")?, ..Factors::NONE })
            }
            _ => Ok(Factors::NONE),
        }
    }

    /// Folds them, of which a Llama has none.
    pub(crate) fn fold(&self, config: &Config, tensors: &mut Tensors) {
        let scale = |tensors: &mut Tensors, tensor, layer, factor: f64| {
            if let Some(weights) = tensors.get_mut(tensor, layer).filter(|_| factor != 1.0) {
                weights.data.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * factor) as f32);
            }
        };
        let add = |tensors: &mut Tensors, tensor, layer| {
            if let Some(weights) = tensors.get_mut(tensor, layer) {
                weights.data.iter_mut().for_each(|gain| *gain += self.gain);
            }
        };
        for layer in 0..config.n_layers {
            add(tensors, Tensor::AttentionNorm, layer);
            add(tensors, Tensor::MlpNorm, layer);
            for tensor in [Tensor::AttentionOutput, Tensor::AttentionOutputBias, Tensor::Down, Tensor::DownBias] {
                scale(tensors, tensor, layer, self.branch);
            }
        }
        add(tensors, Tensor::FinalNorm, 0);
        scale(tensors, Tensor::Embedding, 0, self.embedding);
        if tensors.has(Tensor::Head) {
            scale(tensors, Tensor::Head, 0, self.logits);
            scale(tensors, Tensor::HeadBias, 0, self.logits);
        } else if config.options.head {
            // The head is the embedding with its factor, which the gain before it takes back.
            scale(tensors, Tensor::FinalNorm, 0, self.logits / self.embedding);
        }
    }
}
