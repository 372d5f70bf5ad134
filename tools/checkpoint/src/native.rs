//! This project's own layout, with a name for every option and every tensor: a folder with `config.json` and
//! `model.safetensors` (F32, F16 or BF16), which any training script can write.
//!
//! # `config.json`
//! | key | value |
//! | --- | --- |
//! | `architecture` | `"thumbformer"` |
//! | `d_model`, `n_layers`, `n_heads`, `d_ff`, `max_seq` | numbers; `max_seq` counts the class token; `d_ff` may be a list, a width for each layer |
//! | `n_kv_heads`, `head_dim` | numbers; absent: `n_heads`, `d_model / n_heads` |
//! | `input`, `vocab`, `n_features` | `"tokens"` with `vocab`, or `"frames"` with `n_features` |
//! | `positions`, `rope_theta` | `"rotary"` with `rope_theta`, `"table"`, or `"none"` |
//! | `class_token` | `true`, `false`, or the number of class tokens; absent: `false` |
//! | `class_place` | `"first"`, or `"last"`: class tokens stand after the sequence; absent: first |
//! | `embedding_activation` | of frames: `"relu"`, `"gelu_erf"`, `"gelu_tanh"`, `"silu"` or `"tanh"`; absent: none |
//! | `embedding_norm`, `head_norm` | `true` or `false`; absent: `false` |
//! | `norm` | `"rms"` or `"layer"` |
//! | `norm_place` | `"pre"` or `"post"` |
//! | `norm_eps` | number |
//! | `mask` | `"causal"` or `"bidirectional"` |
//! | `sliding_window` | number of positions that a position sees under a causal mask, itself included; absent: all before it |
//! | `attention_scale` | number; absent: `1 / sqrt(head_dim)` |
//! | `activation` | `"silu"`, `"gelu_erf"`, `"gelu_tanh"` or `"relu"` |
//! | `gated_mlp`, `final_norm` | `true` or `false` |
//! | `qk_norm` | `true`: an RMSNorm of each head's query and key before rotation; absent: `false` |
//! | `pooling` | `"none"`, `"class"`, `"mean"` (class tokens included), `"last"`, `"mean_of_inputs"` (without class tokens), `"mean_of_class"`, or `"classes"` (class tokens' vectors, one after the other) |
//! | `pooler_activation` | `"tanh"` or `"relu"`; absent: no pooler |
//! | `head_widths`, `head_activation` | widths of the hidden layers of an MLP as head, and what follows each, as `embedding_activation`; absent: none |
//! | `outputs` | `"classes"` (one is right), `"labels"` (any number of them) or `"numbers"`; absent: classes |
//! | `head`, `n_outputs` | `"linear"` with `n_outputs`, `"tied"`, or `"none"` |
//! | `labels` | names of the outputs; absent: none |
//! | `front_end` | audio front end whose frames the network reads: a preset's name or an object, see `crate::front_end`; absent: none |
//! | `columns` | names of the columns of a sensor's recordings, as `"ax (g)"`; absent: none |
//! | `frame_samples`, `frame_hop` | samples of the sensor that make a frame, one after the other, and those from one frame to the next; absent: 1, and frames do not overlap |
//! | `bos_token_id`, `eos_token_id` | a token id before a text, unless the post-processor of tokenizer.json names others; one or several that end a text; absent: none |
//!
//! The options are those of [`Config`], where each has its formula and its paper. Any other key is refused.
//!
//! # `model.safetensors`
//! | tensor | shape | there if |
//! | --- | --- | --- |
//! | `embedding.weight` | `[vocab, d_model]`, frames: `[d_model, n_features]` | always |
//! | `class_token` | `[d_model]`, of several `[n, d_model]` | `class_token` |
//! | `positions` | `[max_seq, d_model]` | `positions` is `"table"` |
//! | `embedding_norm.weight` | `[d_model]` | `embedding_norm` |
//! | `layers.N.attention_norm.weight` | `[d_model]` | always |
//! | `layers.N.attention.query.weight` | `[n_heads * head_dim, d_model]` | always |
//! | `layers.N.attention.key.weight`, `….value.weight` | `[n_kv_heads * head_dim, d_model]` | always |
//! | `layers.N.attention.query_norm.weight`, `….key_norm.weight` | `[head_dim]` | `qk_norm` |
//! | `layers.N.attention.output.weight` | `[d_model, n_heads * head_dim]` | always |
//! | `layers.N.mlp_norm.weight` | `[d_model]` | always |
//! | `layers.N.mlp.gate.weight` | `[d_ff, d_model]`, `d_ff` that of the layer | `gated_mlp` |
//! | `layers.N.mlp.up.weight` | `[d_ff, d_model]` | always |
//! | `layers.N.mlp.down.weight` | `[d_model, d_ff]` | always |
//! | `final_norm.weight` | `[d_model]` | `final_norm` |
//! | `head_norm.weight` | `[d_model]` | `head_norm` |
//! | `pooler.weight` | `[d_model, d_model]` | `pooler_activation` |
//! | `head_layers.N.weight` | `[head_widths[N], width before]` | `head_widths` |
//! | `head.weight` | `[n_outputs, d_model]`, behind hidden layers `[n_outputs, last of head_widths]` | `head` is `"linear"` |
//!
//! Behind `"classes"`, the `d_model` of `head_norm`, `pooler`, `head_layers.0` and `head` is `n * d_model`.
//!
//! A matrix, except for an embedding of tokens, may have a bias beside it (`….bias`, `[rows]`), and so may a norm with
//! `norm` = `"layer"`; where one layer has a bias, that of a layer without is 0. Dimensions of 1 may be there or not. Rotary pairs are rows `i` and `i + head_dim / 2` of
//! a head. With `norm_place` = `"post"`, `attention_norm` follows the attention and `mlp_norm` the MLP.
//!
//! ```text
//! # a torch module in this project's terms:
//! tensors = {"embedding.weight": net.embed.weight, "embedding.bias": net.embed.bias, …}
//! safetensors.torch.save_file({name: t.detach().contiguous() for name, t in tensors.items()}, "model.safetensors")
//! ```

use std::path::Path;

use serde_json::Value;
use thumbformer::{
    Activation, ClassPlace, DenseActivation, Input, MAX_HIDDEN, Mask, Norm, NormPlace, Options, Outputs, Pooler,
    Pooling, Positions, Tensor,
};

use crate::names::{Bias, Row, read_with};
use crate::settings::{OUTPUTS, POOLINGS, Settings};
use crate::weights::WeightsFile;
use crate::{Checkpoint, Config, Error, front_end};

/// The value of `architecture` in `config.json`.
pub(crate) const NAME: &str = "thumbformer";

/// Names of the tensors in the file; `class_token` and `positions` are whole names.
const NAMES: [(Tensor, &str); 20] = [
    (Tensor::Embedding, "embedding"),
    (Tensor::EmbeddingNorm, "embedding_norm"),
    (Tensor::AttentionNorm, "layers.#.attention_norm"),
    (Tensor::Query, "layers.#.attention.query"),
    (Tensor::QueryNorm, "layers.#.attention.query_norm"),
    (Tensor::Key, "layers.#.attention.key"),
    (Tensor::KeyNorm, "layers.#.attention.key_norm"),
    (Tensor::Value, "layers.#.attention.value"),
    (Tensor::AttentionOutput, "layers.#.attention.output"),
    (Tensor::MlpNorm, "layers.#.mlp_norm"),
    (Tensor::Gate, "layers.#.mlp.gate"),
    (Tensor::Up, "layers.#.mlp.up"),
    (Tensor::Down, "layers.#.mlp.down"),
    (Tensor::FinalNorm, "final_norm"),
    (Tensor::HeadNorm, "head_norm"),
    (Tensor::Pooler, "pooler"),
    (Tensor::HeadHidden, "head_layers.#"),
    (Tensor::Head, "head"),
    (Tensor::PositionTable, "positions"),
    (Tensor::ClassToken, "class_token"),
];

#[derive(Clone, Copy, PartialEq)]
enum Head {
    Linear,
    Tied,
    None,
}

const HEADS: [(&str, Head); 3] = [("linear", Head::Linear), ("tied", Head::Tied), ("none", Head::None)];

/// Reads a folder whose `config.json` is `value`.
pub(crate) fn load(file: &WeightsFile, path: &Path, value: Value) -> Result<Checkpoint, Error> {
    let settings = Settings::new(path, value);
    let mut config = config(&settings)?;
    let front_end = front_end::of_network(&settings, &mut config, None)?;
    let absent = [
        (Tensor::EmbeddingNorm, !settings.flag("embedding_norm", Some(false))?),
        (Tensor::HeadNorm, !settings.flag("head_norm", Some(false))?),
        (Tensor::ClassToken, config.n_class == 0),
        (Tensor::FinalNorm, !settings.flag("final_norm", None)?),
        (Tensor::Head, settings.choice("head", None, &HEADS)? != Head::Linear),
    ];
    let widths = match settings.widths("d_ff")? {
        one if one.len() == 1 => Vec::new(),
        several if several.len() == config.n_layers => several,
        several => {
            let expected = format!("a number, or {} of them, one for each layer", config.n_layers);
            return Err(settings.error("d_ff", format!("{several:?}"), expected, "correct config.json"));
        }
    };
    settings.no_others()?;

    let mut reader = file.reader();
    let is_absent = |tensor: Tensor| absent.contains(&(tensor, true));
    let named = NAMES.iter().filter(|(tensor, _)| !is_absent(*tensor)).map(|&(tensor, name)| match tensor {
        Tensor::PositionTable | Tensor::ClassToken => Row::alone(tensor, name),
        _ => Row::new(tensor, name, Bias::OrZero),
    });
    let mut tensors = read_with(&mut reader, &config, &widths, &named.collect::<Vec<_>>())?;
    reader.finish(&[])?;
    let lacking = tensors.iter().filter(|(.., weights)| file.resolve(&weights.name).is_none());
    let path = file.path().display();
    let notes = lacking.map(|(.., weights)| format!("{path}: {} is missing, read as 0", weights.name)).collect();
    if let Some(front_end) = &front_end {
        front_end::fold_mfcc(front_end, &mut config, &mut tensors);
    }
    Ok(Checkpoint { front_end, notes, ..Checkpoint::new(file.source(), NAME, config, tensors) })
}

fn config(settings: &Settings) -> Result<Config, Error> {
    settings.text("architecture")?;
    let (d_model, n_heads) = (settings.size("d_model")?, settings.size("n_heads")?);
    let head_dim = match settings.get("head_dim") {
        Some(_) => settings.size("head_dim")?,
        None => settings.head_dim(("d_model", d_model), ("n_heads", n_heads))?,
    };
    let mut config = Config::new(Options::ENCODER, d_model, n_heads, head_dim);
    let input = settings.choice("input", None, &[("tokens", Input::Tokens), ("frames", Input::Frames)])?;
    match input {
        Input::Frames => config.n_features = settings.size("n_features")?,
        _ => config.vocab = settings.size("vocab")?,
    }
    let head = settings.choice("head", None, &HEADS)?;
    config.n_class = match settings.get("class_token") {
        Some(Value::Number(_)) => settings.size("class_token")?,
        _ => usize::from(settings.flag("class_token", Some(false))?),
    };
    config.options = options(settings, input, head != Head::None)?;
    config.n_outputs = match head {
        Head::Linear => settings.size("n_outputs")?,
        Head::Tied => config.vocab,
        Head::None => config.dims().pooled_width(),
    };
    settings.only("n_outputs", &[config.n_outputs.into()], &format!("{}, as head says", config.n_outputs))?;
    if head == Head::Tied && input != Input::Tokens {
        let next = "give the head a matrix of its own";
        return Err(settings.error(
            "head",
            "tied",
            "linear or none: only tokens have an embedding that is a head",
            next,
        ));
    }
    if settings.get("head_widths").is_some() {
        let widths = settings.widths("head_widths")?;
        let Some(slots) = config.head_widths.get_mut(..widths.len()).filter(|slots| !slots.is_empty()) else {
            let expected = format!("1 to {MAX_HIDDEN} widths");
            return Err(settings.error("head_widths", format!("{widths:?}"), expected, "train the model with fewer"));
        };
        slots.copy_from_slice(&widths);
        config.options.mlp_head = true;
        settings.require(&["head_activation"], "what follows each hidden layer")?;
    }
    config.options.head_activation =
        settings.dense("head_activation", &dense_activations(), config.options.mlp_head)?;
    if config.options.positions == Positions::Rotary {
        config.rope_theta = settings.positive("rope_theta", None)?;
    }
    config.n_layers = settings.size("n_layers")?;
    config.n_kv_heads = settings.size_or("n_kv_heads", n_heads)?;
    config.d_ff = settings.widths("d_ff")?.into_iter().max().unwrap_or(0);
    config.max_seq = settings.size("max_seq")?;
    config.norm_eps = settings.positive("norm_eps", None)? as f32;
    config.sliding_window = settings.sliding_window(config.options.mask)?;
    config.attention_scale = settings.positive("attention_scale", Some(Config::usual_scale(head_dim)))?;
    config.labels = settings.labels(config.n_outputs)?;
    settings.sensor(&mut config, None)?;
    config.bos = settings.ids("bos_token_id")?.first().copied();
    config.eos = settings.ids("eos_token_id")?;
    settings.check(&config)?;
    settings.check_ids(&config)?;
    Ok(config)
}

/// Names of an activation outside the blocks.
fn dense_activations() -> [(&'static str, DenseActivation); 5] {
    [
        ("silu", DenseActivation::Silu),
        ("gelu_erf", DenseActivation::Gelu),
        ("gelu_tanh", DenseActivation::GeluTanh),
        ("relu", DenseActivation::Relu),
        ("tanh", DenseActivation::Tanh),
    ]
}

fn options(settings: &Settings, input: Input, head: bool) -> Result<Options, Error> {
    let activation = [
        ("silu", Activation::Silu),
        ("gelu_erf", Activation::Gelu),
        ("gelu_tanh", Activation::GeluTanh),
        ("relu", Activation::Relu),
    ];
    let positions = [("rotary", Positions::Rotary), ("table", Positions::Table), ("none", Positions::None)];
    let mut options = Options::ENCODER;
    options.norm = settings.choice("norm", None, &[("rms", Norm::Rms), ("layer", Norm::Layer)])?;
    options.norm_place = settings.choice("norm_place", None, &[("pre", NormPlace::Pre), ("post", NormPlace::Post)])?;
    options.activation = settings.choice("activation", None, &activation)?;
    options.gated = settings.flag("gated_mlp", None)?;
    options.qk_norm = settings.flag("qk_norm", Some(false))?;
    options.mask =
        settings.choice("mask", None, &[("causal", Mask::Causal), ("bidirectional", Mask::Bidirectional)])?;
    options.positions = settings.choice("positions", None, &positions)?;
    options.input = input;
    options.pooling = settings.choice("pooling", None, &POOLINGS)?;
    let places = [("first", ClassPlace::First), ("last", ClassPlace::Last)];
    options.class_place = settings.choice("class_place", Some(ClassPlace::First), &places)?;
    options.embedding_activation =
        settings.dense("embedding_activation", &dense_activations(), input == Input::Frames)?;
    options.outputs = settings.choice("outputs", Some(Outputs::Classes), &OUTPUTS)?;
    let pooler = [("tanh", Pooler::Tanh), ("relu", Pooler::Relu)];
    options.pooler = settings.choice("pooler_activation", Some(Pooler::None), &pooler)?;
    options.head = head;
    if options.pooler != Pooler::None && options.pooling == Pooling::None {
        let next = "name a pooling, or leave the pooler out";
        return Err(settings.error("pooler_activation", "present", "absent: there is no pooling", next));
    }
    Ok(options)
}
