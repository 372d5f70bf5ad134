//! Importer of a `tokenizer.json` of the `tokenizers` library, which becomes tables.
//!
//! Accepted are the two byte-pair families that need no Unicode data on the device:
//! - *byte level*: a `ByteLevel` pre-tokenizer with `use_regex = false`;
//! - *characters with byte fallback*, as Llama has it: spaces become U+2581 (by the normalizer `Replace`, perhaps
//!   `Prepend`, or by the pre-tokenizer `Metaspace`), and characters without a token become `<0xNN>` tokens.
//!
//! Everything else in the pipeline is refused by name, since it would change the ids of some text.
//!
//! Added tokens are cut out of a text as the library does it. One difference is deliberate: special tokens such as `</s>` are found in a
//! text only where a prompt's author asks for it, as with the library's `encode_special_tokens`, so that a user's input cannot
//! smuggle one in. The post-processor says what is put around a text; transformers 5 reads neither `add_bos_token` nor `add_eos_token` of
//! `tokenizer_config.json` beside a `tokenizer.json`.

pub(crate) mod added;
mod around;
mod pipeline;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Tokenizer};

/// U+2581, SentencePiece's mark for a space.
const SPACE_MARK: char = '\u{2581}';

/// Next step after a tokenizer that the tables cannot reproduce: the kinds to train instead.
const RETRAIN: &str = "retrain the tokenizer with the pre-tokenizer ByteLevel(add_prefix_space=False, use_regex=False)";

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
    if let Some(kind) = value.pointer("/model/type").and_then(Value::as_str).filter(|kind| *kind != "BPE") {
        return Err(fail.with(format!("the tokenizer's model is {kind}, expected BPE"), RETRAIN));
    }
    let raw: Raw = serde_json::from_value(value).map_err(|source| Error::Json { path: path.into(), source })?;
    let ids = ids(&fail, &raw.model)?;
    check_model(&fail, &raw)?;
    let pipeline = pipeline::read(&fail, &raw)?;
    let added = added::read(&fail, &raw, &ids, notes)?;
    let around = around::read(&fail, &raw, vocab)?;
    Ok(Tokenizer {
        added,
        before: around.before,
        after: around.after,
        ..tables::build(&fail, &raw, &ids, &pipeline, vocab)?
    })
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

/// The vocabulary by text.
fn ids(fail: &Failure<'_>, model: &Model) -> Result<HashMap<String, u32>, Error> {
    serde_json::from_value(model.vocab.clone())
        .map_err(|_| fail.with("the vocabulary is not a map from text to id, as BPE has it", RETRAIN))
}

/// Refuses settings of the BPE model that change the merging.
fn check_model(fail: &Failure<'_>, raw: &Raw) -> Result<(), Error> {
    let model = &raw.model;
    if model.kind.is_none() && model.merges.is_empty() {
        return Err(fail.with("the tokenizer's model is not BPE", RETRAIN));
    }
    let has = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let refused = [
        ("ignore_merges is true", model.ignore_merges),
        ("dropout is set, so the ids are random", model.dropout.is_some_and(|dropout| dropout != 0.0)),
        ("continuing_subword_prefix is set", has(&model.continuing_subword_prefix)),
        ("end_of_word_suffix is set", has(&model.end_of_word_suffix)),
    ];
    for (what, wrong) in refused {
        if wrong {
            return Err(fail.with(format!("{what}, which the tables cannot express"), RETRAIN));
        }
    }
    Ok(())
}
