//! The tables against the `tokenizers` library: vocabularies of both kinds, trained here, and the default model's.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::{AddedToken, TokenizerImpl};

use super::load;
use crate::tokenizer::plain;
use crate::{Tokenizer, TokenizerKind};

/// Texts that a person or a fuzzer might type.
const TEXTS: [&str; 30] = [
    "",
    " ",
    "  ",
    "   three leading spaces",
    "trailing space ",
    "Once upon a time, there was a little girl named Lily.",
    "the the the cat sat on the mat and the cat ran",
    "double  and   triple    spaces",
    "She said, \"It's Tom's ball!\" and didn't stop.",
    "line\nline\n\nparagraph\n",
    "\n",
    "\r\n\ttabs\tand\r\nreturns",
    "naïve café façade über Ærøskøbing",
    "e\u{301} combining, \u{212B} angstrom, ﬁ ligature",
    "日本語のテキスト",
    "Привет, мир",
    "שלום עולם",
    "😀 👨‍👩‍👧 🇩🇪 🏳️‍🌈",
    "zero\u{200B}width\u{FEFF}",
    "a\u{2581}mark \u{2581} and \u{2581}\u{2581}",
    "<0x41> <s> </s> <unk>",
    "<0x0A>",
    "\u{0}\u{1}\u{7F}\u{80}\u{FFFF}\u{10FFFF}",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "1234567890 3.14159 -42",
    "ALL CAPS AND MiXeD",
    "don't won't I'll you're we've",
    "!!!???...,,,;;;",
    "the\u{A0}no-break\u{3000}ideographic space",
    "mat\u{0}mat the mat sat",
];

const CORPUS: &str = "Once upon a time there was a little cat. The cat sat on the mat. The mat was red and the cat was \
    happy. \"Hello,\" said the cat.  Then the cat ran to the café and said it again and again. naïve über";

/// A pre-tokenizer or normalizer of the library, from its JSON.
fn part<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).expect("the library knows it")
}

/// Trains a tokenizer with these steps on the little corpus and saves it as the library does.
fn train(folder: &Path, normalizer: &Value, pre_tokenizer: &Value, byte_fallback: bool) -> PathBuf {
    let mut special: Vec<AddedToken> =
        ["<unk>", "<s>", "</s>"].map(|text| AddedToken::from(text.to_string(), true)).into();
    let bytes = (0..=255u8).map(|byte| format!("<0x{byte:02X}>"));
    if byte_fallback {
        special.extend(bytes.map(|text| AddedToken::from(text, true)));
    }
    let mut trainer = BpeTrainer::builder().vocab_size(400).show_progress(false).special_tokens(special);
    if !byte_fallback {
        trainer = trainer
            .initial_alphabet(tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect());
    }
    let model = BPE::builder().byte_fallback(byte_fallback).build().unwrap();
    type Steps = TokenizerImpl<
        BPE,
        tokenizers::NormalizerWrapper,
        tokenizers::PreTokenizerWrapper,
        tokenizers::PostProcessorWrapper,
        tokenizers::DecoderWrapper,
    >;
    let mut tokenizer = Steps::new(model);
    tokenizer.with_normalizer(part::<tokenizers::NormalizerWrapper>(normalizer)).unwrap();
    tokenizer.with_pre_tokenizer(part::<tokenizers::PreTokenizerWrapper>(pre_tokenizer));
    tokenizer.train(&mut trainer.build(), std::iter::once(CORPUS)).unwrap();
    let path = folder.join("tokenizer.json");
    tokenizer.save(&path, true).unwrap();
    path
}

/// Every text must have the library's ids, and print itself again.
fn compare(path: &Path, tables: &Tokenizer, texts: &[&str]) {
    let mut library = tokenizers::Tokenizer::from_file(path).unwrap();
    library.set_encode_special_tokens(true);
    let mut wrong = Vec::new();
    for text in texts {
        let expected = library.encode(*text, false).unwrap().get_ids().to_vec();
        let found = plain::encode(tables, text);
        if found != expected {
            wrong.push(format!("{text:?}: found {found:?}, expected {expected:?}"));
        }
        let printed: Vec<u8> = found.iter().flat_map(|&id| tables.pieces[id as usize].clone()).collect();
        let prefix = if tables.prefix_space && !text.is_empty() { " " } else { "" };
        let marks_as_spaces = match tables.kind {
            TokenizerKind::Characters => text.replace('\u{2581}', " "),
            TokenizerKind::ByteLevel => text.to_string(),
        };
        assert_eq!(String::from_utf8_lossy(&printed), format!("{prefix}{marks_as_spaces}"));
    }
    assert!(wrong.is_empty(), "{} texts differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_tables_give_the_library_s_ids_for_every_accepted_kind() {
    let prepend = json!({"type": "Prepend", "prepend": "▁"});
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let sequence = json!({"type": "Sequence", "normalizers": [prepend, replace]});
    let metaspace =
        |split: bool| json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": split});
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let none = Value::Null;
    let cases = [
        ("byte level", &none, &byte_level, false),
        ("Llama 2: Prepend and Replace", &sequence, &none, true),
        ("Replace alone", &replace, &none, true),
        ("Metaspace in one piece", &none, &metaspace(false), true),
        ("Metaspace split at spaces", &none, &metaspace(true), true),
    ];
    for (case, normalizer, pre_tokenizer, byte_fallback) in cases {
        println!("{case}");
        let folder = tempfile::tempdir().unwrap();
        let path = train(folder.path(), normalizer, pre_tokenizer, byte_fallback);
        let tables = load(&path, 512).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(tables.merges.len() > 20, "{case}: {} merges try nothing", tables.merges.len());
        assert_eq!(tables.pieces.len(), 512, "padded to the model's vocabulary");
        compare(&path, &tables, &TEXTS);
        compare(&path, &tables, &[CORPUS]);
        let random = random_texts(300);
        compare(&path, &tables, &random.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// Short words of the corpus and awkward characters in random order, the same on every run.
fn random_texts(count: usize) -> Vec<String> {
    let parts =
        ["the", "a", " ", " ", "  ", "cat", "t", "h", "e", "and ", "\n", "é", "▁", "😀", "on", "said", ".", "\""];
    let mut state = 1u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    let mut text = |_| {
        let length = next(25);
        (0..length).map(|_| parts[next(parts.len())]).collect()
    };
    (0..count).map(&mut text).collect()
}

#[test]
fn merges_across_spaces_are_left_out_where_the_library_cuts_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let mut file = sound(TokenizerKind::Characters);
    std::fs::write(&path, file.to_string()).unwrap();
    let whole = load(&path, 512).unwrap();
    file["pre_tokenizer"]["split"] = true.into();
    std::fs::write(&path, file.to_string()).unwrap();
    let split = load(&path, 512).unwrap();
    assert!(split.merges.len() < whole.merges.len(), "this vocabulary has merges across spaces");
    compare(&path, &split, &TEXTS);
    assert_ne!(plain::encode(&split, CORPUS), plain::encode(&whole, CORPUS));
}

#[test]
fn both_spellings_of_merges_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let path = train(folder.path(), &Value::Null, &byte_level, false);
    let pairs = load(&path, 512).unwrap();
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    for merge in file["model"]["merges"].as_array_mut().unwrap() {
        let pair = merge.as_array().expect("the library writes pairs");
        *merge = format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()).into();
    }
    std::fs::write(&path, file.to_string()).unwrap();
    assert_eq!(load(&path, 512).unwrap(), pairs);
}

/// A small valid tokenizer of each kind, for a test to spoil.
fn sound(kind: TokenizerKind) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = match kind {
        TokenizerKind::ByteLevel => {
            let step =
                json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
            train(folder.path(), &Value::Null, &step, false)
        }
        TokenizerKind::Characters => {
            let step = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": false});
            train(folder.path(), &Value::Null, &step, true)
        }
    };
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories/checkpoint/tokenizer.json");
    let tables = load(&path, 512).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((tables.kind, tables.prefix_space), (TokenizerKind::Characters, true));
    compare(&path, &tables, &TEXTS);
    compare(&path, &tables, &[CORPUS]);
    let random = random_texts(300);
    compare(&path, &tables, &random.iter().map(String::as_str).collect::<Vec<_>>());
}
