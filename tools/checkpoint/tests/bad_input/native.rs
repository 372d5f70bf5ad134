//! This project's own layout: every golden model, written in it, is itself again; and what is wrong is named.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use thumbformer::Part;
use thumbformer_checkpoint::{
    Activation, Checkpoint, ClassPlace, DenseActivation, Input, Mask, Norm, NormPlace, Outputs, Pooler, Pooling,
    Positions, Tensor, Weights,
};

use crate::Report;
use crate::files::{Change, Raw, Spoil, change, copy, find, golden, remove, tensors, write};

const MODELS: [&str; 19] = [
    "llama",
    "qwen3",
    "llama_untied",
    "torch_post_relu",
    "torch_post_gelu",
    "torch_pre_gelu",
    "torch_pre_relu",
    "bert",
    "distilbert",
    "gpt2",
    "vit",
    "deit",
    "deit_teacher",
    "ends/conv_mlp",
    "ends/class_last",
    "ends/distilled",
    "ends/patches",
    "ends/everything",
    "ends/steps",
];

fn load(folder: &Path) -> Checkpoint {
    Checkpoint::load(folder, None).unwrap_or_else(|error| panic!("{error}"))
}

/// The layout's name of a tensor.
fn name(tensor: Tensor, layer: usize) -> String {
    let (stem, end) = match tensor.name().strip_suffix("Bias") {
        Some(stem) => (stem, ".bias"),
        None => (tensor.name(), ".weight"),
    };
    let part = match stem {
        "ClassToken" => return "class_token".into(),
        "PositionTable" => return "positions".into(),
        "Embedding" => "embedding",
        "EmbeddingNorm" => "embedding_norm",
        "FinalNorm" => "final_norm",
        "HeadNorm" => "head_norm",
        "Pooler" => "pooler",
        "HeadHidden" => return format!("head_layers.{layer}{end}"),
        "Head" => "head",
        "AttentionNorm" => "attention_norm",
        "Query" => "attention.query",
        "QueryNorm" => "attention.query_norm",
        "Key" => "attention.key",
        "KeyNorm" => "attention.key_norm",
        "Value" => "attention.value",
        "AttentionOutput" => "attention.output",
        "MlpNorm" => "mlp_norm",
        "Gate" => "mlp.gate",
        "Up" => "mlp.up",
        "Down" => "mlp.down",
        _ => panic!("the layout has no name for {tensor:?}"),
    };
    if tensor.part() == Part::Layer { format!("layers.{layer}.{part}{end}") } else { format!("{part}{end}") }
}

/// The layout's name of an activation outside the blocks.
fn dense(activation: DenseActivation) -> Value {
    match activation {
        DenseActivation::None => Value::Null,
        DenseActivation::Tanh => json!("tanh"),
        DenseActivation::Relu => json!("relu"),
        DenseActivation::Gelu => json!("gelu_erf"),
        DenseActivation::GeluTanh => json!("gelu_tanh"),
        other => json!(format!("{other:?}").to_lowercase()),
    }
}

/// All tensors by the names of the layout.
fn named(c: &Checkpoint) -> Vec<(String, &Weights)> {
    c.tensors.iter().map(|(tensor, layer, weights)| (name(tensor, layer), weights)).collect()
}

/// A golden model in this layout.
pub fn native(model: &str) -> TempDir {
    let c = load(&golden(model).join("checkpoint"));
    let folder = tempfile::tempdir().unwrap();
    let raw = |(name, tensor): (String, &Weights)| Raw {
        name,
        dtype: safetensors::Dtype::F32,
        shape: tensor.shape.clone(),
        data: tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect(),
    };
    write(&folder.path().join("model.safetensors"), &named(&c).into_iter().map(raw).collect::<Vec<_>>());
    let (g, o) = (&c.config, &c.config.options);
    let mut config = json!({
        "architecture": "thumbformer", "d_model": g.d_model, "n_layers": g.n_layers, "n_heads": g.n_heads,
        "n_kv_heads": g.n_kv_heads, "head_dim": g.head_dim, "d_ff": g.d_ff, "max_seq": g.max_seq,
        "norm": if o.norm == Norm::Rms { "rms" } else { "layer" },
        "norm_place": if o.norm_place == NormPlace::Pre { "pre" } else { "post" },
        "norm_eps": g.norm_eps,
        "activation": match o.activation {
            Activation::Silu => "silu",
            Activation::Gelu => "gelu_erf",
            Activation::GeluTanh => "gelu_tanh",
            _ => "relu",
        },
        "mask": if o.mask == Mask::Causal { "causal" } else { "bidirectional" },
        "positions": match o.positions {
            Positions::Rotary => "rotary",
            Positions::Table => "table",
            _ => "none",
        },
        "input": if o.input == Input::Tokens { "tokens" } else { "frames" },
        "pooling": match o.pooling {
            Pooling::Class => "class",
            Pooling::Mean => "mean",
            Pooling::Last => "last",
            Pooling::MeanOfInputs => "mean_of_inputs",
            Pooling::MeanOfClass => "mean_of_class",
            Pooling::Classes => "classes",
            _ => "none",
        },
        "outputs": match o.outputs {
            Outputs::Labels => "labels",
            Outputs::Numbers => "numbers",
            _ => "classes",
        },
        "attention_scale": g.attention_scale,
        "class_token": if g.n_class > 1 { json!(g.n_class) } else { json!(g.n_class == 1) },
        "class_place": if o.class_place == ClassPlace::Last { "last" } else { "first" },
        "embedding_activation": dense(o.embedding_activation), "embedding_norm": c.tensors.has(Tensor::EmbeddingNorm),
        "head_norm": c.tensors.has(Tensor::HeadNorm), "head_activation": dense(o.head_activation),
        "final_norm": c.tensors.has(Tensor::FinalNorm), "gated_mlp": o.gated, "qk_norm": o.qk_norm,
        "head": if c.has_tied_head() { "tied" } else if o.head { "linear" } else { "none" },
        "n_outputs": g.n_outputs, "bos_token_id": g.bos, "eos_token_id": g.eos,
    });
    if o.positions == Positions::Rotary {
        config["rope_theta"] = json!(g.rope_theta);
    }
    match o.input {
        Input::Tokens => config["vocab"] = json!(g.vocab),
        _ => {
            config["n_features"] = json!(g.n_features);
            (config["frame_samples"], config["frame_hop"]) = (json!(g.frame_samples), json!(g.frame_hop));
        }
    }
    if !g.columns.is_empty() {
        config["columns"] = json!(g.columns);
    }
    if o.mlp_head {
        config["head_widths"] = json!(g.head_widths.iter().filter(|&&width| width > 0).collect::<Vec<_>>());
    }
    config["pooler_activation"] = match o.pooler {
        Pooler::Tanh => json!("tanh"),
        Pooler::Relu => json!("relu"),
        _ => Value::Null,
    };
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

#[test]
fn every_golden_model_can_be_written_in_this_layout_and_is_itself_again() {
    for model in MODELS {
        let (theirs, folder) = (load(&golden(model).join("checkpoint")), native(model));
        let ours = load(folder.path());
        assert_eq!(ours.architecture, "thumbformer");
        assert_eq!(ours.config, theirs.config, "{model}");
        let (ours, theirs) = (named(&ours), named(&theirs));
        assert_eq!(ours.len(), theirs.len(), "{model}");
        for ((name, ours), (_, theirs)) in ours.iter().zip(&theirs) {
            assert_eq!((&ours.name, &ours.shape, &ours.data), (name, &theirs.shape, &theirs.data), "{model}");
        }
    }
}

#[test]
fn what_is_usual_may_be_left_out() {
    let folder = native("torch_pre_relu");
    let wanted = load(folder.path()).config;
    let absent = ["n_kv_heads", "head_dim", "attention_scale", "embedding_norm", "pooler_activation", "bos_token_id"];
    change(folder.path(), &absent.map(|key| (key, None)));
    assert_eq!(load(folder.path()).config, wanted);
}

#[test]
fn a_bad_setting_is_refused_by_name() {
    let cases: [(&str, &[Change], &[&str]); 27] = [
        ("vit", &[("norm_place", None)], &["norm_place", "absent", "pre or post"]),
        ("vit", &[("norm_place", Some(json!("both")))], &["norm_place", "both", "pre or post"]),
        ("vit", &[("norm", Some(json!("batch")))], &["norm", "batch", "rms or layer"]),
        ("vit", &[("activation", Some(json!("gelu")))], &["activation", "gelu_erf or gelu_tanh"]),
        ("vit", &[("final_norm", None)], &["final_norm", "absent"]),
        ("vit", &[("gated_mlp", Some(json!(1)))], &["gated_mlp", "true or false"]),
        ("vit", &[("norm_position", Some(json!("pre")))], &["norm_position", "one of the keys", "norm_place"]),
        ("vit", &[("pooling", Some(json!("last")))], &["class_token", "Last"]),
        ("vit", &[("mask", Some(json!("causal")))], &["pooling", "Class", "causal"]),
        ("vit", &[("n_features", None)], &["n_features", "absent"]),
        ("vit", &[("head", Some(json!("tied")))], &["n_outputs", "3", "0"]),
        ("vit", &[("n_outputs", Some(json!(0)))], &["n_outputs", "0"]),
        ("vit", &[("d_ff", Some(json!([20, 20, 20])))], &["d_ff", "[20, 20, 20]", "one for each layer"]),
        ("vit", &[("d_ff", Some(json!([0])))], &["d_ff", "[0]", "whole numbers"]),
        ("vit", &[("d_model", Some(json!(13))), ("head_dim", None)], &["d_model", "13", "n_heads (2)"]),
        ("vit", &[("norm_eps", Some(json!(1e-60)))], &["norm_eps", "positive"]),
        ("vit", &[("attention_scale", Some(json!(0)))], &["attention_scale", "positive"]),
        ("vit", &[("bos_token_id", Some(json!(0)))], &["bos_token_id", "vocabulary of 0"]),
        ("gpt2", &[("pooler_activation", Some(json!("tanh")))], &["pooler_activation", "pooling"]),
        ("gpt2", &[("vocab", Some(json!(1u64 << 30)))], &["vocab", "1073741824", "1048576"]),
        ("gpt2", &[("eos_token_id", Some(json!([1, "end"])))], &["eos_token_id", "token id"]),
        ("gpt2", &[("eos_token_id", Some(json!([1, 24])))], &["eos_token_id", "24", "vocabulary of 24"]),
        ("gpt2", &[("positions", Some(json!("alibi")))], &["positions", "alibi", "rotary or table or none"]),
        ("llama", &[("rope_theta", None)], &["rope_theta", "absent"]),
        ("llama", &[("n_kv_heads", Some(json!(3)))], &["n_heads", "4", "n_kv_heads (3)"]),
        ("llama", &[("head_dim", Some(json!(7)))], &["head_dim", "7", "even"]),
        (
            "bert",
            &[("architecture", Some(json!("thumbformer2")))],
            &["architecture `thumbformer2`", "thumbformer", "mlp.up"],
        ),
    ];
    let mut report = Report::default();
    for (model, changes, expected) in cases {
        let folder = native(model);
        change(folder.path(), changes);
        report.check(&format!("{model} {changes:?}"), folder.path(), &[expected, &["config.json"]].concat());
    }
    let folder = native("vit");
    fs::write(folder.path().join("config.json"), "[]").unwrap();
    report.check("no object", folder.path(), &["config.json", "model_type"]);
}

#[test]
fn a_bias_that_one_layer_lacks_is_zero_and_noted() {
    for layer in [0, 1] {
        let folder = native("gpt2");
        let path = folder.path().join("model.safetensors");
        let mut all = tensors(&path);
        remove(&mut all, &format!("layers.{layer}.mlp.up.bias"));
        write(&path, &all);
        let found = load(folder.path());
        assert!(found.tensors[(Tensor::UpBias, layer)].data.iter().all(|bias| *bias == 0.0));
        assert!(found.tensors[(Tensor::UpBias, 1 - layer)].data.iter().any(|bias| *bias != 0.0));
        let noted = format!("layers.{layer}.mlp.up.bias");
        assert!(found.notes.iter().any(|note| note.contains(&noted) && note.contains("0")), "{:?}", found.notes);
    }
}

#[test]
fn dimensions_of_one_may_be_there_or_not() {
    let folder = native("torch_pre_relu");
    let path = folder.path().join("model.safetensors");
    let mut all = tensors(&path);
    let sound = load(folder.path());
    for (name, place) in [("class_token", 0), ("layers.0.mlp.up.bias", 1), ("embedding.weight", 2)] {
        find(&mut all, name).shape.insert(place, 1);
    }
    write(&path, &all);
    assert_eq!(load(folder.path()).tensors, sound.tensors);
}

#[test]
fn a_bad_tensor_is_refused_by_name() {
    let cases: [(&str, &str, Spoil, &[&str]); 7] = [
        ("a missing part", "vit", |all| remove(all, "positions"), &["positions", "missing"]),
        (
            "a bias of RMSNorm",
            "llama",
            |all| copy(all, "final_norm.weight", "final_norm.bias"),
            &["final_norm.bias", "no place"],
        ),
        (
            "a bias of an embedding of tokens",
            "bert",
            |all| copy(all, "pooler.bias", "embedding.bias"),
            &["embedding.bias"],
        ),
        (
            "a gate",
            "vit",
            |all| copy(all, "layers.0.mlp.up.weight", "layers.0.mlp.gate.weight"),
            &["mlp.gate", "no place"],
        ),
        (
            "a head that is tied",
            "gpt2",
            |all| copy(all, "embedding.weight", "head.weight"),
            &["head.weight", "no place"],
        ),
        (
            "a class token as a matrix",
            "vit",
            |all| find(all, "class_token").shape = vec![2, 6],
            &["class_token", "[2, 6]", "[12]"],
        ),
        (
            "two layers for one",
            "bert",
            |all| copy(all, "layers.0.mlp.up.bias", "layers.1.mlp.up.bias"),
            &["layers.1", "no place"],
        ),
    ];
    let mut report = Report::default();
    for (case, model, spoil, expected) in cases {
        let folder = native(model);
        let path = folder.path().join("model.safetensors");
        let mut all = tensors(&path);
        spoil(&mut all);
        write(&path, &all);
        report.check(case, folder.path(), expected);
    }
}
