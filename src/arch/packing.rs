//! How a matrix of small integers lies in flash: one lossless arrangement for each family of cores.
//!
//! ```text
//! canonical: row-major integers, rows padded to a multiple of 4, columns to a multiple of 16 ── pack ──► words
//! ```
//! Every arrangement has as many words, and [`Packing::integer`] reads any of them; so the host can run the very image that
//! is flashed. No one order suits the loads of all cores.

/// Rows are padded to a multiple of this: kernels compute so many outputs at a time.
pub const ROWS: usize = 4;
/// Columns of int8 matrices are padded to a multiple of this.
pub const COLUMNS: usize = 16;

/// The arrangement of weights in an image, by the cores whose kernels want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Packing {
    /// Row-major: the canonical order, for hosts.
    Host,
    /// Cortex-M4, M7, M33: pairs of rows share 16 bits, `256 * w[r + 1][c] + w[r][c]`, so that `SMLAD` needs no unpacking of
    /// one row and one `SXTB16` for the other. Four rows by four columns are the words
    /// `[rows 0 1, columns 0 1] [rows 2 3, columns 0 1] [rows 0 1, columns 2 3] [rows 2 3, columns 2 3]`.
    M4,
    /// Cortex-M55, M85: four rows by sixteen columns, row after row: one Helium register each.
    M55,
    /// Cortex-M0, M0+, M3: two rows by two columns in a word, so that one multiplication does two columns of a row; 128 is
    /// added to every byte. For even `r` and `c` the bytes, low to high, are `w[r][c + 1]`, `w[r + 1][c + 1]`, `w[r][c]`,
    /// `w[r + 1][c]`; a pair of columns of four rows is two words.
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

    /// One integer of an int8 matrix; `None` outside of it.
    ///
    /// # Shapes
    /// `words`: the packed matrix with `cols` padded columns.
    pub fn integer(self, words: &[u32], cols: usize, row: usize, col: usize) -> Option<i8> {
        if col >= cols {
            return None;
        }
        let byte = |index: usize| Some((words.get(index / 4)? >> (8 * (index % 4))) as u8 as i8);
        let (block, in_block) = (row / ROWS, row % ROWS);
        match self {
            Packing::Host => byte(row.checked_mul(cols)?.checked_add(col)?),
            Packing::M0 => {
                let word = block.checked_mul(cols)?.checked_add(col / 2 * 2 + in_block / 2)?;
                byte(4 * word + 2 * (1 - col % 2) + in_block % 2).map(|byte| byte ^ -128)
            }
            Packing::M55 => {
                byte(block.checked_mul(ROWS * cols)?.checked_add(col / 16 * 64 + 16 * in_block + col % 16)?)
            }
            Packing::M4 => {
                let word = block.checked_mul(cols)?.checked_add(col / 4 * 4 + (col % 4) / 2 * 2 + in_block / 2)?;
                let half = (words.get(word)? >> (16 * (col % 2))) as u16 as i16;
                let even = half as i8;
                // Exact for integers of -127..=127; the difference is a multiple of 256.
                let odd = (half.wrapping_sub(even.into()) >> 8) as i8;
                Some(if in_block.is_multiple_of(2) { even } else { odd })
            }
        }
    }
}

/// Words of a packed int8 matrix.
pub const fn words_q8(rows: usize, cols: usize) -> u64 {
    (rows as u64).next_multiple_of(ROWS as u64) * (cols as u64).next_multiple_of(COLUMNS as u64) / 4
}
