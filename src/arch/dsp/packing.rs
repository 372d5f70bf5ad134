//! Pairs of rows in 16 bits: `SMLAD` needs no unpacking of one row, and one `SXTB16` for the other.
//!
//! ```text
//! int8: a pair of rows is `256 * w[r + 1][c] + w[r][c]`; four rows by four columns are the words
//!       [rows 0 1, columns 0 1] [rows 2 3, columns 0 1] [rows 0 1, columns 2 3] [rows 2 3, columns 2 3]
//! int4: a column of four rows is `n3 << 12 | (n2 + 8) << 8 | (n1 + 8) << 4 | n0 + 8`, 16 bits
//! ```

#[cfg(any(feature = "std", feature = "checkasm"))]
use super::Int4;
use super::int4::{Group, group_of_four};
use super::range::Lanes;
use super::{as_i16, pairs};

pub(super) const NAME: &str = "m4";
pub(super) const ID: u32 = 2;
pub(super) const REMEDY: &str =
    "the image is packed for other cores; convert it with `--pack m4` for Cortex-M4, M7 and M33";

pub(super) const Q8: Lanes = Lanes { bits: 8, flip: 0x8080_8080, borrowed: 0x0080_0080 };
pub(super) const Q4: Lanes = Lanes { bits: 4, flip: 0x8000_8000, borrowed: 0 };

/// Sources of the integers of word `i` of a block.
pub(super) const fn sources(block: usize, _width: usize, i: usize) -> [(usize, usize); 4] {
    let (row, col) = (block + i % 2 * 2, i / 4 * 4 + i % 4 / 2 * 2);
    [(row, col), (row + 1, col), (row, col + 1), (row + 1, col + 1)]
}

/// A word of them.
pub(super) const fn word([a, b, c, d]: [i8; 4]) -> u32 {
    let (low, high) = (256 * b as i32 + a as i32, 256 * d as i32 + c as i32);
    (low as u16) as u32 | ((high as u16) as u32) << 16
}

/// The odd row of a pair. Exact for integers of -127..=127: the difference is a multiple of 256.
#[inline(always)]
const fn upper(half: i16) -> i8 {
    (half.wrapping_sub(half as i8 as i16) >> 8) as i8
}

/// One row of a block, in order.
pub(super) fn row(block: &[u32], row: usize, put: impl FnMut(i8)) -> Option<()> {
    let integer = |half: u32| if row % 2 == 1 { upper(half as i16) } else { half as i8 };
    pairs(block, row).flat_map(|word| [integer(word), integer(word >> 16)]).for_each(put);
    Some(())
}

/// The products of a block's rows and a vector.
#[inline]
pub(super) fn dots<X: Copy + Into<i32>>(block: &[u32], x: &[X]) -> [i32; 4] {
    let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
    let pairs = as_i16(block).as_chunks::<4>().0;
    for (&[low0, low1, high0, high1], &[x0, x1]) in pairs.iter().zip(x.as_chunks::<2>().0) {
        for (low, high, x) in [(low0, high0, x0.into()), (low1, high1, x1.into())] {
            sum0 += i32::from(low as i8) * x;
            sum1 += i32::from(upper(low)) * x;
            sum2 += i32::from(high as i8) * x;
            sum3 += i32::from(upper(high)) * x;
        }
    }
    [sum0, sum1, sum2, sum3]
}

/// A group of four rows.
#[inline]
pub(super) fn group(words: &[u32], cols: usize, at: (usize, usize), found: &mut Group) {
    let words = group_of_four(words, cols, at, found);
    let [row0, row1, row2, row3] = &mut found.rows;
    let rows = row0.iter_mut().zip(row1).zip(row2.iter_mut().zip(row3));
    for (((n0, n1), (n2, n3)), &half) in rows.zip(as_i16(words)) {
        let nibble = |shift: u32| (half >> shift & 15) as i8 - 8;
        (*n0, *n1, *n2, *n3) = (nibble(0), nibble(4), nibble(8), (half >> 12) as i8);
    }
}

/// The bytes of an int4 matrix.
#[cfg(any(feature = "std", feature = "checkasm"))]
pub(super) fn bytes(matrix: &Int4<'_>, put: &mut impl FnMut(u8)) {
    matrix.by_blocks(put, |block, columns, put| {
        for col in columns {
            let low: u32 = (0..3).map(|k| matrix.offset_nibble(block + k, col) << (4 * k)).sum();
            let half = low | matrix.nibble(block + 3, col) << 12;
            (half as u16).to_le_bytes().into_iter().for_each(&mut *put);
        }
    });
}
