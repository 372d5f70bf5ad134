//! A checkpoint that cannot be computed exactly is refused, by an error that names the file, the thing, and what to do.
//!
//! Every case takes the golden model (which loads, as the first test shows), spoils one thing, and looks for the words
//! that must be in the message.

mod documented;
mod encoders;
mod files;
mod gguf;
mod gpt2;
mod hugging_face;
mod keys;
mod llama2c;
mod native;
mod onnx;
mod pytorch;
mod qwen3;
mod saved;
mod specials;
mod tokenizers;

use std::path::Path;

use files::{Change, Spoil, change, folder, golden, tensors, write};
use thumbformer_checkpoint::{Checkpoint, Tensor};

/// Error of loading, or a panic where there is none.
fn refusal(case: &str, path: &Path) -> String {
    match Checkpoint::load(path, None) {
        Ok(_) => panic!("{case}: was accepted"),
        Err(error) => error.to_string(),
    }
}

/// Collects every failing row before it panics.
#[derive(Default)]
struct Report(Vec<String>);

impl Report {
    fn check(&mut self, case: &str, path: &Path, expected: &[&str]) {
        match Checkpoint::load(path, None).map_err(|error| error.to_string()) {
            Ok(_) => self.0.push(format!("{case}: was accepted")),
            Err(error) => {
                let missing: Vec<_> = expected.iter().filter(|part| !error.contains(**part)).collect();
                if !missing.is_empty() || !error.contains("; ") {
                    self.0.push(format!("{case}: {missing:?} or the next step is not in `{error}`"));
                }
            }
        }
    }
}

/// A golden model, what is changed in its files, and words that the error must have.
struct Case {
    name: &'static str,
    model: &'static str,
    changes: Vec<Change>,
    spoil: Spoil,
    expected: &'static [&'static str],
}

/// A case that changes `config.json`.
fn setting(model: &'static str, changes: &[Change], expected: &'static [&'static str]) -> Case {
    Case { name: changes[0].0, model, changes: changes.into(), spoil: |_| (), expected }
}

/// A case that changes the tensors.
fn weights(name: &'static str, model: &'static str, spoil: Spoil, expected: &'static [&'static str]) -> Case {
    Case { name, model, changes: Vec::new(), spoil, expected }
}

/// Spoils a copy of the model that every case names, and loads it.
fn all_are_refused(cases: impl IntoIterator<Item = Case>) {
    let mut report = Report::default();
    for case in cases {
        let folder = folder(case.model);
        change(folder.path(), &case.changes);
        let path = folder.path().join("model.safetensors");
        let mut all = tensors(&path);
        (case.spoil)(&mut all);
        write(&path, &all);
        report.check(&format!("{}: {} {:?}", case.model, case.name, case.changes), folder.path(), case.expected);
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.is_empty(), "{} cases failed:\n{}", self.0.len(), self.0.join("\n"));
        }
    }
}

/// Overwrites a few bytes of a file many times over, the same on every run. Nothing may panic, and whatever still
/// loads must have the shapes that its configuration implies.
#[test]
fn random_damage_is_an_error_or_harmless_and_never_a_panic() {
    let mut state = 7u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    for (file, beside, damaged) in [
        ("config.json", "llama/checkpoint", usize::MAX),
        // The header; behind it every bit pattern is a number.
        ("model.safetensors", "llama/checkpoint", 2800),
        ("model.bin", "llama2c", 40),
        ("config.json", "qwen3/checkpoint", usize::MAX),
        ("config.json", "bert/checkpoint", usize::MAX),
        ("model.safetensors", "bert/checkpoint", 2400),
        ("config.json", "gpt2/checkpoint", usize::MAX),
        ("model.safetensors", "gpt2/checkpoint", 2400),
        ("config.json", "vit/checkpoint", usize::MAX),
        ("model.safetensors", "vit/checkpoint", 2400),
        ("config.json", "torch_pre_gelu/checkpoint", usize::MAX),
        ("model.safetensors", "torch_pre_gelu/checkpoint", 1200),
        // The pickle, which no checksum guards.
        ("legacy.pt", "saved/encoder", 2400),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for name in ["config.json", "model.safetensors", "model.bin", "legacy.pt"] {
            // Each layout has its own files.
            let _ = std::fs::copy(golden(beside).join(name), folder.path().join(name));
        }
        let sound = std::fs::read(golden(beside).join(file)).unwrap();
        let path = if file == "model.bin" { folder.path().join(file) } else { folder.path().into() };
        let mut refused = 0;
        for _ in 0..400 {
            let mut bytes = sound.clone();
            for _ in 0..=next(3) {
                let place = next(bytes.len().min(damaged));
                bytes[place] = next(256) as u8;
            }
            std::fs::write(folder.path().join(file), bytes).unwrap();
            match Checkpoint::load(&path, None) {
                Err(_) => refused += 1,
                Ok(checkpoint) => {
                    let config = &checkpoint.config;
                    for (tensor, layer, weights) in checkpoint.tensors.iter() {
                        let (rows, cols) = config.dims().shape(tensor, 0);
                        assert_eq!(weights.data.len(), rows * cols, "{tensor:?} of layer {layer}");
                    }
                    let layers = checkpoint.tensors.iter().filter(|(tensor, ..)| *tensor == Tensor::Query).count();
                    assert_eq!(layers, config.n_layers);
                }
            }
        }
        assert!(refused > 100, "{file}: {refused} of 400 refused");
    }
}
