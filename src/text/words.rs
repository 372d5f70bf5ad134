//! The steps of a tokenizer with rules: normalizer, pre-tokenizer, then the tokens of each piece by the tokenizer's kind.
//!
//! ```text
//! part ──► Normalized: characters ──► first_piece: how many of them ──► symbols and merges · longest pieces · Unigram
//! ```

use super::encode::{Output, Pipeline, Work};
use super::merge::find;
use super::normalize::Normalized;
use super::patterns::first_piece;
use super::pieces::{Found, Word, longest, whole};
use super::tokenizer::Tokenizer;
use super::unigram;
use crate::error::Error;
use crate::image::layout::{NO_TOKEN, class, rules};
use crate::image::{TextRules, TokenizerKind};

impl<'a, W: Work> Pipeline<'_, 'a, W> {
    /// The pieces of a part, one by one; `is_first` for the part that begins the text.
    pub(super) fn by_rules(&mut self, given: &TextRules<'a>, part: &str, is_first: bool) -> Result<(), Error> {
        // A cut that no merge crosses changes nothing; without merges it would.
        let merges = matches!(self.tokenizer.kind, TokenizerKind::Bytes | TokenizerKind::Characters);
        let mut rest = self.prefixed(given, Normalized::new(*given, part), is_first);
        loop {
            let Some(next) = rest.clone().next() else { return Ok(()) };
            if given.has(rules::GROUPS) && given.class(next) & class::GROUPS == class::BETWEEN {
                rest.next();
                continue;
            }
            let length = first_piece(given, &rest, merges && self.splits);
            let word = match given.has(rules::PREFIX_PIECES) && !given.is_space(next) {
                true => rest.clone().after_space().take(length + 1),
                false => rest.clone().take(length),
            };
            rest.nth(length - 1);
            self.piece(given, word)?;
        }
    }

    /// A part with the space that goes before it.
    fn prefixed<'t>(&self, given: &TextRules<'a>, part: Normalized<'t, 'a>, is_first: bool) -> Normalized<'t, 'a> {
        let wanted = given.has(rules::PREFIX) && (is_first || !given.has(rules::PREFIX_FIRST));
        match part.clone().next() {
            Some(first) if self.tokenizer.prefix_space || wanted && !given.is_space(first) => part.after_space(),
            _ => part,
        }
    }

    /// The tokens of a piece.
    fn piece(&mut self, given: &TextRules<'a>, word: Word<'_, 'a>) -> Result<(), Error> {
        match self.tokenizer.kind {
            TokenizerKind::Pieces => self.longest_pieces(given, word),
            TokenizerKind::Unigram => self.unigram(given, word),
            TokenizerKind::Bytes | TokenizerKind::Characters => self.merged(given, word),
        }
    }

    /// The tokens that the symbols of a piece merge to.
    fn merged(&mut self, given: &TextRules<'a>, word: Word<'_, 'a>) -> Result<(), Error> {
        let all = Found::all(self.tokenizer, given);
        if given.has(rules::IGNORE_MERGES)
            && let Some(token) = whole(all, word.clone())
        {
            return self.out.push(token);
        }
        let start = self.out.len;
        let (mut rest, mut flags, mut is_unknown) = (word, 0, false);
        while let Some(character) = rest.next() {
            let is_last = given.has(rules::LAST_SYMBOLS) && rest.clone().next().is_none();
            let key = u32::from(character) | flags | if is_last { rules::LAST_SYMBOL } else { 0 };
            flags = if given.has(rules::LATER_SYMBOLS) { rules::LATER_SYMBOL } else { 0 };
            is_unknown = self.symbol(given, character, key, is_unknown)?;
        }
        self.merge(start)
    }

    /// Pushes the symbols of a character; true if it is unknown.
    fn symbol(&mut self, given: &TextRules<'a>, character: char, key: u32, was_unknown: bool) -> Result<bool, Error> {
        if self.tokenizer.kind == TokenizerKind::Characters
            && let Some(token) = find(self.tokenizer.characters, key)
        {
            self.out.push(token as u16)?;
            return Ok(false);
        }
        if let Some(bytes) = Bytes::of(self.tokenizer, character) {
            bytes.tokens().iter().try_for_each(|&token| self.out.push(token))?;
            return Ok(false);
        }
        if !(was_unknown && given.has(rules::FUSE_UNKNOWN)) {
            unknown(given, &mut self.out)?;
        }
        Ok(true)
    }

    /// The longest pieces of a word, one after the other; a word with a rest that no piece begins is unknown.
    fn longest_pieces(&mut self, given: &TextRules<'a>, word: Word<'_, 'a>) -> Result<(), Error> {
        let (start, all) = (self.out.len, Found::all(self.tokenizer, given));
        let begin = if given.has(rules::SPACE_BEGINS) { all.follow(' ') } else { Some(all) };
        let later = begin.and_then(|begin| begin.follow_all(given.later));
        let is_longer = given.longest > 0 && word.clone().nth(given.longest).is_some();
        let mut found = begin.filter(|_| !is_longer);
        if given.has(rules::WHOLE_WORDS) {
            return match found.and_then(|found| whole(found, word)) {
                Some(token) => self.out.push(token),
                None => unknown(given, &mut self.out),
            };
        }
        let mut rest = word;
        while rest.clone().next().is_some() {
            let Some((token, after)) = found.and_then(|found| longest(found, &rest)) else {
                self.out.len = start;
                return unknown(given, &mut self.out);
            };
            self.out.push(token)?;
            (rest, found) = (after, later);
        }
        Ok(())
    }

    /// The tokens of a piece whose scores have the largest sum.
    fn unigram(&mut self, given: &TextRules<'a>, word: Word<'_, 'a>) -> Result<(), Error> {
        let nodes = self.work.nodes(word.clone().count() + 1)?;
        unigram::fill(nodes, given, Found::all(self.tokenizer, given), &word);
        unigram::turn(nodes);
        let (mut rest, mut place, mut was_unknown) = (word, 0, false);
        while let Some((end, token)) = unigram::next(nodes, place) {
            let Some(character) = rest.nth(0) else { return Ok(()) };
            let length = end.saturating_sub(place);
            // The unknown token's own name in a text is longer than one character, and stays that token.
            let bytes = Bytes::of(self.tokenizer, character).filter(|_| token.is_none() && length == 1);
            match (token, &bytes) {
                (Some(token), _) => self.out.push(token)?,
                (None, Some(bytes)) => bytes.tokens().iter().try_for_each(|&token| self.out.push(token))?,
                (None, None) if was_unknown && given.has(rules::FUSE_UNKNOWN) => {}
                (None, None) => unknown(given, &mut self.out)?,
            }
            was_unknown = token.is_none() && bytes.is_none();
            if length > 1 {
                rest.nth(length - 2);
            }
            place = end;
        }
        Ok(())
    }
}

/// Pushes the unknown token; where there is none, what is unknown is left out, as the library does it.
fn unknown(given: &TextRules<'_>, out: &mut Output<'_>) -> Result<(), Error> {
    if given.unknown > 0 { out.push((given.unknown - 1) as u16) } else { Ok(()) }
}

/// The tokens of a character's bytes, where all of them have one.
struct Bytes {
    tokens: [u16; 4],
    length: usize,
}

impl Bytes {
    fn of(tokenizer: &Tokenizer<'_>, character: char) -> Option<Bytes> {
        let (mut bytes, mut tokens) = ([0; 4], [0; 4]);
        let bytes = character.encode_utf8(&mut bytes).as_bytes();
        for (slot, &byte) in tokens.iter_mut().zip(bytes) {
            *slot = tokenizer
                .byte_tokens
                .get(usize::from(byte))
                .filter(|&&token| token != NO_TOKEN)
                .map(|&token| token as u16)?;
        }
        Some(Bytes { tokens, length: bytes.len() })
    }

    fn tokens(&self) -> &[u16] {
        self.tokens.get(..self.length).unwrap_or(&[])
    }
}
