//! `thumbformer convert`: a dry run, and the sample of a language model.

use std::path::{Path, PathBuf};
use std::process::Command;
use thumbformer::{Model, Tensor};
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::sample::Sample;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sample(checkpoint: &Checkpoint) -> Option<Sample> {
    let words = convert(checkpoint, Settings::default(), &mut |_| ()).expect("an image");
    Sample::of(&Model::parse(&words).expect("an image"))
}

#[test]
fn a_dry_run_says_what_it_costs_and_writes_nothing() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thumbformer"));
        command.arg("convert").arg(root().join("models/digits/checkpoint")).args(arguments).current_dir(folder.path());
        command.output().expect("it starts")
    };
    for arguments in [&["--dry-run"][..], &["--dry-run", "--output", "x.tbf"]] {
        let found = run(arguments);
        let text = String::from_utf8_lossy(&found.stdout).into_owned();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
        for part in ["flash ", "RAM ", "MACs", "not written: "] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    let found = run(&[]);
    assert!(!found.status.success() && String::from_utf8_lossy(&found.stderr).contains("--output"));
}

#[test]
fn a_sample_tells_a_model_from_one_with_its_weights_in_another_order() {
    let mut checkpoint = Checkpoint::load(&root().join("models/stories/checkpoint"), None).expect("a checkpoint");
    let sound = sample(&checkpoint).expect("a language model");
    assert!(sound.text.starts_with("Once upon a time"), "{sound}");
    for layer in 0..checkpoint.config.n_layers {
        // As a layout that stores rows in groups: the shapes stay.
        let gate = &mut checkpoint.tensors[(Tensor::Gate, layer)];
        let width = gate.shape[1];
        let rows: Vec<Vec<f32>> = gate.data.chunks(width).map(<[f32]>::to_vec).collect();
        gate.data = (0..2).flat_map(|first| rows.iter().skip(first).step_by(2).flatten().copied()).collect();
    }
    let permuted = sample(&checkpoint).expect("a language model");
    assert!(permuted.text != sound.text && permuted.entropy > 2.0 * sound.entropy, "{sound}\n{permuted}");
    assert!(sound.entropy < sound.most && permuted.entropy < sound.most);
    // Without a tokenizer there is no text, and a classifier writes none.
    checkpoint.tokenizer = None;
    assert_eq!(sample(&checkpoint), None);
    let digits = Checkpoint::load(&root().join("models/digits/checkpoint"), None).expect("a checkpoint");
    assert_eq!(sample(&digits), None);
}
