//! The digits model's checkpoint, in floats, hears what the fixtures say: voices that it was not trained with.

use std::path::{Path, PathBuf};
use thumbformer_checkpoint::{Checkpoint, Input};
use thumbformer_cli::features::{MELS, features, read_wav};
use thumbformer_reference::Reference;

fn digits() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/digits")
}

#[test]
fn the_float_model_hears_every_fixture() {
    let checkpoint = Checkpoint::load(&digits().join("checkpoint"), None).unwrap_or_else(|error| panic!("{error}"));
    let Input::Frames { n_features } = checkpoint.config.input else { panic!("the model reads frames") };
    let frames = checkpoint.config.max_seq * n_features / MELS;
    let reference = Reference::new(&checkpoint);
    let mut heard = String::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(digits().join("fixtures"))
        .expect("the fixtures")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    for file in files {
        let samples = read_wav(&file).unwrap_or_else(|error| panic!("{error:#}"));
        let values = features(&samples, Some(frames)).unwrap_or_else(|error| panic!("{error}"));
        let tokens: Vec<Vec<f64>> =
            values.chunks(n_features).map(|token| token.iter().copied().map(f64::from).collect()).collect();
        let logits = reference.forward_frames(&tokens, &mut |_, _| ()).unwrap_or_else(|error| panic!("{error}"));
        let best = logits[0].iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).expect("outputs").0;
        heard.push_str(&best.to_string());
    }
    // Their names begin with the digit.
    assert_eq!(heard, "0123456789");
}
