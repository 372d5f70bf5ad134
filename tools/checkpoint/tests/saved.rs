//! Files in which people save a model are one model: the same configuration and tensors, bit for bit, from every one of them.

use std::path::{Path, PathBuf};

use thumbformer_checkpoint::Checkpoint;

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/saved").join(path)
}

fn load(path: &str) -> Checkpoint {
    Checkpoint::load(&golden(path), None).unwrap_or_else(|error| panic!("{error}"))
}

/// Panics where two checkpoints differ in a number.
fn assert_same(case: &str, found: &Checkpoint, wanted: &Checkpoint) {
    let mut config = found.config.clone();
    config.labels.clone_from(&wanted.config.labels);
    assert_eq!(config, wanted.config, "{case}");
    assert_eq!(found.tensors.iter().count(), wanted.tensors.iter().count(), "{case}");
    for ((tensor, layer, found), (.., wanted)) in found.tensors.iter().zip(wanted.tensors.iter()) {
        assert_eq!((&found.shape, &found.data), (&wanted.shape, &wanted.data), "{case}: {tensor:?} of layer {layer}");
    }
}

#[test]
fn a_module_is_the_same_from_every_file_that_it_is_saved_in() {
    let wanted = load("encoder/state_dict.pt");
    assert!(wanted.notes.is_empty(), "{:?}", wanted.notes);
    for (file, notes) in [
        ("wrapped.pth", &["`model_state_dict`", "`scaler_mean` (a tensor)"][..]),
        ("data_parallel.safetensors", &["prefix `module.`"]),
        ("lightning.ckpt", &["`state_dict`", "prefix `model._orig_mod.`"]),
        ("module.pt", &["whole module `saved_files.Net`"]),
        ("legacy.pt", &[]),
        ("views.pt", &[]),
        ("float64.safetensors", &[]),
    ] {
        let found = load(&format!("encoder/{file}"));
        assert_same(file, &found, &wanted);
        let said = found.notes.join("\n");
        assert!(notes.iter().all(|note| said.contains(note)), "{file}: {notes:?} are not all in {said:?}");
        assert_eq!(notes.is_empty(), found.notes.is_empty(), "{file}: {said:?}");
    }
}

#[test]
fn what_a_training_keeps_is_no_note_and_what_may_scale_the_inputs_is() {
    let notes = load("encoder/wrapped.pth").notes.join("\n");
    assert!(notes.contains("`scaler_mean` (a tensor), `scaler_scale` (a list)"), "{notes}");
    assert!(notes.contains("`scaler_mean` is no part of the network: give recordings that are scaled"), "{notes}");
    for kept in ["`optimizer_state_dict`", "`epoch`", "`loss`", "`scaler`"] {
        assert!(!notes.contains(kept), "{kept}: {notes}");
    }
}

#[test]
fn labels_beside_the_tensors_name_the_outputs() {
    assert_eq!(load("encoder/wrapped.pth").config.labels, ["rest", "walk", "run"]);
}

#[test]
fn a_model_is_the_same_from_one_file_from_shards_and_by_the_names_of_old_exporters() {
    let wanted = load("bert/whole");
    assert_same("shards", &load("bert/shards"), &wanted);
    let old = load("bert/old");
    assert_same("shards of pickles, gamma and beta", &old, &wanted);
    assert!(old.notes.iter().any(|note| note.contains("`gamma` and `beta` of 3 norms")), "{:?}", old.notes);
}

#[test]
fn weight_norm_is_folded_as_pytorch_folds_it() {
    let (found, wanted) = (load("encoder/weight_norm.safetensors"), load("encoder/weight_norm_removed.safetensors"));
    let plain = load("encoder/state_dict.pt");
    let mut differs = false;
    for ((tensor, layer, found), (.., wanted)) in found.tensors.iter().zip(wanted.tensors.iter()) {
        for (found, wanted) in found.data.iter().zip(&wanted.data) {
            // PyTorch sums in 32 bits.
            assert!((found - wanted).abs() <= 4.0 * f32::EPSILON * wanted.abs(), "{tensor:?}: {found} for {wanted}");
        }
        differs |= plain.tensors[(tensor, layer)].data != found.data;
    }
    assert!(differs, "the gain was changed");
}

#[test]
fn an_alias_in_the_metadata_is_a_name_of_the_same_tensor() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    std::fs::copy(golden("nanogpt/save_model.safetensors"), &path).expect("copied");
    let config = r#"{"model_type": "nanogpt", "n_layer": 1, "n_head": 2, "n_embd": 8, "block_size": 6, "vocab_size": 11, "bias": true}"#;
    std::fs::write(folder.path().join("config.json"), config).expect("written");
    let found = Checkpoint::load(folder.path(), None).unwrap_or_else(|error| panic!("{error}"));
    assert_same("save_model", &found, &load("nanogpt/ckpt.pt"));
    assert!(found.has_tied_head());
}

#[test]
fn a_training_checkpoint_brings_its_own_settings() {
    for (file, architecture, tied) in [
        ("nanogpt/ckpt.pt", "nanogpt", true),
        ("llama2c/ckpt.pt", "llama2.c", true),
        ("lecture/model.pth", "nanogpt-lecture", false),
    ] {
        let found = load(file);
        assert_eq!((found.architecture.as_str(), found.has_tied_head()), (architecture, tied), "{file}");
        let config = &found.config;
        assert_eq!(
            (config.d_model, config.n_layers, config.n_heads, config.max_seq, config.vocab),
            (8, 1, 2, 6, 11),
            "{file}"
        );
    }
}

#[test]
fn a_lecture_s_decoder_is_asked_for_the_scale_that_its_versions_differ_in() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("model.pth");
    std::fs::copy(golden("lecture/model.pth"), &path).expect("a copy");
    let error = Checkpoint::load(&path, None).expect_err("no scale").to_string();
    for part in ["config.json", "`attention_scale` is absent", "0.5 where", "0.3535"] {
        assert!(error.contains(part), "{part} is not in\n{error}");
    }
    std::fs::write(folder.path().join("config.json"), "{\"attention_scale\": 0.25}").expect("settings");
    let found = Checkpoint::load(&path, None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found.config.attention_scale, 0.25);
}
