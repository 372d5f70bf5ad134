//! The matrix product of all forward and backward passes, in plain Rust, with sums in a fixed order: the same result on every
//! machine.

/// A view of a slice as rows and columns.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    /// A view of rows that begin `stride` numbers apart.
    pub(super) fn new(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> View<'a> {
        View { data, rows, cols, row_stride: stride, col_stride: 1 }
    }

    pub(super) fn at(&self, row: usize, col: usize) -> f32 {
        self.data[row * self.row_stride + col * self.col_stride]
    }

    /// The transposed view.
    pub(super) fn transposed(self) -> View<'a> {
        let View { data, rows, cols, row_stride, col_stride } = self;
        View { data, rows: cols, cols: rows, row_stride: col_stride, col_stride: row_stride }
    }
}

/// Rows and columns of a tile, whose sums stay in registers.
const TILE: (usize, usize) = (4, 8);

/// `c += a b`; rows of `c` begin `stride` numbers apart, rows of `b` are contiguous.
///
/// # Shapes
/// `a: [m, k]`, `b: [k, n]`, `c: [m, n]`.
pub(super) fn multiply(a: View<'_>, b: View<'_>, c: &mut [f32], stride: usize) {
    debug_assert!(a.cols == b.rows && b.col_stride == 1);
    let mut panel = vec![[0.0; TILE.0]; a.cols];
    for row in (0..a.rows).step_by(TILE.0) {
        let height = TILE.0.min(a.rows - row);
        for (k, column) in panel.iter_mut().enumerate() {
            for (i, value) in column.iter_mut().enumerate() {
                *value = if i < height { a.at(row + i, k) } else { 0.0 };
            }
        }
        for col in (0..b.cols).step_by(TILE.1) {
            let width = TILE.1.min(b.cols - col);
            let sums = tile(&panel, &b.data[col.min(b.data.len())..], b.row_stride, width);
            for (i, sums) in sums.iter().enumerate().take(height) {
                let out = &mut c[(row + i) * stride + col..][..width];
                out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
            }
        }
    }
}

/// The product of four rows of `a` and the first eight columns of `b`.
fn tile(panel: &[[f32; TILE.0]], b: &[f32], stride: usize, width: usize) -> [[f32; TILE.1]; TILE.0] {
    let mut sums = [[0.0; TILE.1]; TILE.0];
    for (column, row) in panel.iter().zip(b.chunks(stride.max(1))) {
        let mut edge = [0.0; TILE.1];
        let row = match row.first_chunk() {
            Some(row) if width == TILE.1 => row,
            _ => {
                edge[..width].copy_from_slice(&row[..width]);
                &edge
            }
        };
        for (sums, a) in sums.iter_mut().zip(column) {
            sums.iter_mut().zip(row).for_each(|(sum, b)| *sum += a * b);
        }
    }
    sums
}
