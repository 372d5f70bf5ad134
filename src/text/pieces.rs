//! Tokens found by their texts, without merging: the longest piece first, or the pieces of the largest score.
//!
//! ```text
//! tokens sorted by text:  … " an" " and" " ant" … ──► a range that shrinks with every byte: the longest token that a text begins with
//! ```

use super::normalize::Normalized;
use super::tokenizer::Tokenizer;
use crate::image::TextRules;

/// The characters of a piece.
pub(super) type Word<'t, 'a> = core::iter::Take<Normalized<'t, 'a>>;

/// The sorted tokens whose texts begin with the bytes that were followed.
#[derive(Clone, Copy)]
pub(super) struct Found<'p, 'a> {
    tokenizer: &'p Tokenizer<'a>,
    rules: &'p TextRules<'a>,
    start: usize,
    end: usize,
    depth: usize,
}

impl<'p, 'a> Found<'p, 'a> {
    /// All tokens.
    pub(super) fn all(tokenizer: &'p Tokenizer<'a>, rules: &'p TextRules<'a>) -> Found<'p, 'a> {
        Found { tokenizer, rules, start: 0, end: rules.n_sorted(), depth: 0 }
    }

    /// Those that go on with a character; `None` where there are none.
    pub(super) fn follow(mut self, character: char) -> Option<Found<'p, 'a>> {
        let character = if self.rules.is_space(character) { ' ' } else { character };
        for &byte in character.encode_utf8(&mut [0; 4]).as_bytes() {
            let start = self.bound(Some(byte), false);
            let end = self.bound(Some(byte), true);
            if start >= end {
                return None;
            }
            self = Found { start, end, depth: self.depth + 1, ..self };
        }
        Some(self)
    }

    /// Those that go on with all of these characters.
    pub(super) fn follow_all(self, characters: &[u32]) -> Option<Found<'p, 'a>> {
        characters.iter().try_fold(self, |found, &character| found.follow(char::from_u32(character)?))
    }

    /// The token whose text ends here.
    pub(super) fn token(&self) -> Option<u16> {
        let token = self.rules.sorted(self.start);
        // The shortest of texts that begin alike comes first.
        (self.tokenizer.text(token).len() == self.depth && self.start < self.end).then_some(token)
    }

    /// The first place whose byte at this depth is not below another, or is above it.
    fn bound(&self, byte: Option<u8>, above: bool) -> usize {
        let (mut start, mut end) = (self.start, self.end);
        while start < end {
            let middle = start.midpoint(end);
            let found = self.tokenizer.text(self.rules.sorted(middle)).get(self.depth).copied();
            if found < byte || above && found == byte { start = middle + 1 } else { end = middle }
        }
        start
    }
}

/// The longest token that a word begins with, and the rest of the word.
pub(super) fn longest<'t, 'a>(mut found: Found<'_, 'a>, word: &Word<'t, 'a>) -> Option<(u16, Word<'t, 'a>)> {
    let (mut rest, mut best) = (word.clone(), None);
    while let Some(further) = rest.next().and_then(|character| found.follow(character)) {
        found = further;
        best = found.token().map(|token| (token, rest.clone())).or(best);
    }
    best
}

/// The token that a word is as a whole.
pub(super) fn whole(found: Found<'_, '_>, word: Word<'_, '_>) -> Option<u16> {
    let mut word = word;
    word.try_fold(found, |found, character| found.follow(character))?.token()
}
