//! The whole network: embedding, blocks, head; and the session that walks a sequence through it.

use crate::arch::PACKING;
use crate::block::{self, Attention, Block, Mlp, Place, RmsNorm};
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

    fn block(&'a self, layer: usize) -> Block<'a> {
        let image = &self.image;
        let norm = |tensor| RmsNorm { gain: image.vector(tensor, layer), eps: image.dims.norm_eps };
        Block {
            attention_norm: norm(Tensor::AttentionNorm),
            attention: Attention {
                dims: &image.dims,
                query: image.matrix(Tensor::Query, layer),
                key: image.matrix(Tensor::Key, layer),
                value: image.matrix(Tensor::Value, layer),
                output: image.matrix(Tensor::AttentionOutput, layer),
            },
            mlp_norm: norm(Tensor::MlpNorm),
            mlp: Mlp {
                gate: image.matrix(Tensor::Gate, layer),
                up: image.matrix(Tensor::Up, layer),
                down: image.matrix(Tensor::Down, layer),
            },
        }
    }

    fn head(&self) -> Head<'a> {
        let image = &self.image;
        Head {
            norm: RmsNorm { gain: image.vector(Tensor::FinalNorm, 0), eps: image.dims.norm_eps },
            matrix: image.matrix(Tensor::Head, 0),
            n_layers: image.dims.n_layers,
        }
    }

    /// Sends one token through the network: `x = embedding; x = block(x) …; logits = head(x)`.
    ///
    /// The head, the widest matrix of a small model, is left out for prompt tokens whose logits nobody reads.
    #[inline(never)]
    fn forward(
        &self,
        token: u16,
        position: usize,
        memory: &mut Memory<'_>,
        wants_logits: bool,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let dims = &self.image.dims;
        let max_seq = memory.max_seq;
        if position >= max_seq || position >= dims.max_seq {
            return Err(Error::CacheFull { max_seq: max_seq.min(dims.max_seq) });
        }
        let (Parts { stream: x, rotation, mut scratch, cache }, logits) = memory.parts(dims)?;
        let fine = self.image.vector(Tensor::RotaryFine, 0);
        let coarse = self.image.vector(Tensor::RotaryCoarse, 0);
        block::rotation(rotation, &fine, &coarse, self.image.rotary_fine, position);

        embed(x, &self.image.matrix(Tensor::Embedding, 0), token)?;
        observer.vector(Point::Embedding, 0, &Vector::Floats(x));
        let caches = cache.chunks_exact_mut(dims.layer_cache_words(max_seq).max(1));
        for (layer, cache) in caches.take(dims.n_layers).enumerate() {
            let place = Place { layer, position, max_seq, rotation };
            self.block(layer).forward(x, cache, &place, &mut scratch, observer)?;
        }
        if wants_logits {
            self.head().forward(x, &mut scratch, logits, observer)?;
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
        self.append(token, true, observer)?;
        let vocab = self.model.dims().vocab;
        let (_, logits) = self.memory.parts(self.model.dims())?;
        let found = logits.len();
        logits.get_mut(..vocab).ok_or(Error::StateTooSmall { expected: vocab, found })
    }

    fn append(&mut self, token: u16, wants_logits: bool, observer: &mut impl Observer) -> Result<(), Error> {
        let result = self.model.forward(token, self.position, &mut self.memory, wants_logits, observer);
        match result {
            Ok(()) => self.position += 1,
            // Layers before the faulty one have stored keys and values already, and may have changed their exponents.
            Err(Error::NotFinite { .. } | Error::ScoresTooLarge { .. }) => self.position = 0,
            Err(_) => {}
        }
        result
    }

    /// Appends the tokens of a prompt and returns the logits after the last one, `[vocab]`.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], and as [`decode`](Session::decode); tokens before a refused one stay appended.
    pub fn prefill(&mut self, tokens: &[u16]) -> Result<&mut [f32], Error> {
        let (&last, prompt) = tokens.split_last().ok_or(Error::EmptyPrompt)?;
        for &token in prompt {
            self.append(token, false, &mut Nobody)?;
        }
        self.decode(last)
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
