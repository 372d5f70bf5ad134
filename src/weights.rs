//! Views of weights in the image: shapes that were checked once, data that is never copied.

use crate::arch::{self, Backend, Native, Packing};

/// A matrix of small integers `[rows, cols]` in the image's packing.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Columns with their padding.
    pub(crate) width: usize,
    pub(crate) packing: Packing,
    pub(crate) words: &'a [u32],
    pub(crate) kind: Kind<'a>,
    pub(crate) scale: f32,
}

/// The encoding of a weight.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    /// `weight[r][c] = integer[r][c] * multipliers[r] * scale`; a multiplier of 0..=32767 for each padded row.
    Int8 { multipliers: &'a [i16] },
    /// `weight[r][c] = integer[r][c] * group_scale[r][c's group] * scale`; the scales of groups lie between the integers.
    Int4,
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

    /// Writes one row as floats; `None` beyond the last row.
    ///
    /// # Shapes
    /// `out: [cols]`.
    pub fn row(&self, row: usize, out: &mut [f32]) -> Option<()> {
        self.each(row, out, |out, weight| *out = weight)
    }

    /// Adds one row to floats; `None` beyond the last row.
    ///
    /// # Shapes
    /// `out: [cols]`.
    pub(crate) fn add_row(&self, row: usize, out: &mut [f32]) -> Option<()> {
        self.each(row, out, |out, weight| *out += weight)
    }

    /// Calls `put` for each weight of a row.
    fn each(&self, row: usize, out: &mut [f32], put: impl Fn(&mut f32, f32)) -> Option<()> {
        if row >= self.rows {
            return None;
        }
        // Firmware has kernels for one packing only.
        let packing = Native::PACKING.unwrap_or(self.packing);
        let mut out = out.iter_mut();
        match self.kind {
            Kind::Int8 { multipliers } => {
                let scale = f32::from(*multipliers.get(row)?) * self.scale;
                let put = |integer: i8| {
                    if let Some(out) = out.next() {
                        put(out, f32::from(integer) * scale);
                    }
                };
                packing.row_q8(self.words, self.width, row, put)
            }
            Kind::Int4 => {
                let mut count = arch::first_group(self.width);
                for index in 0..self.width.div_ceil(arch::GROUP) {
                    let group = packing.group(self.words, self.width, row / arch::PACKED_ROWS, index);
                    let (integers, scale) = group.rows.iter().zip(group.scales).nth(row % arch::PACKED_ROWS)?;
                    for (out, &integer) in out.by_ref().zip(integers.iter().take(count)) {
                        put(out, f32::from(i16::from(integer) * i16::from(scale)) * self.scale);
                    }
                    count = arch::GROUP;
                }
                Some(())
            }
        }
    }
}

/// A vector or table of 16-bit integers with one scale: `value = integer * scale`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vector<'a> {
    pub(crate) integers: &'a [i16],
    pub(crate) scale: f32,
}

/// A projection: `w · x + bias`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear<'a> {
    pub(crate) matrix: Matrix<'a>,
    /// `[rows]`.
    pub(crate) bias: Option<Vector<'a>>,
}

impl Linear<'_> {
    /// Number of outputs.
    pub(crate) const fn rows(&self) -> usize {
        self.matrix.rows
    }
}
