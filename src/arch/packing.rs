//! How a matrix of small integers lies in flash: one lossless arrangement for each family of cores.
//!
//! ```text
//! canonical: row-major integers, rows padded to a multiple of 4, columns to a multiple of 16 ── pack ──► words
//! ```
//! Every arrangement has as many words, and the host reads any of them, so it can run the very image that is flashed. No one
//! order suits the loads of all cores. Matrices of int8 are here, those of int4 in `int4`.

use super::signed_bytes;

/// Rows are padded to a multiple of this: kernels compute so many outputs at a time.
pub const ROWS: usize = 4;
/// Columns are padded to a multiple of this.
pub const COLUMNS: usize = 16;

/// The arrangement of weights in an image, by the cores whose kernels want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Packing {
    /// Row-major: the canonical order, for hosts. int4: four rows of a group one after the other, the first half of its columns
    /// in the lower nibbles of the bytes, the second half in the upper ones.
    Host,
    /// Cortex-M4, M7, M33: pairs of rows share 16 bits, `256 * w[r + 1][c] + w[r][c]`, so that `SMLAD` needs no unpacking of
    /// one row and one `SXTB16` for the other. Four rows by four columns are the words
    /// `[rows 0 1, columns 0 1] [rows 2 3, columns 0 1] [rows 0 1, columns 2 3] [rows 2 3, columns 2 3]`.
    /// int4: a column of four rows shares 16 bits, `n3 << 12 | (n2 + 8) << 8 | (n1 + 8) << 4 | n0 + 8`.
    M4,
    /// Cortex-M55, M85: four rows by sixteen columns, row after row: one Helium register each. int4: rows `r` and `r + 4` of eight
    /// (of the last four `r` and `r + 2`) share a byte, `16 * n[r + 4] + n[r]`, a group's columns in order.
    M55,
    /// Cortex-M0, M0+, M3: two rows by two columns in a word, so that one multiplication does two columns of a row; 128 is
    /// added to every byte. For even `r` and `c` the bytes, low to high, are `w[r][c + 1]`, `w[r + 1][c + 1]`, `w[r][c]`,
    /// `w[r + 1][c]`; a pair of columns of four rows is two words. int4: a pair of columns of four rows is one word, 8 is added
    /// to every nibble; nibbles `k` and `k + 4` are columns `c + 1` and `c` of row `k`.
    M0,
}

impl Packing {
    /// All of them.
    pub const ALL: [Packing; 4] = [Packing::Host, Packing::M4, Packing::M55, Packing::M0];

    /// The name that `thumbformer convert --pack` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Packing::Host => "host",
            Packing::M4 => "m4",
            Packing::M55 => "m55",
            Packing::M0 => "m0",
        }
    }

    /// The layout id in the image's header.
    pub const fn id(self) -> u32 {
        match self {
            Packing::Host => 1,
            Packing::M4 => 2,
            Packing::M55 => 3,
            Packing::M0 => 4,
        }
    }

    /// The packing of a layout id.
    pub const fn from_id(id: u32) -> Option<Packing> {
        match id {
            1 => Some(Packing::Host),
            2 => Some(Packing::M4),
            3 => Some(Packing::M55),
            4 => Some(Packing::M0),
            _ => None,
        }
    }

    /// Hands out the integers of one row of an int8 matrix in order, padding included; `None` outside of it.
    ///
    /// # Shapes
    /// `words`: the packed matrix with `cols` padded columns.
    pub fn row_q8(self, words: &[u32], cols: usize, row: usize, put: impl FnMut(i8)) -> Option<()> {
        let in_block = row % ROWS;
        let start = (row / ROWS).checked_mul(cols)?;
        let block = words.get(start..start.checked_add(cols)?)?;
        // Two rows by two columns lie in a word.
        let pairs = block.as_chunks::<2>().0.iter().map(|words| if in_block < 2 { words[0] } else { words[1] });
        let odd = in_block % 2 == 1;
        match self {
            Packing::Host => {
                let rows = signed_bytes(block);
                rows.get(in_block * cols..(in_block + 1) * cols)?.iter().copied().for_each(put);
            }
            Packing::M55 => {
                let vectors = signed_bytes(block).as_chunks::<16>().0;
                vectors.iter().skip(in_block).step_by(ROWS).flatten().copied().for_each(put);
            }
            Packing::M0 => {
                let shift = if odd { 8 } else { 0 };
                let byte = |word: u32| (word >> shift) as i8 ^ -128;
                pairs.flat_map(|word| [byte(word >> 16), byte(word)]).for_each(put);
            }
            Packing::M4 => {
                // Exact for integers of -127..=127; the difference is a multiple of 256.
                let upper = |half: i16| (half.wrapping_sub(i16::from(half as i8)) >> 8) as i8;
                let integer = |half: u32| if odd { upper(half as i16) } else { half as i8 };
                pairs.flat_map(|word| [integer(word), integer(word >> 16)]).for_each(put);
            }
        }
        Some(())
    }
}

/// Row and column of the four integers that one word of a packed int8 matrix is made of, in the order that [`word_q8`] takes.
///
/// `width`: padded columns.
pub const fn sources_q8(packing: Packing, width: usize, index: usize) -> [(usize, usize); 4] {
    let (block, i) = (index / width * ROWS, index % width);
    match packing {
        Packing::Host => {
            let (row, col) = (block + i / (width / 4), i % (width / 4) * 4);
            [(row, col), (row, col + 1), (row, col + 2), (row, col + 3)]
        }
        Packing::M55 => {
            let (row, col) = (block + i % COLUMNS / 4, i / COLUMNS * COLUMNS + i % 4 * 4);
            [(row, col), (row, col + 1), (row, col + 2), (row, col + 3)]
        }
        Packing::M0 => {
            let (row, col) = (block + i % 2 * 2, i / 2 * 2);
            [(row, col + 1), (row + 1, col + 1), (row, col), (row + 1, col)]
        }
        Packing::M4 => {
            let (row, col) = (block + i % 2 * 2, i / 4 * 4 + i % 4 / 2 * 2);
            [(row, col), (row + 1, col), (row, col + 1), (row + 1, col + 1)]
        }
    }
}

/// A word of a packed int8 matrix.
pub const fn word_q8(packing: Packing, integers: [i8; 4]) -> u32 {
    let [a, b, c, d] = integers;
    match packing {
        Packing::Host | Packing::M55 => u32::from_le_bytes([a as u8, b as u8, c as u8, d as u8]),
        Packing::M0 => u32::from_le_bytes([a as u8, b as u8, c as u8, d as u8]) ^ 0x8080_8080,
        Packing::M4 => {
            let (low, high) = (256 * b as i32 + a as i32, 256 * d as i32 + c as i32);
            (low as u16) as u32 | ((high as u16) as u32) << 16
        }
    }
}

/// Words of a packed int8 matrix.
pub const fn words_q8(rows: usize, cols: usize) -> u64 {
    (rows as u64).next_multiple_of(ROWS as u64) * (cols as u64).next_multiple_of(COLUMNS as u64) / 4
}
