//! The FFT of real samples, by `microfft`: in place, its twiddle factors in flash.

use microfft::Complex32;
#[cfg(feature = "fft-1024")]
use microfft::real::rfft_1024;
#[cfg(feature = "fft-2048")]
use microfft::real::rfft_2048;
use microfft::real::{rfft_64, rfft_128, rfft_256, rfft_512};

/// The FFT of one length: samples become real and imaginary parts of the lower half of the spectrum, bin by bin.
///
/// The imaginary part of bin 0 holds the bin at half the sample rate. A slice of another length stays what it is.
pub(super) type Transform = fn(&mut [f32]);

/// The FFT of this length; a program carries only those that it names. One of a length that no front end has does nothing.
pub(super) const fn transform<const FFT: usize>() -> Transform {
    match FFT {
        64 => |samples| _ = samples.try_into().map(|samples| rfft_64(samples).len()),
        128 => |samples| _ = samples.try_into().map(|samples| rfft_128(samples).len()),
        256 => |samples| _ = samples.try_into().map(|samples| rfft_256(samples).len()),
        512 => |samples| _ = samples.try_into().map(|samples| rfft_512(samples).len()),
        // `microfft` has these functions without the features, too, with a table of sines that is too short for them.
        #[cfg(feature = "fft-1024")]
        1024 => |samples| _ = samples.try_into().map(|samples| rfft_1024(samples).len()),
        #[cfg(feature = "fft-2048")]
        2048 => |samples| _ = samples.try_into().map(|samples| rfft_2048(samples).len()),
        _ => |_| (),
    }
}

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
        _ => &[],
    }
}
