//! `verify` obeys every bound that it is given, refuses those that mean nothing, and says which input a model needs; logits are printed.

use std::path::{Path, PathBuf};
use std::process::Command;

fn models(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(name);
    path.display().to_string()
}

/// Exit status, output and errors.
fn thumbformer(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_thumbformer")).args(arguments).output().expect("the command starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn recordings_are_held_to_every_bound_and_others_are_refused() {
    let (image, checkpoint) = (models("motion/motion.tbf"), models("motion/checkpoint"));
    let folder = std::fs::read_dir(models("motion/fixtures")).expect("fixtures");
    let recording = folder.map(|file| file.expect("a file").path()).min().expect("a fixture").display().to_string();
    let common = ["verify", &image, "--reference", &checkpoint, "--recordings", &recording];
    let verify = |more: &[&str]| thumbformer(&[&common[..], more].concat());
    let (ok, printed, said) = verify(&[]);
    assert!(ok && printed.contains("same answer"), "{printed}{said}");
    let all = verify(&["--min-sqnr=99", "--min-top1=1.01", "--max-kl=0", "--max-accuracy-loss=-1"]).2;
    for expected in ["accuracy check failed: accuracy", "same answer", "mean KL divergence", "SQNR of the outputs"] {
        assert!(all.contains(expected), "{expected:?} is not in {all}");
    }
    for (bound, expected) in [
        ("--max-perplexity-change=0.1", "--max-perplexity-change is for the text of a language model"),
        ("--max-tokens=5", "cannot be used with"),
        ("--last=5", "cannot be used with"),
    ] {
        let (ok, _, said) = verify(&[bound]);
        assert!(!ok && said.contains(expected), "{bound}: {expected:?} is not in {said}");
    }
}

#[test]
fn a_text_is_held_to_every_bound_and_others_are_refused() {
    let (image, checkpoint) = (models("stories/stories.tbf"), models("stories/checkpoint"));
    let text = models("stories/held_out.txt");
    let common = ["verify", &image, "--reference", &checkpoint, "--text", &text, "--max-tokens", "24"];
    for (bound, expected) in [
        ("--min-top1=1.01", "accuracy check failed: top-1 agreement"),
        ("--max-accuracy-loss=0.1", "--max-accuracy-loss is for labelled recordings"),
    ] {
        let (ok, printed, said) = thumbformer(&[&common[..], &[bound]].concat());
        assert!(!ok && said.contains(expected), "{bound}: {expected:?} is not in {said}");
        assert!(
            printed.is_empty() || printed.starts_with("24 of 25051 tokens in 77 documents, 1 windows"),
            "{printed}"
        );
    }
}

#[test]
fn without_an_input_the_one_that_the_model_needs_is_named() {
    for (name, expected) in [
        ("stories", "the model reads text: give --text FILE"),
        ("digits", "the model reads frames of 40 numbers: give --recordings FILE..."),
    ] {
        let (image, checkpoint) = (models(&format!("{name}/{name}.tbf")), models(&format!("{name}/checkpoint")));
        let (ok, _, said) = thumbformer(&["verify", &image, "--reference", &checkpoint]);
        assert!(!ok && said.contains(expected), "{said}");
    }
    let (ok, _, said) = thumbformer(&["verify", &models("stories/stories.tbf"), "--text", "x.txt"]);
    assert!(!ok && said.contains("--reference"), "{said}");
}

#[test]
fn json_has_the_logits_and_ids_are_taken_in_place_of_a_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ids.json");
    std::fs::write(&file, "[1, 467, 468, 326]").expect("the folder is writable");
    let (image, ids) = (models("stories/stories.tbf"), file.display().to_string());
    let of_ids = thumbformer(&["run", &image, "--tokens", &ids, "--steps", "2", "--json"]);
    let of_text = thumbformer(&["run", &image, "--prompt", "Once upon a time", "--steps", "2", "--json"]);
    assert!(of_ids.0 && of_text.0, "{} {}", of_ids.2, of_text.2);
    let steps = |text: &str| -> Vec<serde_json::Value> {
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    };
    let found = steps(&of_ids.1);
    assert_eq!(found.len(), 2);
    let logits: Vec<f64> = found[0]["logits"].as_array().expect("logits").iter().filter_map(|x| x.as_f64()).collect();
    let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
    assert_eq!((logits.len(), best), (512, found[0]["token"].as_u64().map(|token| token as usize)));
    assert_eq!(steps(&of_text.1).len(), 2);

    let sound = models("digits/fixtures/7_iven2.wav");
    let (ok, printed, said) = thumbformer(&["classify", &models("digits/digits.tbf"), &sound, "--json"]);
    let heard: serde_json::Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(ok && heard["logits"].as_array().is_some_and(|logits| logits.len() == 10), "{heard}");
    let (ok, printed, said) = thumbformer(&["explain", "heads", "--model", &image, "--tokens", &ids, "--layer", "0"]);
    assert!(ok && !printed.is_empty(), "{said}");
}
