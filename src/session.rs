//! One sequence on its way through a model: token by token, frame by frame, or as a whole.
//!
//! ```text
//! causal          decode, prefill (tokens), push (frames) ─► outputs of the last one; the session remembers the sequence
//! any mask        infer (tokens or frames)                ─► outputs of the whole sequence; infer_each: of each part
//! blocks alone    encode                                  ─► the streams themselves
//! ```

use crate::error::Error;
use crate::inputs::{Inputs, Visible};
use crate::model::Model;
use crate::observe::{NoObserver, Observer};
use crate::state::Memory;

/// One sequence on its way through a model.
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

impl Session<'_, '_> {
    /// Appends a token and returns the logits of the next one, `[n_outputs]`, which is `[vocab]` of a language model.
    ///
    /// # Errors
    /// [`Error::TokenOutOfVocabulary`]; [`Error::CacheFull`] when the context is full; [`Error::StateTooSmall`];
    /// [`Error::WrongInput`] for a model that does not read token after token; [`Error::NotFinite`] and
    /// [`Error::ScoresTooLarge`] for weights that no result can come from, after which the sequence is forgotten. After every
    /// other error the session is where it was before.
    pub fn decode(&mut self, token: u16) -> Result<&mut [f32], Error> {
        self.decode_observed(token, &mut NoObserver)
    }

    /// Like [`decode`](Session::decode), with somebody looking on.
    ///
    /// # Errors
    /// As [`decode`](Session::decode).
    pub fn decode_observed(&mut self, token: u16, observer: &mut impl Observer) -> Result<&mut [f32], Error> {
        self.append(&Inputs::Tokens(&[token]), observer)
    }

    /// Appends the tokens of a prompt and returns the logits after the last one: bit for bit those of as many calls of
    /// [`decode`](Session::decode), in fewer steps, as several tokens go through the network together.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], and as [`decode`](Session::decode).
    pub fn prefill(&mut self, tokens: &[u16]) -> Result<&mut [f32], Error> {
        if tokens.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        self.append(&Inputs::Tokens(tokens), &mut NoObserver)
    }

    /// Appends frames of a stream that has no end, and returns the outputs after the last one, `[n_outputs]`: bit for bit the same
    /// however the frames are grouped into calls.
    ///
    /// Each frame goes through the network once; what it can be compared with stays in the cache. With a
    /// [sliding window](crate::Dims::sliding_window) and no positions the stream can go on for ever.
    ///
    /// # Shapes
    /// `frames: [any number, n_features]`.
    ///
    /// # Errors
    /// [`Error::EmptySequence`], [`Error::FrameLength`], [`Error::BadFrame`], and as [`decode`](Session::decode).
    pub fn push(&mut self, frames: &[f32]) -> Result<&mut [f32], Error> {
        self.push_observed(frames, &mut NoObserver)
    }

    /// Like [`push`](Session::push), with somebody looking on.
    ///
    /// # Errors
    /// As [`push`](Session::push).
    pub fn push_observed(&mut self, frames: &[f32], observer: &mut impl Observer) -> Result<&mut [f32], Error> {
        self.append(&Inputs::Frames(frames), observer)
    }

    /// The outputs of a whole sequence, `[n_outputs]`; what the session knew before is forgotten.
    ///
    /// # Shapes
    /// `inputs`: tokens `[seq]` or frames `[seq, n_features]`, no more than the state has room for, a class token included.
    ///
    /// # Errors
    /// [`Error::EmptySequence`]; [`Error::CacheFull`] for a sequence that is too long; [`Error::FrameLength`];
    /// [`Error::BadFrame`]; and as [`decode`](Session::decode).
    pub fn infer<'i>(&mut self, inputs: impl Into<Inputs<'i>>) -> Result<&mut [f32], Error> {
        self.infer_observed(inputs, None, &mut NoObserver)
    }

    /// Like [`infer`](Session::infer), as if the tokens or frames whose entry is `false` were not there, but for the positions
    /// after them: what padding is to most frameworks.
    ///
    /// # Shapes
    /// `visible: [seq]`.
    ///
    /// # Errors
    /// [`Error::MaskLength`]; [`Error::NothingVisible`] when all are hidden; [`Error::WrongInput`] under a causal mask, where a
    /// sequence that ends earlier is simply a shorter one; and as [`infer`](Session::infer).
    pub fn infer_masked<'i>(&mut self, inputs: impl Into<Inputs<'i>>, visible: &[bool]) -> Result<&mut [f32], Error> {
        self.infer_observed(inputs, Some(visible), &mut NoObserver)
    }

    /// Like [`infer`](Session::infer) and [`infer_masked`](Session::infer_masked), with somebody looking on.
    ///
    /// # Errors
    /// As theirs.
    pub fn infer_observed<'i>(
        &mut self,
        inputs: impl Into<Inputs<'i>>,
        visible: Option<&[bool]>,
        observer: &mut impl Observer,
    ) -> Result<&mut [f32], Error> {
        let (inputs, dims) = (inputs.into(), self.model.dims());
        if dims.has_many_outputs() {
            return Err(Error::WrongInput { expected: dims.expected_input() });
        }
        if dims.is_causal() {
            if visible.is_some() {
                return Err(Error::WrongInput { expected: "no mask under a causal mask: give fewer tokens" });
            }
            inputs.check(dims)?;
            self.reset();
            return self.append(&inputs, observer);
        }
        self.whole(&inputs, visible, &mut |_, _| (), observer)?;
        self.outputs()
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
        mut each: impl FnMut(usize, &[f32]),
    ) -> Result<(), Error> {
        let dims = self.model.dims();
        if dims.is_stream() || !dims.has_many_outputs() {
            return Err(Error::WrongInput { expected: dims.expected_input() });
        }
        self.whole(&inputs.into(), visible, &mut each, &mut NoObserver)
    }

    /// Sends a whole sequence through a model whose tokens all see each other.
    fn whole(
        &mut self,
        inputs: &Inputs<'_>,
        visible: Option<&[bool]>,
        each: &mut dyn FnMut(usize, &[f32]),
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let dims = self.model.dims();
        let length = inputs.check(dims)?;
        let before = usize::from(self.model.has_class_token());
        let visible = Visible::new(visible, length, before)?;
        let max_seq = dims.longest(self.memory.max_seq);
        if length + before > max_seq {
            return Err(Error::CacheFull { max_seq });
        }
        self.model.infer(inputs, &visible, &mut self.memory, each, observer)
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
        self.encode_observed(streams, &mut NoObserver)
    }

    /// Like [`encode`](Session::encode), with somebody looking on.
    ///
    /// # Errors
    /// As [`encode`](Session::encode).
    pub fn encode_observed(&mut self, streams: &mut [f32], observer: &mut impl Observer) -> Result<(), Error> {
        let dims = self.model.dims();
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
        let max_seq = dims.longest(self.memory.max_seq);
        if found / width > max_seq {
            return Err(Error::CacheFull { max_seq });
        }
        self.model.streams(streams, &mut self.memory, observer)
    }

    fn append(&mut self, inputs: &Inputs<'_>, observer: &mut impl Observer) -> Result<&mut [f32], Error> {
        let dims = self.model.dims();
        // All that can be refused is refused before anything is stored.
        if !dims.is_causal() {
            return Err(Error::WrongInput { expected: dims.expected_input() });
        }
        let length = inputs.check(dims)?;
        if length > self.remaining() {
            return Err(Error::CacheFull { max_seq: self.position + self.remaining() });
        }
        let (batch, start) = (self.memory.batch.max(1), self.position);
        let mut done = 0;
        while done < length {
            let count = batch.min(length - done);
            let (part, is_last) = (inputs.part(done, count, dims), done + count == length);
            match self.model.forward(&part, count, self.position, &mut self.memory, is_last, observer) {
                Ok(()) => self.position += count,
                Err(error) => {
                    // Layers before the faulty one have stored keys and values already, and may have changed their exponents.
                    let forget = matches!(error, Error::NotFinite { .. } | Error::ScoresTooLarge { .. });
                    self.position = if forget { 0 } else { start };
                    return Err(error);
                }
            }
            done += count;
        }
        self.outputs()
    }

    /// What the last step left.
    fn outputs(&mut self) -> Result<&mut [f32], Error> {
        let dims = self.model.dims();
        let expected = dims.n_outputs;
        let logits = self.memory.regions(dims)?.logits;
        let found = logits.len();
        logits.get_mut(..expected).ok_or(Error::StateTooSmall { expected, found })
    }

    /// Number of tokens or frames so far, which is the position of the next one.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Tokens or frames that still fit the context.
    pub fn remaining(&self) -> usize {
        self.model.dims().longest(self.memory.max_seq).saturating_sub(self.position)
    }

    /// Forgets the sequence.
    pub const fn reset(&mut self) {
        self.position = 0;
    }
}
