//! The FFT of real samples, by `microfft`: in place, its twiddle factors in flash.

use microfft::Complex32;
use microfft::real::{rfft_64, rfft_128, rfft_256, rfft_512, rfft_1024};

/// The lower half of the spectrum, in the samples' memory; empty for a size that [`MelBank`](super::MelBank) refuses.
///
/// The imaginary part of bin 0 holds the bin at half the sample rate; no filter reads either.
#[inline]
pub(super) fn spectrum<const FFT: usize>(samples: &mut [f32; FFT]) -> &[Complex32] {
    let samples = samples.as_mut_slice();
    // The compiler knows the size and keeps one arm.
    match FFT {
        64 => samples.try_into().map_or(&[], |samples| rfft_64(samples)),
        128 => samples.try_into().map_or(&[], |samples| rfft_128(samples)),
        256 => samples.try_into().map_or(&[], |samples| rfft_256(samples)),
        512 => samples.try_into().map_or(&[], |samples| rfft_512(samples)),
        1024 => samples.try_into().map_or(&[], |samples| rfft_1024(samples)),
        _ => &[],
    }
}
