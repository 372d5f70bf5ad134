//! `verify` tells a good image from a bad one. (The bounds over held-out text are a leg of `cargo xtask test`.)

use std::path::Path;
use thumbformer::Model;
use thumbformer::Part;
use thumbformer_checkpoint::{Checkpoint, Tensor};
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::text::tokenizer;
use thumbformer_cli::verify::{Bounds, Report, Selection, Windows, verify};

const TEXT: &str = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park with her \
    friends. One day, she saw a big dog. The dog was very sad. Lily asked, \"What is wrong?\" The dog said, \"I lost my \
    ball.\" Lily wanted to help. They looked for the ball all day. At last, they found it under a tree. The dog was happy.\n\
    <|end|>\nOne day, a boy named Tim went to the store with his mom. He saw a red toy car and wanted to buy it. His mom said, \
    \"You can have it if you are good.\" Tim was good all day. The next day, they went back and his mom bought the car.";

fn checkpoint() -> Checkpoint {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories/checkpoint");
    Checkpoint::load(&folder, None).unwrap_or_else(|error| panic!("{error}"))
}

fn windows(model: &Model<'_>, text: &str, selection: Selection) -> Windows {
    Windows::of_text(model, text, model.dims().max_seq, selection).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Compares the image of one checkpoint with another checkpoint.
fn compare(image_of: &Checkpoint, reference: &Checkpoint) -> Report {
    let words = convert(image_of, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{error:#}"));
    let model = Model::parse(&words).unwrap_or_else(|error| panic!("{error}"));
    let windows = windows(&model, TEXT, Selection::default());
    assert_eq!(windows.documents, 2);
    verify(&model, reference, &windows.windows, &|_| ()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// The bounds that two short documents can be held to; agreement is a matter of a token or two in them.
const BOUNDS: Bounds = Bounds { top1: 0.93, kl: 0.005, perplexity: 0.02, sqnr: 30.0 };

#[test]
fn a_faithful_image_keeps_the_bounds() {
    let checkpoint = checkpoint();
    let report = compare(&checkpoint, &checkpoint);
    assert!(report.keeps(&BOUNDS), "{report:?}");
    assert!(report.sqnr.is_finite() && report.kl > 0.0, "quantization must leave a trace: {report:?}");
}

fn scale(checkpoint: &mut Checkpoint, tensor: Tensor, layer: usize, factor: f32) {
    checkpoint.tensors[(tensor, layer)].data.iter_mut().for_each(|weight| *weight *= factor);
}

fn swap(checkpoint: &mut Checkpoint, a: (Tensor, usize), b: (Tensor, usize)) {
    let other = checkpoint.tensors[b].clone();
    checkpoint.tensors[b] = std::mem::replace(&mut checkpoint.tensors[a], other);
}

#[test]
fn every_kind_of_disturbed_image_misses_a_bound() {
    let sound = checkpoint();
    type Disturb = fn(&mut Checkpoint);
    let table: [(&str, Disturb); 8] = [
        ("a norm is scaled", |c| scale(c, Tensor::AttentionNorm, 0, 1.2)),
        ("keys are negated", |c| scale(c, Tensor::Key, 1, -1.0)),
        ("values are negated", |c| scale(c, Tensor::Value, 2, -1.0)),
        ("attention's output is left out", |c| scale(c, Tensor::AttentionOutput, 3, 0.0)),
        ("gate and up are swapped", |c| swap(c, (Tensor::Gate, 4), (Tensor::Up, 4))),
        ("rows of the embedding are shifted", |c| c.tensors[(Tensor::Embedding, 0)].data.rotate_left(64)),
        ("the rotation is another one", |c| c.config.rope_theta = 500.0),
        ("two layers are swapped", |c| {
            let is_in = |c: &Checkpoint, tensor: Tensor| tensor.part() == Part::Layer && c.tensors.has(tensor);
            Tensor::ALL.iter().for_each(|&tensor| {
                if is_in(c, tensor) {
                    swap(c, (tensor, 1), (tensor, 2));
                }
            });
        }),
    ];
    for (what, disturb) in table {
        let mut disturbed = sound.clone();
        disturb(&mut disturbed);
        let report = compare(&disturbed, &sound);
        assert!(!report.keeps(&BOUNDS), "{what}: {report:?}");
    }
}

#[test]
fn a_metric_that_is_not_a_number_keeps_no_bound() {
    let nan = f64::NAN;
    let report =
        Report { windows: 1, tokens: 1, top1: nan, kl: nan, reference_perplexity: nan, perplexity: nan, sqnr: nan };
    assert!(report.lines(&Bounds::INT8).iter().all(|line| !line.ok));
}

#[test]
fn a_selection_takes_the_last_documents_and_a_number_of_tokens() {
    let words = convert(&checkpoint(), Settings::default(), &mut |_| ()).expect("converts");
    let model = Model::parse(&words).expect("parses");
    let text = "one.\n<|end|>\ntwo two.\n<|end|>\nthree three three.\n<|end|>\n";
    let all = windows(&model, text, Selection::default());
    assert_eq!((all.documents, all.windows.len(), all.tokens()), (3, 3, all.total));
    let last = windows(&model, text, Selection { last: Some(2), max_tokens: None });
    assert_eq!(last.windows, all.windows[1..]);
    let one = windows(&model, text, Selection { last: Some(9), max_tokens: Some(1) });
    assert_eq!((one.documents, one.tokens(), one.total), (3, 1, all.total));
    assert!(Windows::of_text(&model, " \n<|end|>\n", 512, Selection::default()).is_err());
    let tokenizer = model.tokenizer().expect("tokenizer");
    let whole =
        |window: &Vec<u16>| (window.first().copied(), window.last().copied()) == (tokenizer.bos(), tokenizer.end());
    assert!(all.windows.iter().all(whole));
}

#[test]
fn a_long_text_is_cut_into_windows_and_all_of_it_counts() {
    let checkpoint = checkpoint();
    let words =
        convert(&checkpoint, Settings { max_seq: Some(32), ..Settings::default() }, &mut |_| ()).expect("converts");
    let model = Model::parse(&words).expect("parses");
    let text = TEXT.replace("<|end|>", "");
    let windows = windows(&model, &text, Selection::default());
    let mut tokens = tokenizer(&model).expect("a tokenizer").encode_long(&text).expect("tokens");
    tokens.extend(model.tokenizer().expect("a tokenizer").end());
    let predicted: Vec<u16> = windows.windows.iter().flat_map(|window| window[1..].to_vec()).collect();
    assert_eq!(predicted, tokens[1..]);
    assert!(windows.windows.iter().all(|window| window[0] == tokens[0] && window.len() <= 33));
    let report = verify(&model, &checkpoint, &windows.windows, &|_| ()).expect("the same model");
    assert_eq!((report.windows, report.tokens), (tokens.len().div_ceil(32), tokens.len() - 1));
}
