//! ONNX files of several exporters, held to onnxruntime's outputs (`tests/golden/onnx_files.py`).

use std::path::{Path, PathBuf};
use thumbformer::Outputs;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::verify::{Sequence, expected};
use thumbformer_reference::Reference;
use thumbformer_reference::metrics::Sqnr;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/onnx")
}

/// Names of the golden files.
fn names() -> Vec<String> {
    let files = std::fs::read_dir(golden()).expect("the golden files").map(|entry| entry.expect("a file").path());
    let onnx = files.filter(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    let mut names: Vec<String> = onnx.filter_map(|path| Some(path.file_stem()?.to_str()?.to_string())).collect();
    names.sort();
    names
}

fn load(name: &str) -> Result<Checkpoint, String> {
    Checkpoint::load(&golden().join(format!("{name}.onnx")), None).map_err(|error| error.to_string())
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let sum: f64 = scores.iter().map(|score| score.exp()).sum();
    scores.iter().map(|score| score.exp() / sum).collect()
}

/// Ratio of signal to difference between the float reference and onnxruntime; the reason, where they cannot be compared.
fn agreement(name: &str, checkpoint: &Checkpoint) -> Result<f64, String> {
    let files = [golden().join(format!("{name}.npz"))];
    let expected = expected::load(&files, &checkpoint.config.dims(), None).map_err(|error| format!("{error:#}"))?;
    let reference = Reference::new(checkpoint);
    let is_softmax = checkpoint.notes.iter().any(|note| note.contains("softmax"));
    let is_sigmoid = checkpoint.config.options.outputs == Outputs::Labels;
    let mut sqnr = Sqnr::default();
    for sequence in expected {
        let found = match &sequence.input {
            Sequence::Tokens(tokens) => reference.forward(tokens, &mut |_: &str, _: &[f64]| ()),
            Sequence::Frames(frames) => reference.forward_frames(frames, &mut |_: &str, _: &[f64]| ()),
        };
        let found = found.map_err(|error| error.to_string())?;
        if found.len() != sequence.outputs.len() {
            return Err(format!("{} outputs for {}", found.len(), sequence.outputs.len()));
        }
        for (found, expected) in found.iter().zip(&sequence.outputs) {
            let found = match (is_softmax, is_sigmoid) {
                (true, _) => softmax(found),
                (_, true) => found.iter().map(|score| 1.0 / (1.0 + (-score).exp())).collect(),
                _ => found.clone(),
            };
            sqnr.add(expected, &found);
        }
    }
    Ok(sqnr.decibels())
}

#[test]
fn the_reference_computes_what_onnxruntime_does() {
    let mut wrong = Vec::new();
    for name in names() {
        match load(&name).and_then(|checkpoint| agreement(&name, &checkpoint)) {
            Ok(decibels) => {
                println!("{name}: {decibels:.1} dB");
                if decibels < 110.0 {
                    wrong.push(format!("{name}: {decibels:.1} dB"));
                }
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty() && names().len() >= 10, "{wrong:#?}");
}

#[test]
fn every_file_becomes_an_image() {
    for name in names() {
        let checkpoint = load(&name).expect("a checkpoint");
        convert(&checkpoint, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }
}
