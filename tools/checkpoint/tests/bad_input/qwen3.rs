//! Qwen3: what changes the computation is refused by name, and every key is understood or refused.

use serde_json::{Value, json};
use thumbformer_checkpoint::{Checkpoint, Tensor};

use crate::files::{change, copy, find, folder, golden, remove};
use crate::{all_are_refused, setting, weights};

const Q_NORM: &str = "model.layers.0.self_attn.q_norm.weight";
const Q: &str = "model.layers.0.self_attn.q_proj.weight";

#[test]
fn settings_that_change_the_computation_and_unknown_ones_are_refused() {
    let window = json!(["full_attention", "sliding_attention"]);
    let yarn = json!({"rope_type": "yarn", "factor": 4.0});
    let scaled = json!({"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0});
    let one = |key, value: Value, expected| setting("qwen3", &[(key, Some(value))], expected);
    let without = |key, expected| setting("qwen3", &[(key, None)], expected);
    all_are_refused([
        setting(
            "qwen3",
            &[
                ("use_sliding_window", Some(json!(true))),
                ("layer_types", Some(window.clone())),
                ("sliding_window", Some(json!(3))),
            ],
            &["layer_types", "a window in 1 of 2 layers", "in all of them"],
        ),
        one("layer_types", window, &["layer_types", "sliding_attention"]),
        one("rope_scaling", yarn, &["rope_scaling", "yarn", "not rescaled"]),
        one("rope_parameters", scaled, &["rope_parameters", "yarn", "not rescaled"]),
        one("rope_parameters", json!({"rope_type": "default", "rope_theta": 0.0}), &["rope_theta", "positive"]),
        one("attention_bias", json!(true), &["o_proj.bias", "missing", "which layers have a bias"]),
        one("hidden_act", json!("mish"), &["hidden_act", "mish", "silu"]),
        one("quantization_config", json!({"bits": 4}), &["quantization_config", "floats"]),
        one("architectures", json!(["Qwen3ForSequenceClassification"]), &["score.weight", "missing"]),
        one("model_type", json!("qwen3_moe"), &["architecture `qwen3_moe`", "qwen3"]),
        one("num_experts", json!(8), &["num_experts", "8", "a key that the importer knows"]),
        one("head_dim", json!(11), &["head_dim", "11", "even"]),
        one("num_key_value_heads", json!(3), &["num_attention_heads", "4", "num_key_value_heads (3)"]),
        without("head_dim", &["head_dim", "absent"]),
        without("num_key_value_heads", &["num_key_value_heads", "absent"]),
        one("tie_word_embeddings", json!(false), &["lm_head.weight", "missing"]),
    ]);
}

#[test]
fn tensors_that_are_missing_of_another_shape_or_without_a_place_are_refused() {
    all_are_refused([
        weights("no norm of queries", "qwen3", |all| remove(all, Q_NORM), &[Q_NORM, "missing"]),
        weights(
            "a norm of all heads",
            "qwen3",
            |all| {
                let norm = find(all, Q_NORM);
                (norm.shape, norm.data) = (vec![48], norm.data.repeat(4));
            },
            &[Q_NORM, "[48]", "[12]"],
        ),
        weights(
            "a bias",
            "qwen3",
            |all| copy(all, Q_NORM, "model.layers.0.self_attn.q_proj.bias"),
            &["q_proj.bias", "no place"],
        ),
        weights("no queries", "qwen3", |all| remove(all, Q), &[Q, "missing"]),
        // A Llama that somebody calls so.
        weights(
            "no norms at all",
            "qwen3",
            |all| all.retain(|raw| !raw.name.contains("_norm.weight")),
            &[Q_NORM, "missing"],
        ),
    ]);
}

#[test]
fn other_spellings_mean_the_same() {
    let wanted = Checkpoint::load(&golden("qwen3/checkpoint"), None).unwrap_or_else(|error| panic!("{error}"));
    assert!(wanted.config.options.qk_norm && wanted.has_tied_head());
    assert_eq!(wanted.tensors[(Tensor::KeyNorm, 1)].shape, [12]);
    assert_eq!((wanted.config.rope_theta, wanted.config.n_kv_heads), (1e6, 2));
    let older = folder("qwen3");
    let nothing = Some(json!(null));
    change(older.path(), &[("rope_parameters", None), ("rope_theta", Some(json!(1e6))), ("rope_scaling", nothing)]);
    // As published: the width of a window that is not used.
    change(older.path(), &[("layer_types", None), ("dtype", None), ("torch_dtype", Some(json!("bfloat16")))]);
    change(older.path(), &[("sliding_window", Some(json!(16)))]);
    let found = Checkpoint::load(older.path(), None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found.config, wanted.config);
}
