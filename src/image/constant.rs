//! An image of constants: made at compile time from the weights in a program's source.
//!
//! ```text
//! Dims, &[(Tensor, layer, &[f32])] ──► constant_words ──► N ──► constant::<N> (const fn) ──► [u32; N] ──► Model::parse
//! ```
//! The bytes are those that [`ImageWriter`](super::ImageWriter) makes on the host, int8 throughout. Rotary tables and tokenizers
//! need functions that do not exist at compile time; a model with them cannot be made this way.

use super::contents::Contents;
use super::header::CRC;
use super::layout::{self, header, section};
use super::round;
use super::shape::demand;
use crate::arch::{self, Packing};
use crate::dims::Dims;
use crate::error::Error;
use crate::tensors::Tensor;

/// A tensor in the source: the tensor, its layer, and its values, a matrix row-major.
pub type Constant<'a> = (Tensor, usize, &'a [f32]);

/// `?` for const functions.
macro_rules! check {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}

const fn contents(dims: &Dims, tensors: &[Constant<'_>]) -> Contents {
    let (mut present, mut i) = ([false; Tensor::COUNT], 0);
    while i < tensors.len() {
        present[tensors[i].0 as usize] = true;
        i += 1;
    }
    Contents::new(&present, dims.layers())
}

/// Values of a tensor; `None` where it is missing.
const fn find<'a>(tensors: &[Constant<'a>], tensor: Tensor, layer: usize) -> Option<&'a [f32]> {
    let mut i = 0;
    while i < tensors.len() {
        if tensors[i].0 as u32 == tensor as u32 && tensors[i].1 == layer {
            return Some(tensors[i].2);
        }
        i += 1;
    }
    None
}

const ALIGNMENT: usize = layout::ALIGNMENT / 4;

/// Number of words of a tensor's values and of its scales.
const fn section_words(dims: &Dims, (tensor, layer): (Tensor, usize)) -> (usize, usize) {
    let (encoding, rows, cols) = demand(dims, 0, tensor, layer);
    (layout::value_bytes(encoding, rows, cols) as usize / 4, layout::scale_bytes(encoding, rows) / 4)
}

/// Number of words of the image of these tensors.
pub const fn constant_words(dims: &Dims, tensors: &[Constant<'_>]) -> usize {
    let contents = contents(dims, tensors);
    let count = contents.sections();
    let mut words = header::WORDS + section::WORDS * count;
    let mut index = 0;
    while index < count {
        let (values, scales) = section_words(dims, contents.at(index));
        words = (words.next_multiple_of(ALIGNMENT) + values).next_multiple_of(ALIGNMENT) + scales;
        index += 1;
    }
    (words + 1).next_multiple_of(ALIGNMENT)
}

/// Image of these tensors, packed for this build's kernels, in [`constant_words`] words.
///
/// # Errors
/// [`Error::MissingTensor`] for a tensor that is not in every layer; [`Error::ShapeMismatch`] when the number of a tensor's values
/// does not match the dimensions; [`Error::BadValue`] for NaN and infinity; [`Error::Length`] when `N` is not that number of
/// words. Errors in dimensions and options are found when the image is parsed.
pub const fn constant<const N: usize>(dims: &Dims, tensors: &[Constant<'_>]) -> Result<[u32; N], Error> {
    check!(dims.check());
    let expected = constant_words(dims, tensors);
    if N != expected {
        return Err(Error::Length { expected: 4 * expected as u32, found: 4 * N as u32 });
    }
    let packing = match arch::PACKING {
        Some(packing) => packing,
        None => Packing::Host,
    };
    let contents = contents(dims, tensors);
    let (count, mut words) = (contents.sections(), [0; N]);
    let mut next = header::WORDS + section::WORDS * count;
    let mut index = 0;
    while index < count {
        let (tensor, layer) = contents.at(index);
        let Some(values) = find(tensors, tensor, layer) else {
            return Err(Error::MissingTensor { tensor, layer: layer as u32 });
        };
        let (encoding, rows, cols) = demand(dims, 0, tensor, layer);
        check!(check_values(tensor, layer, rows, cols, values));
        let entry = header::WORDS + index * section::WORDS;
        let (value_words, scale_words) = section_words(dims, (tensor, layer));
        let start = next.next_multiple_of(ALIGNMENT);
        let at = (start, (start + value_words).next_multiple_of(ALIGNMENT));
        words[entry + section::KIND] = u32::from_le_bytes(tensor.kind());
        words[entry + section::LAYER] = layer as u32;
        words[entry + section::ENCODING] = encoding;
        words[entry + section::ROWS] = rows as u32;
        words[entry + section::COLS] = cols as u32;
        words[entry + section::OFFSET] = 4 * at.0 as u32;
        words[entry + section::BYTES] = layout::value_bytes(encoding, rows, cols) as u32;
        words[entry + section::SCALES] = 4 * at.1 as u32;
        words = match encoding {
            layout::ENCODING_Q8 => matrix(words, at, packing, (rows, cols), values),
            _ => vector(words, at, values),
        };
        next = at.1 + scale_words;
        index += 1;
    }
    let mut i = 0;
    let head = dims.header_words(packing, count as u32, 4 * N as u32);
    while i < head.len() {
        words[i] = head[i];
        i += 1;
    }
    let (covered, _) = words.split_at(N - 1);
    words[N - 1] = CRC.checksum(arch::bytes(covered));
    Ok(words)
}

const fn check_values(tensor: Tensor, layer: usize, rows: usize, cols: usize, values: &[f32]) -> Result<(), Error> {
    let layer = layer as u32;
    if values.len() != rows * cols {
        let (expected, found) = ((rows as u32, cols as u32), (1, values.len() as u32));
        return Err(Error::ShapeMismatch { tensor, layer, expected, found });
    }
    let mut index = 0;
    while index < values.len() {
        if !values[index].is_finite() {
            return Err(Error::BadValue { tensor, layer, index: index as u32 });
        }
        index += 1;
    }
    Ok(())
}

/// Writes a matrix: integers, then scale and multipliers.
const fn matrix<const N: usize>(
    mut words: [u32; N],
    (values_at, scales_at): (usize, usize),
    packing: Packing,
    (rows, cols): (usize, usize),
    values: &[f32],
) -> [u32; N] {
    let scale = round::matrix_scale(round::abs_max(values));
    words[scales_at] = scale.to_bits();
    let mut row = 0;
    while row < rows {
        let (_, from_row) = values.split_at(row * cols);
        let multiplier = round::multiplier(round::abs_max(from_row.split_at(cols).0), scale);
        words[scales_at + 1 + row / 2] |= (multiplier as u32) << (16 * (row % 2));
        row += 1;
    }
    let (width, count) = (cols.next_multiple_of(arch::PACKED_COLUMNS), arch::words_q8(rows, cols) as usize);
    let mut index = 0;
    while index < count {
        let (sources, mut integers, mut i) = (arch::sources_q8(packing, width, index), [0; 4], 0);
        while i < 4 {
            let (row, col) = sources[i];
            if row < rows && col < cols {
                let multiplier = (words[scales_at + 1 + row / 2] >> (16 * (row % 2))) as i16;
                integers[i] = round::int8(values[row * cols + col], multiplier, scale);
            }
            i += 1;
        }
        words[values_at + index] = arch::word_q8(packing, integers);
        index += 1;
    }
    words
}

/// Writes a vector: integers, then the scale.
const fn vector<const N: usize>(
    mut words: [u32; N],
    (values_at, scales_at): (usize, usize),
    values: &[f32],
) -> [u32; N] {
    let scale = round::vector_scale(round::abs_max(values));
    words[scales_at] = scale.to_bits();
    let mut i = 0;
    while i < values.len() {
        words[values_at + i / 2] |= (round::int16(values[i], scale) as u16 as u32) << (16 * (i % 2));
        i += 1;
    }
    words
}
