//! Tables of models without merges: WordPiece, WordLevel and Unigram, whose tokens are found by their texts.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use thumbformer::image::layout::rules;

use super::normalizer::Normalizer;
use super::pipeline::{Pipeline, Place};
use super::rules::{build, marks_spaces};
use super::{Failure, OTHER_STEP, Raw, SPACE_MARK};
use crate::{Error, Tokenizer, TokenizerKind};

/// The kind of such a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    WordPiece,
    WordLevel,
    Unigram,
}

/// Builds the tables of a vocabulary that [`super::tables::empty`] has checked.
pub(super) fn fill(
    fail: &Failure<'_>,
    raw: &Raw,
    kind: Kind,
    ids: &HashMap<String, u32>,
    normalizer: &Normalizer,
    pipeline: &Pipeline,
    tokenizer: &mut Tokenizer,
) -> Result<(), Error> {
    if pipeline.is_byte_level {
        let what =
            format!("the pre-tokenizer ByteLevel with the model {kind:?}: bytes would have to be pieces of characters");
        return Err(fail.with(what, OTHER_STEP));
    }
    let alphabet: HashSet<char> = ids.keys().flat_map(|text| text.chars()).collect();
    let mut tables = build(fail, normalizer, pipeline, (kind != Kind::Unigram).then_some(&alphabet))?;
    let separates = pipeline.place(' ') == Place::Between;
    let prefix = raw.model.continuing_subword_prefix.as_deref().unwrap_or("##");
    let is_piece = kind == Kind::WordPiece && !prefix.is_empty();
    let begins_with_space = is_piece || separates && kind == Kind::WordLevel;
    let is_marked = kind == Kind::Unigram && marks_spaces(normalizer, pipeline);
    let mut sorted = Vec::new();
    for (text, &id) in ids {
        if let Some(byte) = super::tables::byte_token(text).filter(|_| kind == Kind::Unigram && raw.model.byte_fallback)
        {
            tokenizer.bytes[usize::from(byte)] = id;
        }
        let piece = match kind {
            Kind::Unigram if is_marked => text.replace(SPACE_MARK, " "),
            _ if begins_with_space => format!(" {text}"),
            _ => text.clone(),
        };
        // Nothing is looked up by an empty text.
        if !text.is_empty() {
            sorted.push((piece.clone(), id));
        }
        tokenizer.pieces[id as usize] = piece.into_bytes();
    }
    sorted.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(
            fail.with(format!("tokens {} and {} have one text, `{}`", pair[0].1, pair[1].1, pair[0].0), OTHER_STEP)
        );
    }
    if kind == Kind::Unigram && raw.model.byte_fallback {
        byte_tokens(fail, tokenizer)?;
    }
    tables.sorted = sorted.into_iter().map(|(_, id)| id).collect();
    tables.later = if is_piece { prefix.into() } else { String::new() };
    tables.unknown = Some(unknown(fail, raw, kind, ids)?);
    let flags = [
        (kind == Kind::WordLevel, rules::WHOLE_WORDS),
        (begins_with_space, rules::SPACE_BEGINS),
        (kind == Kind::Unigram, rules::FUSE_UNKNOWN),
    ];
    tables.flags |= flags.into_iter().filter(|(is_on, _)| *is_on).fold(0, |all, (_, flag)| all | flag);
    match kind {
        Kind::WordPiece => tables.longest = raw.model.max_input_chars_per_word.unwrap_or(100),
        Kind::WordLevel => {}
        Kind::Unigram => scores(fail, raw, tokenizer.pieces.len(), &mut tables)?,
    }
    tokenizer.kind = if kind == Kind::Unigram { TokenizerKind::Unigram } else { TokenizerKind::Pieces };
    tokenizer.prefix_space = normalizer.prepends;
    tokenizer.rules = Some(tables);
    Ok(())
}

/// All 256 tokens of bytes, or an error: the library goes back to the unknown token where one is missing.
fn byte_tokens(fail: &Failure<'_>, tokenizer: &Tokenizer) -> Result<(), Error> {
    match tokenizer.bytes.iter().position(|id| *id == u32::MAX) {
        None => Ok(()),
        Some(byte) => {
            let what = format!("byte_fallback is true, but the vocabulary has no token `<0x{byte:02X}>`");
            Err(fail.with(what, "add all of `<0x00>` to `<0xFF>` to the vocabulary when training the tokenizer"))
        }
    }
}

/// The token of what the vocabulary lacks.
fn unknown(fail: &Failure<'_>, raw: &Raw, kind: Kind, ids: &HashMap<String, u32>) -> Result<u32, Error> {
    if kind == Kind::Unigram {
        let id = raw.model.unk_id.filter(|id| ids.values().any(|other| other == id));
        return id.ok_or_else(|| {
            fail.with("the model has no unk_id, without which the library fails at unknown text", OTHER_STEP)
        });
    }
    let name = raw.model.unk_token.as_deref().unwrap_or_default();
    ids.get(name).copied().ok_or_else(|| {
        let what = format!(
            "the unknown token `{name}` is not in the vocabulary, without which the library fails at unknown words"
        );
        fail.with(what, OTHER_STEP)
    })
}

/// Scores of Unigram; the library's score of an unknown character is the lowest one minus 10.
fn scores(
    fail: &Failure<'_>,
    raw: &Raw,
    vocab: usize,
    tables: &mut thumbformer::image::RuleTables,
) -> Result<(), Error> {
    let entries = raw.model.vocab.as_array().map(Vec::as_slice).unwrap_or_default();
    let given: Vec<f64> = entries.iter().filter_map(|entry| entry.get(1).and_then(Value::as_f64)).collect();
    if given.len() != entries.len() || given.iter().any(|score| !score.is_finite()) {
        return Err(fail.with("a score of the vocabulary is no number", OTHER_STEP));
    }
    tables.unknown_score = given.iter().copied().fold(f64::INFINITY, f64::min) - 10.0;
    tables.scores = given;
    tables.scores.resize(vocab, 0.0);
    Ok(())
}
