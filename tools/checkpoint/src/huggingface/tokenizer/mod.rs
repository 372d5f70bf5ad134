//! Importer of a `tokenizer.json` of the `tokenizers` library, which becomes tables.
//!
//! ```text
//! model          BPE: merges                     WordPiece, WordLevel, Unigram: texts of tokens    tables, words
//! normalizer     character by character  ──► rules: classes and mapped characters                  normalizer, rules
//! pre-tokenizer  cuts by class, a known pattern, Metaspace  ──► rules: groups, pattern             pipeline, rules
//! ```
//! Two byte-pair families need no rules, and firmware reads them without the feature `tokenizers`:
//! - *byte level*: a `ByteLevel` pre-tokenizer with `use_regex = false`;
//! - *characters with byte fallback*, as Llama has it: spaces become U+2581 (by the normalizer `Replace`, perhaps
//!   `Prepend`, or by the pre-tokenizer `Metaspace`), and characters without a token become `<0xNN>` tokens.
//!
//! A step that is not known is refused by name, since it would change the ids of some text.
//!
//! Added tokens are cut out of a text as the library does it. One difference is deliberate: special tokens such as `</s>` are found in a
//! text only where a prompt's author asks for it, as with the library's `encode_special_tokens`, so that a user's input cannot
//! smuggle one in. The post-processor says what is put around a text; transformers 5 reads neither `add_bos_token` nor `add_eos_token` of
//! `tokenizer_config.json` beside a `tokenizer.json`.

pub(crate) mod added;
mod around;
mod characters;
mod normalizer;
mod pipeline;
mod rules;
mod tables;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Tokenizer};

/// U+2581, SentencePiece's mark for a space.
const SPACE_MARK: char = '\u{2581}';

/// Next step after a tokenizer that the tables cannot reproduce.
const OTHER_STEP: &str = "train tokenizer and model with a step that docs/importers.md names";

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    added_tokens: Vec<Added>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    vocab: Value,
    #[serde(default)]
    merges: Vec<RawMerge>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    unk_token: Option<String>,
    unk_id: Option<u32>,
    #[serde(default)]
    fuse_unk: bool,
    max_input_chars_per_word: Option<u32>,
}

/// A merge: `"a b"` in older files, `["a", "b"]` in newer ones.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawMerge {
    Joined(String),
    Pair(String, String),
}

/// The tables of a `tokenizer.json`, for a model with `vocab` token ids; `notes` has what the user should know.
pub(crate) fn load(path: &Path, vocab: usize, notes: &mut Vec<String>) -> Result<Tokenizer, Error> {
    let text = crate::files::read_json(path)?;
    let value: Value = serde_json::from_str(&text).map_err(|source| Error::Json { path: path.into(), source })?;
    let fail = Failure { path };
    let raw: Raw = serde_json::from_value(value).map_err(|source| Error::Json { path: path.into(), source })?;
    let kind = kind(&fail, &raw.model)?;
    let ids = ids(&fail, &raw.model, kind)?;
    let normalizer = normalizer::read(&fail, raw.normalizer.as_ref())?;
    let pipeline = pipeline::read(&fail, raw.pre_tokenizer.as_ref())?;
    let added = added::read(&fail, &raw, &ids, notes)?;
    let around = around::read(&fail, &raw, vocab)?;
    let mut tokenizer =
        Tokenizer { added, before: around.before, after: around.after, ..tables::empty(&fail, &raw, &ids, vocab)? };
    match kind {
        None => tables::fill(&fail, &raw, &ids, &normalizer, &pipeline, &mut tokenizer)?,
        Some(kind) => words::fill(&fail, &raw, kind, &ids, &normalizer, &pipeline, &mut tokenizer)?,
    }
    Ok(tokenizer)
}

/// Source of the errors of one file.
struct Failure<'a> {
    path: &'a Path,
}

impl Failure<'_> {
    fn with(&self, what: impl Into<String>, next: &str) -> Error {
        Error::Tokenizer { path: self.path.into(), what: what.into(), next: next.into() }
    }
}

/// The kind of the model; `None` for BPE. Older files leave it out.
fn kind(fail: &Failure<'_>, model: &Model) -> Result<Option<words::Kind>, Error> {
    match model.kind.as_deref() {
        Some("BPE") => Ok(None),
        None if !model.merges.is_empty() => Ok(None),
        Some("WordPiece") => Ok(Some(words::Kind::WordPiece)),
        Some("WordLevel") => Ok(Some(words::Kind::WordLevel)),
        Some("Unigram") => Ok(Some(words::Kind::Unigram)),
        kind => {
            let what = format!(
                "the tokenizer's model is {}, expected BPE, WordPiece, WordLevel or Unigram",
                kind.unwrap_or("not named")
            );
            Err(fail.with(what, OTHER_STEP))
        }
    }
}

/// The vocabulary by text: a map to ids, or Unigram's list of texts and scores.
fn ids(fail: &Failure<'_>, model: &Model, kind: Option<words::Kind>) -> Result<HashMap<String, u32>, Error> {
    if kind == Some(words::Kind::Unigram) {
        let entries: Vec<(String, f64)> = serde_json::from_value(model.vocab.clone()).map_err(|_| {
            fail.with("the vocabulary is not a list of texts and scores, as Unigram has it", OTHER_STEP)
        })?;
        let ids: HashMap<String, u32> =
            entries.iter().enumerate().map(|(id, (text, _))| (text.clone(), id as u32)).collect();
        return match ids.len() == entries.len() {
            true => Ok(ids),
            false => Err(fail.with("the vocabulary has a text twice", "save the tokenizer again")),
        };
    }
    serde_json::from_value(model.vocab.clone())
        .map_err(|_| fail.with("the vocabulary is not a map from text to id", "save the tokenizer again"))
}
