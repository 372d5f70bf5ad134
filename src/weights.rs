//! Views of weights in the image: shapes that were checked once, data that is never copied.

use crate::arch::Packing;

/// An int8 matrix `[rows, cols]` in the image's packing.
///
/// `weight[r][c] = integer[r][c] * multipliers[r] * scale`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Columns with their padding.
    pub(crate) width: usize,
    pub(crate) packing: Packing,
    pub(crate) words: &'a [u32],
    /// 0..=32767 for each padded row.
    pub(crate) multipliers: &'a [i16],
    pub(crate) scale: f32,
}

impl Matrix<'_> {
    /// Number of outputs.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Number of inputs.
    pub const fn cols(&self) -> usize {
        self.cols
    }

    /// The integers `[cols]` and the scale of one row; `None` beyond the last row.
    pub fn row(&self, row: usize) -> Option<(impl Iterator<Item = i8> + '_, f32)> {
        if row >= self.rows {
            return None;
        }
        let scale = f32::from(*self.multipliers.get(row)?) * self.scale;
        let integers =
            (0..self.cols).map(move |col| self.packing.integer(self.words, self.width, row, col).unwrap_or(0));
        Some((integers, scale))
    }
}

/// A vector or table of 16-bit integers with one scale: `value = integer * scale`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vector<'a> {
    pub(crate) integers: &'a [i16],
    pub(crate) scale: f32,
}
