//! Matrix times vector: exact integer dot products, one integer multiplication by the row's scale per output.

use super::fixed::Fixed;
use super::quantize::{HUGE, Quantized};
use crate::arch::{Backend, Native};
use crate::weights::Matrix;

/// `y[r] = (w.integers[r] · x.integers) * w.multipliers[r] / 2^16`, in units of `2^16 * w.scale * x.scale`.
///
/// `None` when the unit is beyond all reason, or `y` has no room for the padded rows.
///
/// # Shapes
/// `w: [rows, cols]`, `x: [cols]` in `words`, `y`: padded rows, of which the first `rows` are handed back.
#[inline]
pub(crate) fn matvec<'y>(y: &'y mut [i32], w: &Matrix<'_>, words: &[u32], x: &Quantized) -> Option<Fixed<'y>> {
    let scale = w.scale * 65_536.0 * x.scale;
    let y = y.get_mut(..w.multipliers.len())?;
    Native::matvec_q8(w.packing, w.words, w.width, words, w.multipliers, y);
    (scale <= HUGE).then_some(Fixed { integers: y.get_mut(..w.rows)?, scale })
}
