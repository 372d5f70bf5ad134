//! The tables against the ids of the `tokenizers` library (`tests/golden/tokenizers`): vocabularies of all kinds, and the default model's.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::tokenizer::plain;
use crate::{Error, Tokenizer, TokenizerKind};

fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

fn golden(name: &str) -> PathBuf {
    repository("tests/golden/tokenizers").join(name)
}

fn load(path: &Path, vocab: usize) -> Result<Tokenizer, Error> {
    super::load(path, vocab, &mut Vec::new())
}

/// A tokenizer of the library.
fn tables(kind: &str) -> Tokenizer {
    let path = golden(kind).join("tokenizer.json");
    let tables = load(&path, 512).unwrap_or_else(|error| panic!("{error}"));
    assert!(tables.merges.len() > 20, "{kind}: {} merges try nothing", tables.merges.len());
    assert_eq!(tables.pieces.len(), 512, "padded to the model's vocabulary");
    tables
}

/// A text and the library's ids.
#[derive(Deserialize)]
struct Encoding {
    text: String,
    ids: Vec<u32>,
}

/// Every text must have the library's ids, and print itself again.
fn compare(tables: &Tokenizer, encodings: &str) {
    #[derive(Deserialize)]
    struct File {
        encodings: Vec<Encoding>,
    }
    let file: File = serde_json::from_str(&std::fs::read_to_string(golden(encodings)).unwrap()).unwrap();
    assert!(file.encodings.len() > 100, "{encodings}: {} texts try nothing", file.encodings.len());
    let mut wrong = Vec::new();
    for Encoding { text, ids } in file.encodings {
        let found = plain::encode(tables, &text);
        if found != ids {
            wrong.push(format!("{text:?}: found {found:?}, expected {ids:?}"));
        }
        let printed: Vec<u8> = found.iter().flat_map(|&id| tables.pieces[id as usize].clone()).collect();
        let prefix = if tables.prefix_space && !text.is_empty() { " " } else { "" };
        let marks_as_spaces = match tables.kind {
            TokenizerKind::Characters => text.replace('\u{2581}', " "),
            TokenizerKind::ByteLevel => text.clone(),
        };
        assert_eq!(String::from_utf8_lossy(&printed), format!("{prefix}{marks_as_spaces}"));
    }
    assert!(wrong.is_empty(), "{encodings}: {} texts differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_tables_give_the_library_s_ids_for_every_accepted_kind() {
    for kind in ["byte_level", "llama2", "replace", "metaspace", "metaspace_split", "metaspace_split_later"] {
        compare(&tables(kind), &format!("{kind}/encodings.json"));
    }
}

#[test]
fn merges_across_spaces_are_left_out_where_the_library_cuts_there() {
    let (whole, split) = (tables("metaspace"), tables("metaspace_split_later"));
    assert!(split.merges.len() < whole.merges.len(), "this vocabulary has merges across spaces");
    let text = "the cat sat on the mat and the cat ran";
    assert_ne!(plain::encode(&split, text), plain::encode(&whole, text));
}

#[test]
fn both_spellings_of_merges_are_read() {
    let pairs = tables("byte_level");
    let mut file = sound(TokenizerKind::ByteLevel);
    for merge in file["model"]["merges"].as_array_mut().unwrap() {
        let pair = merge.as_array().expect("the library writes pairs");
        *merge = format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()).into();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, file.to_string()).unwrap();
    assert_eq!(load(&path, 512).unwrap(), pairs);
}

/// A small valid tokenizer of each kind, for a test to spoil.
fn sound(kind: TokenizerKind) -> Value {
    let kind = match kind {
        TokenizerKind::ByteLevel => "byte_level",
        TokenizerKind::Characters => "metaspace",
    };
    serde_json::from_str(&std::fs::read_to_string(golden(kind).join("tokenizer.json")).unwrap()).unwrap()
}

#[test]
fn whatever_tables_cannot_reproduce_is_refused_by_name() {
    use TokenizerKind::{ByteLevel, Characters};
    let gpt4 = json!({"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}"}, "behavior": "Isolated", "invert": false});
    let bytes = sound(ByteLevel)["pre_tokenizer"].clone();
    let (text, start) =
        (json!({"Sequence": {"id": "A", "type_id": 0}}), json!({"SpecialToken": {"id": "<s>", "type_id": 0}}));
    let around = |single: Value, id: u32| json!({"type": "TemplateProcessing", "single": single, "special_tokens": {"<s>": {"id": "<s>", "ids": [id]}}});
    let both = json!({"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]});
    let user = |flags: Value| {
        let mut token = json!({"id": 400, "content": "<|user|>", "special": false});
        token.as_object_mut().unwrap().extend(flags.as_object().unwrap().clone());
        token
    };
    let cases: [(TokenizerKind, &str, Value, &str); 33] = [
        (ByteLevel, "/pre_tokenizer/use_regex", json!(true), "without Unicode tables"),
        (ByteLevel, "/pre_tokenizer", json!({"type": "Sequence", "pretokenizers": [gpt4, bytes]}), "Split cuts text"),
        (ByteLevel, "/pre_tokenizer", json!({"type": "BertPreTokenizer"}), "BertPreTokenizer"),
        (ByteLevel, "/pre_tokenizer/add_prefix_space", json!(true), "add_prefix_space = true"),
        (ByteLevel, "/normalizer", json!({"type": "NFC"}), "normalizer NFC"),
        (ByteLevel, "/normalizer", json!({"type": "Prepend", "prepend": "▁"}), "normalizer Prepend"),
        (ByteLevel, "/model/type", json!("Unigram"), "Unigram, expected BPE"),
        (ByteLevel, "/model/ignore_merges", json!(true), "ignore_merges"),
        (ByteLevel, "/model/dropout", json!(0.1), "dropout"),
        (ByteLevel, "/model/end_of_word_suffix", json!("</w>"), "end_of_word_suffix"),
        (ByteLevel, "/model/continuing_subword_prefix", json!("##"), "continuing_subword_prefix"),
        (ByteLevel, "/added_tokens/1", user(json!({"lstrip": true})), "lstrip = true"),
        (ByteLevel, "/added_tokens/1", user(json!({"rstrip": true})), "rstrip = true"),
        (ByteLevel, "/added_tokens/1", user(json!({"single_word": true})), "single_word = true"),
        (ByteLevel, "/added_tokens/1", user(json!({"id": 381, "normalized": true, "content": "</s"})), "share text"),
        (Characters, "/added_tokens/1", user(json!({"normalized": true})), "normalized = true beside a normalizer"),
        (ByteLevel, "/added_tokens/1/id", json!(2), "added token 2 `<s>` is token 1"),
        (ByteLevel, "/added_tokens/1", user(json!({"id": 512})), "added token 512 `<|user|>` is token 381"),
        (ByteLevel, "/post_processor", json!({"type": "Magic"}), "post-processor Magic"),
        (ByteLevel, "/post_processor", json!({"type": "BertProcessing"}), "no token ids are found"),
        (ByteLevel, "/post_processor", around(json!([text, text]), 1), "the text 2 times"),
        (ByteLevel, "/post_processor", around(json!([start]), 1), "the text 0 times"),
        (ByteLevel, "/post_processor", around(json!([start, text]), 512), "adds token 512"),
        (ByteLevel, "/post_processor", json!({"type": "Sequence", "processors": [both, both]}), "one after the other"),
        (ByteLevel, "/model/merges/0/0", json!("qqq"), "needs the token `qqq`"),
        (ByteLevel, "/model/merges/0", json!("abc"), "is not two tokens"),
        (ByteLevel, "/model/vocab", json!([["a", 0.5]]), "not a map"),
        (Characters, "/model/byte_fallback", json!(false), "byte_fallback is false"),
        (Characters, "/pre_tokenizer/prepend_scheme", json!("always"), "prepend_scheme = always"),
        (Characters, "/pre_tokenizer/prepend_scheme", json!("first"), "prepend_scheme = first"),
        (Characters, "/pre_tokenizer/replacement", json!("_"), "U+2581"),
        (Characters, "/normalizer", json!({"type": "Lowercase"}), "normalizer Lowercase"),
        (Characters, "/normalizer", json!({"type": "Replace", "pattern": {"Regex": " +"}, "content": "▁"}), "Replace"),
    ];
    let mut wrong = Vec::new();
    for (kind, key, value, expected) in cases {
        let mut file = sound(kind);
        if expected.contains("beside a normalizer") {
            file["normalizer"] = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        }
        // A key that the library leaves out is put in beside its siblings.
        let (parent, name) = key.rsplit_once('/').unwrap();
        match file.pointer_mut(parent).unwrap() {
            Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
            parent => parent[name] = value,
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, file.to_string()).unwrap();
        match load(&path, 512).map_err(|error| error.to_string()) {
            Ok(_) => wrong.push(format!("{key}: was accepted")),
            Err(error) if error.contains(expected) && error.contains("tokenizer.json") => {}
            Err(error) => wrong.push(format!("{key}: `{expected}` is not in `{error}`")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_vocabulary_that_lacks_a_byte_is_refused() {
    for (kind, piece, expected) in
        [(TokenizerKind::ByteLevel, "Ċ", "byte 0x0A"), (TokenizerKind::Characters, "<0x0A>", "`<0x0A>`")]
    {
        let mut file = sound(kind);
        file["model"]["vocab"].as_object_mut().unwrap().remove(piece).expect(piece);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, file.to_string()).unwrap();
        let error = load(&path, 512).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_default_model_s_tables_give_the_library_s_ids() {
    let path = repository("models/stories/checkpoint/tokenizer.json");
    let tables = load(&path, 512).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((tables.kind, tables.prefix_space), (TokenizerKind::Characters, true));
    compare(&tables, "stories.json");
}

/// A tokenizer of the library with other values of some keys.
fn changed(changes: &Value) -> Tokenizer {
    let mut file = sound(TokenizerKind::ByteLevel);
    for (key, value) in changes.as_object().unwrap() {
        match (&mut file[key], value) {
            (Value::Array(all), Value::Array(more)) => all.extend(more.clone()),
            (old, new) => *old = new.clone(),
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, file.to_string()).unwrap();
    load(&path, 512).unwrap_or_else(|error| panic!("{changes}: {error}"))
}

fn specials() -> Value {
    serde_json::from_str(&std::fs::read_to_string(golden("specials.json")).unwrap()).unwrap()
}

#[test]
fn tokens_around_a_text_are_those_that_the_library_and_transformers_put_there() {
    let cases = specials();
    let cases = cases["cases"].as_array().unwrap();
    assert!(cases.len() > 8, "{} cases try nothing", cases.len());
    for case in cases {
        let tables = changed(&json!({"post_processor": case["post_processor"]}));
        for encoding in case["encodings"].as_array().unwrap() {
            let text = plain::encode(&tables, encoding["text"].as_str().unwrap());
            let found = [tables.before.clone(), text, tables.after.clone()].concat();
            assert_eq!(json!(found), encoding["ids"], "{}", case["name"]);
        }
    }
}

#[test]
fn added_tokens_are_cut_out_of_a_text_as_the_library_does_it() {
    let file = specials();
    let tables = changed(&json!({"added_tokens": file["added_tokens"]}));
    let encodings = file["encodings"].as_array().unwrap();
    assert!(encodings.len() > 8, "{} texts try nothing", encodings.len());
    for encoding in encodings {
        let text = encoding["text"].as_str().unwrap();
        assert_eq!(json!(plain::encode_named(&tables, text, true)), encoding["special"], "{text:?}");
        assert_eq!(json!(plain::encode(&tables, text)), encoding["plain"], "{text:?}");
    }
    let id = |index: usize| file["added_tokens"][index]["id"].as_u64().unwrap() as usize;
    assert_eq!((&tables.pieces[id(0)][..], &tables.pieces[id(1)][..]), (&b"<|user|>"[..], &b""[..]), "what they print");
}

/// As decoded by tokenizers 0.23.3 with the decoders `ByteLevel` and `Metaspace`; names that are not in the alphabet stay.
#[test]
fn an_added_token_prints_what_the_library_s_decoder_makes_of_its_name() {
    use TokenizerKind::{ByteLevel, Characters};
    for (kind, name, printed) in [
        (ByteLevel, "<|u|>", &b"<|u|>"[..]),
        (ByteLevel, "\u{120}zq", b" zq"),
        (ByteLevel, "<|é|>", b"<|\xe9|>"),
        (ByteLevel, "日é", "日é".as_bytes()),
        (Characters, "▁zq▁x", b" zq x"),
    ] {
        let mut file = sound(kind);
        let last = file["model"]["vocab"].as_object().unwrap().len();
        file["added_tokens"] = json!([{"id": last, "content": name}]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, file.to_string()).unwrap();
        assert_eq!(load(&path, 512).unwrap().pieces[last], printed, "{name}");
    }
}

#[test]
fn a_special_token_that_takes_spaces_with_it_keeps_its_name_as_plain_text_and_a_note_says_so() {
    let mut file = sound(TokenizerKind::ByteLevel);
    file["added_tokens"][1]["lstrip"] = true.into();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, file.to_string()).unwrap();
    let mut notes = Vec::new();
    let tables = super::load(&path, 512, &mut notes).unwrap();
    assert!(notes.len() == 1 && notes[0].contains("special token 1 `<s>` has lstrip = true"), "{notes:?}");
    assert!(!plain::encode_named(&tables, "<s>", true).contains(&1));
}
