//! GPT-2 and nanoGPT.

use serde_json::json;
use thumbformer_checkpoint::{Activation, Checkpoint, Pooling};

use crate::files::{Raw, change, copy, find, folder, remove, tensors, write};
use crate::{all_are_refused, setting, weights};

#[test]
fn a_setting_that_changes_the_computation_is_refused() {
    all_are_refused([
        setting(
            "gpt2",
            &[("scale_attn_by_inverse_layer_idx", Some(json!(true)))],
            &["scale_attn_by_inverse_layer_idx"],
        ),
        setting("gpt2", &[("add_cross_attention", Some(json!(true)))], &["add_cross_attention", "true"]),
        setting("gpt2", &[("activation_function", Some(json!("mish")))], &["activation_function", "mish", "gelu_new"]),
        setting("gpt2", &[("n_head", Some(json!(5)))], &["n_embd", "12", "n_head (5)"]),
        setting("gpt2", &[("n_positions", None)], &["n_ctx", "absent"]),
        setting("gpt2", &[("n_inner", None)], &["mlp.c_fc.weight", "[12, 20]", "[12, 48]"]),
        setting("gpt2", &[("tie_word_embeddings", Some(json!(false)))], &["lm_head.weight", "missing"]),
        setting("gpt2", &[("scale_attn_weights", Some(json!("no")))], &["scale_attn_weights", "\"no\""]),
        setting(
            "gpt2",
            &[("model_type", Some(json!("nanogpt"))), ("block_size", Some(json!(10)))],
            &["bias", "absent"],
        ),
    ]);
}

#[test]
fn a_bad_tensor_is_refused_by_name() {
    const FUSED: &str = "transformer.h.1.attn.c_attn.weight";
    all_are_refused([
        weights(
            "not transposed",
            "gpt2",
            |all| find(all, FUSED).shape = vec![36, 12],
            &[FUSED, "[36, 12]", "[12, 36]"],
        ),
        weights(
            "no bias",
            "gpt2",
            |all| remove(all, "transformer.h.1.mlp.c_fc.bias"),
            &["h.1.mlp.c_fc.bias", "missing"],
        ),
        weights(
            "cross attention",
            "gpt2",
            |all| copy(all, FUSED, "transformer.h.1.crossattention.c_attn.weight"),
            &["crossattention", "no place"],
        ),
        weights(
            "a tied head that is another",
            "gpt2",
            |all| {
                copy(all, "transformer.wte.weight", "lm_head.weight");
                find(all, "lm_head.weight").data[0] ^= 1;
            },
            &["tie_word_embeddings", "lm_head.weight"],
        ),
    ]);
}

/// The rows of a stored matrix as its columns.
fn transpose(raw: &mut Raw) {
    let [rows, columns] = raw.shape[..] else { panic!("a matrix") };
    let old: Vec<[u8; 2]> = raw.data.chunks(2).map(|b| [b[0], b[1]]).collect();
    let place = |index: usize| (index % rows) * columns + index / rows;
    raw.data = (0..rows * columns).flat_map(|index| old[place(index)]).collect();
    raw.shape = vec![columns, rows];
}

#[test]
fn nano_gpt_s_names_and_old_exports_mean_the_same() {
    let load =
        |folder: &tempfile::TempDir| Checkpoint::load(folder.path(), None).unwrap_or_else(|error| panic!("{error}"));
    let gpt2 = load(&folder("gpt2"));
    let nano = folder("gpt2");
    let path = nano.path().join("model.safetensors");
    let mut all = tensors(&path);
    all.iter_mut().filter(|raw| raw.name.contains(".c_") && raw.shape.len() == 2).for_each(transpose);
    write(&path, &all);
    change(
        nano.path(),
        &[
            ("model_type", Some(json!("nanogpt"))),
            ("n_positions", None),
            ("block_size", Some(json!(10))),
            ("bias", Some(json!(true))),
            ("activation_function", None),
            ("scale_attn_weights", None),
            ("scale_attn_by_inverse_layer_idx", None),
        ],
    );
    let nano = load(&nano);
    assert_eq!((nano.architecture.as_str(), nano.config.options.activation), ("nanogpt", Activation::Gelu));
    assert_eq!((gpt2.config.options.activation, gpt2.config.attention_scale), (Activation::GeluTanh, 1.0));
    for ((tensor, layer, ours), (.., theirs)) in nano.tensors.iter().zip(gpt2.tensors.iter()) {
        assert_eq!((&ours.shape, &ours.data), (&theirs.shape, &theirs.data), "{tensor:?} of layer {layer}");
    }

    // Without the model's name, with the mask and the tied head written out.
    let old = folder("gpt2");
    let path = old.path().join("model.safetensors");
    let mut all = tensors(&path);
    copy(&mut all, "transformer.wte.weight", "lm_head.weight");
    all.iter_mut().for_each(|raw| raw.name = raw.name.replace("transformer.", ""));
    copy(&mut all, "wpe.weight", "h.0.attn.bias");
    copy(&mut all, "wpe.weight", "h.0.attn.masked_bias");
    write(&path, &all);
    assert_eq!(load(&old).config, gpt2.config);

    let bare = folder("gpt2");
    change(bare.path(), &[("architectures", Some(json!(["GPT2Model"])))]);
    let bare = load(&bare);
    assert_eq!((bare.has_tied_head(), bare.config.n_outputs, bare.head().is_none()), (false, 12, true));

    // A classifier of sequences reads the last token.
    let classifier = folder("gpt2");
    change(classifier.path(), &[("architectures", Some(json!(["GPT2ForSequenceClassification"])))]);
    let path = classifier.path().join("model.safetensors");
    let mut all = tensors(&path);
    copy(&mut all, "transformer.h.0.attn.c_proj.weight", "score.weight");
    write(&path, &all);
    let classifier = load(&classifier);
    assert_eq!((classifier.config.options.pooling, classifier.config.n_outputs), (Pooling::Last, 12));
    assert!(!classifier.has_tied_head() && classifier.head().is_some());
}
