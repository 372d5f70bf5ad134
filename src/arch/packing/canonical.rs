//! A canonical int4 matrix, which the packings take apart.

use super::{COLUMNS, GROUP, ROWS, first_group};
use core::ops::Range;

/// A canonical int4 matrix; what lies beyond its rows and columns is zero.
pub(crate) struct Int4<'a> {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// `[rows, cols]` of -7..=7.
    pub(crate) integers: &'a [i8],
    /// `[rows, groups]`.
    pub(crate) scales: &'a [u8],
}

impl Int4<'_> {
    fn width(&self) -> usize {
        self.cols.next_multiple_of(COLUMNS)
    }

    /// Rows, padded.
    pub(super) fn height(&self) -> usize {
        self.rows.next_multiple_of(ROWS)
    }

    /// Groups of a row.
    pub(super) fn groups(&self) -> Range<usize> {
        0..self.width().div_ceil(GROUP)
    }

    /// `true` when the first group has half the columns.
    pub(super) fn begins_with_half(&self) -> bool {
        first_group(self.width()) < GROUP
    }

    /// The columns of a group.
    pub(super) fn columns(&self, group: usize) -> Range<usize> {
        let first = first_group(self.width());
        match group.checked_sub(1) {
            None => 0..first,
            Some(before) => first + before * GROUP..first + group * GROUP,
        }
    }

    /// An integer.
    pub(super) fn at(&self, row: usize, col: usize) -> i8 {
        let inside = row < self.rows && col < self.cols;
        if inside { self.integers.get(row * self.cols + col).copied().unwrap_or(0) } else { 0 }
    }

    /// An integer with 8 added, as an unsigned nibble.
    pub(super) fn offset_nibble(&self, row: usize, col: usize) -> u32 {
        u32::from((self.at(row, col) + 8).cast_unsigned() & 15)
    }

    /// An integer as a signed nibble.
    pub(super) fn nibble(&self, row: usize, col: usize) -> u32 {
        u32::from(self.at(row, col).cast_unsigned() & 15)
    }

    /// The scale of a row's group.
    pub(super) fn scale(&self, row: usize, group: usize) -> u8 {
        let found = if row < self.rows { self.scales.get(row * self.groups().end + group).copied() } else { None };
        found.unwrap_or(0)
    }

    /// Blocks of four rows, groups in order, each ending in four scales; `nibbles` hands out the bytes before them, given the first
    /// row and the columns.
    pub(super) fn by_blocks<P: FnMut(u8)>(&self, put: &mut P, nibbles: impl Fn(usize, Range<usize>, &mut P)) {
        for block in (0..self.height()).step_by(ROWS) {
            for group in self.groups() {
                nibbles(block, self.columns(group), put);
                (block..block + ROWS).for_each(|row| put(self.scale(row, group)));
            }
        }
    }
}
