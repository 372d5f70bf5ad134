//! Two rows by two columns in a word, so that one multiplication does two columns of a row.
//!
//! ```text
//! int8: 128 is added to every byte; for even r and c, low to high: w[r][c + 1], w[r + 1][c + 1], w[r][c], w[r + 1][c];
//!       a pair of columns of four rows is two words
//! int4: 8 is added to every nibble; a pair of columns of four rows is a word, nibbles k and k + 4 are columns c + 1 and c of row k
//! ```

#[cfg(any(feature = "std", feature = "checkasm"))]
use super::Int4;
use super::int4::{Group, group_of_four};
use super::range::Lanes;
use super::{bytes_word, pairs};

pub(super) const NAME: &str = "m0";
pub(super) const ID: u32 = 4;
pub(super) const REMEDY: &str =
    "the image is packed for other cores; convert it with `--pack m0` for Cortex-M0, M0+ and M3";

pub(super) const Q8: Lanes = Lanes { bits: 8, flip: 0, borrowed: 0 };
pub(super) const Q4: Lanes = Lanes { bits: 4, flip: 0, borrowed: 0 };

/// Sources of the integers of word `i` of a block.
pub(super) const fn sources(block: usize, _width: usize, i: usize) -> [(usize, usize); 4] {
    let (row, col) = (block + i % 2 * 2, i / 2 * 2);
    [(row, col + 1), (row + 1, col + 1), (row, col), (row + 1, col)]
}

/// A word of them.
pub(super) const fn word(integers: [i8; 4]) -> u32 {
    bytes_word(integers) ^ 0x8080_8080
}

/// One row of a block, in order.
pub(super) fn row(block: &[u32], row: usize, put: impl FnMut(i8)) -> Option<()> {
    let shift = if row % 2 == 1 { 8 } else { 0 };
    let byte = |word: u32| (word >> shift) as i8 ^ -128;
    pairs(block, row).flat_map(|word| [byte(word >> 16), byte(word)]).for_each(put);
    Some(())
}

/// The products of a block's rows and a vector.
#[inline]
pub(super) fn dots<X: Copy + Into<i32>>(block: &[u32], x: &[X]) -> [i32; 4] {
    let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
    for (&[low, high], &[x0, x1]) in block.as_chunks::<2>().0.iter().zip(x.as_chunks::<2>().0) {
        let (x0, x1) = (x0.into(), x1.into());
        let byte = |word: u32, index: u32| i32::from((word >> (8 * index)) as u8) - 128;
        sum0 += byte(low, 2) * x0 + byte(low, 0) * x1;
        sum1 += byte(low, 3) * x0 + byte(low, 1) * x1;
        sum2 += byte(high, 2) * x0 + byte(high, 0) * x1;
        sum3 += byte(high, 3) * x0 + byte(high, 1) * x1;
    }
    [sum0, sum1, sum2, sum3]
}

/// A group of four rows.
#[inline]
pub(super) fn group(words: &[u32], cols: usize, at: (usize, usize), found: &mut Group) {
    let words = group_of_four(words, cols, at, found);
    for (k, row) in found.rows.iter_mut().enumerate() {
        for (pair, &word) in row.as_chunks_mut::<2>().0.iter_mut().zip(words) {
            let nibble = |k: usize| (word >> (4 * k) & 15) as i8 - 8;
            *pair = [nibble(k + 4), nibble(k)];
        }
    }
}

/// The bytes of an int4 matrix.
#[cfg(any(feature = "std", feature = "checkasm"))]
pub(super) fn bytes(matrix: &Int4<'_>, put: &mut impl FnMut(u8)) {
    matrix.by_blocks(put, |block, columns, put| {
        for col in columns.step_by(2) {
            let rows = |col: usize| (0..4).map(|k| matrix.offset_nibble(block + k, col) << (4 * k)).sum::<u32>();
            (rows(col + 1) | rows(col) << 16).to_le_bytes().into_iter().for_each(&mut *put);
        }
    });
}
