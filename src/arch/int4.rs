//! int4 matrices: groups of columns that share a scale, in every packing.
//!
//! ```text
//! four rows ──► groups of 32 columns ──► nibbles, four scales ── Packing::group ──► integers, scales
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
#[cfg(any(feature = "std", feature = "bench"))]
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
    /// A group of a block of four rows; zeros outside of the matrix.
    ///
    /// # Shapes
    /// `words`: the packed matrix with `cols` padded columns.
    #[inline]
    pub(crate) fn group(self, words: &[u32], cols: usize, block: usize, group: usize) -> Group {
        let mut found = Group { rows: [[0; GROUP]; ROWS], scales: [0; ROWS] };
        let half = first_group(cols) < GROUP;
        let width = if half && group == 0 { COLUMNS } else { GROUP };
        if self == Packing::M55 {
            eight_rows(words, cols, block, group, width, &mut found);
            return found;
        }
        let before = if half { group * GROUP - group.min(1) * COLUMNS } else { group * GROUP };
        let start = block * block_words(cols) + before / 2 + group;
        let Some((&scales, words)) = words.get(start..=start + width / 2).and_then(<[u32]>::split_last) else {
            return found;
        };
        found.scales = scales.to_le_bytes();
        match self {
            Packing::Host | Packing::M55 => {
                for (row, words) in found.rows.iter_mut().zip(words.chunks_exact((words.len() / ROWS).max(1))) {
                    let bytes = super::signed_bytes(words);
                    let (low, high) = row.split_at_mut_checked(bytes.len()).unwrap_or((&mut [], &mut []));
                    for ((low, high), &byte) in low.iter_mut().zip(high).zip(bytes) {
                        (*low, *high) = (byte << 4 >> 4, byte >> 4);
                    }
                }
            }
            Packing::M4 => {
                let [row0, row1, row2, row3] = &mut found.rows;
                let rows = row0.iter_mut().zip(row1).zip(row2.iter_mut().zip(row3));
                for (((n0, n1), (n2, n3)), &half) in rows.zip(super::as_i16(words)) {
                    let nibble = |shift: u32| (half >> shift & 15) as i8 - 8;
                    (*n0, *n1, *n2, *n3) = (nibble(0), nibble(4), nibble(8), (half >> 12) as i8);
                }
            }
            Packing::M0 => {
                for (k, row) in found.rows.iter_mut().enumerate() {
                    for (pair, &word) in row.as_chunks_mut::<2>().0.iter_mut().zip(words) {
                        let nibble = |k: usize| (word >> (4 * k) & 15) as i8 - 8;
                        *pair = [nibble(k + 4), nibble(k)];
                    }
                }
            }
        }
        found
    }
}

/// `Packing::M55`: blocks of eight rows, the last four alone; full groups in order, then the half one. A group is, for each pair
/// of rows `(r, r + height / 2)`, a byte for each column, `16 * n[r + height / 2] + n[r]`; then a scale for each row.
fn eight_rows(words: &[u32], cols: usize, block: usize, group: usize, width: usize, found: &mut Group) {
    let blocks = words.len() / block_words(cols).max(1);
    let alone = block + 1 == blocks && block.is_multiple_of(2);
    // Rows of the block, in fours, and which four of them are meant.
    let (fours, which) = if alone { (1, 0) } else { (2, block % 2) };
    let half = first_group(cols) < GROUP;
    let place = if !half {
        group
    } else if group == 0 {
        cols / GROUP
    } else {
        group - 1
    };
    let start = 4 * ((block - which) * block_words(cols) + fours * place * (GROUP / 2 + 1));
    let bytes = super::signed_bytes(words).get(start..).unwrap_or(&[]);
    let (pairs, scales) = bytes.split_at_checked(2 * fours * width).unwrap_or((&[], &[]));
    for (k, (row, found_scale)) in found.rows.iter_mut().zip(&mut found.scales).enumerate() {
        let row_in_block = 4 * which + k;
        let (pair, upper) = (row_in_block % (2 * fours), row_in_block >= 2 * fours);
        for (n, &byte) in row.iter_mut().zip(pairs.chunks_exact(width).nth(pair).unwrap_or(&[])) {
            // The lower four bits with their sign; the difference is a multiple of 16.
            let low = byte << 4 >> 4;
            *n = if upper { byte.wrapping_sub(low) >> 4 } else { low };
        }
        *found_scale = scales.get(row_in_block).map_or(0, |scale| scale.cast_unsigned());
    }
}

/// `out[r] = sum over groups of scale * sum(w[r][c] * x[c])` of any packing, in plain Rust: what the kernels must equal.
///
/// # Shapes
/// `weights`: packed, `cols` padded columns; `x`: `[cols]`; `out`: padded rows.
#[cfg(not(thumbformer_small))]
pub(crate) fn dots_q4<X: Copy + Into<i32>>(packing: Packing, weights: &[u32], cols: usize, x: &[X], out: &mut [i32]) {
    let blocks = weights.len() / block_words(cols).max(1);
    let (first, rest) = x.get(..cols).unwrap_or(x).split_at_checked(first_group(cols)).unwrap_or((&[], &[]));
    for (block, out) in out.as_chunks_mut::<ROWS>().0.iter_mut().enumerate().take(blocks) {
        *out = [0; ROWS];
        for (index, x) in core::iter::once(first).chain(rest.chunks_exact(GROUP)).enumerate() {
            let group = packing.group(weights, cols, block, index);
            for ((out, row), &scale) in out.iter_mut().zip(&group.rows).zip(&group.scales) {
                let dot: i32 = row.iter().zip(x).map(|(&n, &x)| i32::from(n) * x.into()).sum();
                *out += dot * i32::from(scale);
            }
        }
    }
}
