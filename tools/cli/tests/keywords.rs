//! Keyword models of 16 kHz, trained with torchaudio's transforms and `nn.TransformerEncoder` (`tests/golden/keywords`), on the way of
//! their user: convert, classify, verify. PyTorch's own frames and logits say what is right.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use thumbformer::Model;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::classify::{classify, read};
use thumbformer_cli::verify::expected::{self, Array, Expected};
use thumbformer_cli::verify::{Agreement, Sequence};
use thumbformer_cli::{model, read_image};

/// `logmel`: normalised log-mel frames, pre-LN, GELU; `mfcc`: cepstral coefficients within `top_db` of the clip, post-LN, ReLU.
const MODELS: [&str; 2] = ["logmel", "mfcc"];
const LABELS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/keywords")
}

fn recordings() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder().join("recordings")).expect("the recordings");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert_eq!(files.len(), 5);
    files
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Standard output of the command.
fn thumbformer(arguments: &[&str]) -> String {
    let ended = Command::new(env!("CARGO_BIN_EXE_thumbformer")).args(arguments).output().expect("the command starts");
    let (printed, said) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{arguments:?}: {printed}{said}");
    printed.into_owned()
}

/// The image of a model, converted in a folder of its own.
fn converted(name: &str) -> (TempDir, PathBuf, Vec<u32>) {
    let made = TempDir::new().expect("a folder");
    let image = made.path().join("keywords.tbf");
    thumbformer(&["convert", text(&folder().join(name)), "-o", text(&image)]);
    let words = read_image(&image).expect("an image");
    (made, image, words)
}

fn checkpoint(name: &str) -> Checkpoint {
    Checkpoint::load(&folder().join(name), None).unwrap_or_else(|error| panic!("{error}"))
}

/// PyTorch's arrays of the recordings, and an array as rows of one recording.
fn arrays(name: &str) -> (Array, Array) {
    let mut arrays = expected::read(&folder().join(name).join("expected.npz")).expect("numpy's archive");
    arrays.sort_by(|a, b| a.name.cmp(&b.name));
    let [frames, logits] = <[Array; 2]>::try_from(arrays).expect("two arrays");
    assert_eq!((frames.shape[0], &logits.shape[..]), (5, &[5, 10][..]));
    (frames, logits)
}

/// Numbers of a recording's frames by the image's front end, cepstral coefficients by the matrix that the network has taken in.
fn heard(model: &Model<'_>, checkpoint: &Checkpoint, file: &Path) -> (Vec<f32>, Vec<f64>) {
    let bands = read(model, file).unwrap_or_else(|error| panic!("{error:#}")).windows.remove(0).frames;
    let front_end = checkpoint.front_end.as_ref().expect("a front end");
    let double = bands.iter().map(|&band| f64::from(band));
    let numbers = match front_end.mfcc_matrix() {
        None => double.collect(),
        Some(matrix) => {
            let (double, n): (Vec<f64>, _) = (double.collect(), front_end.bands());
            let sum = |frame: &[f64], row: &[f64]| frame.iter().zip(row).map(|(band, weight)| band * weight).sum();
            double.chunks(n).flat_map(|frame| matrix.chunks(n).map(move |row| sum(frame, row))).collect()
        }
    };
    (bands, numbers)
}

#[test]
fn the_image_s_front_end_gives_torchaudio_s_frames_and_the_network_pytorch_s_logits() {
    for name in MODELS {
        let (_made, image, words) = converted(name);
        let (model, checkpoint) = (model(&words, &image).expect("a model"), checkpoint(name));
        let (frames, logits) = arrays(name);
        let (low, high) = frames.values.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        let (mut worst, mut sequences) = (0.0_f64, Vec::new());
        let of_each = frames.values.chunks(frames.values.len() / 5).zip(logits.values.chunks(10));
        for (file, (expected, logits)) in recordings().iter().zip(of_each) {
            let (bands, numbers) = heard(&model, &checkpoint, file);
            assert_eq!(numbers.len(), expected.len(), "{name}, {}", file.display());
            let errors = numbers.iter().zip(expected).map(|(found, expected)| (found - expected).abs() / (high - low));
            worst = errors.fold(worst, f64::max);
            let input = Sequence::Frames(bands);
            let outputs = vec![logits.to_vec()];
            sequences.push(Expected { input, outputs, hidden: Vec::new(), points: Vec::new() });
        }
        let agreement = Agreement::of(&checkpoint, &sequences).expect("the network's inputs");
        println!("{name}: frames within {worst:.1e} of their range, logits at {:.1} dB", agreement.logits);
        assert!(worst <= 1e-3, "{name}: {worst:.1e} of the range");
        assert!(agreement.logits >= 60.0, "{name}: {:.1} dB", agreement.logits);
    }
}

#[test]
fn every_recording_gets_pytorch_s_answer_which_is_the_word() {
    for name in MODELS {
        let (_made, image, words) = converted(name);
        let model = model(&words, &image).expect("a model");
        let (_, logits) = arrays(name);
        for (file, logits) in recordings().iter().zip(logits.values.chunks(10)) {
            let recording = read(&model, file).unwrap_or_else(|error| panic!("{error:#}"));
            let found = classify(&model, &recording).expect("a clip");
            let answer = logits.iter().zip(0..).max_by(|a, b| a.0.total_cmp(b.0)).expect("logits").1;
            assert_eq!(found.said.class(), Some(LABELS[answer]), "{name}: {found:?}");
            assert_eq!(recording.truth, Some(answer), "{name}: {found:?}");
        }
    }
}

#[test]
fn verify_holds_the_reference_to_pytorch_s_frames_and_logits_and_the_image_to_the_reference() {
    for name in MODELS {
        let (_made, image, _) = converted(name);
        let (checkpoint, expected) = (folder().join(name), folder().join(name).join("expected.npz"));
        let common = ["verify", text(&image), "--reference", text(&checkpoint)];
        let printed = thumbformer(&[&common[..], &["--expected", text(&expected)]].concat());
        assert!(printed.starts_with("float against framework ok 1"), "{name}: {printed}");
        let files = recordings();
        let files: Vec<&str> = files.iter().map(|file| text(file)).collect();
        let printed = thumbformer(&[&common[..], &["--recordings"], &files].concat());
        assert!(printed.contains("5 outputs of 5 recordings") && printed.contains("accuracy"), "{name}: {printed}");
        println!("{name}: {printed}");
    }
}

/// An image knows no DCT: its first matrix has taken it in.
#[test]
fn an_image_alone_takes_frames_of_bands_and_refuses_those_of_coefficients() {
    let (_made, image, _) = converted("logmel");
    let expected = |name: &str| folder().join(name).join("expected.npz");
    thumbformer(&["verify", text(&image), "--expected", text(&expected("logmel"))]);
    let (_made, image, _) = converted("mfcc");
    let ended = Command::new(env!("CARGO_BIN_EXE_thumbformer"))
        .args(["verify", text(&image), "--expected", text(&expected("mfcc"))])
        .output()
        .expect("the command starts");
    let said = String::from_utf8_lossy(&ended.stderr);
    let wanted = ["frames has shape [5, 25, 80], expected [seq, 160]", "coefficients need --reference"];
    assert!(!ended.status.success() && wanted.iter().all(|part| said.contains(part)), "{said}");
}

/// MFCC's `top_db` counts from the largest value of all 101 frames of a second; the network reads 100.
#[test]
fn a_config_that_does_not_say_which_frames_count_for_top_db_is_refused_by_that_key() {
    let made = TempDir::new().expect("a folder");
    let file = |name: &str| folder().join("mfcc").join(name);
    std::fs::copy(file("model.safetensors"), made.path().join("model.safetensors")).expect("weights");
    let mut config: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(file("config.json")).expect("a config")).expect("JSON");
    config["front_end"].as_object_mut().expect("a front end").remove("cut").expect("the key");
    std::fs::write(made.path().join("config.json"), config.to_string()).expect("a config");
    let error = Checkpoint::load(made.path(), None).expect_err("a guess").to_string();
    let wanted =
        "`front_end.cut` is absent, expected \"before\" or \"after\": a clip has 101 frames, the network reads 100";
    assert!(error.contains(wanted), "{error}");
}

/// The image hears for a checkpoint that names no front end; of coefficients, the matrix of the float network comes from `--front-end`.
#[test]
fn a_model_whose_front_end_was_named_at_conversion_is_verified_against_its_checkpoint() {
    for name in MODELS {
        let (made, image) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
        let image = image.path().join("keywords.tbf");
        let (bare, front_end) = (made.path().join("bare"), made.path().join("front_end.json"));
        std::fs::create_dir(&bare).expect("a folder");
        std::fs::copy(folder().join(name).join("model.safetensors"), bare.join("model.safetensors")).expect("weights");
        let config = std::fs::read_to_string(folder().join(name).join("config.json")).expect("a config");
        let mut config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
        let described = config.as_object_mut().expect("an object").remove("front_end").expect("a front end");
        std::fs::write(bare.join("config.json"), config.to_string()).expect("a config");
        std::fs::write(&front_end, described.to_string()).expect("a front end");
        let given = ["--front-end", text(&front_end)];
        thumbformer(&[&["convert", text(&bare), "-o", text(&image)], &given[..]].concat());
        let files = recordings();
        let files: Vec<&str> = files.iter().map(|file| text(file)).collect();
        let verify = [&["verify", text(&image), "--reference", text(&bare), "--recordings"], &files[..]].concat();
        let printed = thumbformer(&[&verify[..], &given].concat());
        assert!(printed.contains("5 outputs of 5 recordings"), "{name}: {printed}");
        let ended = Command::new(env!("CARGO_BIN_EXE_thumbformer")).args(&verify).output().expect("it starts");
        let said = String::from_utf8_lossy(&ended.stderr);
        let refused =
            said.contains("n_features: the image has 160, ") && said.contains("with --front-end the one that");
        assert_eq!((ended.status.success(), refused), (name == "logmel", name == "mfcc"), "{name}: {said}");
        if name == "logmel" {
            assert_eq!(String::from_utf8_lossy(&ended.stdout), printed);
        }
    }
}
