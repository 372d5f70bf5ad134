//! Checkpoints become images that compute what the float reference computes, with the tokenizer of the checkpoint.

use std::path::{Path, PathBuf};
use thumbformer::state::HostState;
use thumbformer::text::Sampling;
use thumbformer::{Model, Packing};
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::inspect::inspect;
use thumbformer_cli::run::{End, Options, generate};
use thumbformer_cli::verify::verify;

thumbformer::model!(mod story = "../../../models/stories/stories.tbf", max_seq = 200);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn image_of(checkpoint: &Checkpoint) -> Vec<u32> {
    convert(checkpoint, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{error:#}"))
}

fn load(path: &str) -> Checkpoint {
    Checkpoint::load(&root().join(path), None).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_committed_images_are_what_conversion_makes_of_the_committed_checkpoint() {
    let checkpoint = load("models/stories/checkpoint");
    for packing in Packing::ALL {
        let pack = packing.name();
        let file = if packing == Packing::Host { "stories.tbf".into() } else { format!("stories-{pack}.tbf") };
        let settings = Settings { packing, ..Settings::default() };
        let words = convert(&checkpoint, settings, &mut |_| ()).unwrap_or_else(|error| panic!("{error:#}"));
        let committed = std::fs::read(root().join("models/stories").join(&file)).unwrap_or_default();
        let same = thumbformer::image::bytes(&words) == committed;
        assert!(same, "convert models/stories/checkpoint with --pack {pack} again and commit models/stories/{file}");
    }
}

/// The image of the core's documentation, small enough for its package.
#[test]
fn the_image_of_the_examples_is_what_conversion_makes_of_a_golden_checkpoint() {
    let words = image_of(&load("tests/golden/gguf/tokenizer.gguf"));
    let committed = std::fs::read(root().join("examples/tiny.tbf")).unwrap_or_default();
    let same = thumbformer::image::bytes(&words) == committed;
    assert!(same, "convert tests/golden/gguf/tokenizer.gguf again and commit examples/tiny.tbf");
}

/// The packing is a rearrangement: no bit of any logit depends on it, so the host verifies the very image that is flashed.
#[test]
fn images_of_every_packing_compute_the_same_bits() {
    for path in ["models/stories/checkpoint", "tests/golden/llama_untied/checkpoint"] {
        let checkpoint = load(path);
        let mut expected: Option<Vec<u32>> = None;
        for packing in Packing::ALL {
            let settings = Settings { packing, ..Settings::default() };
            let words = convert(&checkpoint, settings, &mut |_| ()).unwrap_or_else(|error| panic!("{error:#}"));
            let model = Model::parse(&words).expect("an image");
            assert_eq!(model.image().packing(), packing);
            let mut state = HostState::new(model.dims(), 16);
            let mut session = model.session(state.memory());
            let tokens: Vec<u16> = (0..12).map(|i| i * 7 % model.dims().vocab as u16).collect();
            let logits = session.prefill(&tokens).expect("fits");
            let bits: Vec<u32> = logits.iter().map(|logit| logit.to_bits()).collect();
            assert!(*expected.get_or_insert_with(|| bits.clone()) == bits, "{path}, {packing:?}");
        }
    }
}

#[test]
fn images_of_every_golden_checkpoint_compute_the_reference_s_logits() {
    for path in [
        "tests/golden/llama/checkpoint",
        "tests/golden/llama_untied/checkpoint",
        "tests/golden/llama2c/model.bin",
        "tests/golden/qwen3/checkpoint",
    ] {
        let checkpoint = load(path);
        let words = image_of(&checkpoint);
        let model = Model::parse(&words).unwrap_or_else(|error| panic!("{path}: {error}"));
        let length = checkpoint.config.max_seq.min(48);
        let vocab = checkpoint.config.vocab;
        let documents: Vec<Vec<u16>> =
            (0..4).map(|seed| (0..length).map(|i| ((i * i * 7 + seed * 31 + i) % vocab) as u16).collect()).collect();
        let report =
            verify(&model, &checkpoint, &documents, &|_| ()).unwrap_or_else(|error| panic!("{path}: {error:#}"));
        assert_eq!(report.tokens, 4 * (length - 1), "{path}");
        // A wrong formula (rotation, grouping, norm, an untied head ignored) leaves less than 10 dB.
        assert!(report.sqnr > 30.0, "{path}: {report:?}");
        assert!(report.perplexity_change().abs() < 0.01, "{path}: {report:?}");
    }
}

#[test]
fn text_becomes_the_tokens_that_the_tokenizers_library_makes() {
    let golden = std::fs::read_to_string(root().join("tests/golden/tokenizers/stories.json")).expect("ids");
    let golden: serde_json::Value = serde_json::from_str(&golden).expect("JSON");
    let tokenizer = story::MODEL.tokenizer().expect("the image has a tokenizer");
    let encodings = golden["encodings"].as_array().expect("texts");
    assert!(encodings.len() > 100, "{} texts try nothing", encodings.len());
    for encoding in encodings {
        let text = encoding["text"].as_str().expect("a text");
        let mut found = vec![0; text.len() + 2];
        let length = tokenizer.encode(text, false, &mut found).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(serde_json::json!(found[..length]), encoding["ids"], "{text:?}");
        // And back: the pieces after BOS are the text, but for the mark, which is a space in the vocabulary.
        let mut previous = tokenizer.bos().expect("bos");
        let mut bytes = Vec::new();
        for &token in &found[..length] {
            bytes.extend(tokenizer.piece(previous, token));
            previous = token;
        }
        assert_eq!(String::from_utf8_lossy(&bytes), text.replace('\u{2581}', " "));
    }
}

#[test]
fn the_names_of_special_tokens_in_a_text_are_plain_text() {
    let tokenizer = story::MODEL.tokenizer().expect("the image has a tokenizer");
    let mut tokens = [0; 16];
    let length = tokenizer.encode("a</s><s>", false, &mut tokens).expect("encodes");
    assert!(length > 4 && tokens[..length].iter().all(|&token| !tokenizer.is_end(token)), "{tokens:?}");
}

#[test]
fn inspect_s_ram_is_the_size_of_the_type_that_the_firmware_gets() {
    let report = inspect(&story::MODEL, story::MAX_SEQ);
    assert_eq!(report.ram.total.next_multiple_of(4), size_of::<story::State>());
    assert_eq!(report.ram.total, report.ram.kv_cache + report.ram.activations + report.ram.rest);
    assert_eq!(report.flash, story::IMAGE_BYTES);
    assert_eq!(report.parameters, load("models/stories/checkpoint").parameters());
    // Sections lie one after the other, with at most the alignment between them.
    let sum: usize = report.sections.iter().map(|section| section.bytes).sum();
    let table = 4 * (32 + 8 * report.sections.len());
    assert!(
        sum + table < report.flash && report.flash < sum + table + 32 * (report.sections.len() + 1),
        "{sum} {report:?}"
    );
}

fn options() -> Options {
    Options {
        prompt: "Once upon a time".into(),
        sampling: Sampling { temperature: 0.9, top_k: 0, top_p: 1.0 },
        seed: 7,
        steps: 40,
        max_seq: 64,
        ignore_end: true,
    }
}

fn text_of(options: &Options) -> (String, thumbformer_cli::run::Summary) {
    let mut text = Vec::new();
    let summary = generate(&story::MODEL, options, &mut |piece| text.extend(piece), &mut |_, _| ());
    (String::from_utf8_lossy(&text).into(), summary.unwrap_or_else(|error| panic!("{error:#}")))
}

#[test]
fn a_text_is_determined_by_its_seed_and_begins_with_its_prompt() {
    let (text, summary) = text_of(&options());
    assert!(text.starts_with("Once upon a time"), "{text}");
    assert_eq!((summary.steps, summary.end), (40, End::Steps));
    assert_eq!(text_of(&options()), (text.clone(), summary));
    assert_ne!(text_of(&Options { seed: 8, ..options() }).0, text);
    // The context's length changes the memory, not the result.
    assert_eq!(text_of(&Options { max_seq: 512, ..options() }), (text, summary));
}

#[test]
fn a_context_that_fills_up_ends_the_text_without_an_error() {
    let (_, summary) = text_of(&Options { steps: 1000, max_seq: 32, ..options() });
    assert_eq!(summary.end, End::ContextFull);
    // The last position's logits are computed too: they follow the 32nd token.
    assert_eq!(summary.steps as usize, 32 - (summary.prompt_tokens - 1));
}
