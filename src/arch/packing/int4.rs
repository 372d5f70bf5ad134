//! int4 matrices: groups of columns that share a scale, in every packing.
//!
//! ```text
//! four rows ──► groups of 32 columns ──► nibbles, four scales ── Packing::group ──► integers, scales
//! ```
//! `weight = integer * scale of its row and group * scale of the matrix`, integers in -7..=7, scales of groups in 0..=255. Where the
//! padded columns are 16 more than a multiple of 32, the *first* group is half as wide: loops that do a group in a turn begin
//! it in the middle.

use super::{COLUMNS, ROWS};

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

/// Nibbles of one group of a block of four rows, where groups follow each other in order and end in a word of scales, which go to
/// `found`; nothing outside of the matrix.
#[inline(always)]
pub(super) fn group_of_four<'a>(
    words: &'a [u32],
    cols: usize,
    (block, group): (usize, usize),
    found: &mut Group,
) -> &'a [u32] {
    let half = first_group(cols) < GROUP;
    let width = if half && group == 0 { COLUMNS } else { GROUP };
    let before = if half { group * GROUP - group.min(1) * COLUMNS } else { group * GROUP };
    let start = block * block_words(cols) + before / 2 + group;
    let Some((&scales, words)) = words.get(start..=start + width / 2).and_then(<[u32]>::split_last) else {
        return &[];
    };
    found.scales = scales.to_le_bytes();
    words
}
