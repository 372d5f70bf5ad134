//! Ends of a network that people have: MLP heads, norms behind the pooling, convolutions, class tokens at either end, held to PyTorch's own
//! outputs (`tests/golden/ends_files.py`).

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use thumbformer::state::HostState;
use thumbformer::{Model, Outputs};
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::verify::{Agreement, Sequence, expected};
use thumbformer_reference::metrics::Sqnr;

const CASES: [&str; 6] = ["conv_mlp", "class_last", "distilled", "patches", "everything", "steps"];

fn golden(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/ends").join(case)
}

fn config(case: &str) -> Value {
    let text = std::fs::read_to_string(golden(case).join("checkpoint/config.json")).expect("a config");
    serde_json::from_str(&text).expect("JSON")
}

/// The checkpoint with another `config.json`.
fn load(case: &str, config: &Value) -> Result<Checkpoint, String> {
    let folder = TempDir::new().expect("a folder");
    let weights = golden(case).join("checkpoint/model.safetensors");
    std::fs::copy(weights, folder.path().join("model.safetensors")).expect("weights");
    std::fs::write(folder.path().join("config.json"), config.to_string()).expect("a config");
    Checkpoint::load(folder.path(), None).map_err(|error| error.to_string())
}

/// Ratio of signal to difference between the float reference and PyTorch; the reason, where they cannot be compared.
fn agreement(case: &str, checkpoint: &Checkpoint) -> Result<f64, String> {
    let files = [golden(case).join("expected.npz")];
    let expected = expected::load(&files, &checkpoint.config.dims(), None).map_err(|error| format!("{error:#}"))?;
    Agreement::of(checkpoint, &expected).map(|found| found.logits).map_err(|error| format!("{error:#}"))
}

#[test]
fn the_reference_and_the_engine_compute_what_pytorch_does() {
    for case in CASES {
        let checkpoint = load(case, &config(case)).expect("a checkpoint");
        let reference = agreement(case, &checkpoint).expect("comparable");
        let words = convert(&checkpoint, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{error:#}"));
        let model = Model::parse(&words).expect("an image");
        let files = [golden(case).join("expected.npz")];
        let mut sqnr = Sqnr::default();
        for sequence in expected::load(&files, model.dims(), None).expect("sequences") {
            let Sequence::Frames(frames) = &sequence.input else { panic!("frames") };
            let mut state = HostState::new(model.dims(), model.dims().max_seq);
            let mut session = model.session(state.memory());
            let mut found = Vec::new();
            if case == "steps" {
                session.infer_each(&frames[..], None, |_, outputs| found.push(outputs.to_vec())).expect("frames");
            } else {
                found.push(session.infer(&frames[..]).expect("frames").to_vec());
            }
            assert_eq!(found.len(), sequence.outputs.len());
            for (expected, found) in sequence.outputs.iter().zip(found) {
                sqnr.add(expected, &found.into_iter().map(f64::from).collect::<Vec<_>>());
            }
        }
        println!("{case}: float reference {reference:.1} dB, int8 engine {:.1} dB", sqnr.decibels());
        assert!(reference >= 110.0 && sqnr.decibels() >= 28.0, "{case}: {reference:.1}, {:.1}", sqnr.decibels());
    }
}

/// Nothing of `config.json` can be another word unseen: it is refused, or the float reference is far from PyTorch.
#[test]
fn every_word_of_an_end_decides_the_outputs() {
    for (case, key, value) in [
        ("conv_mlp", "embedding_activation", json!("gelu")),
        ("conv_mlp", "embedding_activation", Value::Null),
        ("conv_mlp", "embedding_batch_norm", Value::Null),
        ("conv_mlp", "batch_norm_eps", json!(0.1)),
        ("conv_mlp", "embedding_padding", json!(1)),
        ("conv_mlp", "embedding_stride", Value::Null),
        ("conv_mlp", "embedding_stride", json!(5)),
        ("conv_mlp", "frame_samples", json!(4)),
        ("conv_mlp", "columns", json!(["x", "y"])),
        ("conv_mlp", "head_norm", Value::Null),
        ("conv_mlp", "head_activation", json!("relu")),
        ("conv_mlp", "head_activation", json!("gelu_tanh_")),
        ("conv_mlp", "head_activation", Value::Null),
        ("conv_mlp", "head", json!(["head.0", "head.4"])),
        ("conv_mlp", "head", json!([])),
        ("conv_mlp", "embedding_scale", json!(2.0)),
        ("conv_mlp", "pooling", json!("last")),
        ("conv_mlp", "pooling", json!("classes")),
        ("class_last", "class_place", json!("first")),
        ("class_last", "class_token", json!(["dist_token", "cls_token"])),
        ("class_last", "class_token", json!("cls_token")),
        ("class_last", "pooling", json!("mean")),
        ("class_last", "pooling", json!("class")),
        ("class_last", "pooling", json!("mean_of_inputs")),
        ("class_last", "pooling", json!("last")),
        ("distilled", "class_token", json!(["dist_token", "cls_token"])),
        ("distilled", "head_norm", Value::Null),
        ("distilled", "pooling", json!("mean_of_class")),
        ("distilled", "class_place", json!("last")),
        ("patches", "pooling", json!("mean")),
        ("patches", "pooling", json!("class")),
        ("patches", "head_activation", json!("gelu")),
        ("patches", "embedding_activation", json!("silu")),
        ("everything", "class_place", json!("first")),
        ("everything", "pooling", json!("mean_of_inputs")),
        ("everything", "head_activation", json!("relu")),
        ("everything", "outputs", json!("probabilities")),
        ("steps", "embedding_batch_norm", json!("head")),
        ("steps", "embedding_activation", json!("relu")),
        ("steps", "pooling", json!("mean")),
        ("steps", "class_place", json!("last")),
        ("steps", "head_norm", json!("encoder.norm")),
    ] {
        let mut changed = config(case);
        assert_ne!(changed[key], value, "{case}, {key}: the same");
        changed[key] = value.clone();
        match load(case, &changed).and_then(|checkpoint| agreement(case, &checkpoint)) {
            Ok(decibels) => assert!(decibels < 60.0, "{case}, {key} = {value}: {decibels:.1} dB"),
            Err(error) => println!("{case}, {key} = {value}: {error}"),
        }
    }
}

#[test]
fn a_refused_end_is_named_with_the_way_out() {
    for (case, key, value, parts) in [
        ("conv_mlp", "embedding_padding", json!(1), ["embedding_padding", "padding=0"]),
        ("conv_mlp", "embedding_stride", Value::Null, ["embedding_stride", "absent"]),
        ("conv_mlp", "embedding_stride", json!(5), ["embedding_stride", "every sample is in one"]),
        ("steps", "head", json!("head.0"), ["head_activation", "no layer that it follows"]),
        ("conv_mlp", "embedding_scale", json!(2.0), ["embedding_scale", "activation"]),
        ("class_last", "pooling", json!("last"), ["class_token", "reads no class token"]),
        ("steps", "head_norm", json!("encoder.norm"), ["head_norm", "no pooling"]),
        ("steps", "class_place", json!("last"), ["class_place", "class_token"]),
    ] {
        let mut changed = config(case);
        changed[key] = value.clone();
        let error = load(case, &changed).expect_err(key);
        assert!(parts.iter().all(|part| error.contains(part)), "{case}, {key} = {value}: {error}");
    }
}

#[test]
fn a_second_convolution_is_refused_by_its_name() {
    let folder = TempDir::new().expect("a folder");
    let file = std::fs::read(golden("conv_mlp").join("checkpoint/model.safetensors")).expect("weights");
    let read = safetensors::SafeTensors::deserialize(&file).expect("safetensors");
    let mut tensors = read.tensors();
    tensors.push(("conv2.weight".into(), read.tensor("embedding.weight").expect("a convolution")));
    safetensors::serialize_to_file(tensors, None, &folder.path().join("model.safetensors")).expect("a file");
    std::fs::write(folder.path().join("config.json"), config("conv_mlp").to_string()).expect("a config");
    let error = Checkpoint::load(folder.path(), None).expect_err("refused").to_string();
    assert!(error.contains("`conv2.weight`") && error.contains("one nn.Conv1d"), "{error}");
}

#[test]
fn an_image_says_what_its_outputs_mean_and_what_its_frames_are() {
    for (case, outputs, samples) in
        [("conv_mlp", Outputs::Classes, 4), ("distilled", Outputs::Labels, 1), ("steps", Outputs::Numbers, 1)]
    {
        let checkpoint = load(case, &config(case)).expect("a checkpoint");
        let words = convert(&checkpoint, Settings::default(), &mut |_| ()).expect("an image");
        let model = Model::parse(&words).expect("an image");
        assert_eq!(model.dims().options.outputs, outputs);
        assert_eq!(model.dims().n_features, samples * model.n_columns());
        assert_eq!(model.frame_hop(), samples.div_ceil(2));
    }
}

/// The program's standard output, errors and exit status.
fn thumbformer(arguments: &[&str]) -> (String, String, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_thumbformer")).args(arguments).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.success())
}

#[test]
fn tools_show_and_judge_outputs_by_what_they_mean() {
    for (case, shown, judged, unjudged) in [
        ("conv_mlp", ": ", "same answer", "error of the outputs"),
        ("distilled", " %)", "same answer", "error of the outputs"),
        ("class_last", ": 0 ", "error of the outputs", "same answer"),
        ("steps", ": 0 ", "error of the outputs", "same answer"),
    ] {
        let folder = TempDir::new().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (image, table, checkpoint) = (path("model.tbf"), path("waves.csv"), golden(case).join("checkpoint"));
        let checkpoint = checkpoint.display().to_string();
        let (_, errors, ok) = thumbformer(&["convert", &checkpoint, "-o", &image]);
        assert!(ok, "{case}: {errors}");
        let columns = if case == "conv_mlp" { 3 } else { 5 };
        let cell = |index: usize| format!("{:.3}", (index * 37 % 101) as f32 / 50.0 - 1.0);
        let row = |row: usize| (0..columns).map(|i| cell(row * columns + i)).collect::<Vec<_>>().join(",") + "\n";
        std::fs::write(&table, (0..9).map(row).collect::<String>()).expect("a table");

        let (printed, errors, ok) = thumbformer(&["classify", &image, &table]);
        assert!(ok && printed.starts_with("waves: ") && printed.contains(shown), "{case}: {printed}{errors}");
        let expected = golden(case).join("expected.npz").display().to_string();
        let (printed, errors, _) =
            thumbformer(&["verify", &image, "--reference", &checkpoint, "--expected", &expected]);
        assert!(printed.contains(judged) && !printed.contains(unjudged), "{case}: {printed}{errors}");
        let (printed, ..) = thumbformer(&["inspect", &image]);
        assert!(printed.contains("outputs"), "{case}: {printed}");
    }
}
