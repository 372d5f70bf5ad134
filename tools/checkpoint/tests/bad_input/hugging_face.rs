//! Hugging Face folders.

use std::fs;

use safetensors::tensor::Dtype;
use serde_json::{Value, json};
use thumbformer_checkpoint::{Checkpoint, Positions, Tensor};

use crate::files::{Change, Spoil, change, find, folder, golden, put, tensors, write};
use crate::{Report, refusal};

#[test]
fn the_golden_models_load() {
    for path in ["llama/checkpoint", "llama_untied/checkpoint", "llama2c/model.bin"] {
        let checkpoint = Checkpoint::load(&golden(path), None).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(checkpoint.config.bos, Some(1), "{path}");
        assert!(checkpoint.head().is_some(), "{path}");
        assert!(checkpoint.tokenizer.is_none(), "{path}");
    }
    let llama = Checkpoint::load(&golden("llama/checkpoint"), None).unwrap();
    // 48 x 32 + 3 x (2 x 32 + 2 x 32 x 32 + 2 x 16 x 32 + 3 x 48 x 32) + 32
    assert_eq!(llama.parameters(), 24_800);
    assert_eq!((llama.config.options.positions, llama.config.rope_theta), (Positions::Rotary, 10000.0));
    assert_eq!(llama.config.norm_eps, 1e-5);
}

#[test]
fn a_setting_that_changes_the_computation_is_refused() {
    // `null` for a value means: take the key out.
    let cases: [(&str, Value, &[&str]); 27] = [
        ("model_type", json!("mistral"), &["sliding_window", "absent"]),
        ("model_type", json!("gpt_neox"), &["architecture `gpt_neox`", "llama", "model.layers.N.mlp.down_proj.weight"]),
        ("model_type", json!("qwen3_moe"), &["architecture `qwen3_moe`"]),
        ("model_type", Value::Null, &["model_type"]),
        ("architectures", json!(["LlamaForPreTraining"]), &["LlamaForPreTraining", "ForSequenceClassification"]),
        ("hidden_act", json!("quick_gelu"), &["hidden_act", "\"quick_gelu\"", "silu"]),
        ("attention_bias", json!("yes"), &["attention_bias", "\"yes\"", "true or false"]),
        ("mlp_bias", json!(1), &["mlp_bias", "true or false"]),
        ("rope_scaling", json!({"type": "linear", "factor": 2.0}), &["rope_scaling", "linear"]),
        (
            "rope_parameters",
            json!({"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0}),
            &["rope_parameters", "llama3"],
        ),
        (
            "rope_parameters",
            json!({"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}),
            &["rope_parameters", "0.5"],
        ),
        ("rope_parameters", json!({"rope_type": "default", "rope_theta": -1.0}), &["rope_theta", "positive"]),
        ("partial_rotary_factor", json!(0.25), &["partial_rotary_factor", "0.25"]),
        ("quantization_config", json!({"bits": 4}), &["quantization_config", "float"]),
        ("sliding_window", json!(16), &["sliding_window", "16"]),
        ("layer_types", json!(["full_attention", "sliding_attention", "full_attention"]), &["layer_types"]),
        ("head_dim", json!(7), &["head_dim", "7", "even"]),
        ("head_dim", json!(0), &["head_dim", "0"]),
        ("num_key_value_heads", json!(3), &["num_attention_heads", "4", "multiple of num_key_value_heads (3)"]),
        ("num_key_value_heads", json!(0), &["num_key_value_heads"]),
        ("num_attention_heads", json!(0), &["num_attention_heads"]),
        ("num_hidden_layers", json!(0), &["num_hidden_layers"]),
        ("hidden_size", json!(1u64 << 40), &["hidden_size"]),
        ("hidden_size", json!("wide"), &["config.json"]),
        ("hidden_size", Value::Null, &["hidden_size"]),
        ("rms_norm_eps", json!(0.0), &["rms_norm_eps"]),
        ("max_position_embeddings", json!(0), &["max_position_embeddings"]),
    ];
    let mut report = Report::default();
    for (key, value, expected) in cases {
        let folder = folder("llama");
        let path = folder.path().join("config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let case = format!("{key} = {value}");
        match value {
            Value::Null => drop(config.as_object_mut().unwrap().remove(key)),
            value => config[key] = value,
        }
        fs::write(&path, config.to_string()).unwrap();
        report.check(&case, folder.path(), &[expected, &["config.json"]].concat());
    }
}

#[test]
fn older_and_equivalent_spellings_of_the_configuration_mean_the_same() {
    let wanted = Checkpoint::load(&golden("llama/checkpoint"), None).unwrap().config;
    let cases: [(&str, &[Change]); 7] = [
        ("the default ids", &[("bos_token_id", None), ("eos_token_id", None)]),
        ("rope_theta at the top", &[("rope_parameters", None), ("rope_theta", Some(json!(10000.0)))]),
        ("no rope_theta at all", &[("rope_parameters", None)]),
        ("rope_scaling null", &[("rope_scaling", Some(json!(null))), ("quantization_config", Some(json!(null)))]),
        ("no head_dim", &[("head_dim", None)]),
        ("mistral without a window", &[("model_type", Some(json!("mistral"))), ("sliding_window", Some(json!(null)))]),
        (
            "mistral with a window as wide as the context",
            &[("model_type", Some(json!("mistral"))), ("sliding_window", Some(json!(64)))],
        ),
    ];
    for (case, changes) in cases {
        let folder = folder("llama");
        change(folder.path(), changes);
        let found = Checkpoint::load(folder.path(), None).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(found.config, wanted, "{case}");
    }
}

#[test]
fn a_bad_tensor_is_refused_by_name() {
    const DOWN: &str = "model.layers.2.mlp.down_proj.weight";
    let cases: [(&str, &str, Spoil, &[&str]); 11] = [
        (
            "a missing tensor",
            "llama",
            |all| all.retain(|raw| raw.name != DOWN),
            &[DOWN, "missing", "28 tensors", "model.layers.2.mlp.up_proj.weight", "num_hidden_layers"],
        ),
        (
            "a missing head",
            "llama_untied",
            |all| all.retain(|raw| raw.name != "lm_head.weight"),
            &["lm_head.weight", "missing", "tie_word_embeddings"],
        ),
        (
            "a wrong shape",
            "llama",
            |all| find(all, DOWN).shape = vec![48, 32],
            &[DOWN, "[48, 32]", "expected [32, 48]"],
        ),
        ("a NaN", "llama", |all| put(find(all, DOWN), 2 * 48 + 5, f32::NAN), &[DOWN, "NaN", "[2, 5]"]),
        (
            "an infinity",
            "llama",
            |all| put(find(all, "model.norm.weight"), 31, f32::NEG_INFINITY),
            &["model.norm.weight", "-inf", "[31]"],
        ),
        (
            "a NaN in bfloat16",
            "llama_untied",
            |all| find(all, "lm_head.weight").data[0..2].copy_from_slice(&[0xC0, 0x7F]),
            &["lm_head.weight", "NaN", "[0, 0]"],
        ),
        (
            "integers",
            "llama",
            |all| find(all, DOWN).dtype = Dtype::I32,
            &[DOWN, "I32", "expected F64, F32, F16 or BF16"],
        ),
        (
            "a bias",
            "llama",
            |all| {
                let mut bias = find(all, "model.norm.weight").clone();
                bias.name = "model.layers.0.self_attn.q_proj.bias".into();
                all.push(bias);
            },
            &["model.layers.0.self_attn.q_proj.bias", "[32]", "no place"],
        ),
        (
            "a layer too many",
            "llama",
            |all| {
                let mut norm = find(all, "model.norm.weight").clone();
                norm.name = "model.layers.3.input_layernorm.weight".into();
                all.push(norm);
            },
            &["model.layers.3.input_layernorm.weight"],
        ),
        (
            "a tied head that is another",
            "llama",
            |all| {
                let mut head = find(all, "model.embed_tokens.weight").clone();
                head.name = "lm_head.weight".into();
                put(&mut head, 0, 9.0);
                all.push(head);
            },
            &["tie_word_embeddings", "lm_head.weight"],
        ),
        (
            "another model's names",
            "llama",
            |all| all.iter_mut().for_each(|raw| raw.name = raw.name.replace("model.layers.", "model.blocks.")),
            &["model.layers.0.self_attn.o_proj.weight", "missing", "model.blocks."],
        ),
    ];
    let mut report = Report::default();
    for (case, model, spoil, expected) in cases {
        let folder = folder(model);
        let path = folder.path().join("model.safetensors");
        let mut all = tensors(&path);
        spoil(&mut all);
        write(&path, &all);
        report.check(case, folder.path(), expected);
    }
}

#[test]
fn harmless_extra_tensors_are_accepted() {
    let folder = folder("llama");
    let path = folder.path().join("model.safetensors");
    let mut all = tensors(&path);
    let mut head = find(&mut all, "model.embed_tokens.weight").clone();
    head.name = "lm_head.weight".into();
    let mut frequencies = find(&mut all, "model.norm.weight").clone();
    frequencies.name = "model.layers.0.self_attn.rotary_emb.inv_freq".into();
    all.extend([head, frequencies]);
    write(&path, &all);
    let checkpoint = Checkpoint::load(folder.path(), None).unwrap_or_else(|error| panic!("{error}"));
    assert!(checkpoint.has_tied_head());
}

#[test]
fn half_precision_weights_become_the_floats_that_they_stand_for() {
    let folder = folder("llama");
    let path = folder.path().join("model.safetensors");
    let mut all = tensors(&path);
    let norm = find(&mut all, "model.norm.weight");
    norm.dtype = Dtype::F16;
    // 1, -2, the largest, the smallest normal, the smallest subnormal, 1/3, then ones.
    let mut halves = vec![0x3C00u16, 0xC000, 0x7BFF, 0x0400, 0x0001, 0x3555];
    halves.resize(32, 0x3C00);
    norm.data = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
    write(&path, &all);
    let checkpoint = Checkpoint::load(folder.path(), None).unwrap_or_else(|error| panic!("{error}"));
    let norm = &checkpoint.tensors[(Tensor::FinalNorm, 0)];
    assert_eq!(norm.data[..7], [1.0, -2.0, 65504.0, 6.103_515_6e-5, 5.960_464_5e-8, 0.333_251_95, 1.0]);
}

#[test]
fn a_damaged_or_missing_file_is_refused() {
    let mut report = Report::default();
    let sound = fs::read(golden("llama/checkpoint/model.safetensors")).unwrap();
    let whole = sound.len().to_string();
    let header = 8 + u64::from_le_bytes(*sound.first_chunk().unwrap()) as usize;
    for (case, bytes, expected) in [
        ("cut in the data", &sound[..sound.len() - 1], [whole.as_str(), "cut short"]),
        ("cut after the header", &sound[..header], [whole.as_str(), "cut short"]),
        ("cut in the header", &sound[..100], [header.to_string().as_str(), "cut short"]),
        ("empty", &[], ["not a readable safetensors file", "export it again"]),
        ("something else", b"<html>not found</html>", ["not a readable safetensors file", "export it again"]),
    ] {
        let folder = folder("llama");
        fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        report.check(case, folder.path(), &[expected.as_slice(), &["model.safetensors"]].concat());
    }

    let longer = folder("llama");
    fs::write(longer.path().join("model.safetensors"), [&sound[..], b"more"].concat()).unwrap();
    report.check("bytes after the data", longer.path(), &["not a readable safetensors file"]);

    let alone = folder("llama");
    fs::remove_file(alone.path().join("model.safetensors")).unwrap();
    report.check("no weights", alone.path(), &["no weights", "put model.safetensors"]);
    fs::write(alone.path().join("pytorch_model.bin"), "").unwrap();
    report.check("an empty pickle", alone.path(), &["pytorch_model.bin", "no file of torch.save", "save_pretrained"]);
    fs::write(alone.path().join("model.safetensors.index.json"), "{}").unwrap();
    report.check("an empty index", alone.path(), &["index.json", "weight_map", "save_pretrained"]);
    let shards = |name: &str, shard: &str| format!("{{\"weight_map\": {{\"{name}\": \"{shard}\"}}}}");
    for (case, name, shard, expected) in [
        ("a shard that is missing", "a", "model-1-of-2.safetensors", "shard model-1-of-2.safetensors is missing"),
        ("a shard elsewhere", "a", "../other/model.safetensors", "not in its folder"),
        ("a shard of another export", "b", "sound.safetensors", "tensor `b` is not in its shard sound.safetensors"),
    ] {
        fs::write(alone.path().join("sound.safetensors"), &sound).unwrap();
        fs::write(alone.path().join("model.safetensors.index.json"), shards(name, shard)).unwrap();
        report.check(case, alone.path(), &["model.safetensors.index.json", expected]);
    }
    fs::write(alone.path().join("config.json"), "{\"model_type\": ").unwrap();
    report.check("cut JSON", alone.path(), &["config.json", "line 1"]);
    fs::remove_file(alone.path().join("config.json")).unwrap();
    fs::write(
        alone.path().join("model.safetensors.index.json"),
        shards("model.layers.2.mlp.down_proj.weight", "sound.safetensors"),
    )
    .unwrap();
    report.check("no configuration", alone.path(), &["config.json", "none named", "down_proj.weight"]);
    report.check("no such path", &alone.path().join("nothing.bin"), &["nothing.bin", "cannot be read"]);
}

#[test]
fn a_file_of_weights_is_read_with_the_configuration_beside_it_and_another_file_points_to_the_folder() {
    let error = refusal("config.json", &golden("llama/checkpoint/config.json"));
    assert!(error.contains("give the folder"), "{error}");
    let folder = Checkpoint::load(&golden("llama/checkpoint"), None).unwrap();
    let file = Checkpoint::load(&golden("llama/checkpoint/model.safetensors"), None).unwrap();
    assert_eq!((file.config, file.tensors), (folder.config, folder.tensors));
}
