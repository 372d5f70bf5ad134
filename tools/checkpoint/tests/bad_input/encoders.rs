//! Hugging Face's encoders: BERT, DistilBERT, ViT.

use serde_json::json;
use thumbformer_checkpoint::{Checkpoint, Input, Outputs, Pooler, Pooling, Tensor};

use crate::files::{change, copy, find, folder, remove, tensors, write};
use crate::{Case, all_are_refused, setting, weights};

#[test]
fn a_setting_that_changes_the_computation_is_refused() {
    all_are_refused([
        setting(
            "bert",
            &[("position_embedding_type", Some(json!("relative_key")))],
            &["position_embedding_type", "relative_key", "absolute"],
        ),
        setting("bert", &[("is_decoder", Some(json!(true)))], &["is_decoder", "true", "false"]),
        setting("bert", &[("hidden_act", Some(json!("mish")))], &["hidden_act", "mish", "gelu"]),
        setting("bert", &[("hidden_size", Some(json!(13)))], &["hidden_size", "13", "num_attention_heads (2)"]),
        setting("bert", &[("hidden_size", None)], &["hidden_size", "absent"]),
        setting("bert", &[("num_hidden_layers", Some(json!(-1)))], &["num_hidden_layers", "-1"]),
        setting(
            "bert",
            &[("max_position_embeddings", Some(json!(11)))],
            &["position_embeddings", "[10, 12]", "[11, 12]"],
        ),
        setting("bert", &[("type_vocab_size", Some(json!(3)))], &["token_type_embeddings", "[3, 12]"]),
        setting(
            "bert",
            &[("model_type", Some(json!("albert")))],
            &["architecture `albert`", "bert, distilbert", "bert.encoder.layer.N.output.dense.bias"],
        ),
        setting("distilbert", &[("n_heads", Some(json!(0)))], &["n_heads", "0"]),
        setting("distilbert", &[("activation", Some(json!(7)))], &["activation", "7"]),
        setting("distilbert", &[("vocab_size", Some(json!(25)))], &["word_embeddings", "[24, 12]", "[25, 12]"]),
        setting("vit", &[("patch_size", Some(json!(4)))], &["patch_embeddings", "[12, 2, 3, 3]", "[12, 2, 4, 4]"]),
        setting("vit", &[("patch_size", Some(json!(10)))], &["image_size", "9", "at least patch_size ([10, 10])"]),
        setting("vit", &[("image_size", Some(json!([9, 9, 9])))], &["image_size", "[9, 9, 9]", "rows and columns"]),
        setting("vit", &[("image_size", Some(json!(12)))], &["position_embeddings", "[1, 10, 12]", "[1, 17, 12]"]),
        setting("vit", &[("qkv_bias", Some(json!(false)))], &["attention.key.bias", "no place"]),
        setting("vit", &[("num_attention_heads", Some(json!(5)))], &["hidden_size", "num_attention_heads (5)"]),
        setting("vit", &[("layer_norm_eps", Some(json!(0)))], &["layer_norm_eps", "positive"]),
    ]);
}

#[test]
fn a_bad_tensor_is_refused_by_name() {
    const QUERY: &str = "bert.encoder.layer.0.attention.self.query";
    all_are_refused([
        weights(
            "no bias",
            "bert",
            |all| remove(all, "bert.encoder.layer.0.attention.self.query.bias"),
            &[QUERY, "missing"],
        ),
        weights(
            "no token types",
            "bert",
            |all| remove(all, "bert.embeddings.token_type_embeddings.weight"),
            &["token_type_embeddings", "missing"],
        ),
        weights(
            "a task's head",
            "bert",
            |all| copy(all, "classifier.weight", "qa_outputs.weight"),
            &["qa_outputs.weight", "[3, 12]", "expected [2, 12]"],
        ),
        // The class has a classifier.
        weights(
            "a pooler alone",
            "bert",
            |all| all.retain(|raw| !raw.name.starts_with("classifier")),
            &["classifier.weight", "missing"],
        ),
        weights(
            "a sequence classifier without its pooler",
            "bert",
            |all| all.retain(|raw| !raw.name.contains("pooler")),
            &["bert.pooler.dense.weight", "missing"],
        ),
        weights(
            "a pooler of another width",
            "bert",
            |all| find(all, "bert.pooler.dense.weight").shape = vec![24, 6],
            &["bert.pooler.dense.weight", "[24, 6]", "[12, 12]"],
        ),
        weights(
            "a classifier of another width",
            "distilbert",
            |all| find(all, "classifier.weight").shape = vec![12, 4],
            &["classifier.weight", "[12, 4]"],
        ),
        weights("no class token", "vit", |all| remove(all, "vit.embeddings.cls_token"), &["cls_token", "missing"]),
        weights(
            "a second class token",
            "vit",
            |all| {
                copy(all, "vit.embeddings.cls_token", "vit.embeddings.distillation_token");
            },
            &["distillation_token", "[1, 1, 12]", "no place"],
        ),
        weights(
            "NaN",
            "vit",
            |all| {
                find(all, "vit.embeddings.patch_embeddings.projection.weight").data[..2].copy_from_slice(&[0, 0x7E]);
            },
            &["projection.weight", "NaN", "[0, 0, 0, 0]"],
        ),
        Case {
            name: "a layer more than the configuration",
            model: "vit",
            changes: Vec::new(),
            spoil: |all| copy(all, "vit.layernorm.bias", "vit.encoder.layer.1.layernorm_after.bias"),
            expected: &["vit.encoder.layer.1.layernorm_after.bias", "no place"],
        },
    ]);
}

/// Loads a golden model after a change of its tensors.
fn changed(model: &str, spoil: crate::files::Spoil) -> Checkpoint {
    of_class(model, None, spoil)
}

/// As [`changed`], with another class.
fn of_class(model: &str, class: Option<&str>, spoil: crate::files::Spoil) -> Checkpoint {
    let folder = folder(model);
    if let Some(class) = class {
        change(folder.path(), &[("architectures", Some(json!([class])))]);
    }
    let path = folder.path().join("model.safetensors");
    let mut all = tensors(&path);
    spoil(&mut all);
    write(&path, &all);
    Checkpoint::load(folder.path(), None).unwrap_or_else(|error| panic!("{model}: {error}"))
}

#[test]
fn the_problem_type_says_what_the_outputs_mean() {
    for (model, found, outputs) in [
        ("bert", json!(null), Outputs::Classes),
        ("bert", json!("single_label_classification"), Outputs::Classes),
        ("bert", json!("multi_label_classification"), Outputs::Labels),
        ("bert", json!("regression"), Outputs::Numbers),
        ("vit", json!("multi_label_classification"), Outputs::Labels),
    ] {
        let folder = folder(model);
        change(folder.path(), &[("problem_type", Some(found.clone()))]);
        let checkpoint = Checkpoint::load(folder.path(), None).unwrap_or_else(|error| panic!("{model}: {error}"));
        assert_eq!(checkpoint.config.options.outputs, outputs, "{model}, {found}");
    }
    all_are_refused([setting(
        "bert",
        &[("problem_type", Some(json!("ranking")))],
        &["problem_type", "ranking", "regression"],
    )]);
}

#[test]
fn the_tensors_say_which_outputs_there_are() {
    let bert = changed("bert", |_| ());
    assert_eq!((bert.architecture.as_str(), bert.config.options.pooling), ("bert", Pooling::Class));
    assert_eq!((bert.config.n_outputs, bert.config.options.pooler), (3, Pooler::Tanh));
    assert!(bert.tensors.has(Tensor::Pooler) && bert.tensors.has(Tensor::PoolerBias));
    assert!(!bert.tensors.has(Tensor::ClassToken), "the sequence has one of its own");
    // 24 words, 10 positions with their type, two norms and the embedding's, 4 + 2 matrices, pooler, classifier
    let layer = 4 * (144 + 12) + (240 + 20) + (240 + 12) + 2 * 24;
    assert_eq!(bert.parameters(), 34 * 12 + 24 + layer + 156 + 39);

    let bare = of_class("bert", Some("BertModel"), |all| {
        all.retain(|raw| !raw.name.starts_with("classifier") && !raw.name.contains("pooler"));
        all.iter_mut().for_each(|raw| raw.name = raw.name.replace("bert.", ""));
    });
    assert_eq!((bare.config.options.pooling, bare.config.n_outputs, bare.head().is_none()), (Pooling::None, 12, true));
    let every_token = changed("distilbert", |_| ()).config;
    assert_eq!((every_token.options.pooling, every_token.n_outputs, every_token.head_dim), (Pooling::None, 4, 3));
    let sequence = of_class("distilbert", Some("DistilBertForSequenceClassification"), |all| {
        copy(all, "distilbert.transformer.layer.0.attention.q_lin.weight", "pre_classifier.weight");
        copy(all, "distilbert.transformer.layer.0.attention.q_lin.bias", "pre_classifier.bias");
    });
    assert_eq!(sequence.config.options.pooling, Pooling::Class);
    assert_eq!((sequence.config.options.pooler, sequence.tensors.has(Tensor::Pooler)), (Pooler::Relu, true));

    let vit = changed("vit", |_| ());
    assert_eq!((vit.config.options.input, vit.config.n_features, vit.config.max_seq), (Input::Frames, 18, 10));
    let bare = changed("vit", |all| all.retain(|raw| !raw.name.starts_with("classifier")));
    assert_eq!((bare.config.options.pooling, bare.config.n_outputs, bare.head().is_none()), (Pooling::Class, 12, true));
}
