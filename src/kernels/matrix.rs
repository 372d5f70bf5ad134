//! Matrix times vector: exact integer dot products, one float multiplication per output.

use super::quantize::Quantized;
use crate::arch::{Backend, Native};
use crate::weights::Matrix;

/// `y[r] = (w.integers[r] · x.integers) * (w.scales[r] * x.scale)`.
///
/// # Shapes
/// `w: [rows, cols]`, `x: [cols]`, `y: [rows]`; the shortest of them counts.
pub(crate) fn matvec_q8(y: &mut [f32], w: &Matrix<'_>, x: &Quantized<'_>) {
    let mut outputs = y.iter_mut().zip(w.scales);
    dots_i8::<Native>(w.data, w.row_bytes, x.integers, |sum| {
        if let Some((y, &scale)) = outputs.next() {
            *y = sum as f32 * (scale * x.scale);
        }
    });
}

/// Dot products of consecutive int8 rows with one vector, handed out row by row.
///
/// # Shapes
/// `rows: [n, stride]`, of which the first `x.len()` columns count.
pub(crate) fn dots_i8<B: Backend>(rows: &[i8], stride: usize, x: &[i8], mut output: impl FnMut(i32)) {
    // Strides of zero and beyond a quarter of the address space cannot come from checked dimensions; this tells the
    // compiler so, which else would keep `chunks_exact`'s panic.
    let stride = stride.max(1);
    let four = stride.saturating_mul(4).max(1);
    let cols = x.len().min(stride);
    let x = first(x, cols);
    let mut quads = rows.chunks_exact(four);
    for quad in &mut quads {
        let (row0, rest) = split(quad, stride);
        let (row1, rest) = split(rest, stride);
        let (row2, row3) = split(rest, stride);
        let sums = B::dot4_i8([first(row0, cols), first(row1, cols), first(row2, cols), first(row3, cols)], x);
        sums.into_iter().for_each(&mut output);
    }
    for row in quads.remainder().chunks_exact(stride) {
        output(B::dot_i8(first(row, cols), x));
    }
}

#[inline(always)]
fn first(row: &[i8], count: usize) -> &[i8] {
    row.get(..count).unwrap_or(&[])
}

#[inline(always)]
fn split(rows: &[i8], at: usize) -> (&[i8], &[i8]) {
    rows.split_at_checked(at).unwrap_or((&[], &[]))
}
