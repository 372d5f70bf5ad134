//! Settings of a front end, by the names that PyTorch and librosa have for them.

use super::mfcc::Mfcc;
use super::window::Window;
use std::vec::Vec;

/// Settings of a front end, from samples to frames; [`words`](Self::words) makes it.
///
/// A frame's band is `(logarithm(floor(sum over bins(weight * |spectrum| ^ power))) - offset) * scale`.
///
/// ```
/// use thumbformer::audio::{FrontEnd, FrontEndConfig};
///
/// let config = FrontEndConfig { hop_length: 320, ..FrontEndConfig::kws() };
/// let words = config.words()?;
/// let front_end = FrontEnd::parse(&words)?;
/// assert_eq!((front_end.bands(), front_end.frames(16_000)), (40, 49));
/// # Ok::<(), thumbformer::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FrontEndConfig {
    /// Samples per second, 8000 to 48,000.
    pub sample_rate: u32,
    /// Samples of the FFT: a power of two, 64 to 2048.
    pub n_fft: usize,
    /// Samples of the window, at most `n_fft`.
    pub win_length: usize,
    /// Samples from one frame to the next.
    pub hop_length: usize,
    /// The window.
    pub window: Window,
    /// Samples that a frame counts as its own, which decides how many frames a recording has.
    pub frame: FrameLength,
    /// True if a frame lies about its sample: half a frame is put before the recording and after it.
    pub center: bool,
    /// Content of that padding.
    pub pad_mode: PadMode,
    /// Square or absolute value of the spectrum.
    pub spectrum: Spectrum,
    /// Factor of the spectrum before it is squared; 1 unless a framework normalises it.
    pub amplitude: f64,
    /// Weights of the bins.
    pub filters: Filters,
    /// The logarithm of a filter's energy.
    pub logarithm: Logarithm,
    /// Floor of the energies, for the logarithm of silence.
    pub floor: Floor,
    /// A share of each sample is subtracted from the next one.
    pub preemphasis: Preemphasis,
    /// True if the mean of a window's samples is subtracted from them.
    pub remove_dc: bool,
    /// A sample of full scale: 1, or 32,768 where the framework was given 16-bit integers.
    pub full_scale: f64,
    /// Subtracted from each band at last; one number for all, or one for each.
    pub offset: Vec<f64>,
    /// Multiplied with each band at last; one number for all, or one for each.
    pub scale: Vec<f64>,
    /// Samples of a clip in training; 0 for the fewest that give its frames.
    pub clip_samples: usize,
    /// Filling of a recording that is shorter than the clip.
    pub fill: Fill,
    /// The largest distance from the clip's largest value, in the logarithm's units; clips only.
    pub top_db: Option<f64>,
    /// Normalisation over the clip, before offset and scale; clips only.
    pub normalize: Normalize,
    /// Which frames of a clip count there; `None`, where it is not known, as [`Cut::Before`].
    pub cut: Option<Cut>,
    /// Cepstral coefficients, which the model's first matrix computes: see [`mfcc_matrix`](Self::mfcc_matrix).
    pub mfcc: Option<Mfcc>,
}

impl FrontEndConfig {
    /// Numbers in a frame.
    pub const fn bands(&self) -> usize {
        match self.filters {
            Filters::Mel { n_mels, .. } => n_mels,
            Filters::Table { bands, .. } => bands,
        }
    }

    /// The matrix that makes coefficients of bands, `[n_mfcc, bands]`; `None` without [`mfcc`](Self::mfcc).
    ///
    /// It holds for bands before offset and scale: coefficients are `matrix * (band / scale + offset)`. A model whose first
    /// matrix is `embedding` sees coefficients, frame by frame, through `embedding * matrix`.
    pub fn mfcc_matrix(&self) -> Option<Vec<f64>> {
        self.mfcc.map(|mfcc| mfcc.matrix(self.bands()))
    }
}

/// Samples that must be there for a frame to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameLength {
    /// Those of the FFT, with the window in their middle: PyTorch and librosa.
    Fft,
    /// Those of the window: Kaldi and transformers.
    Window,
}

/// Padding of a recording's ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PadMode {
    /// Zeros: `constant`.
    Zeros,
    /// Its own samples, mirrored: `reflect`. Clips only.
    Reflect,
}

/// Input of the filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spectrum {
    /// Squares: `power = 2`.
    Power,
    /// Absolute values: `power = 1`.
    Magnitude,
}

/// Weights of the bins.
#[derive(Clone, Debug, PartialEq)]
pub enum Filters {
    /// Triangles, spaced evenly on a mel scale.
    Mel {
        /// Number of filters.
        n_mels: usize,
        /// The scale.
        scale: MelScale,
        /// Their heights.
        norm: MelNorm,
        /// Lower edge of the lowest filter, in hertz.
        f_min: f64,
        /// Upper edge of the highest filter, in hertz; at most half the sample rate.
        f_max: f64,
    },
    /// A table of weights that are not negative, `[bands, n_fft / 2 + 1]`.
    Table {
        /// Number of filters.
        bands: usize,
        /// The weights.
        weights: Vec<f64>,
    },
}

/// A mel scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MelScale {
    /// `2595 log10(1 + hz / 700)`; triangles are straight over hertz.
    Htk,
    /// Slaney's: linear up to 1000 Hz, logarithmic above; triangles are straight over hertz.
    Slaney,
    /// HTK's, with triangles that are straight over mels.
    Kaldi,
}

/// Heights of mel filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MelNorm {
    /// All peaks are 1.
    None,
    /// All areas are equal: each filter is divided by half its width in hertz.
    Slaney,
}

/// A logarithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logarithm {
    /// To base e.
    Natural,
    /// To base 2.
    Two,
    /// To base 10.
    Ten,
    /// `10 log10`: decibels of a power.
    PowerDecibel,
    /// `20 log10`: decibels of an amplitude.
    AmplitudeDecibel,
}

/// Floor of the energies, for the logarithm of silence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Floor {
    /// Added to each energy.
    Added(f64),
    /// The least energy.
    Least(f64),
}

/// Pre-emphasis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Preemphasis {
    /// None.
    None,
    /// Of the signal as a whole; its first sample stays: `torchaudio.functional.preemphasis`.
    Signal(f64),
    /// Of each window by itself, after [`remove_dc`](FrontEndConfig::remove_dc): Kaldi.
    Frame(f64),
}

/// Filling of a short recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Samples of 0.
    Silence,
    /// Frames of 0, before offset and scale, after the clip's own are normalised.
    Frames,
}

/// Frames of a clip that count for [`top_db`](FrontEndConfig::top_db) and [`normalize`](FrontEndConfig::normalize), where a model reads
/// fewer than the clip has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Those that the model reads: Whisper.
    Before,
    /// All: torchaudio's and librosa's own `top_db`. For the largest value only, not for means and deviations.
    After,
}

/// Normalisation over a clip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Normalize {
    /// None.
    None,
    /// Each band less its mean.
    BandMean,
    /// Each band to the mean 0 and the standard deviation 1.
    Band(Deviation),
    /// All values less their mean.
    ClipMean,
    /// All values to the mean 0 and the standard deviation 1.
    Clip(Deviation),
    /// All values less the largest: librosa's `ref=np.max`.
    Max,
}

/// A standard deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deviation {
    /// True for the deviation of a sample, as `torch.std` takes it; false for numpy's.
    pub unbiased: bool,
    /// Added to it before it divides.
    pub epsilon: f64,
}
