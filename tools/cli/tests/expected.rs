//! `verify --expected`: outputs of PyTorch and transformers (`tests/golden`) find a wrong config and a wrong export, which a reference made
//! of the same config cannot.

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::verify::Agreement;
use thumbformer_cli::verify::expected;

fn golden(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(model)
}

/// A copy of a golden checkpoint, whose config may be changed.
fn copy(model: &str, from: &str, to: &str) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let checkpoint = golden(model).join("checkpoint");
    std::fs::copy(checkpoint.join("model.safetensors"), folder.path().join("model.safetensors")).expect("weights");
    let config = std::fs::read_to_string(checkpoint.join("config.json")).expect("a config");
    assert!(config.contains(from), "{model}: no {from}");
    std::fs::write(folder.path().join("config.json"), config.replacen(from, to, 1)).expect("a config");
    folder
}

fn agreement(checkpoint: &Path, model: &str) -> Agreement {
    let checkpoint = Checkpoint::load(checkpoint, None).unwrap_or_else(|error| panic!("{error}"));
    let files = [golden(model).join("activations.safetensors")];
    let expected = expected::load(&files, &checkpoint.config.dims(), None).unwrap_or_else(|error| panic!("{error:#}"));
    Agreement::of(&checkpoint, &expected).unwrap_or_else(|error| panic!("{error:#}"))
}

#[test]
fn the_reference_meets_every_framework_s_outputs() {
    for model in [
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
        "llama",
        "llama_untied",
        "qwen3",
    ] {
        let agreement = agreement(&golden(model).join("checkpoint"), model);
        println!("{model}: {:.1} dB, {} points, {:?}", agreement.logits, agreement.points.len(), agreement.settings);
        agreement.check().unwrap_or_else(|error| panic!("{model}: {error}"));
        assert!(agreement.points.len() > 5 && agreement.settings.is_empty(), "{model}");
    }
}

#[test]
fn a_wrong_setting_is_found_named_and_placed() {
    for (model, from, to, place, setting) in [
        ("torch_post_relu", "\"nhead\": 2", "\"nhead\": 4", "layers.0.attention", "with 2 heads they agree"),
        ("gpt2", "\"n_head\": 2", "\"n_head\": 3", "layers.0.attention", "with 2 heads they agree"),
        (
            "torch_pre_gelu",
            "\"activation\": \"gelu\"",
            "\"activation\": \"gelu_tanh\"",
            "layers.0.mlp.hidden",
            "with activation = Gelu",
        ),
        (
            "torch_pre_relu",
            "\"activation\": \"relu\"",
            "\"activation\": \"silu\"",
            "layers.0.mlp.hidden",
            "with activation = Relu",
        ),
        ("gpt2", "\"gelu_new\"", "\"gelu\"", "layers.0.mlp.hidden", "with activation = GeluTanh"),
        ("torch_post_gelu", "\"causal\"", "\"bidirectional\"", "layers.0.attention.output", "with mask = Causal"),
        (
            "torch_post_relu",
            "\"bidirectional\"",
            "\"causal\"",
            "layers.0.attention.output",
            "with mask = Bidirectional",
        ),
        (
            "torch_post_relu",
            "\"norm_first\": false",
            "\"norm_first\": true",
            "layers.0.attention_norm",
            "with norm_first = false",
        ),
        (
            "torch_pre_gelu",
            "\"norm_first\": true",
            "\"norm_first\": false",
            "layers.0.attention",
            "with norm_first = true",
        ),
        (
            "bert",
            "\"layer_norm_eps\": 1e-12",
            "\"layer_norm_eps\": 1e-3",
            "embedding_norm",
            "an epsilon of the norms of 1e-12",
        ),
        (
            "llama_untied",
            "\"rope_theta\": 500.0",
            "\"rope_theta\": 300.0",
            "layers.0.attention.q",
            "no single setting explains it",
        ),
        ("torch_pre_gelu", "\"mean\"", "\"last\"", "pooled", "with pooling = Mean"),
    ] {
        let folder = copy(model, from, to);
        let error = agreement(folder.path(), model).check().expect_err(to).to_string();
        assert!(error.contains("config or importer differ"), "{model}: {error}");
        assert!(error.contains(&format!("they part first at {place}")) || place == "pooled", "{model}, {to}: {error}");
        assert!(error.contains(setting), "{model}, {to}: {setting:?} is not in {error}");
    }
}

/// 1e-5 in place of 1e-12 leaves 100 dB, which a bound that single precision of a deep network meets cannot see.
#[test]
fn probabilities_are_named_where_logits_are_expected() {
    let checkpoint = Checkpoint::load(&golden("bert/checkpoint"), None).unwrap_or_else(|error| panic!("{error}"));
    let files = [golden("bert/activations.safetensors")];
    let logits = expected::load(&files, &checkpoint.config.dims(), None).unwrap_or_else(|error| panic!("{error:#}"));
    let softmax = |row: &[f64]| -> Vec<f64> {
        let exps: Vec<f64> = row.iter().map(|logit| logit.exp()).collect();
        exps.iter().map(|exp| exp / exps.iter().sum::<f64>()).collect()
    };
    let sigmoid = |row: &[f64]| -> Vec<f64> { row.iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect() };
    for name in ["softmax", "sigmoid"] {
        let mut given = logits.clone();
        let rows = given.iter_mut().flat_map(|one| &mut one.outputs);
        rows.for_each(|row| *row = if name == "softmax" { softmax(row) } else { sigmoid(row) });
        let error = Agreement::of(&checkpoint, &given).expect("comparable").check().expect_err(name).to_string();
        assert!(
            error.contains(&format!("the {name} of the network's outputs")) && error.contains("save the"),
            "{error}"
        );
    }
}

#[test]
fn an_epsilon_that_hardly_matters_is_found_by_the_one_that_fits_better() {
    for model in ["bert", "vit"] {
        let folder = copy(model, "\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": 1e-05");
        let agreement = agreement(folder.path(), model);
        println!("{model}: {agreement:?}");
        let error = agreement.check().expect_err("found").to_string();
        assert!(agreement.logits > 80.0 && error.contains("an epsilon of the norms of 1e-12"), "{model}: {error}");
    }
}

/// `np.savez` and `np.savez_compressed` of transformers' results, `output_hidden_states` included, whose last is behind the final norm.
#[test]
fn archives_of_numpy_are_met_at_every_hidden_state_and_place_an_error() {
    for (model, layers, from, to, place) in [
        ("llama", 3, "\"rope_theta\": 10000.0", "\"rope_theta\": 1000000.0", "hidden[1] (layers.0.output)"),
        ("gpt2", 2, "\"layer_norm_epsilon\": 1e-05", "\"layer_norm_epsilon\": 1e-02", "hidden[1] (layers.0.output)"),
    ] {
        let files = [golden("expected").join(model).with_extension("npz")];
        let of = |folder: &Path| {
            let checkpoint = Checkpoint::load(folder, None).unwrap_or_else(|error| panic!("{error}"));
            let expected =
                expected::load(&files, &checkpoint.config.dims(), None).unwrap_or_else(|error| panic!("{error:#}"));
            assert_eq!(expected.len(), 2, "{model}");
            Agreement::of(&checkpoint, &expected).unwrap_or_else(|error| panic!("{error:#}"))
        };
        let agreement = of(&golden(model).join("checkpoint"));
        agreement.check().unwrap_or_else(|error| panic!("{model}: {error}"));
        assert_eq!(agreement.points.len(), layers + 1, "{model}");
        assert!(agreement.points[layers].name.contains("final_norm"), "{agreement:?}");
        let error = of(copy(model, from, to).path()).check().expect_err(to).to_string();
        assert!(error.contains(&format!("they part first at {place}")), "{model}: {error}");
    }
}

/// Rewrites a square matrix of a checkpoint as its transpose.
fn transpose(folder: &Path, name: &str) {
    let file = folder.join("model.safetensors");
    let bytes = std::fs::read(&file).expect("weights");
    let tensors = SafeTensors::deserialize(&bytes).expect("weights");
    let mut data: BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, view)| (name.to_string(), (view.dtype(), view.shape().to_vec(), view.data().to_vec())))
        .collect();
    let (_, shape, values) = data.get_mut(name).expect("the matrix");
    let (width, number) = (shape[0], values.len() / shape[0] / shape[1]);
    assert_eq!(shape[0], shape[1]);
    *values = (0..width * width)
        .flat_map(|index| {
            let from = index % width * width + index / width;
            values[from * number..(from + 1) * number].to_vec()
        })
        .collect();
    let views = data
        .iter()
        .map(|(name, (dtype, shape, data))| (name, TensorView::new(*dtype, shape.clone(), data).expect("a view")));
    std::fs::write(&file, safetensors::serialize(views, None).expect("weights")).expect("the folder is writable");
}

#[test]
fn a_transposed_square_matrix_is_found_and_named() {
    for (model, name, place, setting) in [
        (
            "torch_post_relu",
            "layers.1.self_attn.out_proj.weight",
            "layers.1.attention.output",
            "AttentionOutput matrix of layer 1 transposed",
        ),
        (
            "gpt2",
            "transformer.h.0.attn.c_proj.weight",
            "layers.0.attention.output",
            "AttentionOutput matrix of layer 0 transposed",
        ),
        (
            "bert",
            "bert.encoder.layer.0.attention.self.query.weight",
            "layers.0.attention.q",
            "Query matrix of layer 0 transposed",
        ),
    ] {
        let folder = copy(model, "{", "{");
        let names = std::fs::read(folder.path().join("model.safetensors")).expect("weights");
        let names: Vec<String> =
            SafeTensors::deserialize(&names).expect("weights").names().iter().map(|n| n.to_string()).collect();
        let name = names
            .iter()
            .find(|found| name.ends_with(*found) || found.ends_with(name))
            .unwrap_or_else(|| panic!("{names:?}"));
        transpose(folder.path(), name);
        let error = agreement(folder.path(), model).check().expect_err(name).to_string();
        assert!(error.contains(place) && error.contains(setting), "{model}: {error}");
    }
}

fn thumbformer(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_thumbformer")).args(arguments).output().expect("the command starts")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Inputs, logits and hidden states of a golden model as JSON, as a script of a user writes them.
fn script(model: &str, folder: &Path, layers: usize) -> PathBuf {
    let arrays = expected::read(&golden(model).join("activations.safetensors")).expect("arrays");
    let list = |name: &str| {
        let array = arrays.iter().find(|array| array.name == name).unwrap_or_else(|| panic!("{model}: no {name}"));
        let nest = |values: Vec<serde_json::Value>, size: &usize| {
            values.chunks(*size).map(|chunk| serde_json::Value::Array(chunk.to_vec())).collect()
        };
        let values: Vec<serde_json::Value> = array.values.iter().map(|&value| value.into()).collect();
        array.shape.iter().skip(1).rev().fold(values, nest)
    };
    let names =
        std::iter::once("embedding".to_string()).chain((0..layers).map(|layer| format!("layers.{layer}.output")));
    let hidden: Vec<_> = names.map(|name| list(&name)).collect();
    let json = serde_json::json!({ "tokens": list("tokens"), "logits": list("logits"), "hidden": hidden });
    let file = folder.join("expected.json");
    std::fs::write(&file, json.to_string()).expect("the folder is writable");
    file
}

#[test]
fn verify_holds_the_reference_to_the_framework_and_the_image_to_the_reference() {
    let folder = copy("gpt2", "\"n_head\": 2", "\"n_head\": 4");
    let (wrong, right) = (folder.path(), golden("gpt2").join("checkpoint"));
    let expected = script("gpt2", wrong, 2);
    let image = wrong.join("image.tbf");
    let lenient = ["--min-top1", "0.5", "--max-kl", "1", "--min-sqnr", "15"];
    for (checkpoint, agrees) in [(wrong, false), (&right, true)] {
        let converted = thumbformer(&["convert", text(checkpoint), "-o", text(&image)]);
        assert!(converted.status.success(), "{}", String::from_utf8_lossy(&converted.stderr));
        let common = ["verify", text(&image), "--reference", text(checkpoint), "--expected", text(&expected)];
        let ended = thumbformer(&[&common[..], &lenient].concat());
        let (printed, said) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert_eq!(ended.status.success(), agrees, "{printed}{said}");
        if agrees {
            assert!(
                printed.starts_with("float against framework ok 1") && printed.contains("same answer"),
                "{printed}"
            );
            let json = thumbformer(&[&common[..], &lenient, &["--json"]].concat());
            let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
            assert!(json["framework"]["logits"].as_f64().is_some_and(|ratio| ratio > 80.0), "{json}");
            assert_eq!(json["framework"]["points"].as_array().map(Vec::len), Some(3), "{json}");
            assert!(json["sqnr"].as_f64().is_some_and(f64::is_finite), "{json}");
        } else {
            assert!(said.contains("they part first at hidden[1] (layers.0.output)"), "{said}");
            assert!(said.contains("with 2 heads they agree"), "{said}");
            // The image is a faithful image of the wrong config: nothing else can see it.
            let ids = wrong.join("ids.txt");
            std::fs::write(&ids, "1 2 3 4 5").expect("the folder is writable");
            let alone = ["verify", text(&image), "--reference", text(checkpoint), "--tokens", text(&ids)];
            let more = [&lenient[..], &["--max-perplexity-change", "0.5"]].concat();
            let ended = thumbformer(&[&alone[..], &more].concat());
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        }
    }
    let alone = thumbformer(&[&["verify", text(&image), "--expected", text(&expected)], &lenient[..]].concat());
    let printed = String::from_utf8_lossy(&alone.stdout);
    assert!(alone.status.success() && printed.contains("hides small errors of the config"), "{printed}");
}
