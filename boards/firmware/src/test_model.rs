//! Models of the applications, each with inputs and the host's outputs.

use crate::Board;
use crate::counter::Meter;
use thumbformer::audio::Extractor;
use thumbformer::cycles::CycleCounter;
use thumbformer::{Error, LogitsCrc, Memory, Model, Session};

/// A model, with inputs.
pub struct TestModel<'a> {
    /// Its name.
    pub name: &'a str,
    /// The model.
    pub model: Model<'a>,
    /// Context that its state has room for on this board.
    pub max_seq: usize,
    /// Tokens or frames that go through it together.
    pub batch: usize,
    /// Numbers of the frames of a clip, of a stream those of one frame.
    pub numbers: usize,
    /// Samples of a clip of sound.
    pub clip_samples: usize,
    /// Its inputs.
    pub inputs: &'a [Input<'a>],
}

/// An input.
pub struct Input<'a> {
    /// Its name.
    pub name: &'a str,
    /// Input of the model.
    pub signal: Signal<'a>,
    /// CRC-32 of the outputs that the host computes.
    pub crc32: u32,
}

/// Input of a model.
#[derive(Clone, Copy)]
pub enum Signal<'a> {
    /// Tokens `[seq]`.
    Tokens(&'a [u16]),
    /// Frames `[seq, n_features]`.
    Frames(&'a [f32]),
    /// Samples of a recording, for the model's front end.
    Sound(&'a [i16]),
}

/// Room for an input of any of the models.
pub struct InputBuffers<'a> {
    /// Frames of a clip, or one of a stream.
    pub frames: &'a mut [f32],
    /// Samples of a clip that arrives, where its frames need all of it.
    pub samples: &'a mut [i16],
}

/// Cost of an input.
#[derive(Default)]
pub(crate) struct Cost {
    pub(crate) front_end: u64,
    pub(crate) network: u64,
    /// Answers that the network gave: one for each frame of a stream.
    pub(crate) answers: u64,
}

impl<'a> TestModel<'a> {
    /// A session in a buffer that serves one model after the other.
    pub(crate) fn session<'s>(&self, words: &'s mut [u32]) -> Result<Session<'a, 's>, Error> {
        Ok(self.model.session(Memory::new(self.model.dims(), self.max_seq, self.batch, words)?))
    }

    /// True if the model takes frame after frame, as they come.
    pub(crate) fn is_stream(&self) -> bool {
        self.model.dims().is_causal()
    }

    /// The CRC of an input's outputs, which stay in the session, and what it took.
    pub(crate) fn run<'s>(
        &self,
        session: &'s mut Session<'_, '_>,
        signal: Signal<'_>,
        ears: Option<&mut Extractor<'_, '_>>,
        frames: &mut [f32],
        board: &mut impl Board,
    ) -> Result<(&'s mut [f32], Cost), Error> {
        let mut cost = Cost { answers: 1, ..Cost::default() };
        session.reset();
        let start = board.counter().now();
        match signal {
            Signal::Tokens(tokens) => {
                let outputs = session.prefill(tokens)?;
                cost.network = board.counter().since(start);
                Ok((outputs, cost))
            }
            Signal::Frames(frames) if self.is_stream() => {
                let width = self.model.dims().n_features.max(1);
                // All but the last: its outputs are what is returned.
                let (first, last) = frames.split_at(frames.len().saturating_sub(width));
                for frame in first.chunks_exact(width) {
                    session.push(frame)?;
                    cost.answers += 1;
                }
                let outputs = session.push(last)?;
                cost.network = board.counter().since(start);
                Ok((outputs, cost))
            }
            Signal::Frames(frames) => {
                let outputs = session.infer(frames)?;
                cost.network = board.counter().since(start);
                Ok((outputs, cost))
            }
            Signal::Sound(samples) => {
                let Some(extractor) = ears else { return Err(Error::EmptySequence) };
                if cfg!(feature = "sound-streams") && self.is_stream() {
                    return self.hear_stream(session, samples, extractor, frames, board);
                }
                let frames = frames.get_mut(..self.numbers).unwrap_or_default();
                extractor.clip(samples, frames)?;
                cost.front_end = board.counter().since(start);
                let start = board.counter().now();
                let outputs = session.infer(&*frames)?;
                cost.network = board.counter().since(start);
                Ok((outputs, cost))
            }
        }
    }

    /// A recording as a stream: its inputs one after the other, as the front end makes them.
    fn hear_stream<'s>(
        &self,
        session: &'s mut Session<'_, '_>,
        samples: &[i16],
        extractor: &mut Extractor<'_, '_>,
        frame: &mut [f32],
        board: &mut impl Board,
    ) -> Result<(&'s mut [f32], Cost), Error> {
        let (mut cost, mut filled) = (Cost::default(), 0);
        let frame = frame.get_mut(..self.numbers).unwrap_or_default();
        let (front_end, found) = (*extractor.front_end(), samples.len());
        let inputs = front_end.frames(found) * front_end.bands() / frame.len().max(1);
        extractor.reset();
        // At most one of the front end's frames a time.
        for portion in samples.chunks(front_end.hop().max(1)) {
            let start = board.counter().now();
            extractor.push(portion, |row| {
                if let Some(free) = frame.get_mut(filled..filled + row.len()) {
                    free.copy_from_slice(row);
                    filled += row.len();
                }
            })?;
            cost.front_end += board.counter().since(start);
            if filled < frame.len() {
                continue;
            }
            (filled, cost.answers) = (0, cost.answers + 1);
            let start = board.counter().now();
            if cost.answers == inputs as u64 {
                let outputs = session.push(frame)?;
                cost.network += board.counter().since(start);
                return Ok((outputs, cost));
            }
            session.push(frame)?;
            cost.network += board.counter().since(start);
        }
        Err(Error::RecordingTooShort { expected: front_end.samples(1), found })
    }
}

impl Cost {
    /// The cost on a line.
    pub(crate) fn on(&self, line: crate::Line, meter: Meter) -> crate::Line {
        let line = match self.front_end {
            0 => line,
            front_end => line.count("front_end", meter.trusted(front_end)),
        };
        let line = line.count("network", meter.trusted(self.network));
        if self.answers > 1 { line.number("answers", self.answers) } else { line }
    }
}

/// CRC-32 of outputs.
pub(crate) fn crc32(outputs: &[f32]) -> u32 {
    LogitsCrc::new().update(outputs)
}
