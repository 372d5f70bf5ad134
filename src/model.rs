//! The whole network: embedding, blocks, head; and the session that walks a sequence through it.

use crate::block::{Attention, Block, Mlp, Place, RmsNorm, rotation};
use crate::dims::Dims;
use crate::embed::embed;
use crate::error::{Error, Tensor};
use crate::head::Head;
use crate::image::Image;
use crate::observe::{Nobody, Observer, Point};
use crate::state::{Memory, Scratch, take};
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
    /// What is wrong with the image: see [`Image::parse`].
    pub const fn parse(words: &'a [u32]) -> Result<Model<'a>, Error> {
        match Image::parse(words) {
            Ok(image) => Ok(Model { image }),
            Err(error) => Err(error),
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
        let max_seq = memory.scores.len();
        if position >= max_seq || position >= dims.max_seq {
            return Err(Error::CacheFull { max_seq: max_seq.min(dims.max_seq) });
        }
        check_memory(dims, memory)?;
        let mut floats = &mut *memory.activations;
        let x = take(&mut floats, dims.d_model, "activations")?;
        let branch = take(&mut floats, dims.d_model, "activations")?;
        let angles = take(&mut floats, dims.head_dim, "activations")?;
        let fine = self.image.vector(Tensor::RotaryFine, 0);
        let coarse = self.image.vector(Tensor::RotaryCoarse, 0);
        rotation(angles, fine, coarse, self.image.rotary_fine, position);

        embed(x, &self.image.matrix(Tensor::Embedding, 0), token)?;
        observer.vector(Point::Embedding, 0, x);
        let mut scratch =
            Scratch { floats, quantized: memory.quantized, scores: memory.scores, weights: memory.weights };
        let caches = memory.cache.chunks_exact_mut(dims.layer_cache(max_seq).max(1));
        for (layer, cache) in caches.take(dims.n_layers).enumerate() {
            let place = Place { layer, position, rotation: angles };
            self.block(layer).forward(x, branch, cache, &place, &mut scratch, observer)?;
        }
        if wants_logits {
            self.head().forward(x, branch, scratch.quantized, memory.logits, observer)?;
        }
        Ok(())
    }
}

/// Every buffer must be as large as the dimensions say; `logits` exactly, as all of it is handed out.
fn check_memory(dims: &Dims, memory: &Memory<'_>) -> Result<(), Error> {
    let max_seq = memory.scores.len();
    let buffers = [
        ("activations", memory.activations.len(), dims.activations()),
        ("quantized", memory.quantized.len(), dims.quantized()),
        ("weights", memory.weights.len(), max_seq),
        ("cache", memory.cache.len(), dims.cache(max_seq)),
        ("logits", memory.logits.len(), dims.vocab),
    ];
    for (buffer, found, expected) in buffers {
        if found != expected {
            return Err(Error::StateTooSmall { buffer, expected, found });
        }
    }
    Ok(())
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
    /// [`Error::NotFinite`] and [`Error::ScoresTooLarge`] for weights that no result can come from. The session is then
    /// where it was before.
    pub fn decode(&mut self, token: u16) -> Result<&mut [f32], Error> {
        self.decode_observed(token, &mut Nobody)
    }

    /// Like [`decode`](Session::decode), with somebody looking on.
    ///
    /// # Errors
    /// As [`decode`](Session::decode).
    pub fn decode_observed(&mut self, token: u16, observer: &mut impl Observer) -> Result<&mut [f32], Error> {
        self.model.forward(token, self.position, &mut self.memory, true, observer)?;
        self.position += 1;
        Ok(self.memory.logits)
    }

    /// Appends the tokens of a prompt and returns the logits after the last one, `[vocab]`.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`], and as [`decode`](Session::decode); tokens before the faulty one stay appended.
    pub fn prefill(&mut self, tokens: &[u16]) -> Result<&mut [f32], Error> {
        let (&last, prompt) = tokens.split_last().ok_or(Error::EmptyPrompt)?;
        for &token in prompt {
            self.model.forward(token, self.position, &mut self.memory, false, &mut Nobody)?;
            self.position += 1;
        }
        self.decode(last)
    }

    /// Number of tokens so far, which is the position of the next one.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Tokens that still fit the context.
    pub fn remaining(&self) -> usize {
        self.memory.scores.len().min(self.model.dims().max_seq).saturating_sub(self.position)
    }

    /// Forgets the sequence.
    pub const fn reset(&mut self) {
        self.position = 0;
    }
}
