//! Checks of a front end's words: after them no number can be out of range.

use super::front_end::FrontEnd;
use super::layout::{self, band, word};
use crate::arch;
use crate::error::Error;

/// A check: the setting, its value, and what holds.
type Check = (&'static str, u32, bool);

const fn first_failure(checks: &[Check]) -> Result<(), Error> {
    let mut i = 0;
    while i < checks.len() {
        if !checks[i].2 {
            return Err(Error::FrontEnd { name: checks[i].0, found: checks[i].1 });
        }
        i += 1;
    }
    Ok(())
}

/// Options, with the number of values that each has.
const OPTIONS: [(&str, usize, u32); 12] = [
    ("pad_mode", word::PADDING, 2),
    ("symmetry of the window", word::SYMMETRY, 3),
    ("power", word::SPECTRUM, 2),
    ("kind of filters", word::FILTERS, 2),
    ("logarithm", word::LOGARITHM, 1),
    ("kind of floor", word::FLOOR, 2),
    ("remove_dc", word::REMOVE_DC, 2),
    ("kind of preemphasis", word::PREEMPHASIS, 3),
    ("rows of the table of bands", word::ROW_PER_BAND, 2),
    ("filling of short clips", word::SHORT, 2),
    ("normalize", word::NORMALIZE, 6),
    ("cut", word::CUT, 2),
];

impl<'a> FrontEnd<'a> {
    /// Checks the words of a front end and finds its tables in them, without a copy.
    ///
    /// A `const fn`, so that the compiler can check what a program includes.
    ///
    /// # Errors
    /// [`Error::SampleRate`] for a rate other than 8000 to 48,000; [`Error::MissingFeature`] for an FFT of 1024 or 2048 samples, and for other settings than those of small keyword models,
    /// without `fft-1024` or `fft-2048`; [`Error::FrontEnd`] names the first other setting that is out of range or unknown.
    pub const fn parse(words: &'a [u32]) -> Result<Self, Error> {
        let Some((header, tables)) = words.split_first_chunk::<{ layout::WORDS }>() else {
            return Err(Error::FrontEnd { name: "words of the header", found: words.len() as u32 });
        };
        if let Err(error) = check_options(header) {
            return Err(error);
        }
        if let Err(error) = check_sizes(header) {
            return Err(error);
        }
        if let Err(error) = check_floats(header) {
            return Err(error);
        }
        let whole = header[word::SYMMETRY] == layout::WINDOW_WHOLE;
        let periodic = (header[word::SYMMETRY] == layout::WINDOW_PERIODIC) as usize;
        let window = header[word::WINDOW] as usize;
        let window_entries = if whole { window } else { (window + periodic).div_ceil(2) };
        let bands = header[word::BANDS] as usize;
        let separate = header[word::FILTERS] == layout::FILTERS_SEPARATE;
        let counts = if separate { 2 * bands } else { bands + 1 };
        let weights = header[word::WEIGHTS] as usize;
        let rows = if header[word::ROW_PER_BAND] == 1 { bands } else { 1 };

        let (window, rest) = halves(tables, window_entries);
        let (counts, rest) = halves(rest, counts);
        let (weights, rest) = halves(rest, weights);
        let (bands, after) = rest.as_chunks::<{ band::WORDS }>();
        if bands.len() != rows || !after.is_empty() {
            return Err(Error::FrontEnd { name: "number of words", found: words.len() as u32 });
        }
        let front_end = FrontEnd { header, window, counts, weights, bands };
        if let Err(error) = check_filters(&front_end) {
            return Err(error);
        }
        match check_bands(&front_end) {
            Ok(()) => Ok(front_end),
            Err(error) => Err(error),
        }
    }
}

/// A table of 16-bit numbers at the start of these words, and the words after it; empty beyond the end, which then is a wrong
/// number of words.
const fn halves(words: &[u32], count: usize) -> (&[u16], &[u32]) {
    match words.split_at_checked(count.div_ceil(2)) {
        Some((table, rest)) => match arch::as_u16(table).split_at_checked(count) {
            Some((table, _)) => (table, rest),
            None => (&[], &[]),
        },
        None => (&[], &[]),
    }
}

const fn check_options(header: &[u32; layout::WORDS]) -> Result<(), Error> {
    let mut i = 0;
    while i < OPTIONS.len() {
        let (name, index, values) = OPTIONS[i];
        // Always there; said so that no check for it is compiled.
        let found = if index < layout::WORDS { header[index] } else { u32::MAX };
        if found >= values {
            return Err(Error::FrontEnd { name, found });
        }
        i += 1;
    }
    i = 0;
    while i < layout::WORDS {
        if !cfg!(feature = "front-ends") && layout::is_extended(i) && header[i] != 0 {
            return Err(Error::MissingFeature { feature: "front-ends" });
        }
        i += 1;
    }
    i = word::RESERVED;
    while i < layout::WORDS {
        if header[i] != 0 {
            return Err(Error::FrontEnd { name: "word that has no meaning yet", found: header[i] });
        }
        i += 1;
    }
    Ok(())
}

const fn check_sizes(header: &[u32; layout::WORDS]) -> Result<(), Error> {
    let rate = header[word::SAMPLE_RATE];
    if rate < 8000 || rate > 48_000 {
        return Err(Error::SampleRate { found: rate });
    }
    let (fft, window, frame) = (header[word::FFT], header[word::WINDOW], header[word::FRAME]);
    if !fft.is_power_of_two() || fft < 64 || fft > layout::MAX_FFT as u32 {
        return Err(Error::FrontEnd { name: "n_fft", found: fft });
    }
    if fft == 1024 && !cfg!(feature = "fft-1024") {
        return Err(Error::MissingFeature { feature: "fft-1024" });
    }
    if fft == 2048 && !cfg!(feature = "fft-2048") {
        return Err(Error::MissingFeature { feature: "fft-2048" });
    }
    let (max, bands) = (layout::MAX_SAMPLES as u32, header[word::BANDS]);
    let (lead, pad, hop) = (header[word::LEAD], header[word::PAD], header[word::HOP]);
    let triangles = header[word::FILTERS] == layout::FILTERS_TRIANGLES;
    let (first, weights) = (header[word::FIRST_BIN], header[word::WEIGHTS]);
    if let Err(error) = first_failure(&[
        ("win_length", window, window > 1 && window <= fft),
        ("hop_length", hop, hop > 0 && hop <= max),
        ("samples of a frame", frame, frame >= window && frame <= max),
        ("samples before the window", lead, lead <= max && lead <= frame.saturating_sub(window)),
        ("padding", pad, pad <= max && pad < lead.saturating_add(window)),
        ("bands", bands, bands > 0 && bands <= layout::MAX_BANDS as u32),
        ("number of weights", weights, weights <= bands.saturating_mul(fft / 2 + 1)),
        ("first bin", first, if triangles { first > 0 && first < fft / 2 } else { first == 0 }),
        ("samples of a clip", header[word::CLIP], header[word::CLIP] < 1 << 28),
        ("unbiased variance", header[word::UNBIASED], header[word::UNBIASED] < 2),
    ]) {
        return Err(error);
    }
    Ok(())
}

const fn check_floats(header: &[u32; layout::WORDS]) -> Result<(), Error> {
    let (coefficient, top) = (f32::from_bits(header[word::COEFFICIENT]), f32::from_bits(header[word::TOP]));
    let (deviation, epsilon) = (f32::from_bits(header[word::DEVIATION]), f32::from_bits(header[word::EPSILON]));
    let normalize = header[word::NORMALIZE];
    let divides = normalize == layout::NORMALIZE_BAND || normalize == layout::NORMALIZE_CLIP;
    let emphasis = header[word::PREEMPHASIS] != layout::PREEMPHASIS_NONE;
    // A setting that is not used is 0, bit by bit.
    first_failure(&[
        (
            "preemphasis",
            header[word::COEFFICIENT],
            if emphasis { coefficient >= 1e-6 && coefficient <= 1.0 } else { header[word::COEFFICIENT] == 0 },
        ),
        ("top_db", header[word::TOP], header[word::TOP] == 0 || top >= 1.0 && top < 1e7),
        (
            "standard deviation of the normalised clip",
            header[word::DEVIATION],
            if divides { deviation >= 1e-3 && deviation < 1e9 } else { header[word::DEVIATION] == 0 },
        ),
        (
            "epsilon of the normalisation",
            header[word::EPSILON],
            header[word::EPSILON] == 0 || divides && epsilon > 1e-9 && epsilon < 1e9,
        ),
        ("unbiased variance", header[word::UNBIASED], header[word::UNBIASED] == 0 || divides),
        // Of frames that nobody asks for, the largest value is kept and no other.
        (
            "cut",
            header[word::CUT],
            header[word::CUT] == layout::CUT_BEFORE
                || normalize == layout::NORMALIZE_MAX
                || normalize == layout::NORMALIZE_NONE && header[word::TOP] != 0,
        ),
    ])
}

/// Every filter lies within the spectrum and has as many weights as bins.
const fn check_filters(front_end: &FrontEnd<'_>) -> Result<(), Error> {
    let triangles = front_end.is(word::FILTERS, layout::FILTERS_TRIANGLES);
    let half = front_end.fft() / 2;
    let (mut bins, mut i) = (0, 0);
    if triangles {
        while i < front_end.counts.len() {
            bins += front_end.counts[i] as usize;
            i += 1;
        }
    } else {
        let (filters, _) = front_end.counts.as_chunks::<2>();
        while i < filters.len() {
            let [first, count] = filters[i];
            let (end, count) = (first as usize + count as usize, count as usize);
            // The last bin is that at half the sample rate.
            if end > half + 1 {
                return Err(Error::FrontEnd { name: "last bin of a filter", found: end as u32 });
            }
            bins += count;
            i += 1;
        }
    }
    if bins != front_end.weights.len() {
        return Err(Error::FrontEnd { name: "bins of all filters", found: bins as u32 });
    }
    if !triangles {
        return Ok(());
    }
    if front_end.size(word::FIRST_BIN) + bins > half {
        return Err(Error::FrontEnd { name: "last bin of a filter", found: bins as u32 });
    }
    i = 0;
    while i < front_end.weights.len() {
        if front_end.weights[i] > 1 << 15 {
            return Err(Error::FrontEnd { name: "weight of a triangle", found: front_end.weights[i] as u32 });
        }
        i += 1;
    }
    Ok(())
}

/// Floors are so large that nothing subnormal counts, and integers so small that their sum is exact in a float.
const fn check_bands(front_end: &FrontEnd<'_>) -> Result<(), Error> {
    let mut i = 0;
    while i < front_end.bands.len() {
        let row = &front_end.bands[i];
        let (floor, scale) = (f32::from_bits(row[band::FLOOR]), f32::from_bits(row[band::SCALE]));
        let (unit, offset) = (row[band::UNIT].cast_signed(), row[band::OFFSET].cast_signed());
        let checks = [
            ("floor", row[band::FLOOR], floor >= 1.0 && floor < 1e30),
            ("unit of the energies", row[band::UNIT], unit.unsigned_abs() <= 1 << 22),
            ("offset", row[band::OFFSET], offset.unsigned_abs() <= 1 << 23),
            ("scale", row[band::SCALE], scale > 1e-12 && scale < 1e6),
        ];
        if let Err(error) = first_failure(&checks) {
            return Err(error);
        }
        i += 1;
    }
    Ok(())
}
