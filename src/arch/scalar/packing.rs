//! Row-major: the canonical order, for hosts.
//!
//! ```text
//! int8: four rows of `cols` bytes, one after the other
//! int4: of a group, four rows one after the other; a byte is `n[c + half] << 4 | n[c] & 15`, half the group's columns apart
//! ```

#[cfg(any(feature = "std", feature = "checkasm"))]
use super::Int4;
use super::int4::{Group, group_of_four};
use super::range::Lanes;
use super::{ROWS, bytes_word, signed_bytes};

pub(super) const NAME: &str = "host";
pub(super) const ID: u32 = 1;
pub(super) const REMEDY: &str = "the image is packed for other cores; convert it with `--pack host`";

pub(super) const Q8: Lanes = Lanes::BYTES;
pub(super) const Q4: Lanes = Lanes { bits: 4, flip: 0x8888_8888, borrowed: 0 };

/// Sources of the integers of word `i` of a block.
pub(super) const fn sources(block: usize, width: usize, i: usize) -> [(usize, usize); 4] {
    let (row, col) = (block + i / (width / 4), i % (width / 4) * 4);
    [(row, col), (row, col + 1), (row, col + 2), (row, col + 3)]
}

/// A word of them.
pub(super) const fn word(integers: [i8; 4]) -> u32 {
    bytes_word(integers)
}

/// One row of a block, in order.
pub(super) fn row(block: &[u32], row: usize, put: impl FnMut(i8)) -> Option<()> {
    let cols = block.len();
    signed_bytes(block).get(row * cols..(row + 1) * cols)?.iter().copied().for_each(put);
    Some(())
}

/// The products of a block's rows and a vector.
#[inline]
pub(super) fn dots<X: Copy + Into<i32>>(block: &[u32], x: &[X]) -> [i32; 4] {
    let cols = block.len();
    let (row0, rest) = split(signed_bytes(block), cols);
    let (row1, rest) = split(rest, cols);
    let (row2, row3) = split(rest, cols);
    // Named accumulators: an array of them collapses to memory at opt-level "s".
    let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
    for ((((&x, &w0), &w1), &w2), &w3) in x.iter().zip(row0).zip(row1).zip(row2).zip(row3) {
        let x = x.into();
        sum0 += i32::from(w0) * x;
        sum1 += i32::from(w1) * x;
        sum2 += i32::from(w2) * x;
        sum3 += i32::from(w3) * x;
    }
    [sum0, sum1, sum2, sum3]
}

#[inline(always)]
fn split(rows: &[i8], at: usize) -> (&[i8], &[i8]) {
    rows.split_at_checked(at).unwrap_or((&[], &[]))
}

/// A group of four rows.
#[inline]
pub(super) fn group(words: &[u32], cols: usize, at: (usize, usize), found: &mut Group) {
    let words = group_of_four(words, cols, at, found);
    for (row, words) in found.rows.iter_mut().zip(words.chunks_exact((words.len() / ROWS).max(1))) {
        let bytes = signed_bytes(words);
        let (low, high) = row.split_at_mut_checked(bytes.len()).unwrap_or((&mut [], &mut []));
        for ((low, high), &byte) in low.iter_mut().zip(high).zip(bytes) {
            (*low, *high) = (byte << 4 >> 4, byte >> 4);
        }
    }
}

/// The bytes of an int4 matrix.
#[cfg(any(feature = "std", feature = "checkasm"))]
pub(super) fn bytes(matrix: &Int4<'_>, put: &mut impl FnMut(u8)) {
    matrix.by_blocks(put, |block, columns, put| {
        let half = columns.len() / 2;
        for row in block..block + ROWS {
            for col in columns.clone().take(half) {
                put((matrix.nibble(row, col) | matrix.nibble(row, col + half) << 4) as u8);
            }
        }
    });
}
