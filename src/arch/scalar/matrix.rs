//! Matrices of every packing times a vector, in plain Rust.

use super::{GROUP, PACKED_ROWS, Packing, block_words, first_group};

/// `out[r] = sum(w[r][c] * x[c])`.
///
/// # Shapes
/// `weights`: packed, `cols` padded columns; `x: [cols]`, of any integer type; `out`: padded rows.
#[inline]
pub(crate) fn dots_q8<X: Copy + Into<i32>>(packing: Packing, weights: &[u32], cols: usize, x: &[X], out: &mut [i32]) {
    let x = x.get(..cols).unwrap_or(x);
    // Telling the compiler that no chunk is empty spares a panic.
    let blocks = weights.chunks_exact(cols.max(1));
    for (block, out) in blocks.zip(out.as_chunks_mut::<PACKED_ROWS>().0) {
        *out = packing.four_dots(block, x);
    }
}

/// `out[r] = sum over groups of scale * sum(w[r][c] * x[c])`.
///
/// # Shapes
/// As of [`dots_q8`].
pub(crate) fn dots_q4<X: Copy + Into<i32>>(packing: Packing, weights: &[u32], cols: usize, x: &[X], out: &mut [i32]) {
    let blocks = weights.len() / block_words(cols).max(1);
    let (first, rest) = x.get(..cols).unwrap_or(x).split_at_checked(first_group(cols)).unwrap_or((&[], &[]));
    for (block, out) in out.as_chunks_mut::<PACKED_ROWS>().0.iter_mut().enumerate().take(blocks) {
        *out = [0; PACKED_ROWS];
        for (index, x) in core::iter::once(first).chain(rest.chunks_exact(GROUP)).enumerate() {
            let group = packing.group(weights, cols, block, index);
            for ((out, row), &scale) in out.iter_mut().zip(&group.rows).zip(&group.scales) {
                let dot: i32 = row.iter().zip(x).map(|(&n, &x)| i32::from(n) * x.into()).sum();
                *out += dot * i32::from(scale);
            }
        }
    }
}
