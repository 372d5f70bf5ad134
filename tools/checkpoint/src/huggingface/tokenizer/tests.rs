//! The tables against the ids of the `tokenizers` library (`tests/golden/tokenizers`): vocabularies of all kinds, and the default model's.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::load;
use crate::tokenizer::plain;
use crate::{Tokenizer, TokenizerKind};

fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

fn golden(name: &str) -> PathBuf {
    repository("tests/golden/tokenizers").join(name)
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
    let cases: [(TokenizerKind, &str, Value, &str); 22] = [
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
        (ByteLevel, "/added_tokens/1/special", json!(false), "`<s>` is not special"),
        (ByteLevel, "/added_tokens/1/id", json!(512), "token id 512, but the model's vocab_size is 512"),
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
