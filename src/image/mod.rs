//! The model image (`.tbf`): a whole model in one file, read in place from flash.
//!
//! ```text
//!   .tbf bytes ──► words(): &[u32] ──► Image::parse (const fn: firmware at compile time, tools at run time)
//!                                          │ checks: magic, version, length, CRC-32, every dimension, every section
//!                                          ▼
//!                      Image<'a> ──► matrix(i), vector(i), table(i): views without a copy
//! ```
//!
//! # Format, version 4
//! Little-endian. The unit is the 32-bit word: an image stored as `[u32; N]` is aligned by its type.
//!
//! | bytes | content |
//! |---|---|
//! | `0..256` | header, 64 words: [`layout::header`] |
//! | `256..256 + 32 n` | section table, 8 words for each of `n` sections: [`layout::section`] |
//! | … | sections, each at a multiple of 16 bytes, zeros between |
//! | last 4 | CRC-32 (ISO-HDLC, as zlib and PNG) of all bytes before it |
//!
//! Header, word by word: 0 magic `TBFM` · 1 version · 2 length in bytes (a multiple of 16, CRC included) · 3 number of
//! sections · 4 layout id (packing of the matrices: 1 host, 2 M4, 3 M55, 4 M0; see
//! [`Packing`](crate::Packing)) · 5 quantization (0: int8, 1: int8 and int4) ·
//! 6 `d_model` · 7 `n_layers` · 8 `n_heads` · 9 `n_kv_heads` · 10 `head_dim` · 11 `d_ff` · 12 `vocab` · 13 `max_seq` ·
//! 14 `norm_eps` (f32 bits) · 15 attention scale (f32 bits) · 16 [`Norm`](crate::Norm) · 17 [`NormPlace`](crate::NormPlace) ·
//! 18 [`Activation`](crate::Activation) · 19 [`Mask`](crate::Mask) · 20 [`Positions`](crate::Positions) ·
//! 21 [`Input`](crate::Input) · 22 rows of the fine rotary table or 0 · 23 tokenizer (0 none, 1 bytes, 2 characters) ·
//! 24 tokenizer flags (bit 0: space before the text) · 25 BOS token plus 1, or 0 · 26–29 end tokens, each plus 1, or 0 ·
//! 30 [`Pooling`](crate::Pooling) · 31 [`Pooler`](crate::Pooler) · 32 `n_outputs`, 0 where it is `vocab` · 33 `n_features` ·
//! 34 `sliding_window` · 35 1 where no matrix computes the outputs · 36 columns of a sensor's recordings, 0 where a sample is a
//! frame · 37 samples from one frame to the next, 0 where frames do not overlap · 38–63 zero.
//!
//! Section entry, word by word: 0 kind, four letters ([`Tensor::kind`](crate::Tensor::kind)) · 1 layer · 2 encoding (1 int8
//! matrix, 2 `i16` vector, 3 table, 4 int4 matrix; bit 31: may be ignored) · 3 rows · 4 columns · 5 byte offset · 6 bytes · 7 byte
//! offset of the scales or 0.
//!
//! # Growth
//! A later release adds a kind of section, or a header word whose default is 0; the version stays, and what was written
//! once loads for ever. A reader refuses a kind that it does not know by its letters, and a header word that it has no name for by
//! its value. A section may be ignored where its bit says so, which only what is not computed with may have; those come last. The
//! kind `sign` is kept for a signature: the last section, its bytes directly before the CRC, over all bytes before its own.
//!
//! Sections come in the order of [`Tensor::ALL`](crate::Tensor::ALL), absent tensors left out: tensors before the layers, all
//! tensors of the first layer, of the second …, tensors after the layers. Shapes are those of [`Tensor`](crate::Tensor). Without
//! a head section a language model's embedding is the head; without a gate section the MLP has no gate. A layer's MLP may be
//! narrower than `d_ff`: the shapes of its matrices tell its width.
//!
//! * **int8 matrix** `[rows, cols]`: integers in -127..=127, rows padded with zeros to a multiple of 4, columns to a multiple
//!   of 16, in the image's packing. Its scales are one `f32` and an `i16` multiplier in 0..=32767 for each padded row:
//!   `weight = integer * multiplier[row] * scale`.
//! * **int4 matrix** `[rows, cols]`, at most 2048 columns: integers in -7..=7, padded alike. 32 columns of a row are a group with a
//!   scale of 8 bits; where the padded columns are 16 more than a multiple of 32, the first group has 16. Four rows of a
//!   group are 16 words of integers (8 of a half group), in the image's packing, and a word of their four scales. The matrix
//!   has one `f32`: `weight = integer * scale of the group * scale`.
//! * **`i16` vector** (gains, biases, rotary tables): 16-bit integers, padded to whole words, and one `f32` scale.
//! * **Rotary tables** (Su et al. 2021): the angle of position `p = coarse * F + fine` is the sum of two angles, so two
//!   small tables replace one of `max_seq` rows: row `i` of the fine table holds `cos` and `sin` of
//!   `i * theta^(-2j / head_dim)` for `j` in `0..head_dim / 2`, row `i` of the coarse table the same for `i * F`; in units of
//!   2^-15.
//! * **Offset and scale of features**: an `f32` for each feature, in a table; the network sees `(feature - offset) * scale`.
//! * **Labels** and **columns**: the names of the outputs and of the columns of recordings, UTF-8, a line break between two.
//! * **Audio front end**: a table with a layout of its own, `thumbformer::audio`.
//! * **Info**: lines `key: value`, UTF-8; may be ignored.
//! * **Tokenizer**: piece offsets `[vocab + 1]` into piece bytes (the raw bytes that a token prints); byte tokens `[256]`;
//!   characters `[n, 2]` = (code point, token), sorted; merges `[n, 2]` = (`left << 16 | right`, `merged << 16 | rank`),
//!   sorted; the lowest rank merges first, the leftmost among equals; added tokens `[n, 2]` = (token, end of its name in the added
//!   names): bit 16 of the token for a special one, bit 17 where the name means nothing in a text.

mod check;
mod constant;
mod contents;
mod header;
pub mod layout;
mod parse;
mod round;
mod shape;
mod view;
#[cfg(feature = "std")]
mod write;

pub use crate::arch::Aligned;
pub use check::Check;
pub use constant::{Constant, constant, constant_words};
pub(crate) use header::CRC;
pub use view::{Image, Section, TokenizerKind};
#[cfg(feature = "std")]
pub use write::{AddedToken, ImageWriter, Int4, MAX_ENDS, MAX_INT4_COLUMNS, Named, TokenizerTables, bytes};

use crate::arch;
use crate::error::Error;

/// Words of an image that is loaded as bytes at run time.
///
/// # Errors
/// [`Error::Misaligned`] when the bytes do not start at a multiple of 4; [`Error::Length`] when their number is no multiple of 4.
pub fn words(bytes: &[u8]) -> Result<&[u32], Error> {
    if !bytes.len().is_multiple_of(4) {
        let expected = bytes.len().next_multiple_of(4) as u32;
        return Err(Error::Length { expected, found: bytes.len() as u32 });
    }
    arch::words(bytes).ok_or(Error::Misaligned)
}
