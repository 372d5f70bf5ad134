//! docs/your-model.md from its checkpoint on: the committed files are what the page's script writes (`cargo xtask test goldens`).

use std::path::{Path, PathBuf};
use thumbformer::Model;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::classify::{classify, read};
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::verify::{Agreement, expected};

#[path = "../../../tests/golden/your_model/firmware.rs"]
mod firmware;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folder() -> PathBuf {
    root().join("tests/golden/your_model")
}

fn checkpoint() -> Checkpoint {
    Checkpoint::load(&folder().join("checkpoint"), None).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_page_s_firmware_is_the_one_that_is_tested() {
    let text =
        |file: PathBuf| std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let tested = text(folder().join("firmware.rs"));
    let (_, rest) = tested.split_once("// your-model.md: begin\n").expect("the mark");
    let (shown, _) = rest.split_once("// your-model.md: end").expect("the mark");
    assert!(text(root().join("docs/your-model.md")).contains(shown.trim()), "copy the marked part into the page");
}

/// The page's firmware on the image that is committed, `classify` on one that is made now: the same answers, which are right.
#[test]
fn firmware_and_classify_give_every_recording_the_label_of_its_name() {
    let words = convert(&checkpoint(), Settings::default(), &mut |_| {}).expect("an image");
    let model = Model::parse(&words).expect("an image");
    let files = thumbformer_recordings::in_folder(&folder().join("recordings")).expect("the recordings");
    assert_eq!(files.len(), 3);
    for file in files {
        let recording = read(&model, &file).unwrap_or_else(|error| panic!("{error:#}"));
        let truth = recording.truth.and_then(|truth| model.label(truth)).expect("a label");
        assert_eq!(classify(&model, &recording).expect("an answer").said.class(), Some(truth), "{}", recording.name);
        assert_eq!(firmware::label(&recording.windows[0].frames), Ok(truth), "{}", recording.name);
    }
}

#[test]
fn the_frames_that_pytorch_read_are_those_of_the_recordings() {
    let checkpoint = checkpoint();
    let words = convert(&checkpoint, Settings::default(), &mut |_| {}).expect("an image");
    let model = Model::parse(&words).expect("an image");
    let arrays = expected::read(&folder().join("expected.npz")).expect("arrays");
    let frames = arrays.iter().find(|array| array.name == "frames").expect("frames");
    let files = thumbformer_recordings::in_folder(&folder().join("recordings")).expect("the recordings");
    let read = |file: &PathBuf| read(&model, file).unwrap_or_else(|error| panic!("{error:#}")).windows.remove(0).frames;
    let found: Vec<f64> = files.iter().flat_map(read).map(f64::from).collect();
    assert_eq!(found, frames.values);
}

/// A wrong `nhead` is found, at the first layer; the page promises it.
#[test]
fn pytorch_s_outputs_are_met_and_a_wrong_head_count_is_named() {
    let files = [folder().join("expected.npz")];
    let mut checkpoint = checkpoint();
    let agreement = |checkpoint: &Checkpoint| {
        let expected =
            expected::load(&files, &checkpoint.config.dims(), None).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(expected.len(), 3);
        Agreement::of(checkpoint, &expected).unwrap_or_else(|error| panic!("{error:#}"))
    };
    let found = agreement(&checkpoint);
    found.check().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found.points.len(), 3, "{found:?}");
    (checkpoint.config.n_heads, checkpoint.config.n_kv_heads, checkpoint.config.head_dim) = (4, 4, 4);
    checkpoint.config.attention_scale = 0.5;
    let error = agreement(&checkpoint).check().expect_err("a wrong head count").to_string();
    assert!(error.contains("they part first at hidden[1] (layers.0.output)"), "{error}");
    assert!(error.contains("with 2 heads they agree"), "{error}");
}
