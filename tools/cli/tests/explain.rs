//! `thumbformer explain` shows the values that the engine computes, and refuses by name what it cannot show.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use thumbformer::observe::Point;
use thumbformer::{Model, NormPlace};
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::explain::{Given, Heads, Place, Recording, Sequence, Shape, heads, streams};
use thumbformer_cli::read_image;
use thumbformer_cli::write_file;
use thumbformer_reference::Reference;
use thumbformer_reference::metrics::Sqnr;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn stories() -> PathBuf {
    root().join("models/stories/stories.tbf")
}

fn explain(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thumbformer"));
    command.current_dir(root()).arg("explain").args(arguments).output().expect("the command starts")
}

/// The networks with random weights, and the streams that they read.
fn network(place: Place, attention: bool) -> (Vec<u32>, Sequence) {
    let words = Shape { n_layers: 3, place, attention }.image().expect("a network");
    (words, Sequence::Streams(streams(64, 12)))
}

fn digits() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/digits")
}

fn bits(vectors: &[Vec<f32>]) -> Vec<u32> {
    vectors.iter().flatten().map(|x| x.to_bits()).collect()
}

#[test]
fn every_head_s_row_sums_to_one_over_exactly_the_tokens_that_it_may_see() {
    let words = read_image(&stories()).expect("the stories' image");
    let (random, streams) = network(Place::Pre, true);
    let stories = Model::parse(&words).expect("a model");
    let sentence = Sequence::of(&stories, &Given::default()).expect("the sentence fits");
    let blocks = Model::parse(&random).expect("a model");
    let words = read_image(&digits().join("digits.tbf")).expect("the digits' image");
    let digits_model = Model::parse(&words).expect("a model");
    let sound = Sequence::of(
        &digits_model,
        &Given { recording: Some(&digits().join("fixtures/3_m8.wav")), ..Given::default() },
    )
    .expect("a clip");
    for (model, sequence, causal) in [(stories, sentence, true), (blocks, streams, false), (digits_model, sound, false)]
    {
        let recording = Recording::of(&model, &sequence).expect("fits");
        let (dims, seq) = (model.dims(), sequence.len());
        assert!(seq >= 12);
        for (layer, head) in (0..dims.n_layers).flat_map(|layer| (0..dims.n_heads).map(move |head| (layer, head))) {
            let rows = recording.attention(layer, head);
            assert_eq!(rows.len(), seq, "layer {layer}, head {head}");
            for (token, row) in rows.iter().enumerate() {
                assert_eq!(
                    row.len(),
                    if causal { token + 1 } else { seq },
                    "layer {layer}, head {head}, token {token}"
                );
                let sum: f64 = row.iter().map(|&p| f64::from(p)).sum();
                assert!((sum - 1.0).abs() < 1e-6 * seq as f64, "layer {layer}, head {head}, token {token}: {sum}");
                assert!(row.iter().all(|&p| p >= 0.0));
            }
        }
        assert!(recording.attention(dims.n_layers, 0).is_empty() && recording.attention(0, dims.n_heads).is_empty());
    }
}

#[test]
fn no_row_changes_with_a_later_token_under_a_causal_mask() {
    let words = read_image(&stories()).expect("the stories' image");
    let model = Model::parse(&words).expect("a model");
    let sequence = Sequence::of(&model, &Given::default()).expect("the sentence fits");
    let before = Recording::of(&model, &sequence).expect("fits");
    for token in [1, 9, sequence.len() - 1] {
        let after = Recording::of(&model, &sequence.changed(token, model.dims().vocab)).expect("fits");
        for layer in 0..model.dims().n_layers {
            for head in 0..model.dims().n_heads {
                let [before, after] = [&before, &after].map(|recording| recording.attention(layer, head));
                assert_eq!(bits(&before[..token]), bits(&after[..token]), "layer {layer}, head {head}, token {token}");
                assert_ne!(bits(&before[token..]), bits(&after[token..]), "layer {layer}, head {head}, token {token}");
            }
        }
    }
}

/// The names of the float reference.
const POINTS: [(Point, &str); 10] = [
    (Point::AttentionNorm, "attention_norm"),
    (Point::Query, "attention.q"),
    (Point::Key, "attention.k"),
    (Point::Value, "attention.v"),
    (Point::Context, "attention.gathered"),
    (Point::AttentionOutput, "attention.output"),
    (Point::MlpNorm, "mlp_norm"),
    (Point::Hidden, "mlp.hidden"),
    (Point::MlpOutput, "mlp.output"),
    (Point::Output, "output"),
];

#[test]
fn every_point_of_both_norm_places_is_the_reference_s_of_the_same_name() {
    for place in [Place::Pre, Place::Post] {
        let (words, sequence) = network(place, true);
        let recording = Recording::of(&Model::parse(&words).expect("a model"), &sequence).expect("fits");
        let checkpoint = Shape { n_layers: 3, place, attention: true }.checkpoint();
        let Sequence::Streams(streams) = &sequence else { panic!("streams") };
        let frames: Vec<Vec<f64>> = streams.iter().map(|stream| stream.iter().map(|&x| x.into()).collect()).collect();
        let mut expected: HashMap<String, Vec<f64>> = HashMap::new();
        let mut observe = |name: &str, values: &[f64]| {
            expected.insert(name.into(), values.to_vec());
        };
        Reference::new(&checkpoint).forward_frames(&frames, &mut observe).expect("a sequence");
        for layer in 0..3 {
            for (point, name) in POINTS {
                let name = format!("layers.{layer}.{name}");
                let found: Vec<f64> = recording.at(point, layer).iter().flatten().map(|&x| x.into()).collect();
                let mut sqnr = Sqnr::default();
                sqnr.add(&expected[&name], &found);
                assert!(sqnr.decibels() > 28.0, "{place:?} {name}: {:.1} dB", sqnr.decibels());
            }
        }
    }
}

/// A sliding window's cache is a ring; an encoder of text reads it as a whole.
#[test]
fn rows_of_sliding_windows_and_of_encoders_of_text_are_the_reference_s() {
    /// The whole context of the smallest.
    const SEQ: usize = 10;
    for (golden, window) in [("llama", None), ("llama", Some(5)), ("llama", Some(1)), ("bert", None)] {
        let folder = root().join("tests/golden").join(golden).join("checkpoint");
        let mut checkpoint = Checkpoint::load(&folder, None).expect("a golden checkpoint");
        checkpoint.config.sliding_window = window;
        let words = convert(&checkpoint, Settings::default(), &mut |_| ()).expect("an image");
        let tokens: Vec<u16> = (0..SEQ as u16).map(|token| 7 * token % checkpoint.config.vocab as u16).collect();
        let ids: Vec<u32> = tokens.iter().map(|&token| token.into()).collect();
        let sequence = Sequence::Tokens(tokens, Vec::new());
        let recording = Recording::of(&Model::parse(&words).expect("a model"), &sequence).expect("fits");
        let (mut checked, mut sqnr) = (0, Sqnr::default());
        let mut observe = |name: &str, values: &[f64]| {
            let Some(layer) = name.strip_prefix("layers.").and_then(|name| name.strip_suffix(".attention.scores"))
            else {
                return;
            };
            let layer = layer.parse().expect("a number");
            for (head, expected) in values.chunks(SEQ * SEQ).enumerate() {
                for (token, (expected, row)) in expected.chunks(SEQ).zip(recording.attention(layer, head)).enumerate() {
                    let mut found: Vec<f64> = row.iter().map(|&p| p.into()).collect();
                    found.resize(SEQ, 0.0);
                    // What is not seen is 0 in both.
                    assert!(
                        expected.iter().zip(&found).all(|(x, y)| *x > 0.0 || *y == 0.0),
                        "{golden}, {token}: {row:?}"
                    );
                    sqnr.add(expected, &found);
                    checked += 1;
                }
            }
        };
        Reference::new(&checkpoint).forward(&ids, &mut observe).expect("a sequence");
        assert_eq!(checked, SEQ * checkpoint.config.n_layers * checkpoint.config.n_heads, "{golden}");
        assert!(sqnr.decibels() > 28.0, "{golden}, window {window:?}: {:.1} dB", sqnr.decibels());
    }
}

#[test]
fn a_pre_ln_stream_is_a_sum_to_the_bit_and_a_post_ln_stream_is_its_norms() {
    for place in [Place::Pre, Place::Post] {
        let (words, sequence) = network(place, true);
        let model = Model::parse(&words).expect("a model");
        let recording = Recording::of(&model, &sequence).expect("fits");
        for layer in 0..model.dims().n_layers {
            let between = recording.between(layer, model.dims().options.norm_place);
            let mlp = recording.at(Point::MlpOutput, layer);
            let sum: Vec<u32> =
                between.iter().flatten().zip(mlp.iter().flatten()).map(|(x, m)| (x + m).to_bits()).collect();
            let output = bits(recording.stream(layer + 1));
            assert_eq!(sum == output, model.dims().options.norm_place == NormPlace::Pre, "{place:?}, layer {layer}");
            let norm = bits(recording.at(Point::MlpNorm, layer));
            assert_eq!(norm == output, model.dims().options.norm_place == NormPlace::Post, "{place:?}, layer {layer}");
        }
    }
}

/// The cells of each row of a grid that `mix` printed.
fn rows(grid: &str) -> Vec<(String, String)> {
    let rows = grid.lines().filter(|line| line.contains(['·', '#']) && !line.contains("the same bits"));
    let cut = |line: &str| {
        let start = line.find(" ·").into_iter().chain(line.find(" #")).min().expect("cells");
        (line[..start].trim().to_string(), line[start..].replace(' ', ""))
    };
    rows.map(cut).collect()
}

#[test]
fn attention_carries_a_change_to_all_tokens_that_see_it_and_the_mlp_to_none() {
    let page = explain(&["mix", "--token", "it"]).stdout;
    let page = String::from_utf8(page).expect("text");
    let grids: Vec<_> = page.split("\n\n").take(3).map(rows).collect();
    let one = |token: usize, tokens: usize| "·".repeat(token) + "#" + &"·".repeat(tokens - token - 1);
    let table: [(&str, String, String, String); 3] = [
        ("causal", one(23, 29), "·".repeat(23) + &"#".repeat(6), "·".repeat(23) + &"#".repeat(6)),
        ("bidirectional", one(4, 12), "#".repeat(12), "#".repeat(12)),
        // The heads gather other things, of which nothing reaches the stream.
        ("without attention", one(4, 12), "#".repeat(12), one(4, 12)),
    ];
    for ((name, before, gathered, after), rows) in table.into_iter().zip(grids) {
        assert!(rows.len() >= 10, "{name}: {rows:?}");
        for (row, cells) in rows {
            let expected = match &row[..] {
                "x" | "query" | "key" | "value" => &before,
                "gathered by the heads" => &gathered,
                "x + attention" | "mlp, hidden" | "x + mlp" | "x after layer 1" => &after,
                _ => continue,
            };
            assert_eq!(cells, *expected, "{name}: {row}");
        }
    }
}

#[test]
fn what_heads_look_at_and_their_values_make_what_they_gather() {
    let model = Some(stories());
    let page = heads(&Heads { model: model.clone(), token: Some("it".into()), ..Heads::default() }).expect("a page");
    let (_, rest) = page.text.split_once("gathered but for ").expect("the sentence");
    let part: f64 = rest.split(' ').next().and_then(|part| part.parse().ok()).expect("a number");
    assert!(part > 0.0 && part < 1.0, "{part} %");
    assert_eq!(page.text.lines().filter(|line| line.contains(" %  ")).count(), 40, "{}", page.text);
    // As docs/lesson.md says of the four tokens of "animal".
    let table = page.text.split_once("looks at\n").expect("a table").1;
    assert!(["2 ▁an", "3 im", "4 a", "5 l"].iter().all(|name| !table.contains(&format!(" {name} "))), "{table}");
    assert_eq!(page.svg.matches(">head ").count(), 8);
    let some = heads(&Heads { model, layer: Some(4), ..Heads::default() }).expect("a page");
    assert_eq!(some.svg.matches(">layer ").count(), 1);
    assert!(some.text.contains("\n    4    7 ") && !some.text.contains("\n    3    7 "), "{}", some.text);
}

#[test]
fn a_picture_holds_any_text_as_text() {
    let text = Some("\"<b>\" & a\tb".into());
    let arguments = Heads { model: Some(stories()), text, layer: Some(0), head: Some(1), ..Heads::default() };
    let svg = heads(&arguments).expect("a page").svg;
    assert!(svg.contains(">&lt;<") && svg.contains("&amp;") && svg.contains("\\t"), "{svg}");
    assert!(!svg.contains(['\t', '\0']) && !svg.contains("& "));
}

#[test]
fn the_same_bytes_come_out_every_time_and_pictures_are_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("a UTF-8 path");
    let printed = |arguments: &[&str]| {
        let output = explain(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let all = printed(&["--out", out]);
    for lesson in ["stream", "mix", "heads"] {
        let file = folder.path().join(format!("{lesson}-again.svg"));
        let again = printed(&[lesson, "--svg", file.to_str().expect("a UTF-8 path")]);
        assert!(all.contains(&again), "{lesson}");
        let [first, second] = [folder.path().join(format!("{lesson}.svg")), file].map(std::fs::read);
        assert_eq!(first.expect("a picture"), second.expect("a picture"), "{lesson}");
    }
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = |name: &str, words: &[u32]| {
        let file = folder.path().join(name);
        write_file(&file, thumbformer::image::bytes(words), &[]).expect("the folder is writable");
        file.to_str().expect("a UTF-8 path").to_string()
    };
    let golden = Checkpoint::load(&root().join("tests/golden/llama/checkpoint"), None).expect("a golden checkpoint");
    let words = convert(&golden, Settings::default(), &mut |_| ()).expect("an image");
    let (mute, blocks) = (image("mute.tbf", &words), image("blocks.tbf", &network(Place::Post, true).0));
    let long = "a long story ".repeat(400);
    let table: [(&[&str], &[&str]); 18] = [
        (&["heads", "--layer", "5"], &["stories.tbf", "--layer 5", "0 to 4"]),
        (&["heads", "--head", "8"], &["stories.tbf", "--head 8", "0 to 7"]),
        (&["heads", "--token", "29"], &["--token 29", "0 to 28"]),
        (&["heads", "--token", "zebra"], &["--token \"zebra\"", "▁The", "0 to 28"]),
        (&["mix", "--layer", "5"], &["--layer 5", "0 to 4"]),
        (&["mix", "--token", "zebra"], &["--token \"zebra\""]),
        (&["stream", "--layer", "12"], &["--layer 12", "0 to 11"]),
        (&["heads", "--text", ""], &["--text is empty"]),
        (&["mix", "--text", " \n"], &["--text is empty"]),
        (&["heads", "--text", &long], &["--text has", "512", "shorter"]),
        (&["heads", "--model", &mute], &["mute.tbf", "tokenizer"]),
        (&["heads", "--model", &blocks, "--text", "a dog"], &["blocks.tbf", "reads streams", "--text"]),
        (&["mix", "--model", &blocks, "--layer", "3"], &["blocks.tbf", "--layer 3", "0 to 2"]),
        (&["stream", "--model", &blocks, "--text", "a dog"], &["blocks.tbf", "reads streams"]),
        (&["stream", "--model", "no/such.tbf"], &["no/such.tbf", "cannot be read"]),
        (&["mix", "--model", "Cargo.toml"], &["Cargo.toml"]),
        (&["heads", "--svg", "no/such/folder.svg"], &["no/such/folder.svg", "cannot be written"]),
        (&["--out", "no/such"], &["no/such", "cannot be written"]),
    ];
    for (arguments, words) in table {
        let output = explain(arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        assert!(message.starts_with("error: ") && !message.contains("panicked"), "{arguments:?}: {message}");
        for word in words {
            assert!(message.contains(word), "{arguments:?}: expected {word:?} in {message}");
        }
    }
    for arguments in [&["stream", "--text", "a dog"][..], &["stream", "--head", "1"], &["heads", "--layer", "-1"]] {
        assert_eq!(explain(arguments).status.code(), Some(2), "{arguments:?}: clap refuses it");
    }
    for lesson in ["stream", "mix", "heads"] {
        assert_eq!(explain(&[lesson, "--model", &blocks]).status.code(), Some(0), "{lesson} of a model of streams");
    }
}
