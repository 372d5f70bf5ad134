//! The digits model's checkpoint, in floats: what it hears in voices and recordings that it was not trained with.

use std::path::{Path, PathBuf};
use thumbformer::Model;
use thumbformer_checkpoint::{Checkpoint, Input};
use thumbformer_cli::{classify, read_image};
use thumbformer_reference::Reference;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The WAV files of a folder by name; each name begins with the digit.
fn recordings(folder: &Path) -> Vec<(char, PathBuf)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let digit = |file: &PathBuf| file.file_name().and_then(|name| name.to_str()?.chars().next()).expect("a name");
    files.into_iter().map(|file| (digit(&file), file)).collect()
}

/// The digit that the float model hears in each recording.
fn heard(recordings: &[(char, PathBuf)]) -> Vec<char> {
    let folder = root().join("models/digits/checkpoint");
    let checkpoint = Checkpoint::load(&folder, None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(checkpoint.config.options.input, Input::Frames);
    let words = read_image(&root().join("models/digits/digits.tbf")).unwrap_or_else(|error| panic!("{error:#}"));
    let model = Model::parse(&words).expect("an image");
    let reference = Reference::new(&checkpoint);
    let hear = |(_, file): &(char, PathBuf)| {
        let mut recording = classify::read(&model, file).unwrap_or_else(|error| panic!("{error:#}"));
        // The word is at the beginning.
        let values = recording.windows.remove(0).frames;
        let tokens: Vec<Vec<f64>> = values
            .chunks(checkpoint.config.n_features)
            .map(|token| token.iter().copied().map(f64::from).collect())
            .collect();
        let logits = reference.forward_frames(&tokens, &mut |_, _| ()).unwrap_or_else(|error| panic!("{error}"));
        let best = logits[0].iter().zip('0'..).max_by(|a, b| a.0.total_cmp(b.0));
        best.expect("outputs").1
    };
    recordings.iter().map(hear).collect()
}

#[test]
fn the_float_model_hears_every_fixture() {
    let fixtures = recordings(&root().join("models/digits/fixtures"));
    assert_eq!(String::from_iter(heard(&fixtures)), "0123456789");
}

#[test]
fn the_float_model_keeps_its_accuracy_on_the_official_test_split() {
    let folder = root().join("../shared/data/fsdd/recordings");
    if !folder.is_dir() {
        eprintln!("skipped: no ../shared/data/fsdd/recordings, the Free Spoken Digit Dataset");
        return;
    }
    let mut test = recordings(&folder);
    let index = |file: &Path| file.file_stem().and_then(|stem| stem.to_str()?.rsplit('_').next()?.parse::<u32>().ok());
    test.retain(|(_, file)| index(file).expect("a number in the name") < 5);
    assert_eq!(test.len(), 300);
    let right = heard(&test).iter().zip(&test).filter(|(heard, said)| **heard == said.0).count();
    println!("{right} of 300, {:.2} %", right as f64 / 3.0);
    assert!(right as f64 / 3.0 >= 97.5, "{right} of 300");
}
