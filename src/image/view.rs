//! Views of a checked image: its sections, and the matrices, vectors and tables in them.
//!
//! ```text
//! tensor, layer ──► index in the section table ──► Section: shape and offsets ──► Matrix, Vector or table in place
//! ```
//! A tensor that is absent, or an offset beyond the image, gives an empty view: [`parse`](super::parse) refuses such images.

use super::contents::Contents;
use super::layout::{self, header, section, word};
use crate::arch::{self, Packing};
use crate::dims::Dims;
use crate::options::{ClassPlace, DenseActivation, Pooling};
use crate::tensors::{Encoding, Tensor};
use crate::weights::{Kind, Linear, Matrix, Vector};

/// The symbols that a tokenizer splits a text into before it merges them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenizerKind {
    /// Every byte is a symbol.
    Bytes,
    /// Every character is a symbol; one that the vocabulary lacks is replaced by its bytes.
    Characters,
}

/// One entry of the section table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// The tensor.
    pub tensor: Tensor,
    /// The layer; 0 for tensors outside the layers.
    pub layer: usize,
    /// Encoding of the values: one of the `ENCODING_*` values of [`layout`].
    pub encoding: u32,
    /// Rows; 1 for a vector.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// First byte, from the image's start.
    pub offset: usize,
    /// Bytes of the values.
    pub bytes: usize,
    /// First byte of the row scales; 0 where there are none.
    pub scales: usize,
}

/// A checked image: dimensions and views of its sections.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    pub(super) words: &'a [u32],
    pub(crate) dims: Dims,
    pub(super) packing: Packing,
    pub(super) quantization: u32,
    pub(super) contents: Contents,
    /// Number of sections of known kinds, which come first.
    pub(super) sections: usize,
    pub(crate) rotary_fine: usize,
    pub(crate) tokenizer: Option<TokenizerKind>,
    pub(crate) prefix_space: bool,
    pub(crate) bos: u32,
    pub(crate) ends: [u32; 4],
    pub(crate) n_columns: usize,
    pub(crate) frame_hop: usize,
}

impl<'a> Image<'a> {
    /// Number of sections, without those of later versions, which are ignored.
    pub const fn sections(&self) -> usize {
        self.contents.sections()
    }

    /// Length of the whole image in bytes.
    pub const fn bytes(&self) -> usize {
        4 * self.words.len()
    }

    /// All words, the stored CRC-32 included.
    pub const fn words(&self) -> &'a [u32] {
        self.words
    }

    /// The CRC-32 stored in the image.
    pub const fn crc32(&self) -> u32 {
        word(self.words, self.words.len() - 1)
    }

    /// Index of a tensor's section.
    pub(super) const fn index_of(&self, tensor: Tensor, layer: usize) -> usize {
        self.contents.index_of(tensor, layer)
    }

    /// Entry at `index` of the section table.
    pub const fn section(&self, index: usize) -> Section {
        let (tensor, layer) = self.contents.at(index);
        self.entry(index, tensor, layer)
    }

    /// Entry of a tensor; all zeros when it is absent.
    #[inline]
    pub(super) const fn find(&self, tensor: Tensor, layer: usize) -> Section {
        self.entry(self.index_of(tensor, layer), tensor, layer)
    }

    #[inline]
    const fn entry(&self, index: usize, tensor: Tensor, layer: usize) -> Section {
        // For an absent tensor this is beyond the image, where all words are zero.
        let entry = header::WORDS + index * section::WORDS;
        Section {
            tensor,
            layer,
            encoding: word(self.words, entry + section::ENCODING) & !layout::MAY_BE_IGNORED,
            rows: word(self.words, entry + section::ROWS) as usize,
            cols: word(self.words, entry + section::COLS) as usize,
            offset: word(self.words, entry + section::OFFSET) as usize,
            bytes: word(self.words, entry + section::BYTES) as usize,
            scales: word(self.words, entry + section::SCALES) as usize,
        }
    }

    /// Words that hold these bytes; empty when they are not in the image, which `check_section` has ruled out.
    pub(super) const fn table_at(&self, offset: usize, bytes: usize) -> &'a [u32] {
        if let Some((_, from_offset)) = self.words.split_at_checked(offset / 4)
            && let Some((table, _)) = from_offset.split_at_checked(bytes.div_ceil(4))
        {
            return table;
        }
        &[]
    }

    /// A table of words.
    pub(crate) const fn table(&self, tensor: Tensor) -> &'a [u32] {
        let found = self.find(tensor, 0);
        self.table_at(found.offset, found.bytes)
    }

    /// The words of the audio front end, if there is one.
    pub const fn front_end_words(&self) -> Option<&'a [u32]> {
        if self.has(Tensor::AudioFrontEnd) { Some(self.table(Tensor::AudioFrontEnd)) } else { None }
    }

    /// A table of bytes: the texts of all tokens, one after the other, or the labels.
    pub(crate) const fn byte_table(&self, tensor: Tensor) -> &'a [u8] {
        let cols = self.find(tensor, 0).cols;
        match arch::bytes(self.table(tensor)).split_at_checked(cols) {
            Some((bytes, _)) => bytes,
            None => &[],
        }
    }

    /// The scale of a vector or a matrix.
    pub(super) const fn scale(&self, found: &Section) -> f32 {
        f32::from_bits(word(self.table_at(found.scales, 4), 0))
    }

    /// The multipliers of an int8 matrix, one for each padded row; empty for others.
    pub(super) const fn multipliers(&self, found: &Section) -> &'a [i16] {
        let bytes = layout::scale_bytes(found.encoding, found.rows);
        arch::as_i16(self.table_at(found.scales + 4, bytes.saturating_sub(4)))
    }

    /// A vector or table of 16-bit integers.
    pub(crate) const fn vector(&self, tensor: Tensor, layer: usize) -> Vector<'a> {
        let found = self.find(tensor, layer);
        let integers = arch::as_i16(self.table_at(found.offset, found.bytes));
        // An odd number of integers is padded to whole words.
        let integers = match integers.split_at_checked(found.rows * found.cols) {
            Some((integers, _)) => integers,
            None => integers,
        };
        Vector { integers, scale: self.scale(&found) }
    }

    /// A vector that may be absent.
    pub(crate) const fn optional_vector(&self, tensor: Tensor, layer: usize) -> Option<Vector<'a>> {
        if self.contents.has(tensor) { Some(self.vector(tensor, layer)) } else { None }
    }

    /// A matrix with its bias.
    pub(crate) const fn linear(&self, tensor: Tensor, bias: Tensor, layer: usize) -> Linear<'a> {
        Linear { matrix: self.matrix(tensor, layer), bias: self.optional_vector(bias, layer) }
    }

    /// True if the image holds a tensor.
    pub const fn has(&self, tensor: Tensor) -> bool {
        self.contents.has(tensor)
    }

    /// True if firmware needs the cargo feature `ends` for the image.
    pub const fn needs_ends(&self) -> bool {
        let options = &self.dims.options;
        let has_rare_pooling =
            matches!(options.pooling, Pooling::MeanOfInputs | Pooling::MeanOfClass | Pooling::Classes);
        let has_activation = !matches!(options.embedding_activation, DenseActivation::None);
        let is_last = !matches!(options.class_place, ClassPlace::First);
        options.mlp_head || self.has(Tensor::HeadNorm) || has_activation || has_rare_pooling || is_last
    }

    /// The output matrix, which may be the embedding (Press & Wolf 2017).
    pub(crate) const fn head(&self) -> Linear<'a> {
        let tensor = if self.contents.has(Tensor::Head) { Tensor::Head } else { Tensor::Embedding };
        self.linear(tensor, Tensor::HeadBias, 0)
    }

    /// A quantized matrix.
    pub(crate) const fn matrix(&self, tensor: Tensor, layer: usize) -> Matrix<'a> {
        let found = self.find(tensor, layer);
        Matrix {
            rows: found.rows,
            cols: found.cols,
            width: found.cols.next_multiple_of(arch::PACKED_COLUMNS),
            packing: self.packing,
            words: self.table_at(found.offset, found.bytes),
            kind: if found.encoding == layout::ENCODING_Q4 {
                Kind::Int4
            } else {
                Kind::Int8 { multipliers: self.multipliers(&found) }
            },
            scale: self.scale(&found),
        }
    }

    /// Writes one row of a matrix, a vector or the scaling of features as floats, for tools that compare an image with its checkpoint;
    /// `None` where there is no such row.
    ///
    /// # Shapes
    /// `out: [cols]`.
    pub fn row(&self, tensor: Tensor, layer: usize, row: usize, out: &mut [f32]) -> Option<()> {
        if !self.has(tensor) || layer >= self.dims.count(tensor) {
            return None;
        }
        let found = self.find(tensor, layer);
        if row >= found.rows {
            return None;
        }
        let start = row.checked_mul(found.cols)?;
        match tensor.encoding() {
            Encoding::Matrix => return self.matrix(tensor, layer).row(row, out),
            Encoding::Vector => {
                let vector = self.vector(tensor, layer);
                let integers = vector.integers.iter().skip(start);
                out.iter_mut().zip(integers).for_each(|(out, &integer)| *out = f32::from(integer) * vector.scale);
            }
            Encoding::Table if tensor == Tensor::FeatureScaling => {
                let words = self.table(tensor).iter().skip(start);
                out.iter_mut().zip(words).for_each(|(out, &word)| *out = f32::from_bits(word));
            }
            _ => return None,
        }
        Some(())
    }

    /// True if some matrices may be int4.
    pub const fn has_int4(&self) -> bool {
        self.quantization == layout::QUANTIZATION_Q4
    }

    /// Packing of the weights.
    pub const fn packing(&self) -> Packing {
        self.packing
    }
}
