//! Tokenizers of every kind give the ids of the `tokenizers` library (`tests/golden/rule_files.py`): on a chip, which has no heap, and for
//! long texts.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use thumbformer::state::HostState;
use thumbformer::text::{Tokenizer, argmax};
use thumbformer::{Error, Model};
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::convert::{Settings, convert};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tokenizers/rules")
}

fn read(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(golden().join(name)).expect("a golden file")).expect("JSON")
}

/// The image of a decoder of small numbers with a tokenizer of up to 512 tokens.
fn image(folder: &Path, tokenizer: &Path) -> Vec<u32> {
    let vocab: i32 = 512;
    let sizes = [8, 8, 1, 2, 2, vocab, 16];
    let floats = vocab as usize * 8 + (2 * 8 + 4 * 64 + 3 * 64) + 8 + 16 * 4;
    let mut file: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    file.extend((0..floats).flat_map(|i| ((i * i % 251) as f32 / 250.0 - 0.5).to_le_bytes()));
    let path = folder.join("model.bin");
    std::fs::write(&path, file).expect("the folder is writable");
    let checkpoint = Checkpoint::load(&path, Some(tokenizer)).unwrap_or_else(|error| panic!("{error}"));
    convert(&checkpoint, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// A megabyte of text, as the script makes it: stories, and the texts in any order.
fn long_text(texts: &[String], bytes: usize) -> String {
    let stories = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories/held_out.txt");
    let stories = std::fs::read_to_string(stories).expect("the stories");
    assert!(stories.is_ascii(), "places are bytes");
    let (mut long, mut state) = (String::new(), 7_u64);
    while long.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = (state >> 33) as usize;
        let place = number % (stories.len() - 2000);
        long += texts.get(number % (2 * texts.len())).map_or(&stories[place..place + 1500], String::as_str);
        long.push('\n');
    }
    long
}

#[test]
fn every_kind_of_tokenizer_gives_the_ids_of_its_library() {
    let folder = tempfile::tempdir().expect("a folder");
    let (texts, ids) = (read("texts.json"), read("ids.json"));
    let texts: Vec<String> = serde_json::from_value(texts).expect("texts");
    assert!(texts.len() >= 200);
    let mut wrong = Vec::new();
    for (kind, given) in ids.as_object().expect("kinds") {
        let words = image(folder.path(), &golden().join(kind).join("tokenizer.json"));
        let model = Model::parse(&words).expect("an image");
        let tokenizer = model.tokenizer().expect("a tokenizer");
        let (mut out, mut too_long) = ([0; 512], 0);
        for (index, (text, ids)) in texts.iter().zip(given["texts"].as_array().expect("ids")).enumerate() {
            match tokenizer.encode(text, false, &mut out) {
                Ok(length) if json!(out[..length]) == *ids => {}
                // Memory for longer pieces is on a host only.
                Err(Error::PieceTooLong { max: 64 }) if kind.starts_with("unigram") => too_long += 1,
                found => {
                    wrong.push(format!("{kind}: {text:?}: {:?}, expected {ids}", found.map(|length| &out[..length])))
                }
            }
            let ids = given["named"].get(index.to_string()).unwrap_or(ids);
            let found = tokenizer.encode_long(text).map(|ids| inner(&tokenizer, ids));
            if !found.as_ref().is_ok_and(|found| json!(found) == *ids) {
                wrong.push(format!("{kind}: {text:?} with names: {found:?}, expected {ids}"));
            }
        }
        assert!(too_long < texts.len() / 4, "{kind}: {too_long} texts try nothing");
    }
    assert!(wrong.is_empty(), "{} texts:\n{}", wrong.len(), wrong.join("\n"));
}

/// Tokens without those that are put around a text.
fn inner(tokenizer: &Tokenizer<'_>, mut ids: Vec<u16>) -> Vec<u16> {
    let around = tokenizer.encode_long("").expect("nothing");
    let before = usize::from(tokenizer.bos().is_some());
    ids.truncate(ids.len() - (around.len() - before));
    ids.split_off(before)
}

#[test]
fn every_kind_of_tokenizer_gives_the_ids_of_its_library_for_a_megabyte() {
    let folder = tempfile::tempdir().expect("a folder");
    let (texts, ids) = (read("texts.json"), read("ids.json"));
    let long = long_text(&serde_json::from_value::<Vec<String>>(texts).expect("texts"), 1 << 20);
    for (kind, given) in ids.as_object().expect("kinds") {
        let words = image(folder.path(), &golden().join(kind).join("tokenizer.json"));
        let model = Model::parse(&words).expect("an image");
        let tokenizer = model.tokenizer().expect("a tokenizer");
        let found = inner(&tokenizer, tokenizer.encode_long(&long).expect("encodes"));
        let bytes: Vec<u8> = found.iter().flat_map(|id| id.to_le_bytes()).collect();
        assert_eq!(json!({"count": found.len(), "crc32": crc32(&bytes)}), given["long"], "{kind}");
    }
}

#[test]
fn a_bert_classifies_texts_as_transformers_does_from_the_text_to_the_label() {
    let folder = golden().join("../classifier");
    let checkpoint = Checkpoint::load(&folder, None).unwrap_or_else(|error| panic!("{error}"));
    let words = convert(&checkpoint, Settings::default(), &mut |_| ()).expect("an image");
    let model = Model::parse(&words).expect("an image");
    let tokenizer = model.tokenizer().expect("a tokenizer");
    let mut state = HostState::with_batch(model.dims(), model.dims().max_seq, 4);
    let mut session = model.session(state.memory());
    let rows = read("../classifier/texts.json");
    let (mut labels, mut wrong, mut signal, mut noise) = (BTreeSet::new(), Vec::new(), 0.0, 0.0);
    for row in rows.as_array().expect("rows") {
        let text = row["text"].as_str().expect("a text");
        let mut tokens = [0; 48];
        let length = tokenizer.encode(text, true, &mut tokens).expect("room");
        assert_eq!(json!(tokens[..length]), row["ids"], "{text:?}");
        let logits: Vec<f32> = serde_json::from_value(row["logits"].clone()).expect("numbers");
        let found = &*session.infer(&tokens[..length]).expect("tokens");
        let label = argmax(&logits);
        labels.insert(label);
        noise += logits.iter().zip(found).map(|(a, b)| (*a - *b).powi(2)).sum::<f32>();
        signal += logits.iter().map(|a| a * a).sum::<f32>();
        if argmax(found) != label {
            wrong.push(format!("{text:?}: {found:?}, expected {logits:?}"));
        }
    }
    assert!(wrong.is_empty() && labels.len() == 3, "{wrong:#?}");
    let decibels = 10.0 * (signal / noise).log10();
    assert!(decibels > 20.0, "{decibels} dB");
}

#[test]
fn a_text_that_its_normalizer_makes_longer_is_encoded_as_a_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = read("gpt2/tokenizer.json");
    file["normalizer"] = json!({"type": "Replace", "pattern": {"String": "x"}, "content": "\u{e9}".repeat(100)});
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, file.to_string()).expect("the folder is writable");
    let words = image(folder.path(), &path);
    let model = Model::parse(&words).expect("an image");
    let tokenizer = model.tokenizer().expect("a tokenizer");
    let written = tokenizer.encode_long(&"\u{e9}".repeat(300)).expect("any length");
    assert_eq!(tokenizer.encode_long("xxx").expect("any length"), written);
}

/// CRC-32 as in zlib.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (0..8).fold(crc, |crc, _| crc >> 1 ^ 0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(u32::MAX, |crc, &byte| step(crc ^ u32::from(byte)))
}
