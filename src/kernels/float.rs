//! Floats of a whole vector: the residual stream's addition, and the check of what leaves the network as a stream.

use super::scaled::Scaled;

/// `x[i] += y[i]`: the only thing that ever happens to the residual stream of a pre-LN block.
pub(crate) fn add(x: &mut [f32], y: &Scaled<'_>) {
    for (x, &integer) in x.iter_mut().zip(y.integers.iter()) {
        *x += integer as f32 * y.scale;
    }
}

/// True if no number is NaN or infinite: what comes after a sum that no norm has looked at.
#[inline(always)]
pub(crate) fn all_finite(x: &[f32]) -> bool {
    // Without the sign, bits order as magnitudes do.
    !x.iter().any(|x| x.to_bits() << 1 >= f32::INFINITY.to_bits() << 1)
}
