//! An int8 matrix times one vector, or two of them, on Helium.
//!
//! ```text
//! four rows by sixteen columns ──► one load of activations, four of weights, four VMLAVA.S8
//! two rows by two vectors ───────► two loads of activations, two of weights, four VMLAVA.S8
//! ```
//! Sums of four rows by two vectors would be eight, and `VMLAVA` adds to even registers only: some would go to memory.

use super::{dot, vector};
use core::simd::{i8x16, i32x4};

/// Columns of one turn of the loops.
const STEP: usize = 32;

/// `sum[i] += w[i] · x`.
macro_rules! add_dots {
    ([$($sum:ident += $w:expr),+], $x:expr) => {
        let x = $x;
        $($sum += dot(vector($w), x);)+
    };
}

/// `out[r] = sum(w[r][c] * x[c])`.
///
/// # Shapes
/// `weights`: packed as `Packing::M55`, `cols` padded columns; `x: [cols]`; `out`: rows, a multiple of 4.
pub(crate) fn dots(weights: &[u32], cols: usize, x: &[i8], out: &mut [i32]) {
    let x = x.get(..cols).unwrap_or(x);
    let out = out.as_chunks_mut::<4>().0;
    match x.as_chunks::<STEP>() {
        // Where there is at least one turn, the compiler tests for none before all blocks, not in each.
        (x, []) if !x.is_empty() => {
            let blocks = weights.as_chunks::<STEP>().0.chunks_exact(x.len());
            blocks.zip(out).for_each(|(block, out)| *out = four_rows(block, x).to_array());
        }
        _ => {
            let x = x.as_chunks::<16>().0;
            let blocks = weights.chunks_exact(cols.max(1));
            blocks.zip(out).for_each(|(block, out)| *out = four_rows_by_16(block, x));
        }
    }
}

/// Two vectors at a time: `out[v][r] = sum(w[r][c] * x[v][c])`.
///
/// # Shapes
/// `weights`: as of [`dots`]; `x: [2, cols]`; `out: [2, rows]`.
pub(crate) fn dots_of_two(weights: &[u32], cols: usize, x: &[i8], out: &mut [i32]) {
    let (x, y) = x.split_at_checked(cols).unwrap_or((x, &[]));
    let (x_out, y_out) = out.split_at_mut(out.len() / 2);
    match (x.as_chunks::<STEP>(), y.get(..cols).unwrap_or(y).as_chunks::<STEP>()) {
        ((x, []), (y, [])) if !x.is_empty() && x.len() == y.len() => {
            let out = x_out.as_chunks_mut::<4>().0.iter_mut().zip(y_out.as_chunks_mut::<4>().0);
            for (block, (x_out, y_out)) in weights.as_chunks::<STEP>().0.chunks_exact(x.len()).zip(out) {
                let ([x0, x1], [y0, y1]) = two_rows::<0>(block, x, y);
                let ([x2, x3], [y2, y3]) = two_rows::<2>(block, x, y);
                // As vectors, so that they are stored as such.
                *x_out = i32x4::from_array([x0, x1, x2, x3]).to_array();
                *y_out = i32x4::from_array([y0, y1, y2, y3]).to_array();
            }
        }
        _ => {
            dots(weights, cols, x, x_out);
            dots(weights, cols, y, y_out);
        }
    }
}

/// # Shapes
/// `block`: four rows of `[turns]`; `x: [turns]`.
#[inline(always)]
fn four_rows(block: &[[u32; STEP]], x: &[[i8; STEP]]) -> i32x4 {
    let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
    for (block, x) in block.iter().zip(x) {
        let (&[w0, w1, w2, w3, w4, w5, w6, w7], []) = block.as_chunks::<4>() else { continue };
        let (&[x0, x1], []) = x.as_chunks::<16>() else { continue };
        add_dots!([sum0 += w0, sum1 += w1, sum2 += w2, sum3 += w3], i8x16::from_array(x0));
        add_dots!([sum0 += w4, sum1 += w5, sum2 += w6, sum3 += w7], i8x16::from_array(x1));
    }
    i32x4::from_array([sum0, sum1, sum2, sum3])
}

/// The same for an odd multiple of sixteen columns. The sums are no vector here: the compiler would add vectors.
///
/// # Shapes
/// `block`: four rows; `x: [cols / 16]`.
#[inline(always)]
fn four_rows_by_16(block: &[u32], x: &[[i8; 16]]) -> [i32; 4] {
    let (mut sum0, mut sum1, mut sum2, mut sum3) = (0, 0, 0, 0);
    for (block, &x) in block.as_chunks::<16>().0.iter().zip(x) {
        let (&[w0, w1, w2, w3], []) = block.as_chunks::<4>() else { continue };
        add_dots!([sum0 += w0, sum1 += w1, sum2 += w2, sum3 += w3], i8x16::from_array(x));
    }
    [sum0, sum1, sum2, sum3]
}

/// Rows `FIRST` (0 or 2) and the next one of a block, by two vectors.
///
/// # Shapes
/// `block`: four rows of `[turns]`; `x`, `y`: `[turns]`.
#[inline(always)]
fn two_rows<const FIRST: usize>(block: &[[u32; STEP]], x: &[[i8; STEP]], y: &[[i8; STEP]]) -> ([i32; 2], [i32; 2]) {
    let (mut x_sum0, mut x_sum1, mut y_sum0, mut y_sum1) = (0, 0, 0, 0);
    for ((block, x), y) in block.iter().zip(x).zip(y) {
        let (&[w0, w1, w2, w3, w4, w5, w6, w7], []) = block.as_chunks::<4>() else { continue };
        let (&[x0, x1], []) = x.as_chunks::<16>() else { continue };
        let (&[y0, y1], []) = y.as_chunks::<16>() else { continue };
        let [w0, w1, w4, w5] = if FIRST == 0 { [w0, w1, w4, w5] } else { [w2, w3, w6, w7] };
        add_dots!([x_sum0 += w0, x_sum1 += w1], i8x16::from_array(x0));
        add_dots!([y_sum0 += w0, y_sum1 += w1], i8x16::from_array(y0));
        add_dots!([x_sum0 += w4, x_sum1 += w5], i8x16::from_array(x1));
        add_dots!([y_sum0 += w4, y_sum1 += w5], i8x16::from_array(y1));
    }
    ([x_sum0, x_sum1], [y_sum0, y_sum1])
}
