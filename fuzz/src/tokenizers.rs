//! Tokenizers: files of every kind beside a tiny model, and texts through the image's tables.
//!
//! An input is a text, a byte of all ones, then the changes or bytes of the file.

use crate::checkpoints::golden_gguf;
use crate::model::{Given, used};
use crate::script::{change, choice, patched};
use crate::{golden, golden_json, in_folder};
use serde_json::Value;
use std::path::Path;
use std::sync::LazyLock;
use thumbformer::Model;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::convert::{Settings, convert};

/// The kinds of `tokenizer.json`.
static FILES: LazyLock<[Value; 6]> = LazyLock::new(|| {
    ["byte_level", "llama2", "metaspace", "metaspace_split", "metaspace_split_later", "replace"]
        .map(|name| golden_json(&format!("tokenizers/{name}/tokenizer.json")))
});

/// A text and the rest behind it.
fn split(data: &[u8]) -> (String, &[u8]) {
    let end = data.iter().position(|&byte| byte == 0xff).unwrap_or(0);
    (String::from_utf8_lossy(&data[..end]).into_owned(), data.get(end + 1..).unwrap_or_default())
}

/// Loads a model with a tokenizer, and sends a text through it.
fn through(model: &Path, tokenizer: Option<&Path>, text: &str) {
    let Ok(checkpoint) = Checkpoint::load(model, tokenizer) else { return };
    let Ok(words) = convert(&checkpoint, Settings::default(), &mut |_| ()) else { return };
    let model = Model::parse(&words).expect("an image of an accepted checkpoint");
    assert_eq!(model.tokenizer().is_some(), checkpoint.tokenizer.is_some());
    used(&model, &Given { tokens: &[0, 1, 300, 65_535], frames: &[], text, samples: &[] });
}

/// A llama2.c model of two numbers and so many tokens, with weights of 0.
fn tiny(folder: &Path, vocab: usize) -> std::path::PathBuf {
    let path = folder.join("tiny.bin");
    let sizes = [2, 1, 1, 1, 1, vocab as i32, 8];
    let floats = vocab * 2 + 2 + 4 * 4 + 2 + 3 * 2 + 2 + 8 * 2;
    let bytes = sizes.iter().flat_map(|size| size.to_le_bytes()).chain(std::iter::repeat_n(0, 4 * floats));
    std::fs::write(&path, bytes.collect::<Vec<u8>>()).expect("a model");
    path
}

/// A `tokenizer.json` with lines of changes; `vocab=401` changes the model's vocabulary.
pub fn json(data: &[u8]) {
    let (text, changes) = split(data);
    let (kind, changes) = choice(changes, FILES.len());
    let mut file = FILES[kind].clone();
    let mut vocab = file["model"]["vocab"].as_object().map_or(0, serde_json::Map::len);
    for line in String::from_utf8_lossy(changes).lines() {
        match line.strip_prefix("vocab=") {
            Some(count) => vocab = count.parse().unwrap_or(vocab).clamp(1, 1000),
            None => change(&mut file, line),
        }
    }
    in_folder(|folder| {
        let path = folder.join("tokenizer.json");
        std::fs::write(&path, file.to_string()).expect("a tokenizer");
        through(&tiny(folder, vocab), Some(&path), &text);
        // The model of another target finds no tokenizer beside it.
        std::fs::remove_file(path).expect("the tokenizer");
    });
}

/// llama2.c's `tokenizer.bin`, the golden one with changes, for a vocabulary of as many tokens.
pub fn llama2c(data: &[u8]) {
    static GOLDEN: LazyLock<Vec<u8>> =
        LazyLock::new(|| std::fs::read(golden("llama2c_tokenizer/tokenizer.bin")).expect("a golden file"));
    let (text, records) = split(data);
    let bytes = patched(&GOLDEN, records);
    let mut rest = bytes.get(4..).unwrap_or_default();
    let mut vocab = 0;
    while let Some(([_, _, _, _, length @ ..], later)) = rest.split_first_chunk::<8>() {
        vocab += 1;
        rest = later.get(u32::from_le_bytes(*length) as usize..).unwrap_or_default();
    }
    in_folder(|folder| {
        let path = folder.join("tokenizer.changed");
        std::fs::write(&path, bytes).expect("a tokenizer");
        through(&tiny(folder, vocab.max(1)), Some(&path), &text);
    });
}

/// The tokenizer of a GGUF file, a golden one with changes.
pub fn gguf(data: &[u8]) {
    static FILES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| ["specials", "tokenizer"].map(golden_gguf));
    let (text, changes) = split(data);
    let (kind, records) = choice(changes, FILES.len());
    in_folder(|folder| {
        let path = folder.join("tokenizer.gguf");
        std::fs::write(&path, patched(&FILES[kind], records)).expect("a file");
        through(&path, None, &text);
    });
}
