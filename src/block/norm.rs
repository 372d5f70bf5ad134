//! Norms: what a branch sees of the stream. They read the stream and write the branch, never in place.

use crate::kernels::float::sum_of_squares;

/// RMSNorm (Zhang & Sennrich 2019): `gain * x / sqrt(mean(x^2) + eps)`.
pub(crate) struct RmsNorm<'a> {
    /// `[d_model]`.
    pub(crate) gain: &'a [f32],
    pub(crate) eps: f32,
}

impl RmsNorm<'_> {
    /// # Shapes
    /// `stream`, `branch`: `[d_model]`.
    pub(crate) fn forward(&self, stream: &[f32], branch: &mut [f32]) {
        let mean = sum_of_squares(stream) / stream.len().max(1) as f32;
        // A sum beyond the floats would make the branch zero, a wrong answer; as NaN it is reported by what comes next.
        let inverse = if mean <= f32::MAX { 1.0 / libm::sqrtf(mean + self.eps) } else { f32::NAN };
        for ((out, &x), &gain) in branch.iter_mut().zip(stream).zip(self.gain) {
            *out = x * inverse * gain;
        }
    }
}
