//! Packing a matrix, on the host: the other direction of [`Packing::row_q8`] and `Packing::group`.

use super::{COLUMNS, Int4, Packing, sources_q8, word_q8, words_q4, words_q8};
use std::vec::Vec;

/// Packs an int8 matrix.
///
/// # Shapes
/// `integers: [rows, cols]`, row-major.
pub fn pack_q8(packing: Packing, rows: usize, cols: usize, integers: &[i8]) -> Vec<u32> {
    let width = cols.next_multiple_of(COLUMNS);
    let at = |(row, col): (usize, usize)| {
        let inside = row < rows && col < cols;
        if inside { integers.get(row * cols + col).copied().unwrap_or(0) } else { 0 }
    };
    let word = |index| word_q8(packing, sources_q8(packing, width, index).map(at));
    (0..words_q8(rows, cols) as usize).map(word).collect()
}

/// Packs an int4 matrix.
///
/// # Shapes
/// `integers: [rows, cols]` of -7..=7, `scales: [rows, groups]`, both row-major.
pub fn pack_q4(packing: Packing, rows: usize, cols: usize, integers: &[i8], scales: &[u8]) -> Vec<u32> {
    let mut bytes = Vec::with_capacity(4 * words_q4(rows, cols) as usize);
    packing.bytes_q4(&Int4 { rows, cols, integers, scales }, &mut |byte| bytes.push(byte));
    bytes.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word)).collect()
}
