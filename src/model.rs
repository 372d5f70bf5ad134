//! The whole network: embedding, blocks, head; and the session that walks a sequence through it.

use crate::arch::PACKING;
use crate::block::{self, Attention, Block, Layout, Mlp, Norm, Place};
use crate::dims::Dims;
use crate::embed::embed;
use crate::error::{Error, Tensor};
use crate::head::Head;
use crate::image::Image;
use crate::observe::{Nobody, Observer, Point, Vector};
use crate::state::{Memory, Parts};
use crate::text::Tokenizer;

/// A decoder in an image that was checked: nothing is copied, the weights stay in flash.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    image: Image<'a>,
}

impl<'a> Model<'a> {
    /// Checks an image and makes a model of it; a `const fn`, so that firmware does it at compile time.
    ///
    /// # Errors
    /// What is wrong with the image: see [`Image::parse`]; [`Error::Packing`] when its weights are packed for other cores.
    pub const fn parse(words: &'a [u32]) -> Result<Model<'a>, Error> {
        let image = match Image::parse(words) {
            Ok(image) => image,
            Err(error) => return Err(error),
        };
        match PACKING {
            Some(expected) if expected.id() != image.packing().id() => {
                Err(Error::Packing { expected, found: image.packing() })
            }
            _ => Ok(Model { image }),
        }
    }

    /// The dimensions.
    pub const fn dims(&self) -> &Dims {
        &self.image.dims
    }

    /// The image, for tools that look at its sections.
    pub const fn image(&self) -> &Image<'a> {
        &self.image
    }

    /// The tokenizer, if the image holds one.
    pub const fn tokenizer(&self) -> Option<Tokenizer<'a>> {
        Tokenizer::from_image(&self.image)
    }

    /// Begins a sequence. Memory that is too small for this model is reported by the first token.
    pub const fn session<'s>(&self, memory: Memory<'s>) -> Session<'a, 's> {
        Session { model: *self, memory, position: 0 }
    }

    fn norm(&'a self, gain: Tensor, bias: Tensor, layer: usize) -> Norm<'a> {
        let (image, dims) = (&self.image, &self.image.dims);
        Norm {
            kind: dims.options.norm,
            gain: image.vector(gain, layer),
            bias: image.optional_vector(bias, layer),
            eps: dims.norm_eps,
        }
    }

    fn block(&'a self, layer: usize) -> Block<'a> {
        let (image, dims) = (&self.image, &self.image.dims);
        Block {
            dims,
            attention_norm: self.norm(Tensor::AttentionNorm, Tensor::AttentionNormBias, layer),
            attention: Attention {
                dims,
                query: image.linear(Tensor::Query, Tensor::QueryBias, layer),
                key: image.linear(Tensor::Key, Tensor::KeyBias, layer),
                value: image.linear(Tensor::Value, Tensor::ValueBias, layer),
                output: image.linear(Tensor::AttentionOutput, Tensor::AttentionOutputBias, layer),
            },
            mlp_norm: self.norm(Tensor::MlpNorm, Tensor::MlpNormBias, layer),
            mlp: Mlp {
                activation: dims.options.activation,
                gate: image.has(Tensor::Gate).then(|| image.linear(Tensor::Gate, Tensor::GateBias, layer)),
                up: image.linear(Tensor::Up, Tensor::UpBias, layer),
                down: image.linear(Tensor::Down, Tensor::DownBias, layer),
            },
        }
    }

    fn final_norm(&'a self) -> Option<Norm<'a>> {
        self.image.has(Tensor::FinalNorm).then(|| self.norm(Tensor::FinalNorm, Tensor::FinalNormBias, 0))
    }

    fn head(&'a self) -> Head<'a> {
        Head { norm: self.final_norm(), matrix: self.image.head(), n_layers: self.image.dims.n_layers }
    }

    /// Sends a batch of tokens, neighbours in the sequence, through the network: `x = embedding; x = block(x) …; logits = head(x)`.
    ///
    /// The head, the widest matrix of a small model, sees the last token only, and none of a prompt whose logits nobody reads.
    #[inline(never)]
    fn forward(
        &self,
        tokens: &[u16],
        position: usize,
        memory: &mut Memory<'_>,
        wants_logits: bool,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let dims = &self.image.dims;
        let max_seq = memory.max_seq;
        let (Parts { stream, rotations, mut scratch, cache }, logits) = memory.parts(dims)?;
        let x = stream.get_mut(..tokens.len() * dims.d_model).unwrap_or(&mut []);
        let embedding = self.image.matrix(Tensor::Embedding, 0);
        for (&token, x) in tokens.iter().zip(x.chunks_exact_mut(dims.d_model.max(1))) {
            embed(x, &embedding, token)?;
            observer.vector(Point::Embedding, 0, &Vector::Floats(x));
        }
        self.rotations(rotations, position, tokens.len());
        let layout = Layout::of(dims.head_dim, max_seq, dims.max_seq);
        let place = Place { layer: 0, position, length: 0, max_seq, layout, rotations, head_dim: dims.head_dim };
        let caches = cache.chunks_exact_mut(dims.layer_cache_words(max_seq).max(1));
        for (layer, cache) in caches.take(dims.n_layers).enumerate() {
            self.block(layer).forward(x, cache, &Place { layer, ..place }, &mut scratch, observer)?;
        }
        if wants_logits && let Some(x) = x.chunks_exact(dims.d_model.max(1)).next_back() {
            self.head().forward(x, &mut scratch, logits, observer)?;
        }
        Ok(())
    }

    /// Writes the rotations of neighbouring positions, if the model has rotary positions.
    fn rotations(&self, rotations: &mut [i16], position: usize, tokens: usize) {
        let dims = &self.image.dims;
        if !dims.is_rotary() {
            return;
        }
        let fine = self.image.vector(Tensor::RotaryFine, 0);
        let coarse = self.image.vector(Tensor::RotaryCoarse, 0);
        for (index, rotation) in rotations.chunks_exact_mut(dims.head_dim.max(1)).take(tokens).enumerate() {
            block::rotation(rotation, &fine, &coarse, self.image.rotary_fine, position + index);
        }
    }

    /// Sends a sequence whose tokens all see each other through the blocks, in place.
    ///
    /// In each block first every token leaves its key and value, then each looks at all of them.
    ///
    /// # Shapes
    /// `x: [seq, d_model]`.
    #[inline(never)]
    fn encode(&self, x: &mut [f32], memory: &mut Memory<'_>, observer: &mut impl Observer) -> Result<(), Error> {
        let dims = &self.image.dims;
        let (max_seq, width) = (memory.max_seq, dims.d_model.max(1));
        let batch = (memory.batch * width).max(1);
        let (Parts { rotations, mut scratch, cache, .. }, _) = memory.parts(dims)?;
        let length = x.len() / width;
        let layout = Layout::of(dims.head_dim, max_seq, dims.max_seq);
        for layer in 0..dims.n_layers {
            let block = self.block(layer);
            for storing in [true, false] {
                for (index, x) in x.chunks_mut(batch).enumerate() {
                    let (position, tokens) = (index * batch / width, x.len() / width);
                    self.rotations(rotations, position, tokens);
                    let place = Place { layer, position, length, max_seq, layout, rotations, head_dim: dims.head_dim };
                    if storing {
                        block.store(x, cache, &place, &mut scratch, observer)?;
                    } else {
                        block.forward(x, cache, &place, &mut scratch, observer)?;
                    }
                }
            }
        }
        if let Some(norm) = self.final_norm() {
            for x in x.chunks_exact_mut(width) {
                norm.in_place(x, &mut scratch).ok_or(Error::NotFinite { layer: dims.n_layers })?;
                observer.vector(Point::FinalNorm, 0, &Vector::Floats(x));
            }
        }
        Ok(())
    }
}

/// One sequence on its way through a model.
pub struct Session<'m, 's> {
    model: Model<'m>,
    memory: Memory<'s>,
    position: usize,
}

impl Session<'_, '_> {
    /// Appends a token and returns the logits of the next one, `[vocab]`.
    ///
    /// # Errors
    /// [`Error::TokenOutOfVocabulary`]; [`Error::CacheFull`] when the context is full; [`Error::StateTooSmall`];
    /// [`Error::NotFinite`] and [`Error::ScoresTooLarge`] for weights that no result can come from, after which the sequence
    /// is forgotten. After every other error the session is where it was before.
    pub fn decode(&mut self, token: u16) -> Result<&mut [f32], Error> {
        self.decode_observed(token, &mut Nobody)
    }

    /// Like [`decode`](Session::decode), with somebody looking on.
    ///
    /// # Errors
    /// As [`decode`](Session::decode).
    pub fn decode_observed(&mut self, token: u16, observer: &mut impl Observer) -> Result<&mut [f32], Error> {
        self.append(&[token], observer)
    }

    /// Appends the tokens of a prompt and returns the logits after the last one, `[vocab]`: bit for bit those of as many calls of
    /// [`decode`](Session::decode), in fewer steps, as several tokens go through the network together.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], and as [`decode`](Session::decode).
    pub fn prefill(&mut self, tokens: &[u16]) -> Result<&mut [f32], Error> {
        self.append(tokens, &mut Nobody)
    }

    /// Sends a whole sequence through the blocks of a model whose input is the stream itself, in place.
    ///
    /// # Shapes
    /// `streams: [seq, d_model]`, at least one token and no more than the state has room for.
    ///
    /// # Errors
    /// [`Error::WrongInput`] for another kind of model; [`Error::EmptyPrompt`]; [`Error::CacheFull`] for a longer sequence;
    /// [`Error::StreamLength`] when it does not consist of whole tokens; and as [`decode`](Session::decode), after which the
    /// streams are worth nothing.
    pub fn encode(&mut self, streams: &mut [f32]) -> Result<(), Error> {
        self.encode_observed(streams, &mut Nobody)
    }

    /// Like [`encode`](Session::encode), with somebody looking on.
    ///
    /// # Errors
    /// As [`encode`](Session::encode).
    pub fn encode_observed(&mut self, streams: &mut [f32], observer: &mut impl Observer) -> Result<(), Error> {
        let dims = self.model.dims();
        if dims.has_tokens() || dims.is_causal() {
            return Err(Error::WrongInput { expected: "tokens: `decode` and `prefill`" });
        }
        let (width, found) = (dims.d_model.max(1), streams.len());
        if streams.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        if !found.is_multiple_of(width) {
            return Err(Error::StreamLength { d_model: width, found });
        }
        let max_seq = self.memory.max_seq.min(dims.max_seq);
        if found / width > max_seq {
            return Err(Error::CacheFull { max_seq });
        }
        self.model.encode(streams, &mut self.memory, observer)
    }

    fn append(&mut self, tokens: &[u16], observer: &mut impl Observer) -> Result<&mut [f32], Error> {
        let dims = self.model.dims();
        let vocab = dims.vocab;
        if !dims.has_tokens() || !dims.is_causal() {
            return Err(Error::WrongInput { expected: "streams: `encode`" });
        }
        if tokens.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        // All that can be refused is refused before anything is stored.
        if tokens.len() > self.remaining() {
            return Err(Error::CacheFull { max_seq: self.position + self.remaining() });
        }
        if let Some(&token) = tokens.iter().find(|&&token| usize::from(token) >= vocab) {
            return Err(Error::TokenOutOfVocabulary { token: token.into(), vocab: vocab as u32 });
        }
        let batches = tokens.chunks(self.memory.batch.max(1));
        let last = batches.len().saturating_sub(1);
        let start = self.position;
        for (index, batch) in batches.enumerate() {
            match self.model.forward(batch, self.position, &mut self.memory, index == last, observer) {
                Ok(()) => self.position += batch.len(),
                Err(error) => {
                    // Layers before the faulty one have stored keys and values already, and may have changed their exponents.
                    let forget = matches!(error, Error::NotFinite { .. } | Error::ScoresTooLarge { .. });
                    self.position = if forget { 0 } else { start };
                    return Err(error);
                }
            }
        }
        let (_, logits) = self.memory.parts(self.model.dims())?;
        let found = logits.len();
        logits.get_mut(..vocab).ok_or(Error::StateTooSmall { expected: vocab, found })
    }

    /// Number of tokens so far, which is the position of the next one.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Tokens that still fit the context.
    pub fn remaining(&self) -> usize {
        self.memory.max_seq.min(self.model.dims().max_seq).saturating_sub(self.position)
    }

    /// Forgets the sequence.
    pub const fn reset(&mut self) {
        self.position = 0;
    }
}
