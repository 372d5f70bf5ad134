//! This project's own layout, in which every option has a name and every tensor its place: a folder with
//! `config.json` and `model.safetensors` (F32, F16 or BF16), which any training script can write.
//!
//! # `config.json`
//! | key | value |
//! | --- | --- |
//! | `architecture` | `"thumbformer"` |
//! | `d_model`, `n_layers`, `n_heads`, `d_ff`, `max_seq` | numbers; `max_seq` counts the class token; `d_ff` may be a list, a width for each layer |
//! | `n_kv_heads`, `head_dim` | numbers; absent: `n_heads`, `d_model / n_heads` |
//! | `input` | `"tokens"` with `vocab`, or `"frames"` with `n_features` |
//! | `positions` | `"rotary"` with `rope_theta`, `"table"`, or `"none"` |
//! | `class_token`, `embedding_norm` | `true` or `false`; absent: `false` |
//! | `norm` | `"rms"` or `"layer"` |
//! | `norm_place` | `"pre"` or `"post"` |
//! | `norm_eps` | number |
//! | `mask` | `"causal"` or `"bidirectional"` |
//! | `sliding_window` | most positions that one sees under a causal mask, itself included; absent: all before it |
//! | `attention_scale` | number; absent: `1 / sqrt(head_dim)` |
//! | `activation` | `"silu"`, `"gelu_erf"`, `"gelu_tanh"` or `"relu"` |
//! | `gated_mlp`, `final_norm` | `true` or `false` |
//! | `pooling` | `"none"`, `"class"`, `"mean"` or `"last"` |
//! | `pooler_activation` | `"tanh"` or `"relu"`; absent: no pooler |
//! | `head` | `"linear"` with `n_outputs`, `"tied"`, or `"none"` |
//! | `labels` | names of the outputs; absent: none |
//! | `bos_token_id`, `eos_token_id` | a token id, or several that end a text; absent: none |
//!
//! The options are those of [`Config`], where each has its formula and its paper. Another key is refused.
//!
//! # `model.safetensors`
//! | tensor | shape | there if |
//! | --- | --- | --- |
//! | `embedding.weight` | `[vocab, d_model]`, frames: `[d_model, n_features]` | always |
//! | `class_token` | `[d_model]` | `class_token` |
//! | `positions` | `[max_seq, d_model]` | `positions` is `"table"` |
//! | `embedding_norm.weight` | `[d_model]` | `embedding_norm` |
//! | `layers.N.attention_norm.weight` | `[d_model]` | always |
//! | `layers.N.attention.query.weight` | `[n_heads * head_dim, d_model]` | always |
//! | `layers.N.attention.key.weight`, `….value.weight` | `[n_kv_heads * head_dim, d_model]` | always |
//! | `layers.N.attention.output.weight` | `[d_model, n_heads * head_dim]` | always |
//! | `layers.N.mlp_norm.weight` | `[d_model]` | always |
//! | `layers.N.mlp.gate.weight` | `[d_ff, d_model]`, `d_ff` that of the layer | `gated_mlp` |
//! | `layers.N.mlp.up.weight` | `[d_ff, d_model]` | always |
//! | `layers.N.mlp.down.weight` | `[d_model, d_ff]` | always |
//! | `final_norm.weight` | `[d_model]` | `final_norm` |
//! | `pooler.weight` | `[d_model, d_model]` | `pooler_activation` |
//! | `head.weight` | `[n_outputs, d_model]` | `head` is `"linear"` |
//!
//! A matrix, but for an embedding of tokens, may have a bias beside it (`….bias`, `[rows]`), and so may a norm with
//! `norm` = `"layer"`; a bias that layer 0 has, all layers have. Rotary pairs are rows `i` and `i + head_dim / 2` of
//! a head. With `norm_place` = `"post"`, `attention_norm` follows the attention and `mlp_norm` the MLP.
//!
//! ```text
//! # a torch module in this project's terms:
//! tensors = {"embedding.weight": net.embed.weight, "embedding.bias": net.embed.bias, …}
//! safetensors.torch.save_file({name: t.detach().contiguous() for name, t in tensors.items()}, "model.safetensors")
//! ```

use std::path::Path;

use serde_json::Value;

use crate::assemble::{Affine, Network, Parts};
use crate::settings::Settings;
use crate::weights::{Bias, Reader, WeightsFile};
use crate::{
    Activation, Checkpoint, Config, Error, Input, Layer, Mask, Norm, NormPlace, Pooler, PoolerActivation, Pooling,
    Positions,
};

/// The value of `architecture` in `config.json`.
pub(crate) const NAME: &str = "thumbformer";

#[derive(Clone, Copy, PartialEq)]
enum Head {
    Linear,
    Tied,
    None,
}

const HEADS: [(&str, Head); 3] = [("linear", Head::Linear), ("tied", Head::Tied), ("none", Head::None)];

/// Reads a folder whose `config.json` is `value`.
pub(crate) fn load(folder: &Path, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    let config = config(&settings)?;
    let head = settings.choice("head", None, &HEADS)?;
    let class_token = settings.flag("class_token", Some(false))?;
    if class_token && config.pooling != Pooling::Class {
        let next = "set pooling to class, or leave the class token out";
        return Err(settings.error("class_token", true, "false: nothing reads it without pooling = class", next));
    }
    let (embedding_norm, final_norm) =
        (settings.flag("embedding_norm", Some(false))?, settings.flag("final_norm", None)?);
    let gated = settings.flag("gated_mlp", None)?;
    let pooler = [("tanh", Some(PoolerActivation::Tanh)), ("relu", Some(PoolerActivation::Relu))];
    let pooler = settings.choice("pooler_activation", Some(None), &pooler)?;
    if pooler.is_some() && config.pooling == Pooling::None {
        let next = "name a pooling, or leave the pooler out";
        return Err(settings.error("pooler_activation", "present", "absent: there is no pooling", next));
    }
    let widths = match settings.widths("d_ff")? {
        one if one.len() == 1 => Vec::new(),
        several if several.len() == config.n_layers => several,
        several => {
            let expected = format!("a number, or {} of them, one for each layer", config.n_layers);
            return Err(settings.error("d_ff", format!("{several:?}"), expected, "correct config.json"));
        }
    };
    settings.no_others()?;

    let file = WeightsFile::read(folder)?;
    let mut reader = file.reader()?;
    let d = config.d_model;
    let embedding = match config.input {
        Input::Tokens => reader.affine("embedding", &[config.vocab, d], Bias::Absent)?,
        Input::Frames { n_features } => part(&mut reader, "embedding", &[d, n_features])?,
    };
    let network = Network {
        embedding,
        class_token: class_token.then(|| reader.take("class_token", &[d])).transpose()?,
        positions: match config.positions {
            Positions::Table => Some(reader.take("positions", &[config.max_seq, d])?),
            _ => None,
        },
        embedding_norm: embedding_norm.then(|| norm(&mut reader, &config, "embedding_norm")).transpose()?,
        layers: (0..config.n_layers)
            .map(|index| layer(&mut reader, &config, gated, widths.get(index).copied().unwrap_or(config.d_ff), index))
            .collect::<Result<_, _>>()?,
        final_norm: final_norm.then(|| norm(&mut reader, &config, "final_norm")).transpose()?,
        pooler: match pooler {
            None => None,
            Some(activation) => {
                let (weight, bias) = part(&mut reader, "pooler", &[d, d])?;
                Some(Pooler { weight, bias, activation })
            }
        },
        head: match head {
            Head::Linear => Some(part(&mut reader, "head", &[config.n_outputs, d])?),
            Head::Tied | Head::None => None,
        },
    };
    reader.finish(&[])?;
    Ok(network.into_checkpoint(folder, NAME, config))
}

fn config(settings: &Settings) -> Result<Config, Error> {
    settings.text("architecture")?;
    let (d_model, n_heads) = (settings.size("d_model")?, settings.size("n_heads")?);
    let head_dim = match settings.get("head_dim") {
        Some(_) => settings.size("head_dim")?,
        None => settings.head_dim(("d_model", d_model), ("n_heads", n_heads))?,
    };
    let tokens = settings.choice("input", None, &[("tokens", true), ("frames", false)])?;
    let (input, vocab) = match tokens {
        true => (Input::Tokens, settings.size("vocab")?),
        false => (Input::Frames { n_features: settings.size("n_features")? }, 0),
    };
    let head = settings.choice("head", None, &HEADS)?;
    let n_outputs = match head {
        Head::Linear => settings.size("n_outputs")?,
        Head::Tied => vocab,
        Head::None => d_model,
    };
    settings.only("n_outputs", &[n_outputs.into()], &format!("{n_outputs}, as head says"))?;
    let positions = [("rotary", 0), ("table", 1), ("none", 2)];
    let positions = match settings.choice("positions", None, &positions)? {
        0 => Positions::Rotary { theta: settings.positive("rope_theta", None)? },
        1 => Positions::Table,
        _ => Positions::None,
    };
    let pooling =
        [("none", Pooling::None), ("class", Pooling::Class), ("mean", Pooling::Mean), ("last", Pooling::Last)];
    let activation = [
        ("silu", Activation::Silu),
        ("gelu_erf", Activation::GeluErf),
        ("gelu_tanh", Activation::GeluTanh),
        ("relu", Activation::Relu),
    ];
    let mask = settings.choice("mask", None, &[("causal", Mask::Causal), ("bidirectional", Mask::Bidirectional)])?;
    let config = Config {
        d_model,
        n_layers: settings.size("n_layers")?,
        n_heads,
        n_kv_heads: settings.size_or("n_kv_heads", n_heads)?,
        head_dim,
        d_ff: settings.widths("d_ff")?.into_iter().max().unwrap_or(0),
        vocab,
        max_seq: settings.size("max_seq")?,
        norm: settings.choice("norm", None, &[("rms", Norm::Rms), ("layer", Norm::Layer)])?,
        norm_place: settings.choice("norm_place", None, &[("pre", NormPlace::Pre), ("post", NormPlace::Post)])?,
        norm_eps: settings.positive("norm_eps", None)? as f32,
        activation: settings.choice("activation", None, &activation)?,
        mask,
        sliding_window: settings.sliding_window(mask)?,
        positions,
        input,
        pooling: settings.choice("pooling", None, &pooling)?,
        attention_scale: settings.positive("attention_scale", Some(Config::usual_scale(head_dim)))?,
        n_outputs,
        labels: settings.labels(n_outputs)?,
        tied_head: head == Head::Tied,
        bos: settings.ids("bos_token_id")?.first().copied(),
        eos: settings.ids("eos_token_id")?,
    };
    settings.check(&config)?;
    Ok(config)
}

/// A matrix, with its bias if the file has one.
fn part(reader: &mut Reader<'_>, name: &str, shape: &[usize]) -> Result<Affine, Error> {
    let bias = Bias::of(reader.has(&format!("{name}.bias")));
    reader.affine(name, shape, bias)
}

/// A norm, with its bias if the file has one; RMSNorm has none, so a bias is left over and refused.
fn norm(reader: &mut Reader<'_>, config: &Config, name: &str) -> Result<Affine, Error> {
    let bias = Bias::of(config.norm == Norm::Layer && reader.has(&format!("{name}.bias")));
    reader.affine(name, &[config.d_model], bias)
}

/// One block. What is optional is there in all layers or in none: the first one decides.
fn layer(reader: &mut Reader<'_>, config: &Config, gated: bool, ff: usize, index: usize) -> Result<Layer, Error> {
    let (d, q, kv) = (config.d_model, config.q_width(), config.kv_width());
    let mut take = |part: &str, shape: &[usize]| {
        let first = reader.has(&format!("layers.0.{part}.bias"));
        let bias = Bias::of(first && (shape.len() == 2 || config.norm == Norm::Layer));
        reader.affine(&format!("layers.{index}.{part}"), shape, bias)
    };
    let (attention_norm, mlp_norm) = (take("attention_norm", &[d])?, take("mlp_norm", &[d])?);
    let (q, k) = (take("attention.query", &[q, d])?, take("attention.key", &[kv, d])?);
    let (v, o) = (take("attention.value", &[kv, d])?, take("attention.output", &[d, config.q_width()])?);
    let (up, down) = (take("mlp.up", &[ff, d])?, take("mlp.down", &[d, ff])?);
    let gate = match gated {
        false => None,
        true => {
            let bias = Bias::of(reader.has("layers.0.mlp.gate.bias"));
            Some(reader.affine(&format!("layers.{index}.mlp.gate"), &[ff, d], bias)?)
        }
    };
    Ok(Layer::from(Parts { attention_norm, q, k, v, o, mlp_norm, gate, up, down }))
}
