//! A checkpoint that cannot be computed exactly is refused, by an error that names the file, the thing, and what to do.
//!
//! Every case takes the golden model (which loads, as the first test shows), spoils one thing, and looks for the words
//! that must be in the message.

mod hugging_face;
mod llama2c;

use std::path::{Path, PathBuf};

use thumbformer_checkpoint::Checkpoint;

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(path)
}

/// What loading says, or the panic that a sound checkpoint deserves no error.
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
    ] {
        let folder = tempfile::tempdir().unwrap();
        for name in ["config.json", "model.safetensors", "model.bin"] {
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
                    assert_eq!(checkpoint.embedding.data.len(), config.vocab * config.d_model);
                    assert_eq!(checkpoint.layers.len(), config.n_layers);
                }
            }
        }
        assert!(refused > 100, "{file}: {refused} of 400 refused");
    }
}
