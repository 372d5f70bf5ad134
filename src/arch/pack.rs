//! Packing a matrix, on the host: the other direction of [`Packing::row_q8`] and `Packing::group`.

use super::int4::{GROUP, first_group, words_q4};
use super::packing::{COLUMNS, Packing, ROWS, sources_q8, word_q8, words_q8};
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
    let width = cols.next_multiple_of(COLUMNS);
    let groups = width.div_ceil(GROUP);
    let at = |row: usize, col: usize| {
        let inside = row < rows && col < cols;
        if inside { integers.get(row * cols + col).copied().unwrap_or(0) } else { 0 }
    };
    let nibble = |integer: i8| u32::from(integer.cast_unsigned() & 15);
    let scale = |row: usize, group: usize| if row < rows { scales.get(row * groups + group).copied() } else { None };
    let height = rows.next_multiple_of(ROWS);
    let starts = |group: usize| if group == 0 { 0 } else { first_group(width) + (group - 1) * GROUP };
    let columns = |group: usize| starts(group)..starts(group) + if group == 0 { first_group(width) } else { GROUP };
    let mut bytes = Vec::with_capacity(4 * words_q4(rows, cols) as usize);
    if packing == Packing::M55 {
        // Full groups first, so that they begin where a block does.
        let half = usize::from(first_group(width) < GROUP);
        let mut block = 0;
        while block < height {
            let count = if height - block < 8 { 4 } else { 8 };
            for group in (half..groups).chain(0..half) {
                let pairs = (block..block + count / 2).flat_map(|row| columns(group).map(move |col| (row, col)));
                let byte = |(row, col)| 16 * i16::from(at(row + count / 2, col)) + i16::from(at(row, col));
                bytes.extend(pairs.map(|pair| byte(pair) as u8));
                bytes.extend((block..block + count).map(|row| scale(row, group).unwrap_or(0)));
            }
            block += count;
        }
    }
    for block in (0..if packing == Packing::M55 { 0 } else { height }).step_by(ROWS) {
        for group in 0..groups {
            let columns = columns(group);
            match packing {
                Packing::Host | Packing::M55 => {
                    let half = columns.len() / 2;
                    let pairs =
                        (block..block + ROWS).flat_map(|row| columns.clone().take(half).map(move |col| (row, col)));
                    bytes.extend(
                        pairs.map(|(row, col)| (nibble(at(row, col)) | nibble(at(row, col + half)) << 4) as u8),
                    );
                }
                Packing::M4 => bytes.extend(columns.flat_map(|col| {
                    let low: u32 = (0..3).map(|k| nibble(at(block + k, col) + 8) << (4 * k)).sum();
                    ((low | nibble(at(block + 3, col)) << 12) as u16).to_le_bytes()
                })),
                Packing::M0 => bytes.extend(columns.step_by(2).flat_map(|col| {
                    let rows = |col: usize| (0..ROWS).map(|k| nibble(at(block + k, col) + 8) << (4 * k)).sum::<u32>();
                    (rows(col + 1) | rows(col) << 16).to_le_bytes()
                })),
            }
            bytes.extend((0..ROWS).map(|k| scale(block + k, group).unwrap_or(0)));
        }
    }
    bytes.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word)).collect()
}
