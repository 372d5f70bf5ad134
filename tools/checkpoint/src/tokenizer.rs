//! The tokenizer's tables, in the form that goes into an image: no strings to parse, no Unicode data, no regular
//! expressions. Encoding is: optional leading space, initial symbols, then merge until no pair is in the table.

use alloc::vec::Vec;

/// How the initial symbols are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenizerKind {
    /// Every byte of the UTF-8 text is a symbol.
    ByteLevel,
    /// Every Unicode character that has a token is a symbol; any other becomes its UTF-8 bytes.
    Characters,
}

/// Two adjacent tokens that become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Merge {
    /// The left token.
    pub left: u32,
    /// The right token.
    pub right: u32,
    /// What the two become.
    pub merged: u32,
    /// Lower goes first; of equal ranks, the leftmost pair in the text.
    pub rank: u32,
}

/// A byte-pair tokenizer with byte fallback, as tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tokenizer {
    /// How the initial symbols are found.
    pub kind: TokenizerKind,
    /// A space is put before a text that is not empty when encoding, and is stripped after BOS when decoding.
    pub prefix_space: bool,
    /// What each token prints, in raw bytes; specials print nothing. One entry per token of the model's vocabulary.
    pub pieces: Vec<Vec<u8>>,
    /// The token of each single byte; `u32::MAX` where the vocabulary lacks it.
    pub bytes: [u32; 256],
    /// For [`TokenizerKind::Characters`]: the tokens that stand for one character, sorted by character.
    pub characters: Vec<(char, u32)>,
    /// Sorted by `(left, right)`; no pair twice.
    pub merges: Vec<Merge>,
}

/// The encoder that the tables are made for, in its plainest form, to judge the tables by.
#[cfg(all(test, feature = "std"))]
pub(crate) mod plain {
    use super::{Tokenizer, TokenizerKind};

    /// Token ids of a text, without BOS.
    pub(crate) fn encode(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
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

    /// The pair to merge next: the lowest rank, of equal ones the leftmost.
    fn best(tokenizer: &Tokenizer, ids: &[u32]) -> Option<(usize, u32)> {
        let pairs = ids.windows(2).enumerate().filter_map(|(place, pair)| {
            let merges = &tokenizer.merges;
            let found = merges.binary_search_by_key(&(pair[0], pair[1]), |merge| (merge.left, merge.right)).ok()?;
            Some((merges[found].rank, place, merges[found].merged))
        });
        pairs.min().map(|(_, place, merged)| (place, merged))
    }
}
