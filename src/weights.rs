//! Views of weights in the image: shapes that were checked once, data that is never copied.

/// An int8 matrix `[rows, cols]` with one scale per row, stored row by row in the image.
///
/// `weight[r][c] = data[r * row_bytes + c] * scales[r]`; columns `cols..row_bytes` are zero.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_bytes: usize,
    pub(crate) data: &'a [i8],
    pub(crate) scales: &'a [f32],
}

impl<'a> Matrix<'a> {
    /// Number of outputs.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Number of inputs.
    pub const fn cols(&self) -> usize {
        self.cols
    }

    /// The integers `[cols]` and the scale of one row; `None` beyond the last row.
    pub fn row(&self, row: usize) -> Option<(&'a [i8], f32)> {
        let start = row.checked_mul(self.row_bytes)?;
        let integers = self.data.get(start..)?.get(..self.cols)?;
        Some((integers, *self.scales.get(row)?))
    }
}
