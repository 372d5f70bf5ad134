//! Tables of a tokenizer, in the form of an image: no strings to parse, no Unicode data, no regular expressions. Encoding
//! is: optional leading space, initial symbols, then merging until no pair is in the table.

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
}

/// A plain form of the encoder that reads the tables, to check the tables.
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
