//! State dicts of `nn.TransformerEncoder`.

use std::fs;

use serde_json::json;
use thumbformer_checkpoint::{Checkpoint, Pooling, Tensor};

use crate::files::{change, copy, find, folder, remove, rename, tensors, write};
use crate::{all_are_refused, refusal, setting, weights};

#[test]
fn what_tensors_do_not_tell_is_asked_for_by_name_and_all_at_once() {
    let plain = folder("torch_post_relu");
    fs::remove_file(plain.path().join("config.json")).unwrap();
    let error = refusal("no config.json", plain.path());
    for key in ["nhead", "norm_first", "activation", "mask", "input", "embedding", "positions", "pooling", "head"] {
        assert!(error.contains(&format!("`{key}`")), "{key} is not in {error}");
    }
    assert!(error.contains("config.json") && error.contains("absent"), "{error}");
    // The names of the tensors tell whose they are.
    fs::write(plain.path().join("config.json"), r#"{"nhead": 2, "norm_first": false}"#).unwrap();
    let error = refusal("half of it", plain.path());
    assert!(!error.contains("nhead") && !error.contains("norm_first") && error.contains("`activation`"), "{error}");
}

#[test]
fn a_bad_setting_is_refused_by_name() {
    const MODEL: &str = "torch_pre_relu";
    all_are_refused([
        setting(MODEL, &[("norm_first", None)], &["norm_first", "absent"]),
        setting(MODEL, &[("norm_first", Some(json!("yes")))], &["norm_first", "\"yes\"", "true or false"]),
        setting(MODEL, &[("nhead", Some(json!(5)))], &["d_model", "12", "multiple of nhead (5)"]),
        setting(MODEL, &[("nhead", Some(json!(0)))], &["nhead", "0"]),
        setting(MODEL, &[("nhead", Some(json!(null)))], &["nhead", "absent"]),
        setting(MODEL, &[("activation", Some(json!("tanh")))], &["activation", "tanh", "relu or gelu"]),
        setting(MODEL, &[("mask", Some(json!("sliding")))], &["mask", "sliding", "causal or bidirectional"]),
        setting(MODEL, &[("mask", Some(json!("causal")))], &["pooling", "Class", "causal"]),
        setting(MODEL, &[("pooling", Some(json!("max")))], &["pooling", "max", "mean"]),
        setting(MODEL, &[("pooling", Some(json!("last")))], &["class_token", "Last"]),
        setting(MODEL, &[("max_seq", None)], &["max_seq", "absent"]),
        setting(MODEL, &[("layer_norm_eps", Some(json!(-1.0)))], &["layer_norm_eps", "-1"]),
        setting(MODEL, &[("input", Some(json!("pictures")))], &["input", "tokens or frames"]),
        setting(MODEL, &[("head", Some(json!(3)))], &["head", "3", "text"]),
        setting(MODEL, &[("dropuot", Some(json!(0.1)))], &["dropuot", "one of the keys", "norm_first"]),
        setting(MODEL, &[("encoder", Some(json!("decoder")))], &["encoder", "`decoder`", "one of `encoder`"]),
        setting("torch_pre_gelu", &[("embedding", Some(json!(null)))], &["embedding", "tokens"]),
        setting("torch_pre_gelu", &[("max_seq", Some(json!(10)))], &["max_seq", "at most 9", "position"]),
        setting("torch_pre_gelu", &[("eos_token_id", Some(json!(20)))], &["eos_token_id", "20"]),
        setting(
            "torch_pre_gelu",
            &[("head", Some(json!("embed"))), ("embedding_scale", Some(json!(2)))],
            &["embedding_scale", "tied"],
        ),
    ]);
}

#[test]
fn a_bad_tensor_is_refused_by_name() {
    const MODEL: &str = "torch_pre_relu";
    const PROJECTION: &str = "encoder.layers.0.self_attn.in_proj_weight";
    all_are_refused([
        // Not named in config.json, or not of an encoder.
        setting(MODEL, &[("head", Some(json!(null)))], &["head.bias", "no place", "head.weight"]),
        setting(MODEL, &[("class_token", None)], &["cls_token", "no place"]),
        setting(MODEL, &[("embedding", Some(json!("embedding")))], &["embedding.weight", "missing", "embed.weight"]),
        weights(
            "a decoder's attention",
            MODEL,
            |all| copy(all, PROJECTION, "encoder.layers.0.multihead_attn.in_proj_weight"),
            &["encoder.layers.0.multihead_attn.in_proj_weight", "no place"],
        ),
        weights(
            "two encoders",
            MODEL,
            |all| copy(all, PROJECTION, "decoder.layers.0.self_attn.in_proj_weight"),
            &["encoder", "`decoder`", "`encoder`", "absent"],
        ),
        weights(
            "no encoder",
            MODEL,
            |all| rename(all, PROJECTION, "encoder.layers.0.qkv"),
            &["encoder", "self_attn.in_proj_weight", "encoder.layers.N.qkv"],
        ),
        weights(
            "a bias is missing",
            MODEL,
            |all| remove(all, "encoder.layers.0.linear2.bias"),
            &["encoder.layers.0.linear2.bias", "missing"],
        ),
        weights(
            "a layer is missing",
            "torch_post_relu",
            |all| {
                all.retain(|raw| !raw.name.starts_with("encoder.layers.0."));
            },
            &["encoder.layers.0.self_attn.in_proj_weight", "missing"],
        ),
        weights(
            "separate projections",
            MODEL,
            |all| find(all, PROJECTION).shape = vec![12, 36],
            &[PROJECTION, "[12, 36]"],
        ),
        weights(
            "a table of another width",
            "torch_pre_gelu",
            |all| find(all, "position").shape = vec![1, 12, 9],
            &["position", "[1, 12, 9]", "[9, 12]"],
        ),
        weights(
            "a head without rows",
            MODEL,
            |all| {
                let head = find(all, "head.weight");
                (head.shape, head.data) = (vec![0, 12], Vec::new());
            },
            &["head.weight", "[0, 12]"],
        ),
    ]);
}

#[test]
fn equivalent_files_mean_the_same() {
    let load =
        |folder: &tempfile::TempDir| Checkpoint::load(folder.path(), None).unwrap_or_else(|error| panic!("{error}"));
    // A single layer, without the encoder's name.
    let single = folder("torch_post_gelu");
    let path = single.path().join("model.safetensors");
    let mut all = tensors(&path);
    for raw in &mut all {
        raw.name = raw.name.replace("encoder.layers.0.", "");
    }
    write(&path, &all);
    let (single, whole) = (load(&single), load(&folder("torch_post_gelu")));
    assert_eq!((&single.config, single.parameters()), (&whole.config, whole.parameters()));
    assert_eq!(single.tensors[(Tensor::Key, 0)].data, whole.tensors[(Tensor::Key, 0)].data);
    assert_eq!(whole.architecture, "nn.TransformerEncoder");

    // The embedding's scale is part of its weights, as the tutorials have it.
    let scaled = folder("torch_pre_gelu");
    change(scaled.path(), &[("embedding_scale", Some(json!(2.0))), ("max_seq", Some(json!(5)))]);
    let (scaled, plain) = (load(&scaled), load(&folder("torch_pre_gelu")));
    let data = |checkpoint: &Checkpoint, tensor| checkpoint.tensors[(tensor, 0)].data.clone();
    let embeddings = data(&scaled, Tensor::Embedding).into_iter().zip(data(&plain, Tensor::Embedding));
    assert!(embeddings.into_iter().all(|(a, b)| a == 2.0 * b));
    assert_eq!((scaled.config.max_seq, plain.config.max_seq, plain.config.vocab), (5, 9, 20));
    assert_eq!(data(&scaled, Tensor::PositionTable), data(&plain, Tensor::PositionTable)[..5 * 12]);

    // A head that is the embedding.
    let tied = folder("torch_pre_gelu");
    change(tied.path(), &[("head", Some(json!("embed"))), ("pooling", Some(json!("none")))]);
    let path = tied.path().join("model.safetensors");
    let mut all = tensors(&path);
    remove(&mut all, "head.weight");
    write(&path, &all);
    let tied = load(&tied);
    assert!(tied.has_tied_head() && tied.config.n_outputs == 20 && tied.config.options.pooling == Pooling::None);
}
