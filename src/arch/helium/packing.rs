//! Four rows by sixteen columns, row after row: one Helium register each.
//!
//! ```text
//! int8: sixteen bytes of row 0, of row 1, of row 2, of row 3; then the next sixteen columns
//! int4: blocks of eight rows, the last four alone; full groups in order, then the half one, so that they begin where a block does.
//!       Rows r and r + 4 (of four, r and r + 2) share a byte, `16 * n[r + 4] + n[r]`, a group's columns in order; then a scale for
//!       each row
//! ```

#[cfg(any(feature = "std", feature = "checkasm"))]
use super::Int4;
use super::int4::Group;
use super::range::Lanes;
use super::{COLUMNS, GROUP, ROWS, block_words, bytes_word, first_group, signed_bytes};

pub(super) const NAME: &str = "m55";
pub(super) const ID: u32 = 3;
pub(super) const REMEDY: &str =
    "the image is packed for other cores; convert it with `--pack m55` for Cortex-M55 and M85";

pub(super) const Q8: Lanes = Lanes::BYTES;
pub(super) const Q4: Lanes = Lanes { bits: 4, flip: 0x8888_8888, borrowed: 0x0808_0808 };

/// Sources of the integers of word `i` of a block.
pub(super) const fn sources(block: usize, _width: usize, i: usize) -> [(usize, usize); 4] {
    let (row, col) = (block + i % COLUMNS / 4, i / COLUMNS * COLUMNS + i % 4 * 4);
    [(row, col), (row, col + 1), (row, col + 2), (row, col + 3)]
}

/// A word of them.
pub(super) const fn word(integers: [i8; 4]) -> u32 {
    bytes_word(integers)
}

/// One row of a block, in order.
pub(super) fn row(block: &[u32], row: usize, put: impl FnMut(i8)) -> Option<()> {
    let vectors = signed_bytes(block).as_chunks::<16>().0;
    vectors.iter().skip(row).step_by(ROWS).flatten().copied().for_each(put);
    Some(())
}

/// The products of a block's rows and a vector.
#[inline]
pub(super) fn dots<X: Copy + Into<i32>>(block: &[u32], x: &[X]) -> [i32; 4] {
    let mut sums = [0; 4];
    for (vectors, x) in signed_bytes(block).as_chunks::<64>().0.iter().zip(x.as_chunks::<16>().0) {
        for (sum, vector) in sums.iter_mut().zip(vectors.as_chunks::<16>().0) {
            *sum += vector.iter().zip(x).map(|(&w, &x)| i32::from(w) * x.into()).sum::<i32>();
        }
    }
    sums
}

/// A group of four rows, half of a block of eight or a block of its own.
#[inline]
pub(super) fn group(words: &[u32], cols: usize, (block, group): (usize, usize), found: &mut Group) {
    let blocks = words.len() / block_words(cols).max(1);
    let alone = block + 1 == blocks && block.is_multiple_of(2);
    // Rows of the block, in chunks, and which four of them are meant.
    let (chunks, which) = if alone { (1, 0) } else { (2, block % 2) };
    let half = first_group(cols) < GROUP;
    let width = if half && group == 0 { COLUMNS } else { GROUP };
    let place = if !half {
        group
    } else if group == 0 {
        cols / GROUP
    } else {
        group - 1
    };
    let start = 4 * ((block - which) * block_words(cols) + chunks * place * (GROUP / 2 + 1));
    let bytes = signed_bytes(words).get(start..).unwrap_or(&[]);
    let (pairs, scales) = bytes.split_at_checked(2 * chunks * width).unwrap_or((&[], &[]));
    for (k, (row, found_scale)) in found.rows.iter_mut().zip(&mut found.scales).enumerate() {
        let row_in_block = 4 * which + k;
        let (pair, upper) = (row_in_block % (2 * chunks), row_in_block >= 2 * chunks);
        for (n, &byte) in row.iter_mut().zip(pairs.chunks_exact(width).nth(pair).unwrap_or(&[])) {
            // The lower four bits with their sign; the difference is a multiple of 16.
            let low = byte << 4 >> 4;
            *n = if upper { byte.wrapping_sub(low) >> 4 } else { low };
        }
        *found_scale = scales.get(row_in_block).map_or(0, |scale| scale.cast_unsigned());
    }
}

/// The bytes of an int4 matrix.
#[cfg(any(feature = "std", feature = "checkasm"))]
pub(super) fn bytes(matrix: &Int4<'_>, put: &mut impl FnMut(u8)) {
    let half = usize::from(matrix.begins_with_half());
    let mut block = 0;
    while block < matrix.height() {
        let count = if matrix.height() - block < 8 { 4 } else { 8 };
        for group in (half..matrix.groups().end).chain(0..half) {
            for row in block..block + count / 2 {
                for col in matrix.columns(group) {
                    put((16 * i16::from(matrix.at(row + count / 2, col)) + i16::from(matrix.at(row, col))) as u8);
                }
            }
            (block..block + count).for_each(|row| put(matrix.scale(row, group)));
        }
        block += count;
    }
}
