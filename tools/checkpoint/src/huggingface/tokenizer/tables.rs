//! Vocabulary and merges as tables, checked against each other and the model.

use std::collections::{HashMap, HashSet};

use thumbformer::image::layout::rules;
use thumbformer::image::{Pattern, RuleTables};

use super::normalizer::{Normalizer, Step};
use super::pipeline::{Pipeline, Prefix};
use super::rules::{build, marks_spaces};
use super::{Failure, OTHER_STEP, Raw, RawMerge, SPACE_MARK};
use crate::{Error, Merge, Tokenizer, TokenizerKind};

/// The writing of a BPE's symbols.
struct Symbols<'r> {
    marked_spaces: bool,
    /// True if text is split before every space mark, so that no merge crosses one.
    split_at_spaces: bool,
    /// Text before every symbol but the first of a word, and behind the last one.
    prefix: &'r str,
    suffix: &'r str,
}

impl<'r> Symbols<'r> {
    /// Refuses settings of the model that change the merging.
    fn read(
        fail: &Failure<'_>,
        raw: &'r Raw,
        normalizer: &Normalizer,
        pipeline: &Pipeline,
    ) -> Result<Symbols<'r>, Error> {
        let model = &raw.model;
        if model.dropout.is_some_and(|dropout| dropout != 0.0) {
            return Err(fail.with("dropout is set, so the ids are random", "set dropout to null in tokenizer.json"));
        }
        let symbols = Symbols {
            marked_spaces: marks_spaces(normalizer, pipeline),
            split_at_spaces: pipeline.pattern == Pattern::Spaces,
            prefix: model.continuing_subword_prefix.as_deref().unwrap_or_default(),
            suffix: model.end_of_word_suffix.as_deref().unwrap_or_default(),
        };
        if pipeline.is_byte_level && !(symbols.prefix.is_empty() && symbols.suffix.is_empty() && !normalizer.prepends) {
            let what = "the pre-tokenizer ByteLevel with continuing_subword_prefix, end_of_word_suffix or the normalizer Prepend";
            return Err(fail.with(what, OTHER_STEP));
        }
        Ok(symbols)
    }

    /// The symbols that a token may be: a character with the bits of its place in a word.
    fn of<'t>(&'t self, text: &'t str) -> impl Iterator<Item = u32> + 't {
        let ways = [
            ("", "", 0),
            (self.prefix, "", rules::LATER_SYMBOL),
            ("", self.suffix, rules::LAST_SYMBOL),
            (self.prefix, self.suffix, rules::LATER_SYMBOL | rules::LAST_SYMBOL),
        ];
        ways.into_iter().filter_map(move |(prefix, suffix, bits)| {
            // Without a prefix, later characters are written as first ones, and so on.
            let is_used = |bit, text: &str| bits & bit == 0 || !text.is_empty();
            let inner = text.strip_prefix(prefix)?.strip_suffix(suffix)?;
            let mut characters = inner.chars();
            let only = characters.next().filter(|_| characters.next().is_none())?;
            (is_used(rules::LATER_SYMBOL, prefix) && is_used(rules::LAST_SYMBOL, suffix))
                .then(|| u32::from(only) | bits)
        })
    }
}

/// A tokenizer without tables yet, whose ids are checked against the model's vocabulary.
pub(super) fn empty(
    fail: &Failure<'_>,
    raw: &Raw,
    ids: &HashMap<String, u32>,
    vocab: usize,
) -> Result<Tokenizer, Error> {
    let added = raw.added_tokens.iter().map(|token| &token.id);
    let highest = ids.values().chain(added).copied().max().unwrap_or(0);
    if highest as usize >= vocab {
        let what = format!("the tokenizer has token id {highest}, but the model's vocab_size is {vocab}");
        return Err(fail.with(what, "use the tokenizer that the model was trained with"));
    }
    Ok(Tokenizer {
        kind: TokenizerKind::ByteLevel,
        prefix_space: false,
        // A model's vocabulary is often padded to a round number: ids without a token have no text.
        pieces: vec![Vec::new(); vocab],
        bytes: [u32::MAX; 256],
        characters: Vec::new(),
        merges: Vec::new(),
        added: Vec::new(),
        before: Vec::new(),
        after: Vec::new(),
        rules: None,
    })
}

/// Builds the tables of a BPE and checks them against each other.
pub(super) fn fill(
    fail: &Failure<'_>,
    raw: &Raw,
    ids: &HashMap<String, u32>,
    normalizer: &Normalizer,
    pipeline: &Pipeline,
    tokenizer: &mut Tokenizer,
) -> Result<(), Error> {
    let added: HashSet<u32> = raw.added_tokens.iter().map(|token| token.id).collect();
    let symbols = Symbols::read(fail, raw, normalizer, pipeline)?;
    tokenizer.prefix_space = normalizer.prepends;
    if pipeline.is_byte_level {
        tokenizer.kind = TokenizerKind::ByteLevel;
        byte_symbols(fail, tokenizer, ids, &added)?;
    } else {
        tokenizer.kind = TokenizerKind::Characters;
        character_symbols(fail, raw, tokenizer, ids, &added, &symbols)?;
    }
    tokenizer.merges = merges(fail, raw, ids, &symbols)?;
    tokenizer.rules = rules_of(fail, raw, ids, normalizer, pipeline, tokenizer)?;
    // A special token prints nothing; a token that a user added prints its name.
    for token in raw.added_tokens.iter().filter(|token| !token.special) {
        tokenizer.pieces[token.id as usize] = printed(&token.content, pipeline.is_byte_level, symbols.marked_spaces);
    }
    Ok(())
}

/// Rules of a BPE; `None` where the merges are all.
fn rules_of(
    fail: &Failure<'_>,
    raw: &Raw,
    ids: &HashMap<String, u32>,
    normalizer: &Normalizer,
    pipeline: &Pipeline,
    tokenizer: &Tokenizer,
) -> Result<Option<RuleTables>, Error> {
    let model = &raw.model;
    let has = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let (has_prefix, has_suffix) = (has(&model.continuing_subword_prefix), has(&model.end_of_word_suffix));
    let is_plain = match pipeline.is_byte_level {
        true => normalizer.steps.is_empty() && pipeline.pattern == Pattern::None,
        false => {
            let marks = normalizer.steps.iter().all(|step| *step == Step::Replace(' ', vec![SPACE_MARK]));
            let cuts = matches!(pipeline.pattern, Pattern::None | Pattern::Spaces);
            marks && cuts && model.byte_fallback && !has_prefix && !has_suffix
        }
    };
    if is_plain && pipeline.cuts.is_empty() && pipeline.prefix == Prefix::Never && !model.ignore_merges {
        return Ok(None);
    }
    let mut tables = build(fail, normalizer, pipeline, None)?;
    let flags = [
        (model.ignore_merges, rules::IGNORE_MERGES),
        (has_suffix, rules::LAST_SYMBOLS),
        (has_prefix, rules::LATER_SYMBOLS),
        (model.fuse_unk, rules::FUSE_UNKNOWN),
    ];
    tables.flags |= flags.into_iter().filter(|(is_on, _)| *is_on).fold(0, |all, (_, flag)| all | flag);
    if let (Some(name), false) = (&model.unk_token, pipeline.is_byte_level) {
        let id = ids.get(name).copied();
        tables.unknown = Some(id.ok_or_else(|| {
            fail.with(
                format!("the unknown token `{name}` is not in the vocabulary"),
                "save the tokenizer again with it, or with unk_token = null",
            )
        })?);
    }
    if model.ignore_merges {
        let mut sorted: Vec<u32> =
            ids.values().copied().filter(|id| !tokenizer.pieces[*id as usize].is_empty()).collect();
        sorted.sort_unstable_by_key(|id| &tokenizer.pieces[*id as usize]);
        tables.sorted = sorted;
    }
    Ok(Some(tables))
}

/// Text of a token that a user added: the library's decoders read its name as any other token's where they can.
fn printed(name: &str, is_byte_level: bool, marked_spaces: bool) -> Vec<u8> {
    match is_byte_level {
        true => bytes(name, &alphabet()).unwrap_or_else(|| name.into()),
        false if marked_spaces => name.replace(SPACE_MARK, " ").into(),
        false => name.into(),
    }
}

/// Pieces and byte table of a byte-level vocabulary.
fn byte_symbols(
    fail: &Failure<'_>,
    tokenizer: &mut Tokenizer,
    ids: &HashMap<String, u32>,
    added: &HashSet<u32>,
) -> Result<(), Error> {
    let alphabet = alphabet();
    for (text, &id) in ids.iter().filter(|(_, id)| !added.contains(id)) {
        let Some(piece) = bytes(text, &alphabet) else {
            let what = format!("token {id} `{text}` is not written in ByteLevel's alphabet");
            return Err(fail.with(what, "check that vocabulary and pre-tokenizer belong together"));
        };
        if let [byte] = piece[..] {
            tokenizer.bytes[usize::from(byte)] = id;
        }
        tokenizer.pieces[id as usize] = piece;
    }
    if let Some(byte) = tokenizer.bytes.iter().position(|id| *id == u32::MAX) {
        return Err(fail.with(
            format!("the vocabulary has no token for the byte 0x{byte:02X}, so some texts would lose it"),
            "retrain the tokenizer with initial_alphabet = ByteLevel.alphabet()",
        ));
    }
    Ok(())
}

/// The bytes that the characters of ByteLevel's alphabet stand for.
fn alphabet() -> HashMap<char, u8> {
    (0..=255).map(|byte| (visible(byte), byte)).collect()
}

/// The bytes that a text in this alphabet stands for.
fn bytes(text: &str, alphabet: &HashMap<char, u8>) -> Option<Vec<u8>> {
    text.chars().map(|character| alphabet.get(&character).copied()).collect()
}

/// The character that stands for a byte in ByteLevel's alphabet (GPT-2): printable Latin-1 bytes are themselves, the
/// others follow from U+0100 on, in order.
fn visible(byte: u8) -> char {
    let itself = |byte: u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    if itself(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|other| !itself(*other)).count() as u32;
    char::from_u32(0x100 + before).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Pieces, characters and perhaps bytes of a vocabulary of characters.
fn character_symbols(
    fail: &Failure<'_>,
    raw: &Raw,
    tokenizer: &mut Tokenizer,
    ids: &HashMap<String, u32>,
    added: &HashSet<u32>,
    symbols: &Symbols<'_>,
) -> Result<(), Error> {
    for (text, &id) in ids {
        tokenizer.characters.extend(symbols.of(text).map(|symbol| (symbol, id)));
        tokenizer.pieces[id as usize] = match byte_token(text).filter(|_| raw.model.byte_fallback) {
            Some(byte) => {
                tokenizer.bytes[usize::from(byte)] = id;
                vec![byte]
            }
            None if added.contains(&id) => Vec::new(),
            None if symbols.marked_spaces => text.replace(SPACE_MARK, " ").into_bytes(),
            // A word's end is a space, as the library's decoder prints it.
            None if !symbols.suffix.is_empty() && text.ends_with(symbols.suffix) => {
                format!("{} ", text.strip_suffix(symbols.suffix).unwrap_or(text)).into_bytes()
            }
            None => text.as_bytes().to_vec(),
        };
    }
    if symbols.marked_spaces {
        // Spaces of the text have become marks when symbols are looked up; a mark in the text is also one.
        tokenizer.characters.retain(|(symbol, _)| *symbol != u32::from(' '));
        match ids.get("\u{2581}") {
            Some(&id) => tokenizer.characters.push((' '.into(), id)),
            None if raw.model.byte_fallback => {
                return Err(fail.with("the vocabulary has no token for the space, U+2581", OTHER_STEP));
            }
            None => {}
        }
    }
    if let Some(byte) = tokenizer.bytes.iter().position(|id| *id == u32::MAX).filter(|_| raw.model.byte_fallback) {
        return Err(fail.with(
            format!("byte_fallback is true, but the vocabulary has no token `<0x{byte:02X}>`"),
            "add all of `<0x00>` to `<0xFF>` to the vocabulary when training the tokenizer",
        ));
    }
    tokenizer.characters.sort_unstable();
    Ok(())
}

/// The byte of a token written `<0xNN>`.
pub(super) fn byte_token(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let plain = digits.len() == 2 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
    if plain { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// The merge table; a later duplicate of a pair replaces the earlier one, as in the library.
fn merges(
    fail: &Failure<'_>,
    raw: &Raw,
    ids: &HashMap<String, u32>,
    symbols: &Symbols<'_>,
) -> Result<Vec<Merge>, Error> {
    let mut table = HashMap::new();
    for (rank, merge) in raw.model.merges.iter().enumerate() {
        let (left, right) = match merge {
            RawMerge::Pair(left, right) => (left.as_str(), right.as_str()),
            RawMerge::Joined(text) => {
                text.split_once(' ').filter(|(_, right)| !right.contains(' ')).ok_or_else(|| {
                    fail.with(format!("merge {rank} `{text}` is not two tokens"), "save the tokenizer again")
                })?
            }
        };
        // Text is split before each space, so that such a pair never occurs inside one word.
        if symbols.split_at_spaces && right.starts_with(SPACE_MARK) {
            continue;
        }
        let id = |text: &str| {
            ids.get(text).copied().ok_or_else(|| {
                let what =
                    format!("merge {rank} `{left}` + `{right}` needs the token `{text}`, which the vocabulary lacks");
                fail.with(what, "the file is damaged: save the tokenizer again")
            })
        };
        let merge = Merge {
            left: id(left)?,
            right: id(right)?,
            merged: id(&format!("{left}{}", right.strip_prefix(symbols.prefix).unwrap_or(right)))?,
            rank: rank as u32,
        };
        table.insert((merge.left, merge.right), merge);
    }
    let mut merges: Vec<Merge> = table.into_values().collect();
    merges.sort_unstable_by_key(|merge| (merge.left, merge.right));
    Ok(merges)
}
