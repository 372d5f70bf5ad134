//! The FFT of real samples, by `microfft`: in place, its twiddle factors in flash.

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
