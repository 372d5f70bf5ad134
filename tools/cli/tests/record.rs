//! `verify --record`: what was measured is written into the image, which stays as it is in all else, and where a bound is missed, whole.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use thumbformer::Model;
use thumbformer_cli::read_image;
use thumbformer_cli::verify::record::{Kind, Record};

fn models(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(name)
}

/// Exit status, output and errors.
fn thumbformer(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_thumbformer")).args(arguments).output().expect("the command starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A copy of a model's image.
fn copy(model: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let image = folder.path().join("model.tbf");
    std::fs::copy(models(&format!("{model}/{model}.tbf")), &image).expect("a copy");
    (folder, image)
}

/// Lines of the image's information that a verification wrote.
fn records(image: &Path) -> Vec<String> {
    let words = read_image(image).expect("an image");
    let model = Model::parse(&words).expect("an image");
    let lines = model.info().map(|(key, value)| format!("{key}: {value}"));
    lines.filter(|line| line.starts_with("verified")).collect()
}

#[test]
fn a_text_s_measures_are_recorded_once_and_inspect_prints_them() {
    let (folder, image) = copy("stories");
    let (checkpoint, held_out) = (models("stories/checkpoint"), models("stories/held_out.txt"));
    let ids = folder.path().join("ids.json");
    std::fs::write(&ids, "[[1, 403, 407, 261, 378], [1, 385, 282, 260, 333]]").expect("ids");
    let verify = |more: &[&str]| {
        let common = ["verify", text(&image), "--reference", text(&checkpoint), "--record"];
        thumbformer(&[&common[..], more].concat())
    };
    let loose = ["--min-top1=0", "--max-kl=9", "--max-perplexity-change=9", "--min-sqnr=0"];
    let (ok, printed, said) = verify(&["--text", text(&held_out), "--max-tokens=40"]);
    assert!(ok && printed.ends_with(&format!("recorded in {}\n", text(&image))), "{printed}{said}");
    let found = records(&image);
    assert!(found.len() == 1 && found[0].starts_with("verified text: top-1 "), "{found:?}");
    assert!(found[0].ends_with(" dB, 40 tokens of held_out.txt"), "{found:?}");
    for measure in ["KL 0.0", "perplexity ", "(float ", "SQNR 3"] {
        assert!(found[0].contains(measure), "{measure:?} is not in {found:?}");
    }
    let (_, printed, _) = thumbformer(&["inspect", text(&image)]);
    assert!(printed.contains(&found[0].replacen(": ", " ", 1)), "{printed}");
    // A second one of the same kind takes its place; JSON is printed as it is without.
    let (ok, printed, said) = verify(&[&["--tokens", text(&ids), "--json"], &loose[..]].concat());
    assert!(ok && serde_json::from_str::<serde_json::Value>(&printed).is_ok(), "{printed}{said}");
    let found = records(&image);
    assert!(found.len() == 1 && found[0].ends_with(" dB, 8 tokens of ids.json"), "{found:?}");
}

#[test]
fn each_kind_of_input_has_a_record_of_its_own() {
    let (folder, image) = copy("motion");
    let fixtures = std::fs::read_dir(models("motion/fixtures")).expect("fixtures");
    let mut files: Vec<PathBuf> = fixtures.map(|file| file.expect("a file").path()).collect();
    files.retain(|file| file.extension() == Some("csv".as_ref()));
    let files: Vec<&str> = files.iter().map(|file| text(file)).collect();
    let checkpoint = models("motion/checkpoint");
    let recordings = [&["--reference", text(&checkpoint), "--recordings"], &files[..]].concat();
    let (ok, printed, said) = thumbformer(&[&["verify", text(&image), "--record"], &recordings[..]].concat());
    assert!(ok, "{printed}{said}");
    let found = records(&image);
    assert!(found.len() == 1 && found[0].starts_with("verified recordings: "), "{found:?}");
    assert!(
        found[0].contains("same answer ") && found[0].ends_with(&format!(" dB, {} recordings", files.len())),
        "{found:?}"
    );
    // The image's own outputs as a framework's.
    let words = read_image(&image).expect("an image");
    let model = Model::parse(&words).expect("an image");
    let frames: Vec<f32> = (0..4 * model.dims().n_features).map(|index| (index * 31 % 47) as f32 / 8.0).collect();
    let mut state = thumbformer::state::HostState::new(model.dims(), model.dims().max_seq);
    let logits = model.session(state.memory()).infer(&frames[..]).expect("outputs").to_vec();
    let rows: Vec<&[f32]> = frames.chunks(model.dims().n_features).collect();
    let expected = folder.path().join("expected.json");
    std::fs::write(&expected, serde_json::json!({ "frames": rows, "logits": logits }).to_string()).expect("outputs");
    let (ok, printed, said) = thumbformer(&["verify", text(&image), "--record", "--expected", text(&expected)]);
    assert!(ok, "{printed}{said}");
    let found = records(&image);
    assert!(found.len() == 2 && found[0].starts_with("verified recordings: "), "{found:?}");
    let (record, end) = (&found[1], " dB, 1 sequences of expected.json");
    assert!(record.starts_with("verified outputs: SQNR ") && record.ends_with(end), "{record}");
}

#[test]
fn an_image_stays_untouched_where_a_bound_is_missed_or_the_file_is_read_only() {
    let (_folder, image) = copy("stories");
    let (checkpoint, held_out) = (models("stories/checkpoint"), models("stories/held_out.txt"));
    let before = std::fs::read(&image).expect("an image");
    let common = ["verify", text(&image), "--reference", text(&checkpoint), "--record"];
    let verify =
        |more: &[&str]| thumbformer(&[&common[..], &["--text", text(&held_out), "--max-tokens=24"], more].concat());
    let (ok, _, said) = verify(&["--min-top1=1.01"]);
    assert!(!ok && said.contains("accuracy check failed"), "{said}");
    assert!(std::fs::read(&image).expect("an image") == before);
    let mut permissions = std::fs::metadata(&image).expect("an image").permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&image, permissions).expect("its mode");
    let (ok, printed, said) = verify(&[]);
    // It is said before the work.
    assert!(!ok && printed.is_empty() && said.contains("model.tbf: is read-only"), "{printed}{said}");
    assert!(std::fs::read(&image).expect("an image") == before);
    let (ok, _, said) = thumbformer(&["convert", text(&checkpoint), "-o", text(&image)]);
    assert!(!ok && said.contains("model.tbf: is read-only"), "{said}");
    assert!(std::fs::read(&image).expect("an image") == before);
}

#[test]
fn a_checkpoint_with_other_weights_than_the_image_s_is_said_to_be_one_and_recorded_of_no_image() {
    let (folder, image) = copy("motion");
    let checkpoint = folder.path().join("checkpoint");
    std::fs::create_dir(&checkpoint).expect("a folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(models("motion/checkpoint").join(file), checkpoint.join(file)).expect("a copy");
    }
    let recording = models("motion/fixtures/row_1.csv");
    let before = std::fs::read(&image).expect("an image");
    let verify = |more: &[&str]| {
        let common = ["verify", text(&image), "--reference", text(&checkpoint), "--recordings", text(&recording)];
        thumbformer(&[&common[..], more].concat())
    };
    let (ok, same, said) = verify(&[]);
    assert!(ok && said.is_empty(), "the same weights in another folder: {same}{said}");
    // The lowest bit of the last weight.
    let weights = checkpoint.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).expect("weights");
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    std::fs::write(&weights, bytes).expect("weights");
    let (ok, printed, said) = verify(&[]);
    assert!(ok && printed.lines().count() == same.lines().count(), "{printed}{said}");
    let model = Model::parse(&read_image(&image).expect("an image")).map(|model| {
        let sha256 = model.info().find(|(key, _)| *key == "weights sha256").expect("a digest").1;
        format!("expected {}… of motion/checkpoint, which the image was converted from", &sha256[..16])
    });
    let expected = model.expect("an image");
    let begin = format!("note: {}: its weights have the SHA-256 ", text(&checkpoint));
    assert!(said.starts_with(&begin) && said.contains(&expected) && said.lines().count() == 1, "{said}");
    let (ok, printed, said) = verify(&["--record"]);
    assert!(!ok && printed.is_empty() && said.contains("--record is refused") && said.contains(&expected), "{said}");
    assert!(std::fs::read(&image).expect("an image") == before);
}

#[test]
fn an_image_that_was_made_anew_meanwhile_stays() {
    let (_folder, image) = copy("motion");
    let words = read_image(&image).expect("an image");
    std::fs::copy(models("motion/motion-m4.tbf"), &image).expect("a copy");
    let record = Record { kind: Kind::Expected, measures: "SQNR 1 dB".into(), files: vec![] };
    let error = record.write(&image, &words).expect_err("another image");
    assert!(error.to_string().contains("has changed since it was read"), "{error}");
    assert!(std::fs::read(&image).expect("an image") == std::fs::read(models("motion/motion-m4.tbf")).expect("it"));
}
