//! The image writer of the host: rounds float weights to int8, takes int4 matrices as they are, lays out the sections, and parses
//! the result.

mod reopen;

use super::contents::{Contents, Present};
use super::header::{CRC, ENDS};
use super::layout::{self, header, section};
use super::round;
use super::view::{Image, TokenizerKind};
use crate::arch::{self, Packing};
use crate::dims::Dims;
use crate::error::Error;
use crate::tensors::{Encoding, Tensor};
use std::collections::BTreeMap;
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
    /// Tokens that are one character.
    pub characters: &'a [(char, u32)],
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

/// An int4 matrix: `weight[r][c] = integers[r][c] * group_scales[r][c's group] * scale`.
///
/// Groups run along the input, 32 columns each; where the columns, rounded up to a multiple of 16, are 16 more than a multiple of
/// 32, the first group has 16.
#[derive(Clone, Debug, PartialEq)]
pub struct Int4 {
    /// Number of outputs.
    pub rows: usize,
    /// Number of inputs, at most 2048.
    pub cols: usize,
    /// `[rows, cols]`, -7..=7.
    pub integers: Vec<i8>,
    /// `[rows, groups]`.
    pub group_scales: Vec<u8>,
    /// Scale of the whole matrix: zero or a normal positive number.
    pub scale: f32,
}

/// Most tokens that end a text.
pub const MAX_ENDS: usize = ENDS;

/// Maximum number of columns of an int4 matrix.
pub const MAX_INT4_COLUMNS: usize = arch::MAX_COLUMNS_Q4;

impl Int4 {
    /// Number of groups of a row.
    pub const fn groups(cols: usize) -> usize {
        cols.next_multiple_of(arch::PACKED_COLUMNS).div_ceil(arch::GROUP)
    }

    /// The group of a column.
    pub const fn group(cols: usize, col: usize) -> usize {
        arch::group(cols, col)
    }
}

/// Content of a section that has no place yet.
struct Content {
    encoding: u32,
    rows: usize,
    cols: usize,
    values: Vec<u8>,
    scales: Vec<u8>,
}

/// A writer that collects a model's tensors in any order and makes the image.
pub struct ImageWriter {
    dims: Dims,
    packing: Packing,
    rotary_fine: usize,
    tokenizer: u32,
    tokenizer_flags: u32,
    bos: u32,
    ends: [u32; ENDS],
    n_columns: u32,
    frame_hop: u32,
    // Sorted by layer and tensor within a section group; `finish` puts them into the format's order.
    contents: BTreeMap<(Tensor, usize), Content>,
}

impl ImageWriter {
    /// A writer for a model with these dimensions and options, with weights in this packing.
    pub fn new(dims: Dims, packing: Packing) -> ImageWriter {
        // Two tables of about the square root of the context each.
        let rotary_fine = 1 << (usize::BITS - dims.max_seq.leading_zeros()).div_ceil(2).saturating_sub(1);
        ImageWriter {
            dims,
            packing,
            rotary_fine,
            tokenizer: 0,
            tokenizer_flags: 0,
            bos: 0,
            ends: [0; ENDS],
            n_columns: 0,
            frame_hop: 0,
            contents: BTreeMap::new(),
        }
    }

    /// Adds a tensor of floats in the encoding of its kind: a matrix rounded to int8, a vector to 16 bits.
    ///
    /// # Shapes
    /// `values: [rows, cols]`, row-major; a vector is one row.
    ///
    /// # Errors
    /// As [`ImageWriter::matrix`] and [`ImageWriter::vector`].
    pub fn add(&mut self, tensor: Tensor, layer: usize, rows: usize, cols: usize, values: &[f32]) -> Result<(), Error> {
        match tensor.encoding() {
            Encoding::Matrix => self.matrix(tensor, layer, rows, cols, values),
            _ => self.vectors(tensor, layer, rows, cols, values),
        }
    }

    /// Adds a matrix, rounded to int8 with one scale per row, the smallest that covers the row; ties to even.
    ///
    /// # Shapes
    /// `weights: [rows, cols]`, row-major.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] when there are not `rows * cols` weights; [`Error::BadValue`] for NaN and infinity.
    pub fn matrix(
        &mut self,
        tensor: Tensor,
        layer: usize,
        rows: usize,
        cols: usize,
        weights: &[f32],
    ) -> Result<(), Error> {
        check_values(tensor, layer, rows, cols, weights)?;
        let scale = round::matrix_scale(round::abs_max(weights));
        let mut integers = Vec::with_capacity(rows * cols);
        let mut multipliers = Vec::with_capacity(rows);
        for row in weights.chunks_exact(cols.max(1)) {
            let multiplier = round::multiplier(round::abs_max(row), scale);
            integers.extend(row.iter().map(|&weight| round::int8(weight, multiplier, scale)));
            multipliers.push(multiplier);
        }
        let packed = arch::pack_q8(self.packing, rows, cols, &integers);
        multipliers.resize(rows.next_multiple_of(arch::PACKED_ROWS), 0);
        let scales = scale.to_le_bytes().into_iter().chain(multipliers.iter().flat_map(|m| m.to_le_bytes())).collect();
        let values = packed.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.contents.insert((tensor, layer), Content { encoding: layout::ENCODING_Q8, rows, cols, values, scales });
        Ok(())
    }

    /// Adds an int4 matrix.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] when the number of integers or scales does not match the shape; [`Error::BadValue`] for integers
    /// and scales out of range.
    pub fn int4(&mut self, tensor: Tensor, layer: usize, matrix: &Int4) -> Result<(), Error> {
        let Int4 { rows, cols, ref integers, ref group_scales, scale } = *matrix;
        let groups = Int4::groups(cols);
        let (layer_number, found) = (layer as u32, integers.len().min(group_scales.len()) as u32);
        if integers.len() != rows * cols || group_scales.len() != rows * groups {
            let expected = (rows as u32, cols as u32);
            return Err(Error::ShapeMismatch { tensor, layer: layer_number, expected, found: (1, found) });
        }
        let bad = integers.iter().position(|integer| !(-7..=7).contains(integer));
        let bad = bad.or_else(|| (scale != 0.0 && !(scale.is_normal() && scale > 0.0)).then_some(0));
        if let Some(index) = bad {
            return Err(Error::BadValue { tensor, layer: layer_number, index: index as u32 });
        }
        let packed = arch::pack_q4(self.packing, rows, cols, integers, group_scales);
        let values = packed.iter().flat_map(|word| word.to_le_bytes()).collect();
        let scales = scale.to_le_bytes().to_vec();
        self.contents.insert((tensor, layer), Content { encoding: layout::ENCODING_Q4, rows, cols, values, scales });
        Ok(())
    }

    /// Adds a vector of floats, rounded to 16 bits with one scale.
    ///
    /// # Errors
    /// [`Error::BadValue`] for NaN and infinity.
    pub fn vector(&mut self, tensor: Tensor, layer: usize, values: &[f32]) -> Result<(), Error> {
        self.vectors(tensor, layer, 1, values.len(), values)
    }

    /// Adds vectors of floats with one scale.
    fn vectors(&mut self, tensor: Tensor, layer: usize, rows: usize, cols: usize, values: &[f32]) -> Result<(), Error> {
        check_values(tensor, layer, rows, cols, values)?;
        let scale = round::vector_scale(round::abs_max(values));
        self.integers(tensor, layer, rows, cols, scale, values.iter().map(|&value| round::int16(value, scale)));
        Ok(())
    }

    /// Adds the rotary tables for angles `position * theta^(-2j / head_dim)`.
    pub fn rotary(&mut self, theta: f64) {
        let (head_dim, fine) = (self.dims.head_dim, self.rotary_fine);
        let row = |position: usize| {
            let angle = move |j: usize| position as f64 * theta.powf(-2.0 * j as f64 / head_dim as f64);
            let integer = |value: f64| (value * 32_768.0).round_ties_even().clamp(-32_767.0, 32_767.0) as i16;
            let cosines = (0..head_dim / 2).map(move |j| integer(angle(j).cos()));
            cosines.chain((0..head_dim / 2).map(move |j| integer(angle(j).sin())))
        };
        let coarse = self.dims.max_seq.div_ceil(fine);
        let unit = 1.0 / 32_768.0;
        self.integers(Tensor::RotaryFine, 0, fine, head_dim, unit, (0..fine).flat_map(row));
        self.integers(Tensor::RotaryCoarse, 0, coarse, head_dim, unit, (0..coarse).flat_map(|i| row(i * fine)));
    }

    /// Sets the token that is put before a text, and the tokens that end one: the first [`MAX_ENDS`] of them.
    pub fn special_tokens(&mut self, bos: Option<u32>, ends: &[u32]) {
        self.bos = bos.map_or(0, |token| token.saturating_add(1));
        for (slot, &end) in self.ends.iter_mut().zip(ends) {
            *slot = end.saturating_add(1);
        }
    }

    /// Sets what a frame is: samples of so many columns, one after the other, and the samples from one frame to the next.
    ///
    /// The names of the columns may be empty. Where nothing is set, a sample is a frame.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] when there is not one name per column; [`Error::BadValue`] for a name with a line break.
    pub fn columns(&mut self, n_columns: usize, hop: usize, names: &[impl AsRef<str>]) -> Result<(), Error> {
        (self.n_columns, self.frame_hop) = (n_columns as u32, hop as u32);
        if names.is_empty() { Ok(()) } else { self.names(Tensor::Columns, n_columns, names) }
    }

    /// Adds offset and scale of each feature of a frame: the model then sees `(feature - offset) * scale`.
    ///
    /// # Errors
    /// [`Error::BadValue`] for an offset that is not finite, and a scale that is not a normal positive number; when the image is
    /// finished.
    pub fn feature_scaling(&mut self, offsets: &[f32], scales: &[f32]) {
        let both = offsets.iter().chain(scales).map(|value| value.to_bits());
        self.table(Tensor::FeatureScaling, 2, offsets.len(), both);
    }

    /// Adds the tables of an audio front end, as `thumbformer::audio` makes them.
    pub fn audio_front_end(&mut self, words: &[u32]) {
        self.table(Tensor::AudioFrontEnd, 1, words.len(), words.iter().copied());
    }

    /// Adds what is not computed with, such as where the model came from, as keys and values; a key that is there gets the new value.
    ///
    /// # Errors
    /// [`Error::BadValue`] for a line break, and for a key with a colon.
    pub fn info(&mut self, entries: &[(&str, &str)]) -> Result<(), Error> {
        let is_bad = |(key, value): &(&str, &str)| key.contains([':', '\n']) || value.contains('\n');
        if let Some(index) = entries.iter().position(is_bad) {
            return Err(Error::BadValue { tensor: Tensor::Info, layer: 0, index: index as u32 });
        }
        let before = self.contents.remove(&(Tensor::Info, 0)).map_or(Vec::new(), |content| content.values);
        let is_new = |line: &&[u8]| entries.iter().any(|(key, _)| line.starts_with(std::format!("{key}: ").as_bytes()));
        let kept = before.split(|&byte| byte == b'\n').filter(|line| !line.is_empty() && !is_new(line));
        let mut lines: Vec<Vec<u8>> = kept.map(<[u8]>::to_vec).collect();
        lines.extend(entries.iter().map(|(key, value)| std::format!("{key}: {value}").into_bytes()));
        self.bytes(Tensor::Info, lines.join(&b'\n'));
        Ok(())
    }

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
        };
        self.tokenizer_flags = u32::from(tables.prefix_space);
        let mut offsets = vec![0];
        let mut bytes = Vec::new();
        for piece in tables.pieces {
            bytes.extend(piece);
            offsets.push(bytes.len() as u32);
        }
        let mut characters: Vec<[u32; 2]> = tables.characters.iter().map(|&(c, token)| [c.into(), token]).collect();
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
        self.table(Tensor::ByteTokens, 1, 256, tables.byte_tokens.iter().copied());
        self.table(Tensor::Characters, characters.len(), 2, characters.into_iter().flatten());
        self.table(Tensor::Merges, merges.len(), 2, merges.into_iter().flatten());
        self.table(Tensor::AddedTokens, added.len(), 2, added.into_iter().flatten());
        self.bytes(Tensor::AddedNames, names);
        Ok(())
    }

    /// Adds the names of the outputs.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] when the number of names is not that of the outputs; [`Error::BadValue`] for a name with a line
    /// break.
    pub fn labels(&mut self, names: &[impl AsRef<str>]) -> Result<(), Error> {
        self.names(Tensor::Labels, self.dims.n_outputs, names)
    }

    /// Adds names, a line each.
    fn names(&mut self, tensor: Tensor, count: usize, names: &[impl AsRef<str>]) -> Result<(), Error> {
        let (layer, expected) = (0, (1, count as u32));
        if names.len() != count {
            return Err(Error::ShapeMismatch { tensor, layer, expected, found: (1, names.len() as u32) });
        }
        if let Some(index) = names.iter().position(|name| name.as_ref().contains('\n')) {
            return Err(Error::BadValue { tensor, layer, index: index as u32 });
        }
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        self.bytes(tensor, names.join("\n").into_bytes());
        Ok(())
    }

    fn bytes(&mut self, tensor: Tensor, values: Vec<u8>) {
        let content =
            Content { encoding: layout::ENCODING_RAW, rows: 1, cols: values.len(), values, scales: Vec::new() };
        self.contents.insert((tensor, 0), content);
    }

    fn table(&mut self, tensor: Tensor, rows: usize, cols: usize, words: impl IntoIterator<Item = u32>) {
        let values = words.into_iter().flat_map(u32::to_le_bytes).collect();
        let content = Content { encoding: layout::ENCODING_RAW, rows, cols, values, scales: Vec::new() };
        self.contents.insert((tensor, 0), content);
    }

    fn integers(
        &mut self,
        tensor: Tensor,
        layer: usize,
        rows: usize,
        cols: usize,
        scale: f32,
        values: impl Iterator<Item = i16>,
    ) {
        let mut values: Vec<u8> = values.flat_map(i16::to_le_bytes).collect();
        values.resize(values.len().next_multiple_of(4), 0);
        let scales = scale.to_le_bytes().to_vec();
        self.contents.insert((tensor, layer), Content { encoding: layout::ENCODING_I16, rows, cols, values, scales });
    }

    /// Lays out the sections and returns the image's words, after parsing them.
    ///
    /// # Errors
    /// Those of [`Image::parse`]: a missing tensor, a wrong shape.
    pub fn finish(self) -> Result<Vec<u32>, Error> {
        let order = Contents::new(&self.present(), self.dims.layers());
        let mut contents: Vec<(&(Tensor, usize), &Content)> = self.contents.iter().collect();
        contents.sort_by_key(|((tensor, layer), _)| order.index_of(*tensor, *layer));
        let mut bytes = vec![0_u8; 4 * (header::WORDS + section::WORDS * contents.len())];
        for (index, (key, content)) in contents.into_iter().enumerate() {
            let offset = append(&mut bytes, &content.values);
            let scales = if content.scales.is_empty() { 0 } else { append(&mut bytes, &content.scales) };
            let mut entry = [0; section::WORDS];
            entry[section::KIND] = u32::from_le_bytes(key.0.kind());
            entry[section::LAYER] = key.1 as u32;
            let flag = if key.0 == Tensor::Info { layout::MAY_BE_IGNORED } else { 0 };
            entry[section::ENCODING] = content.encoding | flag;
            entry[section::ROWS] = content.rows as u32;
            entry[section::COLS] = content.cols as u32;
            entry[section::OFFSET] = offset as u32;
            entry[section::BYTES] = content.values.len() as u32;
            entry[section::SCALES] = scales as u32;
            put_words(&mut bytes, header::WORDS + index * section::WORDS, &entry);
        }
        bytes.resize((bytes.len() + 4).next_multiple_of(layout::ALIGNMENT), 0);
        let header = self.header(bytes.len());
        put_words(&mut bytes, 0, &header);
        let end = bytes.len() - 4;
        let crc = CRC.checksum(&bytes[..end]);
        put_words(&mut bytes, end / 4, &[crc]);
        let words: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        Image::parse(&words)?;
        Ok(words)
    }

    /// The tensors that were added.
    fn present(&self) -> Present {
        let mut present = [false; Tensor::COUNT];
        for (tensor, _) in self.contents.keys() {
            present[*tensor as usize] = true;
        }
        present
    }

    fn header(&self, bytes: usize) -> [u32; header::WORDS] {
        let mut words = self.dims.header_words(self.packing, self.contents.len() as u32, bytes as u32);
        let int4 = self.contents.values().any(|content| content.encoding == layout::ENCODING_Q4);
        if int4 {
            words[header::QUANTIZATION] = layout::QUANTIZATION_Q4;
        }
        words[header::ROTARY_FINE] = if self.dims.is_rotary() { self.rotary_fine as u32 } else { 0 };
        words[header::TOKENIZER] = self.tokenizer;
        words[header::TOKENIZER_FLAGS] = self.tokenizer_flags;
        words[header::BOS] = self.bos;
        words[header::ENDS..header::ENDS + ENDS].copy_from_slice(&self.ends);
        words[header::N_COLUMNS] = self.n_columns;
        words[header::FRAME_HOP] = self.frame_hop;
        words
    }
}

/// Bytes of an image, as they are written to a file.
pub fn bytes(words: &[u32]) -> &[u8] {
    arch::bytes(words)
}

fn put_words(bytes: &mut [u8], at: usize, words: &[u32]) {
    for (slot, word) in bytes.as_chunks_mut::<4>().0.iter_mut().skip(at).zip(words) {
        *slot = word.to_le_bytes();
    }
}

/// Appends a section at the next multiple of the alignment and returns its first byte's offset.
fn append(bytes: &mut Vec<u8>, section: &[u8]) -> usize {
    bytes.resize(bytes.len().next_multiple_of(layout::ALIGNMENT), 0);
    let offset = bytes.len();
    bytes.extend(section);
    offset
}

fn check_values(tensor: Tensor, layer: usize, rows: usize, cols: usize, values: &[f32]) -> Result<(), Error> {
    if values.len() != rows * cols {
        return Err(Error::ShapeMismatch {
            tensor,
            layer: layer as u32,
            expected: (rows as u32, cols as u32),
            found: (1, values.len() as u32),
        });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::BadValue { tensor, layer: layer as u32, index: index as u32 }),
        None => Ok(()),
    }
}
