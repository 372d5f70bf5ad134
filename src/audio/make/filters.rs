//! Filters: mel triangles and tables, and the way in which each is stored.

use super::config::{Filters, MelNorm, MelScale};
use crate::audio::layout;
use crate::error::Error;
use libm::{exp, log, log1p};
use std::vec::Vec;

/// Integer of a triangle's peak.
const ONE: f64 = 32_768.0;

/// Integer of a separate filter's largest weight.
const LARGEST: f64 = 65_535.0;

/// The largest part of a triangle that may be lost to the rounding of its weights; beyond it the filters are stored separately.
const ROUNDING: f64 = 1e-3;

/// Filters as they are stored.
pub(super) struct Stored {
    pub(super) kind: u32,
    pub(super) first_bin: usize,
    pub(super) counts: Vec<u16>,
    pub(super) weights: Vec<u16>,
    /// The weight that an integer of 1 stands for, filter by filter.
    pub(super) units: Vec<f64>,
}

impl MelScale {
    fn mel(self, hz: f64) -> f64 {
        match self {
            MelScale::Slaney if hz < 1000.0 => hz * 3.0 / 200.0,
            MelScale::Slaney => 15.0 + log(hz / 1000.0) / (log(6.4) / 27.0),
            // The factor of O'Shaughnessy's formula would cancel.
            MelScale::Htk | MelScale::Kaldi => log1p(hz / 700.0),
        }
    }

    fn hertz(self, mel: f64) -> f64 {
        match self {
            MelScale::Slaney if mel < 15.0 => mel * 200.0 / 3.0,
            MelScale::Slaney => 1000.0 * exp((mel - 15.0) * (log(6.4) / 27.0)),
            MelScale::Htk | MelScale::Kaldi => 700.0 * (exp(mel) - 1.0),
        }
    }
}

/// Triangles over an axis on which they are straight.
struct Triangles {
    /// Edges and centres: filter `i` rises from point `i` to point `i + 1` and falls to point `i + 2`.
    points: Vec<f64>,
    /// The places of the bins, up to half the sample rate.
    bins: Vec<f64>,
    /// Heights of the filters.
    heights: Vec<f64>,
}

impl Triangles {
    fn new(
        (n_mels, scale, norm): (usize, MelScale, MelNorm),
        (f_min, f_max): (f64, f64),
        (sample_rate, n_fft): (u32, usize),
    ) -> Self {
        let (low, high) = (scale.mel(f_min), scale.mel(f_max));
        let mels: Vec<f64> = (0..n_mels + 2).map(|i| low + (high - low) * i as f64 / (n_mels + 1) as f64).collect();
        let hertz: Vec<f64> = mels.iter().map(|&mel| scale.hertz(mel)).collect();
        let bins = (0..=n_fft / 2).map(|bin| bin as f64 * f64::from(sample_rate) / n_fft as f64);
        let heights = hertz.windows(3).map(|edge| match norm {
            MelNorm::None => 1.0,
            MelNorm::Slaney => 2.0 / (edge[2] - edge[0]),
        });
        let heights = heights.collect();
        match scale {
            MelScale::Kaldi => Triangles { bins: bins.map(|hz| scale.mel(hz)).collect(), points: mels, heights },
            MelScale::Htk | MelScale::Slaney => Triangles { bins: bins.collect(), points: hertz, heights },
        }
    }

    /// The weight of a bin in a filter of height 1.
    fn weight(&self, filter: usize, bin: usize) -> f64 {
        let (edge, x) = (&self.points[filter..filter + 3], self.bins[bin]);
        ((x - edge[0]) / (edge[1] - edge[0])).min((edge[2] - x) / (edge[2] - edge[1])).max(0.0)
    }

    /// The half-size table, where its rounding is small enough.
    fn stored(&self) -> Option<Stored> {
        // Without the lowest and the highest bin, which are real: they lie on an edge, or the table is of the other kind.
        let highest = self.bins.len() - 1;
        let (n_mels, last) = (self.heights.len(), self.points.len() - 1);
        if self.bins[highest] < self.points[last] || self.points[0] < self.bins[0] {
            return None;
        }
        let first_bin = (1..highest).find(|&bin| self.bins[bin] >= self.points[0])?;
        let (mut counts, mut weights, mut bin) = (Vec::new(), Vec::new(), first_bin);
        for stretch in self.points.windows(2) {
            let start = bin;
            while bin < highest && self.bins[bin] < stretch[1] {
                weights.push(((self.bins[bin] - stretch[0]) / (stretch[1] - stretch[0]) * ONE + 0.5) as u16);
                bin += 1;
            }
            counts.push((bin - start) as u16);
        }
        let mut start = 0;
        for filter in 0..n_mels {
            let (rising, falling) = (usize::from(counts[filter]), usize::from(counts[filter + 1]));
            let (mut sum, mut error) = (0.0, 0.0);
            for (index, &weight) in weights[start..start + rising + falling].iter().enumerate() {
                let weight = f64::from(weight) / ONE;
                let stored = if index < rising { weight } else { 1.0 - weight };
                let exact = self.weight(filter, first_bin + start + index);
                sum += exact;
                error += (stored - exact).abs();
            }
            if error > ROUNDING * sum {
                return None;
            }
            start += rising;
        }
        let units = self.heights.iter().map(|height| height / ONE).collect();
        Some(Stored { kind: layout::FILTERS_TRIANGLES, first_bin, counts, weights, units })
    }
}

/// Filters, each with the range of its bins and weights of its own scale.
fn separate(bands: usize, bins: usize, weight: impl Fn(usize, usize) -> f64) -> Stored {
    let (mut counts, mut weights, mut units) = (Vec::new(), Vec::new(), Vec::new());
    for band in 0..bands {
        let all: Vec<f64> = (0..bins).map(|bin| weight(band, bin)).collect();
        let largest = all.iter().copied().fold(0.0, f64::max);
        let first = all.iter().position(|&weight| weight > 0.0).unwrap_or(0);
        let end = all.iter().rposition(|&weight| weight > 0.0).map_or(0, |last| last + 1);
        counts.extend([first as u16, (end - first) as u16]);
        weights.extend(all[first..end].iter().map(|&weight| (weight / largest * LARGEST + 0.5) as u16));
        // A filter that hears nothing is silent, whatever its unit.
        units.push(if largest > 0.0 { largest } else { 1.0 } / LARGEST);
    }
    Stored { kind: layout::FILTERS_SEPARATE, first_bin: 0, counts, weights, units }
}

impl Filters {
    /// The filters as they are stored.
    pub(super) fn stored(&self, bands: usize, sample_rate: u32, n_fft: usize) -> Result<Stored, Error> {
        let bins = n_fft / 2 + 1;
        if bands == 0 || bands > layout::MAX_BANDS {
            return Err(Error::FrontEnd { name: "number of bands", found: bands as u32 });
        }
        match self {
            Filters::Mel { n_mels, scale, norm, f_min, f_max } => {
                if !(*f_max > 0.0 && *f_max <= f64::from(sample_rate) / 2.0) {
                    return Err(Error::FrontEnd { name: "f_max", found: *f_max as u32 });
                }
                if !(*f_min >= 0.0 && f_min < f_max) {
                    return Err(Error::FrontEnd { name: "f_min", found: *f_min as u32 });
                }
                let triangles = Triangles::new((*n_mels, *scale, *norm), (*f_min, *f_max), (sample_rate, n_fft));
                Ok(triangles.stored().unwrap_or_else(|| {
                    separate(bands, bins, |band, bin| triangles.weight(band, bin) * triangles.heights[band])
                }))
            }
            Filters::Table { weights, .. } => {
                if weights.len() != bands * bins {
                    return Err(Error::FrontEnd { name: "weights of the filters", found: weights.len() as u32 });
                }
                if let Some(bad) = weights.iter().position(|&weight| !(0.0..1e30).contains(&weight)) {
                    return Err(Error::FrontEnd { name: "weight of a filter, by its index", found: bad as u32 });
                }
                Ok(separate(bands, bins, |band, bin| weights[band * bins + bin]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The weights that a reader sees, `[bands, bins]`.
    fn read(stored: &Stored, bins: usize) -> Vec<f64> {
        let bands = stored.units.len();
        let mut seen = std::vec![0.0; bands * bins];
        let mut weights = stored.weights.iter().map(|&weight| f64::from(weight));
        if stored.kind == layout::FILTERS_SEPARATE {
            for (band, range) in stored.counts.chunks(2).enumerate() {
                for bin in 0..usize::from(range[1]) {
                    let weight = weights.next().expect("a weight for each bin");
                    seen[band * bins + usize::from(range[0]) + bin] = weight * stored.units[band];
                }
            }
            return seen;
        }
        let mut bin = stored.first_bin;
        for (stretch, &count) in stored.counts.iter().enumerate() {
            for _ in 0..count {
                let weight = weights.next().expect("a weight for each bin");
                if stretch < bands {
                    seen[stretch * bins + bin] = weight * stored.units[stretch];
                }
                if stretch > 0 {
                    seen[(stretch - 1) * bins + bin] = (ONE - weight) * stored.units[stretch - 1];
                }
                bin += 1;
            }
        }
        seen
    }

    #[test]
    fn stored_filters_lose_no_more_than_a_thousandth_to_rounding() {
        let mut kinds = [0, 0];
        for (scale, norm) in [
            (MelScale::Htk, MelNorm::None),
            (MelScale::Htk, MelNorm::Slaney),
            (MelScale::Slaney, MelNorm::Slaney),
            (MelScale::Kaldi, MelNorm::None),
        ] {
            for (rate, n_fft) in [(8000, 256), (16_000, 512), (44_100, 2048), (48_000, 64)] {
                for n_mels in [1, 7, 20, 32, 40, 64, 80, 128, 256] {
                    let range = (60.0, f64::from(rate) / 2.0);
                    let triangles = Triangles::new((n_mels, scale, norm), range, (rate, n_fft));
                    let filters = Filters::Mel { n_mels, scale, norm, f_min: range.0, f_max: range.1 };
                    let stored = filters.stored(n_mels, rate, n_fft).expect("filters");
                    kinds[stored.kind as usize] += 1;
                    let bins = n_fft / 2 + 1;
                    for (band, seen) in read(&stored, bins).chunks(bins).enumerate() {
                        let exact = (0..bins).map(|bin| triangles.weight(band, bin) * triangles.heights[band]);
                        let (mut sum, mut error) = (0.0, 0.0);
                        exact.zip(seen).for_each(|(exact, seen)| {
                            sum += exact;
                            error += (exact - seen).abs();
                        });
                        assert!(error <= sum * 1e-3, "{scale:?}, {rate} Hz, {n_fft}: band {band} of {n_mels}");
                    }
                }
            }
        }
        assert!(kinds.iter().all(|&kind| kind > 20), "{kinds:?}");
    }
}
