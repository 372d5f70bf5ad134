//! Tables of a tokenizer, in the form of an image: no strings to parse, no Unicode data, no regular expressions. Encoding
//! is: optional leading space, initial symbols, then merging until no pair is in the table.

use alloc::string::String;
use alloc::vec::Vec;

/// The initial symbols of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenizerKind {
    /// Every byte of the UTF-8 text is a symbol.
    ByteLevel,
    /// Every Unicode character that has a token is a symbol; any other becomes its UTF-8 bytes.
    Characters,
}

/// A merge: two adjacent tokens that become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Merge {
    /// The left token.
    pub left: u32,
    /// The right token.
    pub right: u32,
    /// The merged token.
    pub merged: u32,
    /// Rank: the lowest merges first, the leftmost pair among equals.
    pub rank: u32,
}

/// Meaning of a token's name in a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// Plain text: the name is only for people.
    Never,
    /// A special token: the token where a prompt's author means it, plain text in a user's input.
    Special,
    /// A token that was added to the vocabulary: always cut out of a text before the rest is merged.
    Always,
}

/// A token with a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddedToken {
    /// The token.
    pub id: u32,
    /// Its name, as a text holds it.
    pub name: String,
    /// Meaning of the name in a text.
    pub named: Named,
}

/// A byte-pair tokenizer with byte fallback, as tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tokenizer {
    /// The initial symbols of a text.
    pub kind: TokenizerKind,
    /// True if encoding puts a space before a text that is not empty, and decoding removes it after BOS.
    pub prefix_space: bool,
    /// Text of each token of the model's vocabulary, as raw bytes; empty for special tokens.
    pub pieces: Vec<Vec<u8>>,
    /// The token of each single byte; `u32::MAX` where the vocabulary lacks it.
    pub bytes: [u32; 256],
    /// Tokens of single characters, sorted by character; only for [`TokenizerKind::Characters`].
    pub characters: Vec<(char, u32)>,
    /// Merges, sorted by `(left, right)`; no pair twice.
    pub merges: Vec<Merge>,
    /// Tokens with names, special ones among them. At every place of a text the longest name wins, and the first place before others.
    pub added: Vec<AddedToken>,
    /// Tokens that encoding puts before every text.
    pub before: Vec<u32>,
    /// Tokens that encoding puts after every text.
    pub after: Vec<u32>,
}

impl Tokenizer {
    /// The name of a token, or its text.
    pub fn name(&self, id: u32) -> Option<String> {
        let named = self.added.iter().find(|token| token.id == id).map(|token| token.name.clone());
        let piece = || self.pieces.get(id as usize).filter(|piece| !piece.is_empty());
        named.or_else(|| piece().map(|piece| alloc::format!("{:?}", String::from_utf8_lossy(piece))))
    }

    /// True if a token is an ordinary piece of texts: not one with a name, and not without text.
    pub fn is_ordinary(&self, id: u32) -> bool {
        self.pieces.get(id as usize).is_some_and(|piece| !piece.is_empty())
            && self.added.iter().all(|token| token.id != id)
    }
}

/// A plain form of the encoder that reads the tables, to check the tables.
#[cfg(all(test, feature = "std"))]
pub(crate) mod plain {
    use super::{Named, Tokenizer, TokenizerKind};

    /// Token ids of a text without what encoding puts around it; names of special tokens are plain text.
    pub(crate) fn encode(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        encode_named(tokenizer, text, false)
    }

    /// Token ids of a text; names of special tokens in it are the tokens if `special`.
    pub(crate) fn encode_named(tokenizer: &Tokenizer, text: &str, special: bool) -> Vec<u32> {
        let names = || {
            tokenizer
                .added
                .iter()
                .filter(|token| token.named == Named::Always || special && token.named == Named::Special)
        };
        let places = names().filter_map(|token| Some((text.find(&token.name)?, token)));
        let first = places.min_by_key(|(place, token)| (*place, std::cmp::Reverse(token.name.len())));
        let Some((place, token)) = first else { return merged(tokenizer, text) };
        let rest = encode_named(tokenizer, &text[place + token.name.len()..], special);
        [merged(tokenizer, &text[..place]), vec![token.id], rest].concat()
    }

    /// Token ids of a text without names.
    fn merged(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        let prefix = if tokenizer.prefix_space && !text.is_empty() { " " } else { "" };
        let mut ids = Vec::new();
        for character in prefix.chars().chain(text.chars()) {
            let known = match tokenizer.kind {
                TokenizerKind::ByteLevel => None,
                TokenizerKind::Characters => {
                    let place = tokenizer.characters.binary_search_by_key(&character, |(known, _)| *known);
                    place.ok().map(|place| tokenizer.characters[place].1)
                }
            };
            match known {
                Some(id) => ids.push(id),
                None => {
                    let mut buffer = [0; 4];
                    let bytes = character.encode_utf8(&mut buffer).bytes();
                    ids.extend(bytes.map(|byte| tokenizer.bytes[usize::from(byte)]));
                }
            }
        }
        while let Some((place, merged)) = best(tokenizer, &ids) {
            ids.splice(place..place + 2, [merged]);
        }
        ids
    }

    /// The pair to merge next: the lowest rank, the leftmost among equals.
    fn best(tokenizer: &Tokenizer, ids: &[u32]) -> Option<(usize, u32)> {
        let pairs = ids.windows(2).enumerate().filter_map(|(place, pair)| {
            let merges = &tokenizer.merges;
            let found = merges.binary_search_by_key(&(pair[0], pair[1]), |merge| (merge.left, merge.right)).ok()?;
            Some((merges[found].rank, place, merges[found].merged))
        });
        pairs.min().map(|(_, place, merged)| (place, merged))
    }
}
