//! Clips: all frames of a recording, its ends padded, and what depends on all of it.

use super::extractor::Extractor;
use super::front_end::FrontEnd;
use super::layout::{self, word};
use crate::arch;
use crate::error::Error;

/// A recording of a length of its own, with silence after its samples.
#[derive(Clone, Copy)]
struct Signal<'r> {
    samples: &'r [i16],
    length: usize,
    reflects: bool,
    share: f32,
}

impl Signal<'_> {
    /// The sample at an index, pre-emphasised; beyond the ends the padding.
    #[inline(never)]
    fn at(&self, index: isize) -> f32 {
        let last = self.length as isize - 1;
        let index = match self.reflects {
            true if index < 0 => -index,
            true if index > last => 2 * last - index,
            _ => index,
        };
        if index < 0 || index > last {
            return 0.0;
        }
        self.plain(index) - self.share * self.plain(index - 1)
    }

    fn plain(&self, index: isize) -> f32 {
        usize::try_from(index).ok().and_then(|index| self.samples.get(index)).map_or(0.0, |&sample| f32::from(sample))
    }
}

impl Extractor<'_, '_> {
    /// Frames of a whole recording, for a network that reads clips of one length: from the first sample on, cut off where the
    /// clip ends, filled up where the recording is shorter. A stream that [`push`](Self::push) has begun goes on afterwards.
    ///
    /// A front end that knows how many samples a clip has gives the recording that length before anything else; else the recording
    /// keeps its own and its first frames are taken. The two differ where a frame reaches beyond the clip's end, into padding.
    ///
    /// Returns the number of frames of the recording itself.
    ///
    /// # Shapes
    /// `frames: [n, bands]`.
    ///
    /// # Errors
    /// [`Error::RoundingMode`]; [`Error::RecordingTooShort`] for less than one frame of samples; [`Error::FrontEnd`] for a buffer
    /// that does not consist of whole frames, or of more than a clip has.
    pub fn clip(&mut self, samples: &[i16], frames: &mut [f32]) -> Result<usize, Error> {
        Error::unless_rounding_to_nearest()?;
        let front_end = self.front_end;
        let bands = front_end.bands();
        let slots = frames.len() / bands.max(1);
        if slots == 0 || !frames.len().is_multiple_of(bands) {
            return Err(Error::FrontEnd { name: "length of the buffer of frames", found: frames.len() as u32 });
        }
        let found = samples.len();
        let own = front_end.frames(found).min(slots);
        if own == 0 {
            return Err(Error::RecordingTooShort { expected: front_end.samples(1), found });
        }
        let clip = front_end.size(word::CLIP);
        if clip > 0 && front_end.frames(clip) < slots {
            return Err(Error::FrontEnd { name: "frames of a clip", found: slots as u32 });
        }
        let length = match (front_end.is(word::SHORT, layout::SHORT_SILENCE), clip) {
            (true, 0) => found.max(front_end.samples(slots)),
            (true, clip) => clip,
            (false, 0) => found,
            (false, clip) => found.min(clip),
        };
        let reflects = front_end.is(word::PADDING, layout::PADDING_REFLECT);
        let pad = front_end.size(word::PAD);
        if reflects && length <= pad {
            return Err(Error::RecordingTooShort { expected: pad + 1, found: length });
        }
        let samples = samples.get(..length).unwrap_or(samples);
        let signal = Signal { samples, length, reflects: reflects && pad > 0, share: front_end.signal_share() };
        let raw = front_end.has_second_pass();
        let computed = front_end.frames(length).min(slots);
        let mut start = front_end.size(word::LEAD) as isize - pad as isize;
        let (heard, filling) = frames.split_at_mut_checked(computed * bands).unwrap_or_default();
        for frame in heard.chunks_exact_mut(bands.max(1)) {
            self.window_of(&signal, start);
            front_end.finish(self.memory.work, self.memory.transform, raw, frame);
            start += front_end.hop() as isize;
        }
        if raw {
            let largest = match front_end.is(word::CUT, layout::CUT_AFTER) {
                true => self.largest_of(&signal, start, front_end.frames(length).saturating_sub(computed)),
                false => f32::MIN,
            };
            filling.fill(0.0);
            front_end.second_pass(heard, filling, largest);
        }
        Ok(own)
    }

    /// The largest value of `count` frames, whose first window begins at `start`.
    fn largest_of(&mut self, signal: &Signal<'_>, mut start: isize, count: usize) -> f32 {
        let front_end = self.front_end;
        let mut largest = f32::MIN;
        for _ in 0..count {
            self.window_of(signal, start);
            start += front_end.hop() as isize;
            let frame = self.memory.frame.get_mut(..front_end.bands()).unwrap_or_default();
            front_end.finish(self.memory.work, self.memory.transform, true, frame);
            for &value in frame.iter() {
                largest = if value > largest { value } else { largest };
            }
        }
        largest
    }

    /// The window of samples that begins at `start`, ready for its spectrum.
    #[inline(never)]
    fn window_of(&mut self, signal: &Signal<'_>, start: isize) {
        let (front_end, work) = (&self.front_end, &mut *self.memory.work);
        let window = front_end.window();
        work.fill(0.0);
        let end = start + window as isize;
        let within = start >= 0 && end <= signal.length as isize;
        // Without the feature there is nothing else.
        if !cfg!(feature = "front-ends") || front_end.is_plain() && (within || !signal.reflects) {
            // What lies outside is zero, as are the products there.
            let before = usize::try_from(-start).unwrap_or(0).min(window);
            let first = usize::try_from(start).unwrap_or(0);
            let here = signal.samples.get(first..).unwrap_or_default();
            front_end.weigh(here.get(..window - before).unwrap_or(here), before, work);
            return;
        }
        for (slot, index) in work.iter_mut().zip(start..end) {
            *slot = signal.at(index);
        }
        front_end.condition(work);
    }
}

impl FrontEnd<'_> {
    /// Makes the values of a clip of its logarithms: what depends on all frames, then offset and scale. Logarithms are integers,
    /// in floats that hold them exactly; those of the filling are 0. `largest` is that of frames that are not among them.
    #[inline(never)]
    fn second_pass(&self, heard: &mut [f32], filling: &mut [f32], mut largest: f32) {
        for &value in heard.iter() {
            largest = if value > largest { value } else { largest };
        }
        let least = if self.is(word::TOP, 0) { f32::MIN } else { largest - self.float(word::TOP) };
        let kind = self.header[word::NORMALIZE];
        let bands = self.bands();
        let (mut middle, mut factor) = match kind {
            layout::NORMALIZE_MAX => (largest, 1.0),
            layout::NORMALIZE_CLIP_MEAN | layout::NORMALIZE_CLIP => self.moments(heard, (0, 1), least),
            _ => (0.0, 1.0),
        };
        for index in 0..bands {
            if matches!(kind, layout::NORMALIZE_BAND_MEAN | layout::NORMALIZE_BAND) {
                (middle, factor) = self.moments(heard, (index, bands), least);
            }
            self.rescale(heard, index, (least, middle, factor));
            self.rescale(filling, index, (0.0, 0.0, 1.0));
        }
    }

    /// A band of all frames: none of its values below `least`, less `middle`, times `factor`; then offset and scale.
    #[inline(never)]
    fn rescale(&self, frames: &mut [f32], index: usize, (least, middle, factor): (f32, f32, f32)) {
        let (band, mut place) = (self.band(index), index);
        while let Some(value) = frames.get_mut(place) {
            let level = if *value < least { least } else { *value };
            *value = ((level - middle) * factor - band.offset as f32) * band.scale;
            place += self.bands();
        }
    }

    /// The mean of every `step`th value from the value `first` on, none below `least`, and the factor that gives them their
    /// standard deviation: 0 for values that are all the same.
    #[inline(never)]
    fn moments(&self, values: &[f32], places: (usize, usize), least: f32) -> (f32, f32) {
        let (count, sum, _) = sums(values, places, least, 0);
        // Rounded towards 0, by less than 2^-15 octaves.
        let mean = (sum as f32 / count as f32) as i32;
        if !matches!(self.header[word::NORMALIZE], layout::NORMALIZE_BAND | layout::NORMALIZE_CLIP) {
            return (mean as f32, 1.0);
        }
        let (_, _, squares) = sums(values, places, least, mean);
        let degrees = if self.is(word::UNBIASED, 1) { count.saturating_sub(1) } else { count };
        let deviation = arch::sqrt(squares as f32 / degrees.max(1) as f32) + self.float(word::EPSILON);
        (mean as f32, if deviation > 0.0 { self.float(word::DEVIATION) / deviation } else { 0.0 })
    }
}

/// Number of every `step`th value from the value `first` on, the sum of their distances from `middle`, and that of the squares.
#[inline(never)]
fn sums(values: &[f32], (first, step): (usize, usize), least: f32, middle: i32) -> (u32, i64, u64) {
    let (mut count, mut sum, mut squares) = (0, 0_i64, 0_u64);
    for values in values.chunks_exact(step.max(1)) {
        let value = values.get(first).copied().unwrap_or_default();
        let distance = (if value < least { least } else { value } as i32).wrapping_sub(middle);
        let magnitude = u64::from(distance.unsigned_abs());
        (count, sum) = (count + 1, sum + i64::from(distance));
        squares = squares.saturating_add(magnitude * magnitude);
    }
    (count, sum, squares)
}
