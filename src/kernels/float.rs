//! The one float operation on vectors: the residual stream's addition.

use super::scaled::Scaled;

/// `x[i] += y[i]`: the only thing that ever happens to the residual stream of a pre-LN block.
pub(crate) fn add(x: &mut [f32], y: &Scaled<'_>) {
    for (x, &integer) in x.iter_mut().zip(y.integers.iter()) {
        *x += integer as f32 * y.scale;
    }
}
