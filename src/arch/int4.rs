//! int4 matrices: groups of columns that share a scale, in every packing.
//!
//! ```text
//! four rows ──► groups of 32 columns ──► words of nibbles, one word of four scales ── Packing::group ──► integers, scales
//! ```
//! `weight = integer * scale of its row and group * scale of the matrix`, integers in -7..=7, scales of groups in 0..=255. Where the
//! padded columns are 16 more than a multiple of 32, the *first* group is half as wide: loops that do a group in a turn begin
//! it in the middle.

use super::packing::{COLUMNS, Packing, ROWS};

/// Columns of a group; of the first one sometimes half as many.
pub const GROUP: usize = 32;

/// Most columns of an int4 matrix: a sum is below 64 groups of `32 * 7 * 127 * 255`, which is 2^29.
pub const MAX_COLUMNS: usize = 2048;

/// Columns of the first group of a matrix with so many padded columns.
pub const fn first_group(cols: usize) -> usize {
    if cols.is_multiple_of(GROUP) { GROUP } else { COLUMNS }
}

/// The group of a column of a matrix with so many columns.
pub const fn group(cols: usize, col: usize) -> usize {
    (col + GROUP - first_group(cols.next_multiple_of(COLUMNS))) / GROUP
}

/// Words of four rows with so many padded columns: nibbles, and a byte for the scale of each row and group.
pub(crate) const fn block_words(cols: usize) -> usize {
    cols / 2 + cols.div_ceil(GROUP)
}

/// Words of a packed int4 matrix.
pub const fn words_q4(rows: usize, cols: usize) -> u64 {
    rows.div_ceil(ROWS) as u64 * block_words(cols.next_multiple_of(COLUMNS)) as u64
}

/// Four rows of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Of a half group the first 16 columns count.
    pub(crate) rows: [[i8; GROUP]; ROWS],
    pub(crate) scales: [u8; ROWS],
}

impl Packing {
    /// One group of four rows from its 17 words, or the 9 of a half group.
    #[inline]
    pub(crate) fn group(self, words: &[u32]) -> Group {
        let mut rows = [[0; GROUP]; ROWS];
        let Some((&scales, words)) = words.split_last() else { return Group { rows, scales: [0; ROWS] } };
        match self {
            Packing::Host | Packing::M55 => {
                for (row, words) in rows.iter_mut().zip(words.chunks_exact((words.len() / ROWS).max(1))) {
                    let bytes = super::signed_bytes(words);
                    let (low, high) = row.split_at_mut_checked(bytes.len()).unwrap_or((&mut [], &mut []));
                    for ((low, high), &byte) in low.iter_mut().zip(high).zip(bytes) {
                        (*low, *high) = (byte << 4 >> 4, byte >> 4);
                    }
                }
            }
            Packing::M4 => {
                let halves = super::halves(words);
                let [row0, row1, row2, row3] = &mut rows;
                for ((((n0, n1), n2), n3), &half) in row0.iter_mut().zip(row1).zip(row2).zip(row3).zip(halves) {
                    let nibble = |shift: u32| (half >> shift & 15) as i8 - 8;
                    (*n0, *n1, *n2, *n3) = (nibble(0), nibble(4), nibble(8), (half >> 12) as i8);
                }
            }
            Packing::M0 => {
                for (k, row) in rows.iter_mut().enumerate() {
                    for (pair, &word) in row.as_chunks_mut::<2>().0.iter_mut().zip(words) {
                        let nibble = |k: usize| (word >> (4 * k) & 15) as i8 - 8;
                        *pair = [nibble(k + 4), nibble(k)];
                    }
                }
            }
        }
        Group { rows, scales: scales.to_le_bytes() }
    }
}

/// The groups of a block of four rows: the words of each.
pub(crate) fn groups(block: &[u32], cols: usize) -> impl Iterator<Item = &[u32]> {
    let half = if first_group(cols) < GROUP { COLUMNS / 2 + 1 } else { 0 };
    let (first, rest) = block.split_at_checked(half).unwrap_or((&[], &[]));
    (half > 0).then_some(first).into_iter().chain(rest.chunks_exact(GROUP / 2 + 1))
}

/// `out[r] = sum over groups of scale * sum(w[r][c] * x[c])` of any packing, in plain Rust: what the kernels must equal.
///
/// # Shapes
/// `weights`: packed, `cols` padded columns; `x`: `[cols]`; `out`: padded rows.
#[cfg(not(thumbformer_small))]
pub(crate) fn dots_q4<X: Copy + Into<i32>>(packing: Packing, weights: &[u32], cols: usize, x: &[X], out: &mut [i32]) {
    let blocks = weights.chunks_exact(block_words(cols).max(1));
    let (first, rest) = x.get(..cols).unwrap_or(x).split_at_checked(first_group(cols)).unwrap_or((&[], &[]));
    for (block, out) in blocks.zip(out.as_chunks_mut::<ROWS>().0) {
        *out = [0; ROWS];
        for (words, x) in groups(block, cols).zip(core::iter::once(first).chain(rest.chunks_exact(GROUP))) {
            let group = packing.group(words);
            for ((out, row), &scale) in out.iter_mut().zip(&group.rows).zip(&group.scales) {
                let dot: i32 = row.iter().zip(x).map(|(&n, &x)| i32::from(n) * x.into()).sum();
                *out += dot * i32::from(scale);
            }
        }
    }
}
