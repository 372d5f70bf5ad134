//! Offsets and values of the image format, version 4. The picture is in [`crate::image`].

use crate::arch;

/// `TBFM` as a little-endian word: the first four bytes of every image.
pub const MAGIC: u32 = u32::from_le_bytes(*b"TBFM");
/// The format version that this crate reads and writes.
pub const VERSION: u32 = 4;

/// Header words, by index.
pub mod header {
    /// [`super::MAGIC`].
    pub const MAGIC: usize = 0;
    /// [`super::VERSION`].
    pub const VERSION: usize = 1;
    /// Length of the image in bytes, the CRC included; a multiple of 16.
    pub const BYTES: usize = 2;
    /// Number of entries in the section table.
    pub const SECTIONS: usize = 3;
    /// Layout id, the packing of the weights: [`crate::Packing::id`].
    pub const LAYOUT: usize = 4;
    /// Quantization of the matrices: [`super::QUANTIZATION_Q8`] or [`super::QUANTIZATION_Q4`].
    pub const QUANTIZATION: usize = 5;
    /// [`crate::Dims::d_model`].
    pub const D_MODEL: usize = 6;
    /// [`crate::Dims::n_layers`].
    pub const N_LAYERS: usize = 7;
    /// [`crate::Dims::n_heads`].
    pub const N_HEADS: usize = 8;
    /// [`crate::Dims::n_kv_heads`].
    pub const N_KV_HEADS: usize = 9;
    /// [`crate::Dims::head_dim`].
    pub const HEAD_DIM: usize = 10;
    /// [`crate::Dims::d_ff`].
    pub const D_FF: usize = 11;
    /// [`crate::Dims::vocab`].
    pub const VOCAB: usize = 12;
    /// [`crate::Dims::max_seq`].
    pub const MAX_SEQ: usize = 13;
    /// [`crate::Dims::norm_eps`], the bits of an `f32`.
    pub const NORM_EPS: usize = 14;
    /// [`crate::Dims::attention_scale`], the bits of an `f32`.
    pub const ATTENTION_SCALE: usize = 15;
    /// [`crate::Norm`].
    pub const NORM: usize = 16;
    /// [`crate::NormPlace`].
    pub const NORM_PLACE: usize = 17;
    /// [`crate::Activation`].
    pub const ACTIVATION: usize = 18;
    /// [`crate::Mask`].
    pub const MASK: usize = 19;
    /// [`crate::Positions`].
    pub const POSITIONS: usize = 20;
    /// [`crate::Input`].
    pub const INPUT: usize = 21;
    /// Rows of the fine rotary table; 0 without rotary positions.
    pub const ROTARY_FINE: usize = 22;
    /// Tokenizer: 0 none, 1 byte-level BPE, 2 BPE over characters with bytes as fallback.
    pub const TOKENIZER: usize = 23;
    /// Tokenizer flags: bit 0, a space is put before the text.
    pub const TOKENIZER_FLAGS: usize = 24;
    /// Token that begins a text, plus 1; 0 for none.
    pub const BOS: usize = 25;
    /// Four tokens that end a text, each plus 1; 0 for none.
    pub const ENDS: usize = 26;
    /// [`crate::Pooling`].
    pub const POOLING: usize = 30;
    /// [`crate::Pooler`].
    pub const POOLER: usize = 31;
    /// [`crate::Dims::n_outputs`]; 0 where it is [`crate::Dims::vocab`].
    pub const N_OUTPUTS: usize = 32;
    /// [`crate::Dims::n_features`].
    pub const N_FEATURES: usize = 33;
    /// [`crate::Dims::sliding_window`].
    pub const SLIDING_WINDOW: usize = 34;
    /// 1 where no matrix computes the outputs: the opposite of [`crate::Options::head`].
    pub const HEADLESS: usize = 35;
    /// Columns of a sensor's recordings: a frame is `n_features / n_columns` samples, one after the other; 0 where one sample is a
    /// frame.
    pub const N_COLUMNS: usize = 36;
    /// Samples from the beginning of one frame to that of the next; 0 where frames do not overlap.
    pub const FRAME_HOP: usize = 37;
    /// [`crate::Dims::n_class`] where there are more class tokens than one; else 0.
    pub const CLASS_TOKENS: usize = 38;
    /// [`crate::ClassPlace`].
    pub const CLASS_PLACE: usize = 39;
    /// [`crate::Options::embedding_activation`].
    pub const EMBEDDING_ACTIVATION: usize = 40;
    /// [`crate::Options::head_activation`].
    pub const HEAD_ACTIVATION: usize = 41;
    /// Four words: [`crate::Dims::head_widths`].
    pub const HEAD_WIDTHS: usize = 42;
    /// [`crate::Outputs`].
    pub const OUTPUTS: usize = 46;
    /// Number of words that have a name, from the first on; the others are zero.
    pub const NAMED: usize = 47;
    /// Number of header words.
    pub const WORDS: usize = 64;
}

/// Words of an entry in the section table, by index.
pub mod section {
    /// Four letters: [`crate::Tensor::kind`].
    pub const KIND: usize = 0;
    /// The layer; 0 for tensors outside the layers.
    pub const LAYER: usize = 1;
    /// Encoding of the values: [`super::ENCODING_Q8`], [`super::ENCODING_I16`], [`super::ENCODING_RAW`] or
    /// [`super::ENCODING_Q4`]; and [`super::MAY_BE_IGNORED`].
    pub const ENCODING: usize = 2;
    /// Rows of the tensor; 1 for a vector.
    pub const ROWS: usize = 3;
    /// Columns of the tensor.
    pub const COLS: usize = 4;
    /// First byte of the values, counted from the image's start; a multiple of 16.
    pub const OFFSET: usize = 5;
    /// Bytes of the values.
    pub const BYTES: usize = 6;
    /// First byte of the scales, a multiple of 16: one `f32`, and for an int8 matrix an `i16` multiplier for each padded row; 0
    /// where there are none.
    pub const SCALES: usize = 7;
    /// Number of words of an entry.
    pub const WORDS: usize = 8;
}

/// Quantization 0: every matrix is int8 with a scale per row.
pub const QUANTIZATION_Q8: u32 = 0;
/// Quantization 1: some matrices are int4 with a scale per group, as their sections say.
pub const QUANTIZATION_Q4: u32 = 1;
/// Values are int8 in the image's packing; the scales are one `f32` and an `i16` multiplier for each padded row.
pub const ENCODING_Q8: u32 = 1;
/// Values are `i16`, padded to whole words; the scale is one `f32`.
pub const ENCODING_I16: u32 = 2;
/// Values are words or bytes of a table.
pub const ENCODING_RAW: u32 = 3;
/// Values are int4 in the image's packing, the scales of groups among them; the scale is one `f32`.
pub const ENCODING_Q4: u32 = 4;
/// Bit of a section's encoding: a reader that does not know the kind may leave it out. Such sections come last.
pub const MAY_BE_IGNORED: u32 = 1 << 31;
/// Bit of an entry in the table of added tokens: the token is special, and its name in a text counts only where it is asked for.
pub const ADDED_SPECIAL: u32 = 1 << 16;
/// Bit of such an entry: the name is only for people.
pub const ADDED_UNNAMED: u32 = 1 << 17;
/// Entry of the table of byte tokens where a byte has no token.
pub const NO_TOKEN: u32 = u32::MAX;
/// Sections start at multiples of this many bytes.
pub const ALIGNMENT: usize = 16;

/// Bytes that the values of `rows * cols` take in an encoding.
pub const fn value_bytes(encoding: u32, rows: usize, cols: usize) -> u64 {
    let count = rows as u64 * cols as u64;
    match encoding {
        ENCODING_Q8 => 4 * arch::words_q8(rows, cols),
        ENCODING_Q4 => 4 * arch::words_q4(rows, cols),
        ENCODING_I16 => 4 * count.div_ceil(2),
        _ => 4 * count,
    }
}

/// Bytes of a section's scales: an `f32`, and for an int8 matrix an `i16` for each padded row.
pub const fn scale_bytes(encoding: u32, rows: usize) -> usize {
    match encoding {
        ENCODING_Q8 => 4 + 2 * rows.next_multiple_of(arch::PACKED_ROWS),
        ENCODING_I16 | ENCODING_Q4 => 4,
        _ => 0,
    }
}

/// Word at `index`; 0 beyond the end, which no check accepts.
pub(super) const fn word(words: &[u32], index: usize) -> u32 {
    if index < words.len() { words[index] } else { 0 }
}
