//! The only code that sees raw image bytes: checks them once, then lends views that cannot go wrong.
//!
//! Everything here is `const fn`: the compiler runs it on an included image, the host tools at run time.

use super::layout::{self, header, section};
use crate::arch::{self, Packing};
use crate::dims::Dims;
use crate::error::{Error, Tensor};
use crate::weights::{Kind, Matrix, Vector};
use crc::{CRC_32_ISO_HDLC, Crc};

/// `?` for const functions.
macro_rules! check {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}

/// How a tokenizer splits a text before it merges.
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
    /// Which tensor.
    pub tensor: Tensor,
    /// The layer; 0 for tensors outside the layers.
    pub layer: usize,
    /// How the values are stored: one of the `ENCODING_*` values of [`layout`].
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
    words: &'a [u32],
    pub(crate) dims: Dims,
    packing: Packing,
    quantization: u32,
    pub(crate) separate_head: bool,
    pub(crate) rotary_fine: usize,
    pub(crate) tokenizer: Option<TokenizerKind>,
    pub(crate) prefix_space: bool,
    pub(crate) bos: u32,
    pub(crate) ends: [u32; 2],
}

/// The tensors of a layer in their order.
pub(crate) const LAYER_TENSORS: [Tensor; 9] = [
    Tensor::AttentionNorm,
    Tensor::Query,
    Tensor::Key,
    Tensor::Value,
    Tensor::AttentionOutput,
    Tensor::MlpNorm,
    Tensor::Gate,
    Tensor::Up,
    Tensor::Down,
];
const TOKENIZER_TENSORS: [Tensor; 5] =
    [Tensor::PieceOffsets, Tensor::PieceBytes, Tensor::ByteTokens, Tensor::Characters, Tensor::Merges];

/// The word at `index`, or 0 beyond the end (which no check lets pass).
const fn word(words: &[u32], index: usize) -> u32 {
    if index < words.len() { words[index] } else { 0 }
}

/// Offsets are 32 bits of bytes.
const MAX_WORDS: usize = u32::MAX as usize / 4;

/// CRC-32 as zlib and PNG compute it.
pub(crate) const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

impl<'a> Image<'a> {
    /// Checks an image and lends its views.
    ///
    /// # Errors
    /// The first thing that is wrong: see [`Error`], whose variants up to [`Error::BadValue`] come from here.
    pub const fn parse(words: &'a [u32]) -> Result<Image<'a>, Error> {
        check!(envelope(words));
        let image = check!(read_header(words));
        check!(image.dims.check());
        let mut index = 0;
        while index < image.sections() {
            check!(image.check_section(index));
            index += 1;
        }
        if word(words, header::SECTIONS) as usize != image.sections() {
            return Err(Error::Unsupported { field: "sections", found: word(words, header::SECTIONS) });
        }
        Ok(image)
    }

    /// Number of sections that the header's options ask for.
    pub const fn sections(&self) -> usize {
        let tokenizer = if self.tokenizer.is_some() { TOKENIZER_TENSORS.len() } else { 0 };
        self.after_layers() + 1 + self.separate_head as usize + 2 + tokenizer
    }

    /// Bytes of the whole image.
    pub const fn bytes(&self) -> usize {
        4 * self.words.len()
    }

    /// The CRC-32 that the image carries.
    pub const fn crc32(&self) -> u32 {
        word(self.words, self.words.len() - 1)
    }

    const fn after_layers(&self) -> usize {
        1 + LAYER_TENSORS.len() * self.dims.n_layers
    }

    /// Index of a tensor's section; of layer 0 for tensors of the layers.
    pub(crate) const fn index_of(&self, tensor: Tensor) -> usize {
        let number = tensor as usize;
        match tensor {
            Tensor::Embedding => 0,
            Tensor::FinalNorm => self.after_layers(),
            Tensor::Head if self.separate_head => self.after_layers() + 1,
            Tensor::Head => 0,
            _ if number < Tensor::FinalNorm as usize => number - Tensor::AttentionNorm as usize + 1,
            _ => self.after_layers() + 1 + self.separate_head as usize + number - Tensor::RotaryFine as usize,
        }
    }

    /// What the dimensions demand of the section at `index`: tensor, layer, encoding, rows, columns (0: any number).
    const fn demand(&self, index: usize) -> (Tensor, usize, u32, usize, usize) {
        let dims = &self.dims;
        let (d, attention, kv) = (dims.d_model, dims.attention_width(), dims.kv_width());
        const Q8: u32 = layout::ENCODING_Q8;
        const I16: u32 = layout::ENCODING_I16;
        const RAW: u32 = layout::ENCODING_RAW;
        if index == 0 {
            return (Tensor::Embedding, 0, Q8, dims.vocab, d);
        }
        if index < self.after_layers() {
            let layer = (index - 1) / LAYER_TENSORS.len();
            let tensor = LAYER_TENSORS[(index - 1) % LAYER_TENSORS.len()];
            let (encoding, rows, cols) = match tensor {
                Tensor::Query => (Q8, attention, d),
                Tensor::Key | Tensor::Value => (Q8, kv, d),
                Tensor::AttentionOutput => (Q8, d, attention),
                Tensor::Gate | Tensor::Up => (Q8, dims.d_ff, d),
                Tensor::Down => (Q8, d, dims.d_ff),
                _ => (I16, 1, d),
            };
            return (tensor, layer, encoding, rows, cols);
        }
        let rest = index - self.after_layers();
        if rest == 0 {
            return (Tensor::FinalNorm, 0, I16, 1, d);
        }
        if rest == 1 && self.separate_head {
            return (Tensor::Head, 0, Q8, dims.vocab, d);
        }
        match rest - 1 - self.separate_head as usize {
            0 => (Tensor::RotaryFine, 0, I16, self.rotary_fine, dims.head_dim),
            // Parsing refused a table of no rows; `if` tells the compiler, which else would keep a panic.
            1 if self.rotary_fine > 0 => {
                (Tensor::RotaryCoarse, 0, I16, dims.max_seq.div_ceil(self.rotary_fine), dims.head_dim)
            }
            1 => (Tensor::RotaryCoarse, 0, I16, 0, dims.head_dim),
            2 => (Tensor::PieceOffsets, 0, RAW, 1, dims.vocab + 1),
            3 => (Tensor::PieceBytes, 0, RAW, 1, 0),
            4 => (Tensor::ByteTokens, 0, RAW, 1, 256),
            5 => (Tensor::Characters, 0, RAW, 0, 2),
            _ => (Tensor::Merges, 0, RAW, 0, 2),
        }
    }

    const fn check_section(&self, index: usize) -> Result<(), Error> {
        let (tensor, layer, encoding, rows, cols) = self.demand(index);
        let layer_number = layer as u32;
        let entry = header::WORDS + index * section::WORDS;
        if word(self.words, entry + section::TENSOR) != tensor as u32
            || word(self.words, entry + section::LAYER) != layer_number
        {
            return Err(Error::MissingTensor { tensor, layer: layer_number });
        }
        let found = self.section(index);
        let int4 = matches!(encoding, layout::ENCODING_Q8)
            && self.quantization == layout::QUANTIZATION_Q4
            && found.encoding == layout::ENCODING_Q4;
        if found.encoding != encoding && !int4 {
            return Err(Error::Unsupported { field: "section encoding", found: found.encoding });
        }
        let rows_differ = rows != 0 && rows != found.rows;
        if rows_differ || (cols != 0 && cols != found.cols) {
            return Err(Error::ShapeMismatch {
                tensor,
                layer: layer_number,
                expected: (rows as u32, cols as u32),
                found: (found.rows as u32, found.cols as u32),
            });
        }
        if int4 && found.cols > arch::MAX_COLUMNS_Q4 {
            return Err(Error::Dimension { name: "columns of an int4 matrix", found: found.cols as u32 });
        }
        let bytes = match tensor {
            Tensor::PieceBytes => found.cols as u64,
            _ => layout::value_bytes(found.encoding, found.rows, found.cols),
        };
        let scale_bytes = layout::scale_bytes(found.encoding, found.rows);
        let scales_fit = if scale_bytes > 0 { self.holds(found.scales, scale_bytes) } else { found.scales == 0 };
        if found.bytes as u64 != bytes || !self.holds(found.offset, found.bytes) || !scales_fit {
            return Err(Error::BadSection { tensor, layer: layer_number });
        }
        // Offsets are held against the length of all pieces, so that entry must be right first.
        if matches!(tensor, Tensor::PieceOffsets) {
            check!(self.check_section(index + 1));
        }
        match self.first_bad_value(&found) {
            Some(index) => Err(Error::BadValue { tensor, layer: layer_number, index: index as u32 }),
            None => Ok(()),
        }
    }

    /// Whether these bytes lie in the image, aligned, behind the section table and before the CRC.
    const fn holds(&self, offset: usize, bytes: usize) -> bool {
        let first = 4 * (header::WORDS as u64 + section::WORDS as u64 * word(self.words, header::SECTIONS) as u64);
        let end = offset as u64 + bytes as u64;
        offset as u64 >= first && offset.is_multiple_of(layout::ALIGNMENT) && end <= 4 * self.words.len() as u64 - 4
    }

    /// Index of the first value that cannot be computed with.
    const fn first_bad_value(&self, found: &Section) -> Option<usize> {
        let vocab = self.dims.vocab as u32;
        let table = self.table_at(found.offset, found.bytes);
        let mut i = 0;
        match found.tensor {
            Tensor::PieceOffsets => {
                let bytes = self.section(self.index_of(Tensor::PieceBytes)).cols as u32;
                while i < table.len() {
                    if table[i] > bytes || (i > 0 && table[i] < table[i - 1]) {
                        return Some(i);
                    }
                    i += 1;
                }
            }
            Tensor::PieceBytes => {}
            Tensor::ByteTokens => {
                while i < table.len() {
                    if table[i] >= vocab && table[i] != layout::NO_TOKEN {
                        return Some(i);
                    }
                    i += 1;
                }
            }
            Tensor::Characters | Tensor::Merges => {
                let shift = if matches!(found.tensor, Tensor::Merges) { 16 } else { 0 };
                while i + 1 < table.len() {
                    let unsorted = i > 0 && table[i] <= table[i - 2];
                    if unsorted || table[i + 1] >> shift >= vocab {
                        return Some(i);
                    }
                    i += 2;
                }
            }
            _ => {
                // The scale is zero or a normal positive number: cores differ in subnormals.
                let scale = self.scale(found);
                if !(scale == 0.0 || scale >= f32::MIN_POSITIVE && scale <= f32::MAX) {
                    return Some(0);
                }
                let multipliers = self.multipliers(found);
                while i < multipliers.len() {
                    if multipliers[i] < 0 {
                        return Some(i);
                    }
                    i += 1;
                }
            }
        }
        None
    }

    /// The entry at `index` of the section table.
    pub const fn section(&self, index: usize) -> Section {
        let (tensor, layer, ..) = self.demand(index);
        let entry = header::WORDS + index * section::WORDS;
        Section {
            tensor,
            layer,
            encoding: word(self.words, entry + section::ENCODING),
            rows: word(self.words, entry + section::ROWS) as usize,
            cols: word(self.words, entry + section::COLS) as usize,
            offset: word(self.words, entry + section::OFFSET) as usize,
            bytes: word(self.words, entry + section::BYTES) as usize,
            scales: word(self.words, entry + section::SCALES) as usize,
        }
    }

    /// The words that hold these bytes; empty when they are not in the image, which `check_section` has ruled out.
    const fn table_at(&self, offset: usize, bytes: usize) -> &'a [u32] {
        if let Some((_, from_offset)) = self.words.split_at_checked(offset / 4)
            && let Some((table, _)) = from_offset.split_at_checked(bytes.div_ceil(4))
        {
            return table;
        }
        &[]
    }

    /// A table of words.
    pub(crate) const fn table(&self, tensor: Tensor) -> &'a [u32] {
        let found = self.section(self.index_of(tensor));
        self.table_at(found.offset, found.bytes)
    }

    /// The bytes that all tokens print, one after the other.
    pub(crate) const fn piece_bytes(&self) -> &'a [u8] {
        let cols = self.section(self.index_of(Tensor::PieceBytes)).cols;
        match arch::bytes(self.table(Tensor::PieceBytes)).split_at_checked(cols) {
            Some((bytes, _)) => bytes,
            None => &[],
        }
    }

    /// The scale of a vector or a matrix.
    const fn scale(&self, found: &Section) -> f32 {
        f32::from_bits(word(self.table_at(found.scales, 4), 0))
    }

    /// The multipliers of an int8 matrix, one for each padded row; empty for others.
    const fn multipliers(&self, found: &Section) -> &'a [i16] {
        let bytes = layout::scale_bytes(found.encoding, found.rows);
        arch::halves(self.table_at(found.scales + 4, bytes.saturating_sub(4)))
    }

    /// A vector or table of 16-bit integers.
    pub(crate) const fn vector(&self, tensor: Tensor, layer: usize) -> Vector<'a> {
        let found = self.section(self.index_of(tensor) + layer * LAYER_TENSORS.len());
        let integers = arch::halves(self.table_at(found.offset, found.bytes));
        // An odd number of them is padded to whole words.
        let integers = match integers.split_at_checked(found.rows * found.cols) {
            Some((integers, _)) => integers,
            None => integers,
        };
        Vector { integers, scale: self.scale(&found) }
    }

    /// A quantized matrix.
    pub(crate) const fn matrix(&self, tensor: Tensor, layer: usize) -> Matrix<'a> {
        let found = self.section(self.index_of(tensor) + layer * LAYER_TENSORS.len());
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

    /// How the weights are packed.
    pub const fn packing(&self) -> Packing {
        self.packing
    }
}

/// Magic, version, length and CRC: what must hold before any other word means anything.
const fn envelope(words: &[u32]) -> Result<(), Error> {
    let found = if words.len() > MAX_WORDS { u32::MAX } else { 4 * words.len() as u32 };
    if word(words, header::MAGIC) != layout::MAGIC {
        return Err(Error::NotAnImage { found: word(words, header::MAGIC) });
    }
    if word(words, header::VERSION) != layout::VERSION {
        return Err(Error::Version { expected: layout::VERSION, found: word(words, header::VERSION) });
    }
    let expected = word(words, header::BYTES);
    let aligned = (expected as usize).is_multiple_of(layout::ALIGNMENT);
    if expected != found || !aligned || words.len() <= header::WORDS || words.len() > MAX_WORDS {
        return Err(Error::Length { expected, found });
    }
    let Some((covered, _)) = words.split_at_checked(words.len() - 1) else {
        return Err(Error::Length { expected, found });
    };
    let stored = word(words, words.len() - 1);
    let computed = CRC.checksum(arch::bytes(covered));
    if stored != computed {
        return Err(Error::Checksum { expected: stored, found: computed });
    }
    Ok(())
}

/// Dimensions and options; every option that this version lacks is refused by name.
const fn read_header<'a>(words: &'a [u32]) -> Result<Image<'a>, Error> {
    let options = [
        ("norm", header::NORM, 1),
        ("norm placement", header::NORM_PLACE, 1),
        ("mlp", header::MLP, 1),
        ("activation", header::ACTIVATION, 1),
        ("positions", header::POSITIONS, 1),
    ];
    let mut i = 0;
    while i < options.len() {
        let (field, index, known) = options[i];
        if word(words, index) != known {
            return Err(Error::Unsupported { field, found: word(words, index) });
        }
        i += 1;
    }
    let quantization = word(words, header::QUANTIZATION);
    if !matches!(quantization, layout::QUANTIZATION_Q8 | layout::QUANTIZATION_Q4) {
        return Err(Error::Unsupported { field: "quantization", found: quantization });
    }
    let head = word(words, header::HEAD);
    if head > 1 {
        return Err(Error::Unsupported { field: "head", found: head });
    }
    let tokenizer = match word(words, header::TOKENIZER) {
        0 => None,
        1 => Some(TokenizerKind::Bytes),
        2 => Some(TokenizerKind::Characters),
        found => return Err(Error::Unsupported { field: "tokenizer", found }),
    };
    let flags = word(words, header::TOKENIZER_FLAGS);
    if flags > 1 {
        return Err(Error::Unsupported { field: "tokenizer flags", found: flags });
    }
    // Words without a name are zero: a later option must not be overlooked.
    let mut i = header::END_2 + 1;
    while i < header::WORDS {
        if word(words, i) != 0 {
            return Err(Error::Unsupported { field: "header word without a name", found: word(words, i) });
        }
        i += 1;
    }
    let specials = [("bos token", header::BOS), ("end token", header::END), ("second end token", header::END_2)];
    let mut i = 0;
    while i < specials.len() {
        let (field, index) = specials[i];
        let token = word(words, index);
        if token != layout::NO_TOKEN && token >= word(words, header::VOCAB) {
            return Err(Error::Unsupported { field, found: token });
        }
        i += 1;
    }
    let rotary_fine = word(words, header::ROTARY_FINE);
    if rotary_fine == 0 {
        return Err(Error::Dimension { name: "rows of the fine rotary table", found: rotary_fine });
    }
    let dims = Dims {
        d_model: word(words, header::D_MODEL) as usize,
        n_layers: word(words, header::N_LAYERS) as usize,
        n_heads: word(words, header::N_HEADS) as usize,
        n_kv_heads: word(words, header::N_KV_HEADS) as usize,
        head_dim: word(words, header::HEAD_DIM) as usize,
        d_ff: word(words, header::D_FF) as usize,
        vocab: word(words, header::VOCAB) as usize,
        max_seq: word(words, header::MAX_SEQ) as usize,
        norm_eps: f32::from_bits(word(words, header::NORM_EPS)),
        attention_scale: f32::from_bits(word(words, header::ATTENTION_SCALE)),
    };
    let Some(packing) = Packing::from_id(word(words, header::LAYOUT)) else {
        return Err(Error::Unsupported { field: "layout id", found: word(words, header::LAYOUT) });
    };
    Ok(Image {
        words,
        dims,
        packing,
        quantization,
        separate_head: head == 1,
        rotary_fine: rotary_fine as usize,
        tokenizer,
        prefix_space: flags == 1,
        bos: word(words, header::BOS),
        ends: [word(words, header::END), word(words, header::END_2)],
    })
}
