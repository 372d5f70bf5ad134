//! An image's tokenizer gives the ids of the library that made it, of every kind, on a chip and for long texts.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use thumbformer::Model;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_checkpoint::random::Random;
use thumbformer_cli::convert::{Settings, convert};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

/// The image of a decoder of small numbers with a tokenizer.
fn image(folder: &Path, tokenizer: &Path, vocab: usize) -> Vec<u32> {
    let sizes = [8, 8, 1, 2, 2, vocab as i32, 16];
    let floats = vocab * 8 + (2 * 8 + 4 * 64 + 3 * 64) + 8 + 16 * 4;
    let mut file: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    file.extend((0..floats).flat_map(|i| ((i * i % 251) as f32 / 250.0 - 0.5).to_le_bytes()));
    let path = folder.join("model.bin");
    std::fs::write(&path, file).expect("the folder is writable");
    let checkpoint = Checkpoint::load(&path, Some(tokenizer)).unwrap_or_else(|error| panic!("{error}"));
    convert(&checkpoint, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Words, spaces and signs in any order.
fn text(random: &mut Random) -> String {
    let parts = [
        "the", " ", "  ", "cat", "\n", " a", "é", "日本", "s", ".", "\"", " the", "t", "\t", "he said", "😀", "▁", "1",
    ];
    (0..1 + random.next() % 40).map(|_| random.pick(&parts)).collect()
}

/// Texts of a golden file, each with the ids of the tokenizer's own library.
fn encodings(file: &Path) -> Vec<(String, Value)> {
    let file: Value = serde_json::from_str(&std::fs::read_to_string(file).expect("a golden file")).expect("JSON");
    let encodings = file["encodings"].as_array().expect("texts").iter();
    encodings.map(|encoding| (encoding["text"].as_str().expect("a text").into(), encoding["ids"].clone())).collect()
}

#[test]
fn images_encode_texts_word_by_word_or_whole_with_the_ids_of_the_library() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Random::new(5);
    // Some were trained across words, and the last has "é "; of `metaspace_split_later` such merges are left out.
    for (kind, file, vocab, by_words) in [
        ("tokenizers/byte_level", "tokenizer.json", 512, false),
        ("tokenizers/llama2", "tokenizer.json", 512, false),
        ("tokenizers/replace", "tokenizer.json", 512, false),
        ("tokenizers/metaspace", "tokenizer.json", 512, false),
        ("tokenizers/metaspace_split", "tokenizer.json", 512, true),
        ("tokenizers/metaspace_split_later", "tokenizer.json", 512, true),
        ("llama2c_tokenizer", "tokenizer.bin", 315, false),
    ] {
        let words = image(folder.path(), &golden().join(kind).join(file), vocab);
        let model = Model::parse(&words).expect("an image");
        let tokenizer = model.tokenizer().expect("a tokenizer");
        let mut out = [0; 1024];
        for (text, ids) in encodings(&golden().join(kind).join("encodings.json")) {
            let len =
                tokenizer.encode(&text, false, &mut out).unwrap_or_else(|error| panic!("{kind}, {text:?}: {error}"));
            assert_eq!(json!(out[..len]), ids, "{kind}: {text:?}");
        }
        for _ in 0..200 {
            let text = text(&mut random);
            let len = tokenizer.encode_named(&text, true, &mut out).expect("room for every symbol");
            assert_eq!(tokenizer.encode_long(&text).as_deref(), Ok(&out[..len]), "{kind}: {text:?}");
        }
        assert_eq!(tokenizer.encode_long("").expect("nothing").len(), usize::from(tokenizer.bos().is_some()));
        // Only word by word is there room for so many symbols.
        let fits = tokenizer.encode(&" the".repeat(300), false, &mut out);
        assert_eq!(fits.is_ok(), by_words, "{kind}: {fits:?}");
    }
}
