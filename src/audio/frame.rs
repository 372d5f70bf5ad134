//! One frame: samples times the window, their spectrum, its filters, their logarithms.
//!
//! ```text
//! samples ─┬─► times the window, as integers ────────────────────► FFT ──► filters ──► log2 ──► bands
//!          └─► floats ──► mean off ──► pre-emphasis ──► window ──┘
//! ```
//! The product of a sample and the window has 31 bits, which a float's multiplication rounds to the same bits as the conversion
//! of the integer; so both ways agree where nothing lies between them.

use super::fft::Transform;
use super::front_end::FrontEnd;
use super::layout::{self, word};
use super::log2::log2_q15;
use crate::arch;
use core::cell::Cell;

impl FrontEnd<'_> {
    /// True if samples meet the window as they are.
    pub(super) const fn is_plain(&self) -> bool {
        self.is(word::REMOVE_DC, 0) && self.is(word::PREEMPHASIS, layout::PREEMPHASIS_NONE)
    }

    /// Samples times the window, from its sample `start` on.
    #[inline(never)]
    pub(super) fn weigh(&self, samples: &[i16], start: usize, work: &mut [f32]) {
        let (rising, mirrored) = self.halves();
        let slots = work.get_mut(start..).unwrap_or_default();
        let passed = start.saturating_sub(rising.len());
        let rising = rising.get(start..).unwrap_or_default();
        let (first, second) = samples.split_at_checked(rising.len()).unwrap_or((samples, &[]));
        let (slots, falling_slots) = slots.split_at_mut_checked(first.len()).unwrap_or_default();
        let falling = mirrored.get(..mirrored.len().saturating_sub(passed)).unwrap_or_default();
        for ((slot, sample), weight) in slots.iter_mut().zip(first).zip(rising) {
            *slot = (i32::from(*sample) * i32::from(*weight)) as f32;
        }
        for ((slot, sample), weight) in falling_slots.iter_mut().zip(second).zip(falling.iter().rev()) {
            *slot = (i32::from(*sample) * i32::from(*weight)) as f32;
        }
    }

    /// All that is done to a window of samples before its spectrum, in Kaldi's order.
    #[inline(never)]
    pub(super) fn condition(&self, work: &mut [f32]) {
        let window = self.window();
        let work = work.get_mut(..window).unwrap_or_default();
        // Without these steps, mean and share are 0, which changes no bit.
        let (mut mean, mut share) = (0.0, 0.0);
        if !self.is(word::REMOVE_DC, 0) {
            work.iter().for_each(|sample| mean += sample);
            mean /= window as f32;
        }
        if self.is(word::PREEMPHASIS, layout::PREEMPHASIS_FRAME) {
            share = self.float(word::COEFFICIENT);
        }
        let (rising, mirrored) = self.halves();
        let mut previous = work.first().map_or(0.0, |first| first - mean);
        for (sample, &weight) in work.iter_mut().zip(rising.iter().chain(mirrored.iter().rev())) {
            let own = *sample - mean;
            *sample = (own - share * previous) * f32::from(weight);
            previous = own;
        }
    }

    /// The bands of a window; raw ones are logarithms, before offset and scale, in units of 2^-15.
    #[inline(never)]
    pub(super) fn finish(&self, work: &mut [f32], transform: Transform, raw: bool, frame: &mut [f32]) {
        transform(work);
        if self.is(word::SPECTRUM, layout::SPECTRUM_MAGNITUDE) {
            square_roots(work);
        }
        if self.is(word::FILTERS, layout::FILTERS_TRIANGLES) {
            self.triangles(work, raw, frame);
        } else {
            self.separate(work, raw, frame);
        }
    }

    fn triangles(&self, spectrum: &[f32], raw: bool, frame: &mut [f32]) {
        let (bins, _) = spectrum.as_chunks::<2>();
        let bins = bins.get(self.size(word::FIRST_BIN)..).unwrap_or_default();
        let mut bins = bins.iter().zip(self.weights);
        // Energies of a stretch between two centres: its share in the filter above and in the filter below.
        let mut stretch = |count: u16| {
            let (mut above, mut below) = (0.0, 0.0);
            for (&[re, im], &weight) in bins.by_ref().take(usize::from(count)) {
                let power = re * re + im * im;
                let part = power * f32::from(weight);
                above += part;
                below += power * 32_768.0 - part;
            }
            (above, below)
        };
        let (&rising, falling) = self.counts.split_first().unwrap_or((&0, &[]));
        let (mut rise, _) = stretch(rising);
        for (index, (slot, &count)) in frame.iter_mut().zip(falling).enumerate() {
            let (above, below) = stretch(count);
            *slot = self.value(index, rise + below, raw);
            rise = above;
        }
    }

    #[inline(never)]
    fn separate(&self, spectrum: &mut [f32], raw: bool, frame: &mut [f32]) {
        // Powers take the place of the spectrum's lower half, and the last one the first place that is then free.
        let half = spectrum.len() / 2;
        let cells = Cell::from_mut(spectrum).as_slice_of_cells();
        let last = cells.get(1).map_or(0.0, |last| last.replace(0.0));
        for (slot, [re, im]) in cells.iter().zip(cells.as_chunks::<2>().0) {
            slot.set(re.get() * re.get() + im.get() * im.get());
        }
        if let Some(slot) = cells.get(half) {
            slot.set(last * last);
        }
        let (filters, _) = self.counts.as_chunks::<2>();
        let mut weights = self.weights.iter();
        for (index, (slot, &[first, count])) in frame.iter_mut().zip(filters).enumerate() {
            let bins = cells.get(usize::from(first)..).unwrap_or_default();
            let mut energy = 0.0;
            for (power, &weight) in bins.iter().zip(weights.by_ref().take(usize::from(count))) {
                energy += power.get() * f32::from(weight);
            }
            *slot = self.value(index, energy, raw);
        }
    }

    /// A band's value from its energy. A function of its own: inlined, its conditions double the loops around it.
    #[inline(never)]
    fn value(&self, index: usize, energy: f32, raw: bool) -> f32 {
        let band = self.band(index);
        let least = self.is(word::FLOOR, layout::FLOOR_LEAST);
        let energy = match least {
            true if energy < band.floor => band.floor,
            true => energy,
            false => energy + band.floor,
        };
        let level = log2_q15(energy) - band.unit;
        if raw { level as f32 } else { (level - band.offset) as f32 * band.scale }
    }
}

/// Makes the squares of a spectrum its absolute values: each bin becomes the root of its own.
#[inline(never)]
fn square_roots(spectrum: &mut [f32]) {
    let (bins, _) = spectrum.as_chunks_mut::<2>();
    let mut bins = bins.iter_mut();
    // Two bins that are real, the lowest and the highest.
    if let Some(ends) = bins.next() {
        *ends = ends.map(|end| arch::sqrt(end.abs()));
    }
    for bin in bins {
        let [re, im] = *bin;
        *bin = [arch::sqrt(arch::sqrt(re * re + im * im)), 0.0];
    }
}
