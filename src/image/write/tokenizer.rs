//! The tables of a tokenizer, as the host gives them to the writer.

use super::ImageWriter;
use crate::error::Error;
use crate::image::layout;
use crate::image::view::TokenizerKind;
use crate::tensors::Tensor;
use std::vec;
use std::vec::Vec;

/// Tables of a tokenizer, as the image stores them.
#[derive(Clone, Debug)]
pub struct TokenizerTables<'a> {
    /// The symbols that a text is split into before merging.
    pub kind: TokenizerKind,
    /// True if a space is put before the text.
    pub prefix_space: bool,
    /// Text of each token, as bytes, `[vocab]`.
    pub pieces: &'a [Vec<u8>],
    /// The token of each byte; `u32::MAX` where there is none.
    pub byte_tokens: &'a [u32; 256],
    /// Tokens that are one character: the character, perhaps with bits of [`layout::rules`], and the token.
    pub characters: &'a [(u32, u32)],
    /// Pairs that merge: left, right, merged token, rank.
    pub merges: &'a [(u32, u32, u32, u32)],
    /// Tokens with names.
    pub added: &'a [AddedToken<'a>],
}

/// A token with a name.
#[derive(Clone, Copy, Debug)]
pub struct AddedToken<'a> {
    /// The token.
    pub id: u32,
    /// Its name, as a text holds it.
    pub name: &'a str,
    /// Meaning of the name in a text.
    pub named: Named,
}

/// Meaning of a token's name in a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// Plain text: the name is only for people.
    Never,
    /// A special token: the token where a prompt's author means it, plain text in a user's input.
    Special,
    /// Always the token.
    Always,
}

impl ImageWriter {
    /// Adds a tokenizer.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] when there is not one piece per token; [`Error::BadValue`] when a merge does not fit the
    /// tables (more than 65,536 ranks, or tokens beyond the vocabulary).
    pub fn tokenizer(&mut self, tables: &TokenizerTables<'_>) -> Result<(), Error> {
        let vocab = self.dims.vocab;
        if tables.pieces.len() != vocab {
            return Err(Error::ShapeMismatch {
                tensor: Tensor::PieceOffsets,
                layer: 0,
                expected: (1, vocab as u32),
                found: (1, tables.pieces.len() as u32),
            });
        }
        self.tokenizer = match tables.kind {
            TokenizerKind::Bytes => 1,
            TokenizerKind::Characters => 2,
            TokenizerKind::Pieces => 3,
            TokenizerKind::Unigram => 4,
        };
        self.tokenizer_flags = u32::from(tables.prefix_space);
        let mut offsets = vec![0];
        let mut bytes = Vec::new();
        for piece in tables.pieces {
            bytes.extend(piece);
            offsets.push(bytes.len() as u32);
        }
        let mut characters: Vec<[u32; 2]> =
            tables.characters.iter().map(|&(character, token)| [character, token]).collect();
        characters.sort_unstable();
        characters.dedup_by_key(|entry| entry[0]);
        let mut merges = Vec::with_capacity(tables.merges.len());
        for (index, &(left, right, merged, rank)) in tables.merges.iter().enumerate() {
            if [left, right, merged].iter().any(|&token| token as usize >= vocab) || rank > 0xffff {
                return Err(Error::BadValue { tensor: Tensor::Merges, layer: 0, index: index as u32 });
            }
            merges.push([left << 16 | right, merged << 16 | rank]);
        }
        merges.sort_unstable();
        merges.dedup_by_key(|entry| entry[0]);
        let (mut added, mut names) = (Vec::new(), Vec::new());
        for (index, token) in tables.added.iter().enumerate() {
            if token.id as usize >= vocab {
                return Err(Error::BadValue { tensor: Tensor::AddedTokens, layer: 0, index: index as u32 });
            }
            names.extend(token.name.as_bytes());
            let flags = match token.named {
                Named::Always => 0,
                Named::Special => layout::ADDED_SPECIAL,
                Named::Never => layout::ADDED_UNNAMED,
            };
            added.push([token.id | flags, names.len() as u32]);
        }
        self.table(Tensor::PieceOffsets, 1, vocab + 1, offsets);
        self.bytes(Tensor::PieceBytes, bytes);
        let merges_any = matches!(tables.kind, TokenizerKind::Bytes | TokenizerKind::Characters);
        if merges_any || tables.byte_tokens.iter().any(|&token| token != layout::NO_TOKEN) {
            self.table(Tensor::ByteTokens, 1, 256, tables.byte_tokens.iter().copied());
        }
        if merges_any {
            self.table(Tensor::Characters, characters.len(), 2, characters.into_iter().flatten());
            self.table(Tensor::Merges, merges.len(), 2, merges.into_iter().flatten());
        }
        self.table(Tensor::AddedTokens, added.len(), 2, added.into_iter().flatten());
        self.bytes(Tensor::AddedNames, names);
        Ok(())
    }
}
