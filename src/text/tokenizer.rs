//! The tokenizer: byte-pair encoding (Sennrich et al. 2016) with byte fallback, on tables in flash, without a heap.

use super::added::AddedTokens;
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
    pub(super) kind: TokenizerKind,
    pub(super) prefix_space: bool,
    /// Plus 1; 0 for none.
    pub(super) bos: u32,
    /// Each plus 1; 0 for none.
    pub(super) ends: [u32; 4],
    pub(super) piece_offsets: &'a [u32],
    pub(super) piece_bytes: &'a [u8],
    pub(super) byte_tokens: &'a [u32],
    pub(super) characters: &'a [u32],
    pub(super) merges: &'a [u32],
    pub(super) added: AddedTokens<'a>,
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
        match self.text(token) {
            [b' ', rest @ ..] if without && self.prefix_space => rest,
            piece => piece,
        }
    }

    /// Text of a token, as bytes; of one beyond the vocabulary, and of one that prints nothing, no bytes.
    pub(super) fn text(&self, token: u16) -> &'a [u8] {
        let offset = |index: usize| self.piece_offsets.get(index).map(|&offset| offset as usize);
        let (Some(start), Some(end)) = (offset(token.into()), offset(usize::from(token) + 1)) else {
            return &[];
        };
        self.piece_bytes.get(start..end).unwrap_or(&[])
    }
}
