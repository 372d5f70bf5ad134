//! Vocabulary and merges as tables, checked against each other and the model.

use std::collections::{HashMap, HashSet};

use super::pipeline::Pipeline;
use super::{Failure, RETRAIN, Raw, RawMerge, SPACE_MARK};
use crate::{Error, Merge, Tokenizer, TokenizerKind};

/// Builds the tables and checks them against each other and the model's vocabulary.
pub(super) fn build(
    fail: &Failure<'_>,
    raw: &Raw,
    ids: &HashMap<String, u32>,
    pipeline: &Pipeline,
    vocab: usize,
) -> Result<Tokenizer, Error> {
    let added: HashSet<u32> = raw.added_tokens.iter().map(|token| token.id).collect();
    let highest = ids.values().chain(&added).copied().max().unwrap_or(0);
    if highest as usize >= vocab {
        let what = format!("the tokenizer has token id {highest}, but the model's vocab_size is {vocab}");
        return Err(fail.with(what, "use the tokenizer that the model was trained with"));
    }
    let mut tokenizer = Tokenizer {
        kind: pipeline.kind,
        prefix_space: pipeline.prefix_space,
        // A model's vocabulary is often padded to a round number: ids without a token have no text.
        pieces: vec![Vec::new(); vocab],
        bytes: [u32::MAX; 256],
        characters: Vec::new(),
        merges: Vec::new(),
        added: Vec::new(),
        before: Vec::new(),
        after: Vec::new(),
    };
    match pipeline.kind {
        TokenizerKind::ByteLevel => byte_symbols(fail, &mut tokenizer, ids, &added)?,
        TokenizerKind::Characters => character_symbols(fail, &mut tokenizer, ids, &added, pipeline)?,
    }
    tokenizer.merges = merges(fail, raw, ids, pipeline)?;
    // A special token prints nothing; a token that a user added prints its name.
    for token in raw.added_tokens.iter().filter(|token| !token.special) {
        tokenizer.pieces[token.id as usize] = printed(&token.content, pipeline);
    }
    Ok(tokenizer)
}

/// Text of a token that a user added: the library's decoders read its name as any other token's where they can.
fn printed(name: &str, pipeline: &Pipeline) -> Vec<u8> {
    match pipeline.kind {
        TokenizerKind::ByteLevel => bytes(name, &alphabet()).unwrap_or_else(|| name.into()),
        TokenizerKind::Characters if pipeline.marked_spaces => name.replace(SPACE_MARK, " ").into(),
        TokenizerKind::Characters => name.into(),
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

/// Pieces, byte table and characters of a Llama-style vocabulary.
fn character_symbols(
    fail: &Failure<'_>,
    tokenizer: &mut Tokenizer,
    ids: &HashMap<String, u32>,
    added: &HashSet<u32>,
    pipeline: &Pipeline,
) -> Result<(), Error> {
    for (text, &id) in ids {
        let mut characters = text.chars();
        if let (Some(only), None) = (characters.next(), characters.next()) {
            tokenizer.characters.push((only, id));
        }
        tokenizer.pieces[id as usize] = match byte_token(text) {
            Some(byte) => {
                tokenizer.bytes[usize::from(byte)] = id;
                vec![byte]
            }
            None if added.contains(&id) => Vec::new(),
            None if pipeline.marked_spaces => text.replace(SPACE_MARK, " ").into_bytes(),
            None => text.as_bytes().to_vec(),
        };
    }
    if pipeline.marked_spaces {
        // Spaces of the text have become marks when symbols are looked up; a mark in the text is also one.
        let Some(&id) = ids.get("\u{2581}") else {
            return Err(fail.with("the vocabulary has no token for the space, U+2581", RETRAIN));
        };
        tokenizer.characters.retain(|(character, _)| *character != ' ');
        tokenizer.characters.push((' ', id));
    }
    if let Some(byte) = tokenizer.bytes.iter().position(|id| *id == u32::MAX) {
        return Err(fail.with(
            format!("byte_fallback is true, but the vocabulary has no token `<0x{byte:02X}>`"),
            "add all of `<0x00>` to `<0xFF>` to the vocabulary when training the tokenizer",
        ));
    }
    tokenizer.characters.sort_unstable();
    Ok(())
}

/// The byte of a token written `<0xNN>`.
fn byte_token(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let plain = digits.len() == 2 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
    if plain { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// The merge table; a later duplicate of a pair replaces the earlier one, as in the library.
fn merges(fail: &Failure<'_>, raw: &Raw, ids: &HashMap<String, u32>, pipeline: &Pipeline) -> Result<Vec<Merge>, Error> {
    let mut table = HashMap::new();
    for (rank, merge) in raw.model.merges.iter().enumerate() {
        let (left, right) = match merge {
            RawMerge::Pair(left, right) => (left.as_str(), right.as_str()),
            RawMerge::Joined(text) => text
                .split_once(' ')
                .filter(|(_, right)| !right.contains(' '))
                .ok_or_else(|| fail.with(format!("merge {rank} `{text}` is not two tokens"), RETRAIN))?,
        };
        // Text is split before each space, so that such a pair never occurs inside one word.
        if pipeline.split_at_spaces && right.starts_with(SPACE_MARK) {
            continue;
        }
        let id = |text: &str| {
            ids.get(text).copied().ok_or_else(|| {
                let what =
                    format!("merge {rank} `{left}` + `{right}` needs the token `{text}`, which the vocabulary lacks");
                fail.with(what, "the file is damaged: save the tokenizer again")
            })
        };
        let merge =
            Merge { left: id(left)?, right: id(right)?, merged: id(&format!("{left}{right}"))?, rank: rank as u32 };
        table.insert((merge.left, merge.right), merge);
    }
    let mut merges: Vec<Merge> = table.into_values().collect();
    merges.sort_unstable_by_key(|merge| (merge.left, merge.right));
    Ok(merges)
}
