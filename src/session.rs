//! One sequence on its way through a model: token by token, frame by frame, or as a whole.
//!
//! ```text
//! causal          decode, prefill (tokens), push (frames) ─► outputs of the last one; the session remembers the sequence
//! any mask        infer (tokens or frames)                ─► outputs of the whole sequence; infer_each: of each part
//! blocks alone    encode                                  ─► the streams themselves
//! ```
//! `session.observe(&mut observer)` has the same functions, and reports what they compute on the way.

use crate::error::Error;
use crate::inputs::{Inputs, Visible};
use crate::model::Model;
use crate::observe::{NoObserver, Observer};
use crate::state::Memory;
use core::ops::Range;

/// One sequence on its way through a model.
///
/// # FPU
/// FPSCR rounds to nearest, as after reset, in interrupt handlers too (FPDSCR): else every call is an [`Error::RoundingMode`]. Flush-to-zero
/// and default NaN make no difference. An interrupt may come at any time, and run a session on a state of its own.
///
/// ```
/// thumbformer::model!(mod tiny = "../examples/tiny.tbf");
///
/// let mut state = tiny::State::new();
/// let mut session = tiny::MODEL.session(state.memory());
/// // Greedy: after the prompt, always the token with the highest logit.
/// let mut logits = session.prefill(&[1, 280, 266])?;
/// let mut generated = [0; 4];
/// for token in &mut generated {
///     let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
///     *token = best.unwrap_or(0) as u16;
///     logits = session.decode(*token)?;
/// }
/// // Token by token gives the same bits as the prompt at once.
/// let mut state = tiny::State::new();
/// let mut session = tiny::MODEL.session(state.memory());
/// let mut first = 0;
/// for token in [1, 280, 266] {
///     let logits = session.decode(token)?;
///     first = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0);
/// }
/// assert_eq!(usize::from(generated[0]), first);
/// # Ok::<(), thumbformer::Error>(())
/// ```
pub struct Session<'m, 's> {
    model: Model<'m>,
    memory: Memory<'s>,
    position: usize,
}

impl<'m> Model<'m> {
    /// Begins a sequence. Memory that is too small for this model is reported by the first token.
    pub const fn session<'s>(&self, memory: Memory<'s>) -> Session<'m, 's> {
        Session { model: *self, memory, position: 0 }
    }
}

impl<'m, 's> Session<'m, 's> {
    /// Appends a token and returns the logits of the next one, `[n_outputs]`, which is `[vocab]` of a language model.
    ///
    /// # Errors
    /// [`Error::TokenOutOfVocabulary`]; [`Error::CacheFull`] when the context is full; [`Error::StateTooSmall`];
    /// [`Error::WrongInput`] for a model that does not read token after token; [`Error::RoundingMode`]; [`Error::NotFinite`] and
    /// [`Error::ScoresTooLarge`] for weights that no result can come from, after which the sequence is forgotten. After every
    /// other error the session is where it was before.
    pub fn decode(&mut self, token: u16) -> Result<&mut [f32], Error> {
        self.observe(NoObserver).decode(token)
    }

    /// Appends the tokens of a prompt and returns the logits after the last one: bit for bit those of as many calls of
    /// [`decode`](Session::decode), in fewer steps, as several tokens go through the network together.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], and as [`decode`](Session::decode).
    pub fn prefill(&mut self, tokens: &[u16]) -> Result<&mut [f32], Error> {
        self.observe(NoObserver).prefill(tokens)
    }

    /// Appends frames of a stream that has no end, and returns the outputs after the last one, `[n_outputs]`: bit for bit the same
    /// in any grouping of the frames into calls.
    ///
    /// Each frame goes through the network once; its keys and values stay in the cache. With a
    /// [sliding window](crate::Dims::sliding_window) and no positions the stream can go on for ever.
    ///
    /// # Shapes
    /// `frames: [any number, n_features]`.
    ///
    /// # Errors
    /// [`Error::EmptySequence`], [`Error::FrameLength`], [`Error::BadFrame`], and as [`decode`](Session::decode).
    pub fn push(&mut self, frames: &[f32]) -> Result<&mut [f32], Error> {
        self.observe(NoObserver).push(frames)
    }

    /// The outputs of a whole sequence, `[n_outputs]`; the sequence before it is forgotten.
    ///
    /// # Shapes
    /// `inputs`: tokens `[seq]` or frames `[seq, n_features]`, no more than the state has room for, a class token included.
    ///
    /// # Errors
    /// [`Error::EmptySequence`]; [`Error::CacheFull`] for a sequence that is too long; [`Error::FrameLength`];
    /// [`Error::BadFrame`]; and as [`decode`](Session::decode).
    pub fn infer<'i>(&mut self, inputs: impl Into<Inputs<'i>>) -> Result<&mut [f32], Error> {
        self.observe(NoObserver).infer(inputs)
    }

    /// Like [`infer`](Session::infer), as if the tokens or frames whose entry is `false` were not there, but for the positions
    /// after them: the padding of most frameworks.
    ///
    /// # Shapes
    /// `visible: [seq]`.
    ///
    /// # Errors
    /// [`Error::MaskLength`]; [`Error::NothingVisible`] when all are hidden; [`Error::WrongInput`] under a causal mask, where a
    /// sequence that ends earlier is simply a shorter one; and as [`infer`](Session::infer).
    pub fn infer_masked<'i>(&mut self, inputs: impl Into<Inputs<'i>>, visible: &[bool]) -> Result<&mut [f32], Error> {
        self.observe(NoObserver).infer_masked(inputs, visible)
    }

    /// The outputs for each token or frame of a whole sequence, of a model without a pooling: `each` is called with its index and
    /// `[n_outputs]`, hidden ones left out.
    ///
    /// # Shapes
    /// As of [`infer_masked`](Session::infer_masked).
    ///
    /// # Errors
    /// [`Error::WrongInput`] for a model with a pooling or a causal mask, and as [`infer_masked`](Session::infer_masked).
    pub fn infer_each<'i>(
        &mut self,
        inputs: impl Into<Inputs<'i>>,
        visible: Option<&[bool]>,
        each: impl FnMut(usize, &[f32]),
    ) -> Result<(), Error> {
        self.observe(NoObserver).infer_each(inputs, visible, each)
    }

    /// Sends a whole sequence through the blocks of a model whose input is the stream itself, in place.
    ///
    /// # Shapes
    /// `streams: [seq, d_model]`, at least one token and no more than the state has room for.
    ///
    /// # Errors
    /// [`Error::WrongInput`] for another kind of model; [`Error::EmptySequence`]; [`Error::CacheFull`] for a longer sequence;
    /// [`Error::StreamLength`] when it does not consist of whole tokens; and as [`decode`](Session::decode), after which the
    /// streams are worth nothing.
    pub fn encode(&mut self, streams: &mut [f32]) -> Result<(), Error> {
        self.observe(NoObserver).encode(streams)
    }

    /// The same session with an observer, for one call: `session.observe(&mut observer).decode(token)`.
    pub const fn observe<O: Observer>(&mut self, observer: O) -> Observed<'_, 'm, 's, O> {
        Observed { session: self, observer }
    }

    /// Number of tokens or frames so far, which is the position of the next one; of a stream without end, from 2^30 on less a number
    /// of whole windows.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Tokens or frames that still fit the context; of a stream without end always more than 2^31.
    pub fn remaining(&self) -> usize {
        self.model.dims().longest(self.memory.max_seq).saturating_sub(self.position)
    }

    /// Forgets the sequence.
    pub const fn reset(&mut self) {
        self.position = 0;
    }

    /// Appends a batch of the tokens or frames and returns the outputs of the last, if they are wanted. After an error the session is
    /// at `start`, or at 0 if the cache is of no use any more.
    fn step(
        &mut self,
        inputs: &Inputs<'_>,
        batch: Range<usize>,
        start: usize,
        wants_logits: bool,
        observer: &mut impl Observer,
    ) -> Result<&mut [f32], Error> {
        let Session { model, memory, position } = self;
        let count = batch.len();
        let window = model.dims().cached(memory.max_seq);
        let part = inputs.part(batch.start, count, model.dims());
        let result = model.forward(&part, count, *position, memory, wants_logits, observer);
        *position = match &result {
            Ok(_) => wrapped(*position + count, window),
            // Layers before the faulty one have stored keys and values already, and may have changed their exponents.
            Err(Error::NotFinite { .. } | Error::ScoresTooLarge { .. }) => 0,
            Err(_) => start,
        };
        outputs(result?, model.dims().n_outputs)
    }
}

/// A [`Session`] with an [`Observer`], for one call.
///
/// ```
/// # use thumbformer::observe::{Observer, Point, Vector};
/// # use thumbformer::{Error, Session};
/// /// Notes the largest value of the residual stream after each block.
/// struct Largest(f32);
///
/// impl Observer for Largest {
///     fn vector(&mut self, point: Point, _layer: usize, vector: &Vector<'_>) {
///         if point == Point::Output {
///             self.0 = vector.values().fold(self.0, f32::max);
///         }
///     }
/// }
///
/// fn decode(session: &mut Session<'_, '_>, token: u16) -> Result<f32, Error> {
///     let mut largest = Largest(0.0);
///     session.observe(&mut largest).decode(token)?;
///     Ok(largest.0)
/// }
/// ```
pub struct Observed<'o, 'm, 's, O> {
    session: &'o mut Session<'m, 's>,
    observer: O,
}

impl<'o, O: Observer> Observed<'o, '_, '_, O> {
    /// [`Session::decode`], observed.
    ///
    /// # Errors
    /// As there.
    pub fn decode(self, token: u16) -> Result<&'o mut [f32], Error> {
        self.append(&Inputs::Tokens(&[token]))
    }

    /// [`Session::prefill`], observed: a vector of each token at every point.
    ///
    /// # Errors
    /// As there.
    pub fn prefill(self, tokens: &[u16]) -> Result<&'o mut [f32], Error> {
        if tokens.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        self.append(&Inputs::Tokens(tokens))
    }

    /// [`Session::push`], observed.
    ///
    /// # Errors
    /// As there.
    pub fn push(self, frames: &[f32]) -> Result<&'o mut [f32], Error> {
        self.append(&Inputs::Frames(frames))
    }

    /// [`Session::infer`], observed.
    ///
    /// # Errors
    /// As there.
    pub fn infer<'i>(self, inputs: impl Into<Inputs<'i>>) -> Result<&'o mut [f32], Error> {
        self.infer_visible(&inputs.into(), None)
    }

    /// [`Session::infer_masked`], observed.
    ///
    /// # Errors
    /// As there.
    pub fn infer_masked<'i>(self, inputs: impl Into<Inputs<'i>>, visible: &[bool]) -> Result<&'o mut [f32], Error> {
        self.infer_visible(&inputs.into(), Some(visible))
    }

    /// [`Session::infer_each`], observed.
    ///
    /// # Errors
    /// As there.
    pub fn infer_each<'i>(
        mut self,
        inputs: impl Into<Inputs<'i>>,
        visible: Option<&[bool]>,
        mut each: impl FnMut(usize, &[f32]),
    ) -> Result<(), Error> {
        let dims = self.session.model.dims();
        if dims.is_stream() || !dims.has_many_outputs() {
            return Err(Error::WrongInput { expected: dims.expected_input() });
        }
        self.whole(&inputs.into(), visible, &mut each)
    }

    /// [`Session::encode`], observed.
    ///
    /// # Errors
    /// As there.
    pub fn encode(mut self, streams: &mut [f32]) -> Result<(), Error> {
        Error::unless_rounding_to_nearest()?;
        let Session { model, memory, .. } = self.session;
        let dims = model.dims();
        if !dims.is_stream() {
            return Err(Error::WrongInput { expected: dims.expected_input() });
        }
        let (width, found) = (dims.d_model.max(1), streams.len());
        if streams.is_empty() {
            return Err(Error::EmptySequence);
        }
        if !found.is_multiple_of(width) {
            return Err(Error::StreamLength { d_model: width, found });
        }
        let max_seq = dims.longest(memory.max_seq);
        if found / width > max_seq {
            return Err(Error::CacheFull { max_seq });
        }
        model.streams(streams, memory, &mut self.observer)
    }

    /// The outputs of a whole sequence under any mask.
    fn infer_visible(mut self, inputs: &Inputs<'_>, visible: Option<&[bool]>) -> Result<&'o mut [f32], Error> {
        let dims = self.session.model.dims();
        if dims.has_many_outputs() {
            return Err(Error::WrongInput { expected: dims.expected_input() });
        }
        if dims.is_causal() {
            if visible.is_some() {
                return Err(Error::WrongInput { expected: "no mask under a causal mask: give fewer tokens" });
            }
            inputs.check(dims)?;
            self.session.reset();
            return self.append(inputs);
        }
        self.whole(inputs, visible, &mut |_, _| ())?;
        let Session { model, memory, .. } = self.session;
        outputs(memory.regions(model.dims())?.logits, model.dims().n_outputs)
    }

    /// Sends a whole sequence through a model whose tokens all see each other.
    fn whole(
        &mut self,
        inputs: &Inputs<'_>,
        visible: Option<&[bool]>,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), Error> {
        let Session { model, memory, .. } = &mut *self.session;
        let dims = model.dims();
        let length = inputs.check(dims)?;
        let visible = Visible::new(visible, length, dims)?;
        let max_seq = dims.longest(memory.max_seq);
        if length + dims.n_class > max_seq {
            return Err(Error::CacheFull { max_seq });
        }
        model.infer(inputs, &visible, memory, each, &mut self.observer)
    }

    /// Appends tokens or frames under a causal mask, as many at a time as the state has room for.
    fn append(mut self, inputs: &Inputs<'_>) -> Result<&'o mut [f32], Error> {
        let session = self.session;
        let dims = session.model.dims();
        // All that can be refused is refused before anything is stored.
        if !dims.is_causal() {
            return Err(Error::WrongInput { expected: dims.expected_input() });
        }
        let length = inputs.check(dims)?;
        if length > session.remaining() {
            return Err(Error::CacheFull { max_seq: session.position + session.remaining() });
        }
        let (batch, start) = (session.memory.batch.max(1), session.position);
        let mut done = 0;
        while length - done > batch {
            session.step(inputs, done..done + batch, start, false, &mut self.observer)?;
            done += batch;
        }
        session.step(inputs, done..length, start, true, &mut self.observer)
    }
}

/// A position that no 32-bit number overflows, of the same place in a cache whose slots are all in use. Only a stream without end comes
/// so far.
fn wrapped(position: usize, window: usize) -> usize {
    const FAR: usize = 1 << 30;
    if position < FAR { position } else { window + position.checked_rem(window).unwrap_or(0) }
}

/// The outputs without their padding.
fn outputs(logits: &mut [f32], expected: usize) -> Result<&mut [f32], Error> {
    let found = logits.len();
    logits.get_mut(..expected).ok_or(Error::StateTooSmall { expected, found })
}

#[cfg(test)]
mod tests {
    use super::wrapped;
    use crate::image::ImageWriter;
    use crate::options::{Input, Mask, Options, Pooling, Positions};
    use crate::state::HostState;
    use crate::tensors::{Presence, Tensor};
    use crate::{Dims, Model, Packing};

    /// A stream with a window of three frames.
    fn stream() -> std::vec::Vec<u32> {
        let options = Options { mask: Mask::Causal, input: Input::Frames, pooling: Pooling::Last, ..Options::ENCODER };
        let mut dims = Dims::block(8, 2, 12, 6, Options { positions: Positions::None, head: true, ..options });
        (dims.n_features, dims.n_outputs, dims.sliding_window) = (5, 4, 3);
        let mut writer = ImageWriter::new(dims, Packing::Host);
        for &tensor in Tensor::ALL.iter().filter(|tensor| tensor.presence(&dims.options) == Presence::Always) {
            let (rows, cols) = dims.shape(tensor, 0);
            let values: std::vec::Vec<f32> = (0..rows * cols).map(|i| ((i * 37 % 19) as f32 - 9.0) / 10.0).collect();
            writer.add(tensor, 0, rows, cols, &values).expect("a tensor");
        }
        writer.finish().expect("an image")
    }

    #[test]
    fn a_stream_computes_the_same_bits_behind_the_last_number_of_32_bits() {
        let words = stream();
        let model = Model::parse(&words).expect("a model");
        let bits = |skipped: usize| {
            let mut state = HostState::new(model.dims(), 6);
            let mut session = model.session(state.memory());
            let mut found = std::vec::Vec::new();
            for frame in 0..20_usize {
                if frame == 7 {
                    session.position += skipped;
                }
                let frame: [f32; 5] = core::array::from_fn(|i| ((frame * 5 + i) % 13) as f32 - 6.0);
                found.extend(session.push(&frame).expect("no end").iter().map(|output| output.to_bits()));
            }
            assert!(session.remaining() > 1 << 31);
            found
        };
        // A multiple of the window, just below 2^32 and 2^30.
        for skipped in [u32::MAX as usize / 3 * 3 - 9, (1 << 30) / 3 * 3 - 9, 3_000_000] {
            assert_eq!(bits(skipped), bits(0), "{skipped}");
        }
    }

    #[test]
    fn a_far_position_becomes_a_near_one_of_the_same_slot_with_a_full_cache() {
        for window in [1, 6, 25, 512, 32_768] {
            for far in [(1 << 30) - 1, 1 << 30, (1 << 30) + 7, u32::MAX as usize] {
                let near = wrapped(far, window);
                assert_eq!(near % window, far % window);
                assert!(near >= window && (near == far) == (far < 1 << 30), "{far} of {window}: {near}");
            }
        }
    }
}
