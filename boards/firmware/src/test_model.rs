//! Models of the applications, each with inputs and the host's outputs.

use crate::Board;
use crate::counter::Meter;
use thumbformer::audio::LogMel;
use thumbformer::cycles::CycleCounter;
use thumbformer::{Error, LogitsCrc, Memory, Model, Session};

/// Mel filters of the front end for speech.
pub const MELS: usize = 20;

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
    /// Samples of a recording, for the front end for speech.
    Sound(&'a [i16]),
}

/// The front end for speech, with room for the frames of a clip; only where a model hears.
pub struct AudioInput<'a> {
    /// Samples to frames.
    pub front_end: LogMel<'a, 256, MELS>,
    /// A clip, `[max_seq, n_features]`.
    pub frames: &'a mut [f32],
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
        audio: &mut Option<AudioInput<'_>>,
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
                let Some(AudioInput { front_end, frames }) = audio else { return Err(Error::EmptySequence) };
                front_end.clip(samples, frames)?;
                cost.front_end = board.counter().since(start);
                let start = board.counter().now();
                let outputs = session.infer(&**frames)?;
                cost.network = board.counter().since(start);
                Ok((outputs, cost))
            }
        }
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
