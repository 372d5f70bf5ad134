//! An int8 matrix times a vector, on Helium.
//!
//! ```text
//! four rows by sixteen columns ──► one load of activations, four of weights, four VMLAVA.S8
//! ```
//! Two vectors at a time would spare loads and gain nothing: two rows by two vectors take as many instructions around the loops
//! as they save, and four rows are more sums than there are even registers, which `VMLAVA` adds to.

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
