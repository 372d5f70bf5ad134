//! Matrix times vector: exact integer dot products, scaled by integers as far as a row or a group has a scale of its own.

use super::fixed::Fixed;
use super::quantize::{HUGE, Quantized};
use crate::arch::{Backend, Native, PACKED_ROWS};
use crate::weights::{Kind, Matrix};

/// `y = w · x`; integers below 2^29.
///
/// int8: `y[r] = sum(w[r][c] * x[c]) * multipliers[r] / 2^16`; int4: `y[r] = sum over groups of scale[r][g] * sum(w[r][c] * x[c])`.
///
/// `None` when the unit is beyond all reason, or `y` has no room for the padded rows.
///
/// # Shapes
/// `w: [rows, cols]`, `x: [cols]` in `words`, `y`: padded rows, of which the first `rows` are handed back.
#[inline]
pub(crate) fn matvec<'y>(y: &'y mut [i32], w: &Matrix<'_>, words: &[u32], x: &Quantized) -> Option<Fixed<'y>> {
    let y = y.get_mut(..w.rows.next_multiple_of(PACKED_ROWS))?;
    let unit = match w.kind {
        Kind::Int8 { multipliers } => {
            Native::matvec_q8(w.packing, w.words, w.width, words, multipliers, y);
            w.scale * 65_536.0
        }
        Kind::Int4 => {
            Native::dots_q4(w.packing, w.words, w.width, words, y);
            w.scale
        }
    };
    let scale = unit * x.scale;
    (scale <= HUGE).then_some(Fixed { integers: y.get_mut(..w.rows)?, scale })
}
