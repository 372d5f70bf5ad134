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
        let rotations = rotations.get_mut(..tokens.len() * dims.head_dim).unwrap_or(&mut []);
        let fine = self.image.vector(Tensor::RotaryFine, 0);
        let coarse = self.image.vector(Tensor::RotaryCoarse, 0);
        let embedding = self.image.matrix(Tensor::Embedding, 0);
        let places = x.chunks_exact_mut(dims.d_model.max(1)).zip(rotations.chunks_exact_mut(dims.head_dim.max(1)));
        for (index, (&token, (x, rotation))) in tokens.iter().zip(places).enumerate() {
            block::rotation(rotation, &fine, &coarse, self.image.rotary_fine, position + index);
            embed(x, &embedding, token)?;
            observer.vector(Point::Embedding, 0, &Vector::Floats(x));
        }
        let caches = cache.chunks_exact_mut(dims.layer_cache_words(max_seq).max(1));
        for (layer, cache) in caches.take(dims.n_layers).enumerate() {
            let place = Place { layer, position, max_seq, rotations };
            self.block(layer).forward(x, cache, &place, &mut scratch, observer)?;
        }
        if wants_logits && let Some(x) = x.chunks_exact(dims.d_model.max(1)).next_back() {
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

    fn append(&mut self, tokens: &[u16], observer: &mut impl Observer) -> Result<&mut [f32], Error> {
        let vocab = self.model.dims().vocab;
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
