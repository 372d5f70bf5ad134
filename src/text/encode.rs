//! The pipeline from text to tokens, a function for each step; a kind of tokenizer is added to the step in which it differs.
//!
//! ```text
//! template ──► "<u>the cat" ──► BOS · <u> · "the cat": BOS first, names of added tokens cut out, each part by itself
//! normalize                                 " the cat": the space before a part
//! split                                     " the" · " cat": before words, where no merge crosses
//! symbols                                   " " "t" "h" "e" · " " "c" "a" "t": characters, or bytes
//! merge                                     <the> · <c> <at>: the pair of lowest rank first
//! ```
//! On a chip a piece is merged in its place, on a host with a queue (`Tokenizer::encode_long`); the tokens are the same.

use super::merge::{self, find};
use super::tokenizer::Tokenizer;
use crate::error::Error;
use crate::image::TokenizerKind;
use crate::image::layout::NO_TOKEN;

/// U+2581, which some vocabularies take for a space.
const SPACE_MARK: char = '\u{2581}';

impl Tokenizer<'_> {
    /// Encodes a text into `out` and returns the number of tokens; `bos` puts the BOS token first.
    ///
    /// Tokens that a user added to the vocabulary are cut out of the text first. The names of special tokens (`<s>`) are plain text, so
    /// that a user's input cannot end a text or begin another one; [`encode_named`](Tokenizer::encode_named) finds them.
    ///
    /// The time grows with the text where no merge of the vocabulary crosses a word's beginning, as in most, and with the square of the
    /// longest piece between such places.
    ///
    /// # Errors
    /// [`Error::PromptTooLong`] when `out` has no room for the tokens and, before they are merged, every symbol (character or byte) of
    /// the last piece; [`Error::PieceTooLong`] for a piece of more symbols than a chip merges in bounded time;
    /// [`Error::UnknownByte`] when the vocabulary has no token for a byte of the text.
    pub fn encode(&self, text: &str, bos: bool, out: &mut [u16]) -> Result<usize, Error> {
        self.encode_in_place(text, bos, false, out)
    }

    /// Encodes a text as [`encode`](Tokenizer::encode), and the names of special tokens in it as those tokens: for prompts whose author
    /// means them, such as a chat's `<|user|>`.
    ///
    /// # Errors
    /// As [`encode`](Tokenizer::encode).
    pub fn encode_named(&self, text: &str, bos: bool, out: &mut [u16]) -> Result<usize, Error> {
        self.encode_in_place(text, bos, true, out)
    }

    fn encode_in_place(&self, text: &str, bos: bool, special: bool, out: &mut [u16]) -> Result<usize, Error> {
        let merge =
            |symbols: &mut [u16]| merge::in_place(symbols, |left, right| merge::lookup(self.merges, left, right));
        Pipeline::new(self, out, merge).template(text, bos, special)
    }
}

/// A text on its way through the steps; `merge` merges the symbols of a piece and returns the number of tokens left.
pub(super) struct Pipeline<'p, 'a, M> {
    tokenizer: &'p Tokenizer<'a>,
    /// True if no merge crosses a word's beginning.
    splits: bool,
    out: &'p mut [u16],
    len: usize,
    merge: M,
}

impl<'p, 'a, M: FnMut(&mut [u16]) -> Result<usize, Error>> Pipeline<'p, 'a, M> {
    pub(super) fn new(tokenizer: &'p Tokenizer<'a>, out: &'p mut [u16], merge: M) -> Pipeline<'p, 'a, M> {
        Pipeline { tokenizer, splits: keeps_words_apart(tokenizer), out, len: 0, merge }
    }

    /// The tokens around the parts of a text: BOS before it, those with names between them.
    pub(super) fn template(mut self, text: &str, bos: bool, special: bool) -> Result<usize, Error> {
        if let Some(first) = self.tokenizer.bos().filter(|_| bos) {
            self.push(first)?;
        }
        let mut rest = text;
        loop {
            let (part, found) = self.tokenizer.added.cut(rest, special);
            self.split(part)?;
            let Some((token, after)) = found else { return Ok(self.len) };
            self.push(token)?;
            rest = after;
        }
    }

    /// The characters of a part; a vocabulary may put a space before every one that is not empty.
    fn normalize<'t>(&self, part: &'t str) -> impl Iterator<Item = char> + use<'t, 'p, 'a, M> {
        let space = (self.tokenizer.prefix_space && !part.is_empty()).then_some(' ');
        space.into_iter().chain(part.chars())
    }

    /// The pieces of a part, merged one by one.
    fn split(&mut self, part: &str) -> Result<(), Error> {
        let (mut start, mut previous) = (self.len, ' ');
        for character in self.normalize(part) {
            if self.splits && character == ' ' && !matches!(previous, ' ' | SPACE_MARK) {
                self.merge(start)?;
                start = self.len;
            }
            self.symbols(character)?;
            previous = character;
        }
        self.merge(start)
    }

    /// The symbols of a character: its token, or those of its bytes.
    fn symbols(&mut self, character: char) -> Result<(), Error> {
        if self.tokenizer.kind == TokenizerKind::Characters
            && let Some(token) = find(self.tokenizer.characters, character.into())
        {
            return self.push(token as u16);
        }
        for &byte in character.encode_utf8(&mut [0; 4]).as_bytes() {
            let token = self.tokenizer.byte_tokens.get(usize::from(byte)).copied().unwrap_or(NO_TOKEN);
            if token == NO_TOKEN {
                return Err(Error::UnknownByte { byte });
            }
            self.push(token as u16)?;
        }
        Ok(())
    }

    /// The tokens of the piece whose symbols begin at `start`.
    fn merge(&mut self, start: usize) -> Result<(), Error> {
        self.len = start + (self.merge)(self.out.get_mut(start..self.len).unwrap_or(&mut []))?;
        Ok(())
    }

    fn push(&mut self, token: u16) -> Result<(), Error> {
        let max = self.out.len();
        *self.out.get_mut(self.len).ok_or(Error::PromptTooLong { max })? = token;
        self.len += 1;
        Ok(())
    }
}

/// True if no merge joins a word, which begins with a space, to text before it that does not end with one. A token that prints nothing
/// may be any text.
pub(super) fn keeps_words_apart(tokenizer: &Tokenizer<'_>) -> bool {
    let (merges, _) = tokenizer.merges.as_chunks::<2>();
    merges.iter().all(|&[pair, _]| {
        tokenizer.text(pair as u16).first().is_some_and(|&byte| byte != b' ')
            || tokenizer.text((pair >> 16) as u16).last() == Some(&b' ')
    })
}
