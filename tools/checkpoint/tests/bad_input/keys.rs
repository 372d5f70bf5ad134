//! Every key of a `config.json` is read, or known to change nothing, or refused by name.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use thumbformer_checkpoint::{Checkpoint, Mask};

use crate::files::{change, folder};
use crate::{all_are_refused, setting};

/// Models of transformers, and keys of their own without an effect on the computation.
const MODELS: [(&str, &[&str]); 6] = [
    ("llama", &["attention_dropout", "pretraining_tp", "max_sequence_length"]),
    ("qwen3", &["attention_dropout", "max_window_layers"]),
    ("gpt2", &["resid_pdrop", "summary_type", "reorder_and_upcast_attn"]),
    ("bert", &["hidden_dropout_prob", "classifier_dropout", "directionality"]),
    ("distilbert", &["qa_dropout", "sinusoidal_pos_embds"]),
    ("vit", &["encoder_stride", "pooler_act"]),
];

#[test]
fn a_key_that_no_importer_knows_is_refused_by_name_unless_it_is_null() {
    for (model, _) in MODELS {
        all_are_refused([
            setting(
                model,
                &[("head_mask_scale", Some(json!(2)))],
                &["config.json", "`head_mask_scale` is 2", "take it out"],
            ),
            setting(model, &[("is_encoder_decoder", Some(json!(true)))], &["is_encoder_decoder", "one network"]),
            setting(model, &[("pruned_heads", Some(json!({"0": [1]})))], &["pruned_heads", "all heads"]),
            setting(model, &[("add_cross_attention", Some(json!(true)))], &["add_cross_attention", "one sequence"]),
            setting(model, &[("quantization_config", Some(json!({"bits": 4})))], &["quantization_config", "floats"]),
        ]);
        let folder = folder(model);
        change(folder.path(), &[("head_mask_scale", Some(Value::Null))]);
        assert!(Checkpoint::load(folder.path(), None).is_ok(), "{model}");
    }
}

#[test]
fn keys_without_an_effect_are_taken_with_any_value() {
    let common = ["transformers_version", "dtype", "torch_dtype", "use_cache", "top_k", "pad_token_id"];
    for (model, own) in MODELS {
        let folder = folder(model);
        let sound = Checkpoint::load(folder.path(), None).unwrap();
        let changes: Vec<_> = common.iter().chain(own).map(|key| (*key, Some(json!("another")))).collect();
        change(folder.path(), &changes);
        let found = Checkpoint::load(folder.path(), None).unwrap_or_else(|error| panic!("{model}: {error}"));
        assert_eq!(found.config, sound.config, "{model}");
    }
}

#[test]
fn the_outputs_of_a_classifier_have_the_names_of_id2label() {
    for model in ["bert", "distilbert", "vit"] {
        let folder = folder(model);
        let load = |names: serde_json::Value| {
            change(folder.path(), &[("id2label", Some(names))]);
            Checkpoint::load(folder.path(), None)
        };
        let n_outputs = Checkpoint::load(folder.path(), None).unwrap().config.n_outputs;
        let names =
            |name: &str| json!(BTreeMap::from_iter((0..n_outputs).map(|i| (i.to_string(), format!("{name}{i}")))));
        let expected: Vec<String> = (0..n_outputs).map(|i| format!("word {i}")).collect();
        assert_eq!(load(names("word ")).unwrap().config.labels, expected, "{model}");
        assert!(
            load(names("LABEL_")).unwrap().config.labels.is_empty(),
            "{model}: transformers' defaults are no names"
        );
        for wrong in [json!({"0": "one"}), json!("another"), json!({"0": 1})] {
            let error = load(wrong).unwrap_err().to_string();
            assert!(error.contains("id2label") && error.contains(&format!("{n_outputs} names")), "{model}: {error}");
        }
    }
}

#[test]
fn a_decoder_that_is_not_causal_sees_the_whole_sequence() {
    for model in ["llama", "qwen3", "gpt2"] {
        for (is_causal, mask) in [(json!(false), Mask::Bidirectional), (json!(true), Mask::Causal)] {
            let folder = folder(model);
            change(folder.path(), &[("is_causal", Some(is_causal))]);
            let checkpoint = Checkpoint::load(folder.path(), None).unwrap_or_else(|error| panic!("{model}: {error}"));
            assert_eq!(checkpoint.config.options.mask, mask, "{model}");
        }
    }
    all_are_refused([
        setting("llama", &[("is_causal", Some(json!("no")))], &["is_causal", "true or false"]),
        setting("bert", &[("is_causal", Some(json!(true)))], &["is_causal", "every token sees all"]),
        setting(
            "llama",
            &[
                ("is_causal", Some(json!(false))),
                ("model_type", Some(json!("mistral"))),
                ("sliding_window", Some(json!(4))),
                ("architectures", Some(json!(["MistralForCausalLM"]))),
            ],
            &["is_causal", "sliding window"],
        ),
    ]);
}
