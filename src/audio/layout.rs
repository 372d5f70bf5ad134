//! The layout of a front end in an image: a header of words, then its tables.
//!
//! ```text
//! header [WORDS] ──► window [u16] ──► counts [u16] ──► weights [u16] ──► bands [rows, 4]
//! ```
//! Tables of 16-bit numbers lie two to a word, low half first, and are filled up with a zero. An option is a word whose default is
//! 0; a word that has no meaning yet is 0, and a reader refuses another value, so that what comes later is never misread.

/// Words of the header.
pub const WORDS: usize = 32;

/// Words of the header, by their index.
pub mod word {
    /// Samples per second.
    pub const SAMPLE_RATE: usize = 0;
    /// Samples in a frame's window.
    pub const WINDOW: usize = 1;
    /// Samples from one frame to the next.
    pub const HOP: usize = 2;
    /// Samples of the FFT; beyond the window they are zero.
    pub const FFT: usize = 3;
    /// Samples that must be there for a frame to count; the window lies in them.
    pub const FRAME: usize = 4;
    /// Samples of a frame before its window.
    pub const LEAD: usize = 5;
    /// Samples that are put before a recording and after it.
    pub const PAD: usize = 6;
    /// One of the `PADDING_*` values.
    pub const PADDING: usize = 7;
    /// One of the `WINDOW_*` values.
    pub const SYMMETRY: usize = 8;
    /// One of the `SPECTRUM_*` values.
    pub const SPECTRUM: usize = 9;
    /// One of the `FILTERS_*` values.
    pub const FILTERS: usize = 10;
    /// Bands: numbers in a frame.
    pub const BANDS: usize = 11;
    /// The first bin of the lowest triangle; 0 for separate filters.
    pub const FIRST_BIN: usize = 12;
    /// Weights of all filters.
    pub const WEIGHTS: usize = 13;
    /// One of the `LOGARITHM_*` values.
    pub const LOGARITHM: usize = 14;
    /// One of the `FLOOR_*` values.
    pub const FLOOR: usize = 15;
    /// 1: the mean of a window's samples is subtracted from them, before all else.
    pub const REMOVE_DC: usize = 16;
    /// One of the `PREEMPHASIS_*` values.
    pub const PREEMPHASIS: usize = 17;
    /// The share of a sample that is subtracted from the next one, a float.
    pub const COEFFICIENT: usize = 18;
    /// 1: each band has its own row of the table of bands; 0: one row serves all.
    pub const ROW_PER_BAND: usize = 19;
    /// Samples of a clip; 0 for the fewest that give the frames.
    pub const CLIP: usize = 20;
    /// One of the `SHORT_*` values.
    pub const SHORT: usize = 21;
    /// The largest distance of a value from the clip's largest, a float in units of 2^-15 of log2; 0 for any.
    pub const TOP: usize = 22;
    /// One of the `NORMALIZE_*` values.
    pub const NORMALIZE: usize = 23;
    /// The standard deviation after normalisation, a float in units of 2^-15.
    pub const DEVIATION: usize = 24;
    /// The number added to the standard deviation before it divides, a float in units of 2^-15 of log2.
    pub const EPSILON: usize = 25;
    /// 1: the variance is that of a sample, divided by one less than the number of values.
    pub const UNBIASED: usize = 26;
    /// One of the `CUT_*` values.
    pub const CUT: usize = 27;
    /// The first of the words that have no meaning yet.
    pub const RESERVED: usize = 28;
}

/// True for the words that need the feature `front-ends` where they are not 0: what published front ends beside those of small
/// keyword models do.
pub(super) const fn is_extended(index: usize) -> bool {
    use word::{CUT, NORMALIZE, PADDING, PREEMPHASIS, REMOVE_DC, SHORT, SPECTRUM, TOP};
    matches!(index, PADDING | SPECTRUM | word::FILTERS | REMOVE_DC | PREEMPHASIS | SHORT | TOP | NORMALIZE | CUT)
}

/// Samples around a recording are zero.
pub const PADDING_ZEROS: u32 = 0;
/// Samples around a recording are its own, mirrored at its first and its last.
pub const PADDING_REFLECT: u32 = 1;

/// The window is the same from both ends; the table has its first half, with the middle.
pub const WINDOW_SYMMETRIC: u32 = 0;
/// Without its first sample the window is the same from both ends; the table has its first half, with the middle.
pub const WINDOW_PERIODIC: u32 = 1;
/// The table has the whole window.
pub const WINDOW_WHOLE: u32 = 2;

/// Filters weigh the squares of the spectrum.
pub const SPECTRUM_POWER: u32 = 0;
/// Filters weigh the absolute values of the spectrum.
pub const SPECTRUM_MAGNITUDE: u32 = 1;

/// Triangles: each rises from the centre of the one before to its own and falls to that of the next, so that the two weights of
/// a bin add up to 2^15. `counts` has the bins below the first centre, then those from each centre to the next; `weights` each
/// bin's weight in the filter that rises there.
pub const FILTERS_TRIANGLES: u32 = 0;
/// Filters that share nothing: `counts` has the first bin and the number of bins of each, `weights` their weights.
pub const FILTERS_SEPARATE: u32 = 1;

/// Bands are the logarithm to base 2; others differ by their scale.
pub const LOGARITHM_2: u32 = 0;

/// The floor is added to the energy.
pub const FLOOR_ADDED: u32 = 0;
/// The floor is the least energy.
pub const FLOOR_LEAST: u32 = 1;

/// Samples are what they are.
pub const PREEMPHASIS_NONE: u32 = 0;
/// Each sample loses a share of the one before; the recording's first loses nothing.
pub const PREEMPHASIS_SIGNAL: u32 = 1;
/// As [`PREEMPHASIS_SIGNAL`], but within a window, whose first sample loses a share of itself.
pub const PREEMPHASIS_FRAME: u32 = 2;

/// A recording shorter than the clip is filled up with samples of 0.
pub const SHORT_SILENCE: u32 = 0;
/// A recording shorter than the clip is filled up with frames of 0, before offset and scale.
pub const SHORT_FRAMES: u32 = 1;

/// Frames are not normalised.
pub const NORMALIZE_NONE: u32 = 0;
/// Each band's mean over the clip is subtracted.
pub const NORMALIZE_BAND_MEAN: u32 = 1;
/// Each band is given the mean 0 and the same standard deviation over the clip.
pub const NORMALIZE_BAND: u32 = 2;
/// The mean of all values of the clip is subtracted.
pub const NORMALIZE_CLIP_MEAN: u32 = 3;
/// All values of the clip are given the mean 0 and one standard deviation.
pub const NORMALIZE_CLIP: u32 = 4;
/// The largest value of the clip is subtracted.
pub const NORMALIZE_MAX: u32 = 5;

/// The largest value of a clip and its normalisation are those of the frames that are asked for.
pub const CUT_BEFORE: u32 = 0;
/// The largest value of a clip is that of all its frames, those that nobody asks for too.
pub const CUT_AFTER: u32 = 1;

/// A row of the table of bands, by the index of its words.
pub mod band {
    /// Words of a row.
    pub const WORDS: usize = 4;
    /// The floor, a float in units of the energies.
    pub const FLOOR: usize = 0;
    /// Subtracted from the logarithm: that of the energies' unit, an integer in units of 2^-15.
    pub const UNIT: usize = 1;
    /// Subtracted at last: the value that becomes 0, an integer in units of 2^-15.
    pub const OFFSET: usize = 2;
    /// Multiplied at last: the scale of units of 2^-15, a float.
    pub const SCALE: usize = 3;
}

/// Longest window of the FFT, in samples.
pub const MAX_FFT: usize = 2048;
/// Most bands of a frame.
pub const MAX_BANDS: usize = 256;
/// Most samples of a hop, a frame or its padding.
pub const MAX_SAMPLES: usize = 65_535;
