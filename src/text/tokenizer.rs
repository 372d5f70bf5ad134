//! The tokenizer: byte-pair encoding (Sennrich et al. 2016) with byte fallback, on tables in flash, without a heap.

use super::added::AddedTokens;
use crate::error::Error;
use crate::image::layout::NO_TOKEN;
use crate::image::{Image, TokenizerKind};
use crate::tensors::Tensor;

/// The tokenizer of an image.
///
/// ```
/// thumbformer::model!(mod tiny = "../../examples/tiny.tbf");
///
/// let tokenizer = tiny::MODEL.tokenizer().expect("the image has a tokenizer");
/// let mut tokens = [0; 16];
/// let length = tokenizer.encode("the cat", true, &mut tokens)?;
/// assert_eq!(Some(tokens[0]), tokenizer.bos());
/// // Back to text, piece by piece; the token before decides whether a piece begins with a space.
/// let pieces = tokens[..length].windows(2).map(|pair| tokenizer.piece(pair[0], pair[1]));
/// let text: Vec<u8> = pieces.flatten().copied().collect();
/// assert_eq!(text, b"the cat");
/// # Ok::<(), thumbformer::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tokenizer<'a> {
    kind: TokenizerKind,
    prefix_space: bool,
    /// Plus 1; 0 for none.
    bos: u32,
    /// Each plus 1; 0 for none.
    ends: [u32; 4],
    piece_offsets: &'a [u32],
    piece_bytes: &'a [u8],
    byte_tokens: &'a [u32],
    characters: &'a [u32],
    merges: &'a [u32],
    added: AddedTokens<'a>,
}

impl<'a> Tokenizer<'a> {
    pub(crate) const fn from_image(image: &Image<'a>) -> Option<Tokenizer<'a>> {
        let Some(kind) = image.tokenizer else { return None };
        Some(Tokenizer {
            kind,
            prefix_space: image.prefix_space,
            bos: image.bos,
            ends: image.ends,
            piece_offsets: image.table(Tensor::PieceOffsets),
            piece_bytes: image.byte_table(Tensor::PieceBytes),
            byte_tokens: image.table(Tensor::ByteTokens),
            characters: image.table(Tensor::Characters),
            merges: image.table(Tensor::Merges),
            added: AddedTokens::new(image.table(Tensor::AddedTokens), image.byte_table(Tensor::AddedNames)),
        })
    }

    /// The BOS token, which begins a text.
    pub const fn bos(&self) -> Option<u16> {
        if self.bos > 0 { Some((self.bos - 1) as u16) } else { None }
    }

    /// The EOS token, which ends a text; the first, where there are several.
    pub fn end(&self) -> Option<u16> {
        self.ends().next()
    }

    /// The tokens that end a text.
    pub fn ends(&self) -> impl Iterator<Item = u16> {
        self.ends.into_iter().filter(|&end| end > 0).map(|end| (end - 1) as u16)
    }

    /// True if a generated text ends with this token.
    pub fn is_end(&self, token: u16) -> bool {
        self.ends.contains(&(u32::from(token) + 1))
    }

    /// Encodes a text into `out` and returns the number of tokens; `bos` puts the BOS token first.
    ///
    /// Tokens that a user added to the vocabulary are cut out of the text first. The names of special tokens (`<s>`) are plain text, so
    /// that a user's input cannot end a text or begin another one; [`encode_named`](Tokenizer::encode_named) finds them.
    ///
    /// # Errors
    /// [`Error::PromptTooLong`] when `out` has no room for every symbol (character or byte) of the text before symbols are
    /// merged; [`Error::UnknownByte`] when the vocabulary has no token for a byte of the text.
    pub fn encode(&self, text: &str, bos: bool, out: &mut [u16]) -> Result<usize, Error> {
        self.encode_parts(text, bos, false, out)
    }

    /// Encodes a text as [`encode`](Tokenizer::encode), and the names of special tokens in it as those tokens: for prompts whose author
    /// means them, such as a chat's `<|user|>`.
    ///
    /// # Errors
    /// As [`encode`](Tokenizer::encode).
    pub fn encode_named(&self, text: &str, bos: bool, out: &mut [u16]) -> Result<usize, Error> {
        self.encode_parts(text, bos, true, out)
    }

    /// The part of a text before the first name of an added token, that token, and the part after it; the whole text where there is none.
    /// Each part is encoded by itself.
    pub fn cut_named<'t>(&self, text: &'t str) -> (&'t str, Option<(u16, &'t str)>) {
        self.added.cut(text, true)
    }

    fn encode_parts(&self, text: &str, bos: bool, special: bool, out: &mut [u16]) -> Result<usize, Error> {
        let max = out.len();
        let mut symbols = Symbols { out, len: 0, max };
        if let Some(first) = self.bos().filter(|_| bos) {
            symbols.push(first)?;
        }
        let mut rest = text;
        loop {
            let (part, found) = self.added.cut(rest, special);
            self.encode_part(part, &mut symbols)?;
            let Some((token, after)) = found else { return Ok(symbols.len) };
            symbols.push(token)?;
            rest = after;
        }
    }

    /// Encodes a part of a text without names. The space before a text is put before every part of it that is not empty.
    fn encode_part(&self, part: &str, symbols: &mut Symbols<'_>) -> Result<(), Error> {
        let start = symbols.len;
        if self.prefix_space && !part.is_empty() {
            self.push_character(' ', symbols)?;
        }
        for character in part.chars() {
            self.push_character(character, symbols)?;
        }
        let tokens = symbols.out.get_mut(start..symbols.len).unwrap_or(&mut []);
        symbols.len = start + self.merge(tokens);
        Ok(())
    }

    fn push_character(&self, character: char, symbols: &mut Symbols<'_>) -> Result<(), Error> {
        if self.kind == TokenizerKind::Characters
            && let Some(token) = lookup(self.characters, character.into())
        {
            return symbols.push(token as u16);
        }
        for &byte in character.encode_utf8(&mut [0; 4]).as_bytes() {
            let token = self.byte_tokens.get(usize::from(byte)).copied().unwrap_or(NO_TOKEN);
            if token == NO_TOKEN {
                return Err(Error::UnknownByte { byte });
            }
            symbols.push(token as u16)?;
        }
        Ok(())
    }

    /// Merges neighbours until no pair is left: the pair of lowest rank first, the leftmost among equals. Returns the number left.
    fn merge(&self, tokens: &mut [u16]) -> usize {
        let mut len = tokens.len();
        loop {
            let current = tokens.get_mut(..len).unwrap_or(&mut []);
            let mut best: Option<(u32, usize, u16)> = None;
            for (index, (&left, &right)) in current.iter().zip(current.iter().skip(1)).enumerate() {
                if let Some(found) = lookup(self.merges, u32::from(left) << 16 | u32::from(right)) {
                    let rank = found & 0xffff;
                    if best.is_none_or(|(lowest, ..)| rank < lowest) {
                        best = Some((rank, index, (found >> 16) as u16));
                    }
                }
            }
            let Some((_, index, merged)) = best else { return len };
            if let Some(tail) = current.get_mut(index..)
                && let [left, rest @ ..] = tail
            {
                *left = merged;
                // The right half of the pair is dropped; everything after it moves down by one.
                if !rest.is_empty() {
                    rest.rotate_left(1);
                }
            }
            len -= 1;
        }
    }

    /// The name of a token that has one: of a special token, or of one that was added to the vocabulary.
    pub fn name(&self, token: u16) -> Option<&'a str> {
        self.added.name(token)
    }

    /// Text of a token after the token before it, as bytes.
    ///
    /// A vocabulary that puts a space before the text removes it again after BOS. A character that was split into byte tokens
    /// comes in parts: only their concatenation is UTF-8. A token beyond the vocabulary gives no bytes.
    pub fn piece(&self, previous: u16, token: u16) -> &'a [u8] {
        self.piece_without_space(token, self.bos() == Some(previous))
    }

    /// Text of the first token of a text that no BOS begins, as bytes: without the space that encoding put before the text.
    pub fn first_piece(&self, token: u16) -> &'a [u8] {
        self.piece_without_space(token, true)
    }

    /// Text of a token, perhaps without the space that encoding put before it. One function, since programs print at several places.
    #[inline(never)]
    fn piece_without_space(&self, token: u16, without: bool) -> &'a [u8] {
        let offset = |index: usize| self.piece_offsets.get(index).map(|&offset| offset as usize);
        let (Some(start), Some(end)) = (offset(token.into()), offset(usize::from(token) + 1)) else {
            return &[];
        };
        match self.piece_bytes.get(start..end).unwrap_or(&[]) {
            [b' ', rest @ ..] if without && self.prefix_space => rest,
            piece => piece,
        }
    }
}

/// A token buffer that is being filled.
struct Symbols<'o> {
    out: &'o mut [u16],
    len: usize,
    max: usize,
}

impl Symbols<'_> {
    fn push(&mut self, token: u16) -> Result<(), Error> {
        *self.out.get_mut(self.len).ok_or(Error::PromptTooLong { max: self.max })? = token;
        self.len += 1;
        Ok(())
    }
}

/// Binary search in a table of (key, value) words, sorted by key.
fn lookup(table: &[u32], key: u32) -> Option<u32> {
    let (pairs, _) = table.as_chunks::<2>();
    let index = pairs.binary_search_by_key(&key, |pair| pair[0]).ok()?;
    pairs.get(index).map(|pair| pair[1])
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// Names in a text, as llama.cpp and the `tokenizers` library cut them out: every part between them gets its own space.
    #[test]
    fn parts_between_names_are_encoded_alone() {
        let byte_tokens: Vec<u32> = (0..256).collect();
        // "at" is token 300, and " a" token 301.
        let merges = [
            u32::from(b' ') << 16 | u32::from(b'a'),
            301 << 16 | 1,
            u32::from(b'a') << 16 | u32::from(b't'),
            300 << 16,
        ];
        let entries = [400, 3, 1 << 16 | 401, 7];
        let tokenizer = |prefix_space| Tokenizer {
            kind: TokenizerKind::Bytes,
            prefix_space,
            bos: 501,
            ends: [402, 0, 0, 0],
            piece_offsets: &[],
            piece_bytes: &[],
            byte_tokens: &byte_tokens,
            characters: &[],
            merges: &merges,
            added: AddedTokens::new(&entries, b"<u></s>"),
        };
        let cases: [(bool, &str, bool, &[u16]); 7] = [
            (true, "at<u>at", true, &[500, 32, 300, 400, 32, 300]),
            (false, "at<u>at", true, &[500, 300, 400, 300]),
            (false, "a<u>t", true, &[500, 97, 400, 116]),
            (true, "<u></s>", true, &[500, 400, 401]),
            (true, "<u></s>", false, &[500, 400, 32, 60, 47, 115, 62]),
            (true, "", true, &[500]),
            (true, "<u><u> ", true, &[500, 400, 400, 32, 32]),
        ];
        for (prefix_space, text, named, expected) in cases {
            let tokenizer = tokenizer(prefix_space);
            let mut out = [0; 16];
            let encode = if named { Tokenizer::encode_named } else { Tokenizer::encode };
            let length = encode(&tokenizer, text, true, &mut out).unwrap();
            assert_eq!(out[..length], *expected, "{text:?}");
            let max = expected.len() - 1;
            assert_eq!(encode(&tokenizer, text, true, &mut out[..max]), Err(Error::PromptTooLong { max }), "{text:?}");
        }
        assert!(
            tokenizer(true).is_end(401) && !tokenizer(true).is_end(500),
            "BOS ends a text only where it is named as an end"
        );
    }
}
