//! Texts and what stands around them, against llama.cpp's own ids (`tests/golden/gguf/specials.json`).

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::tokenizer::plain;
use crate::{Checkpoint, Named, Tokenizer};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/gguf").join(name)
}

/// The golden model with other bytes after some keys and their types.
fn changed(changes: &[(&str, &[u8])]) -> Result<Checkpoint, String> {
    let mut bytes = std::fs::read(golden("specials.gguf")).unwrap();
    for (key, value) in changes {
        let place = bytes.windows(key.len()).position(|window| window == key.as_bytes()).expect(key) + key.len() + 4;
        bytes[place..place + value.len()].copy_from_slice(value);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    Checkpoint::load(&path, None).map_err(|error| error.to_string())
}

fn encode(tokenizer: &Tokenizer, text: &str, special: bool) -> Vec<u32> {
    [tokenizer.before.clone(), plain::encode_named(tokenizer, text, special), tokenizer.after.clone()].concat()
}

#[test]
fn control_and_user_defined_tokens_and_the_tokens_around_a_text_are_llama_cpp_s() {
    let file: Value = serde_json::from_str(&std::fs::read_to_string(golden("specials.json")).unwrap()).unwrap();
    let variants = file["variants"].as_array().unwrap();
    assert_eq!(variants.len(), 4);
    for variant in variants {
        let flag = |key: &str| [u8::from(variant[key].as_bool().unwrap())];
        let (bos, eos) = (flag("add_bos_token"), flag("add_eos_token"));
        let changes = [("tokenizer.ggml.add_bos_token", &bos[..]), ("tokenizer.ggml.add_eos_token", &eos)];
        let tokenizer = changed(&changes).unwrap().tokenizer.unwrap();
        for encoding in variant["encodings"].as_array().unwrap() {
            let text = encoding["text"].as_str().unwrap();
            for (mode, special) in [("special", true), ("plain", false)] {
                assert_eq!(
                    json!(encode(&tokenizer, text, special)),
                    encoding[mode],
                    "{text:?}, {mode}, {bos:?}, {eos:?}"
                );
            }
        }
    }
}

#[test]
fn the_end_of_a_turn_ends_a_text_and_control_tokens_print_nothing() {
    let checkpoint = changed(&[]).unwrap();
    let tokenizer = checkpoint.tokenizer.unwrap();
    let id = |name: &str| tokenizer.added.iter().find(|token| token.name == name).expect(name).id;
    assert_eq!((checkpoint.config.bos, checkpoint.config.eos), (Some(1), vec![2, id("<|eot|>")]));
    let piece = |name: &str| tokenizer.pieces[id(name) as usize].as_slice();
    assert_eq!((piece("<|eot|>"), piece("<|user|>")), (&b""[..], &b"<|user|>"[..]));
    assert_eq!(tokenizer.name(1).as_deref(), Some("<s>"));
}

#[test]
fn absent_keys_have_llama_cpp_s_defaults_and_names_of_ends_count() {
    // The first keys that are not known any more.
    let rename = |key: &'static str| {
        let mut bytes = std::fs::read(golden("specials.gguf")).unwrap();
        let place = bytes.windows(key.len()).position(|window| window == key.as_bytes()).expect(key);
        bytes[place + key.len() - 1] = b'x';
        bytes
    };
    for (key, bos, ends) in [
        ("tokenizer.ggml.bos_token_id", Some(1), 2),
        ("tokenizer.ggml.eos_token_id", Some(1), 2),
        ("tokenizer.ggml.eot_token_id", Some(1), 1),
        ("tokenizer.ggml.token_type", Some(1), 2),
        ("tokenizer.ggml.add_bos_token", Some(1), 2),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        std::fs::write(&path, rename(key)).unwrap();
        let checkpoint = Checkpoint::load(&path, None).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            (checkpoint.config.bos, checkpoint.config.eos[0], checkpoint.config.eos.len()),
            (bos, 2, ends),
            "{key}"
        );
        let tokenizer = checkpoint.tokenizer.unwrap();
        assert_eq!(tokenizer.before, [1], "{key}");
        // By its name a control token, whatever its type.
        assert!(tokenizer.added.iter().any(|token| token.name == "</s>" && token.named == Named::Special), "{key}");
    }
}

#[test]
fn settings_around_a_text_that_cannot_be_obeyed_are_refused_by_name() {
    for key in ["tokenizer.ggml.bos_token_id", "tokenizer.ggml.eot_token_id"] {
        let error = changed(&[(key, &[255, 255, 0, 0])]).expect_err(key);
        assert!(error.contains(key) && error.contains("65535") && error.contains("; "), "{error}");
    }
    // `<unk>` ends as this name begins.
    let mut bytes = std::fs::read(golden("specials.gguf")).unwrap();
    let place = bytes.windows(7).position(|window| window == b"<|eot|>").unwrap();
    bytes[place..place + 2].copy_from_slice(b">:");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    let error = Checkpoint::load(&path, None).unwrap_err().to_string();
    assert!(error.contains("special for `<unk>` and `>:eot|>`, of which one begins as the other ends"), "{error}");
}
