//! The extractor: a front end at work, on a stream of samples.

use super::front_end::FrontEnd;
use super::layout::{self, word};
use super::memory::Memory;
use crate::error::Error;

/// A front end at work: samples go in, frames come out.
///
/// ```
/// use thumbformer::audio::{Buffers, FrontEnd, FrontEndConfig};
///
/// // In firmware the words come from the image; `FrontEndConfig` is for tools.
/// let words = FrontEndConfig::thumbformer().words()?;
/// let front_end = FrontEnd::parse(&words)?;
/// let mut buffers = Buffers::<256, 20>::new();
/// let mut extractor = front_end.extractor(buffers.memory())?;
/// let mut frames = 0;
/// extractor.push(&[0; 8000], |frame| frames += usize::from(frame.len() == 20))?;
/// assert_eq!(frames, front_end.frames(8000));
/// # Ok::<(), thumbformer::Error>(())
/// ```
#[derive(Debug)]
pub struct Extractor<'a, 's> {
    pub(super) front_end: FrontEnd<'a>,
    pub(super) memory: Memory<'s>,
    /// Place of the oldest sample in the ring.
    next: usize,
    /// The sample before the oldest.
    before: i16,
    /// Samples until the next frame.
    missing: usize,
}

impl<'a> FrontEnd<'a> {
    /// A front end at work in this memory, before its first sample.
    ///
    /// # Errors
    /// [`Error::FrontEnd`] for memory of another FFT, or for fewer bands.
    pub fn extractor<'s>(&self, memory: Memory<'s>) -> Result<Extractor<'a, 's>, Error> {
        let (fft, bands) = (memory.work.len(), memory.frame.len());
        if fft != self.fft() {
            return Err(Error::FrontEnd { name: "FFT of the buffers", found: fft as u32 });
        }
        if bands < self.bands() {
            return Err(Error::FrontEnd { name: "bands of the buffers", found: bands as u32 });
        }
        let mut extractor = Extractor { front_end: *self, memory, next: 0, before: 0, missing: 0 };
        extractor.reset();
        Ok(extractor)
    }
}

impl<'a> Extractor<'a, '_> {
    /// The front end.
    pub const fn front_end(&self) -> &FrontEnd<'a> {
        &self.front_end
    }

    /// Forgets all samples: the next one begins a stream.
    pub fn reset(&mut self) {
        let front_end = &self.front_end;
        self.memory.ring.fill(0);
        self.before = 0;
        let end = front_end.size(word::LEAD) + front_end.window();
        self.missing = end.saturating_sub(front_end.size(word::PAD)).max(1);
    }

    /// Appends samples of a stream and calls `each` with every frame whose window they complete.
    ///
    /// The frames are the same, bit by bit, for every division into portions, and those of [`clip`](Self::clip) up to the
    /// first that reaches beyond the recording's end.
    ///
    /// # Shapes
    /// A frame: `[bands]`.
    ///
    /// # Errors
    /// [`Error::RoundingMode`]; [`Error::WholeRecording`] for a front end whose frames depend on the recording's end.
    pub fn push(&mut self, samples: &[i16], mut each: impl FnMut(&[f32])) -> Result<(), Error> {
        Error::unless_rounding_to_nearest()?;
        self.front_end.streams()?;
        let mut rest = samples;
        while let Some((now, later)) = rest.split_at_checked(self.missing) {
            self.store(now);
            self.missing = self.front_end.hop();
            each(self.newest());
            rest = later;
        }
        self.store(rest);
        self.missing -= rest.len();
        Ok(())
    }

    /// Writes samples over the oldest ones.
    #[inline(never)]
    fn store(&mut self, samples: &[i16]) {
        let ring = &mut *self.memory.ring;
        let skipped = samples.len().saturating_sub(ring.len());
        let (passed, samples) = samples.split_at_checked(skipped).unwrap_or_default();
        let (place, end) = (self.next, self.next + samples.len());
        let wrapped = if end > ring.len() { end - ring.len() } else { end };
        // The last sample that falls out of the ring: of these here, or the one that the last of them overwrites.
        let overwritten = if samples.is_empty() { None } else { wrapped.checked_sub(1) };
        let overwritten = overwritten.and_then(|last| ring.get(last)).copied();
        self.before = passed.last().copied().or(overwritten).unwrap_or(self.before);
        let room = ring.len() - place;
        let (first, second) = samples.split_at_checked(room).unwrap_or((samples, &[]));
        for (slot, &sample) in ring.get_mut(place..).unwrap_or_default().iter_mut().zip(first) {
            *slot = sample;
        }
        for (slot, &sample) in ring.iter_mut().zip(second) {
            *slot = sample;
        }
        self.next = if wrapped == ring.len() { 0 } else { wrapped };
    }

    /// The frame of the last window of samples.
    #[inline(never)]
    fn newest(&mut self) -> &[f32] {
        let front_end = &self.front_end;
        let window = front_end.window();
        let (newer, older) = self.memory.ring.split_at_checked(self.next).unwrap_or_default();
        // Of the older ones, the end; of the newer ones, the end, when they fill the window alone.
        let from_older = window.saturating_sub(newer.len());
        let (passed, older) = older.split_at_checked(older.len().saturating_sub(from_older)).unwrap_or_default();
        let (skipped, newer) = newer.split_at_checked(newer.len().saturating_sub(window)).unwrap_or_default();
        let work = &mut *self.memory.work;
        work.fill(0.0);
        if !cfg!(feature = "front-ends") || front_end.is_plain() {
            front_end.weigh(older, 0, work);
            front_end.weigh(newer, older.len(), work);
        } else {
            let share = front_end.signal_share();
            let mut previous = skipped.last().or(passed.last()).copied().unwrap_or(self.before);
            for (slot, &sample) in work.iter_mut().zip(older.iter().chain(newer)) {
                *slot = f32::from(sample) - share * f32::from(previous);
                previous = sample;
            }
            front_end.condition(work);
        }
        let frame = self.memory.frame.get_mut(..front_end.bands()).unwrap_or_default();
        front_end.finish(work, self.memory.transform, false, frame);
        frame
    }
}

impl FrontEnd<'_> {
    /// The share of a sample that the next one of the whole signal loses.
    pub(super) fn signal_share(&self) -> f32 {
        if self.is(word::PREEMPHASIS, layout::PREEMPHASIS_SIGNAL) { self.float(word::COEFFICIENT) } else { 0.0 }
    }
}
