//! The whole network: embedding, blocks, head.
//!
//! ```text
//! causal:        batch of tokens ─► embed ─► block 0 ─► … ─► block n-1 ─► head     one KV cache for each layer
//! bidirectional: whole sequence  ─► embed ─► block 0, all tokens ─► … ─► pool ─► head     one KV cache, layer by layer
//! ```

use crate::arch::PACKING;
#[cfg(feature = "audio")]
use crate::audio::FrontEnd;
use crate::block::{self, Attention, Block, Mlp, Norm, Step};
use crate::dims::Dims;
use crate::embed::Embedding;
use crate::error::Error;
use crate::head::{self, Head};
use crate::image::{Check, Image};
use crate::inputs::{Inputs, Visible};
use crate::kernels::quantize::max_abs;
use crate::observe::{Observer, Point, Vector};
use crate::options::{Pooler, Pooling};
use crate::state::Memory;
use crate::state::kv_cache::HeadLayout;
use crate::state::regions::{Regions, Scratch};
use crate::state::take::take;
use crate::tensors::Tensor;
use crate::text::Tokenizer;

/// A model in a checked image. Nothing is copied: the weights stay in flash.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    image: Image<'a>,
}

impl<'a> Model<'a> {
    /// Checks an image and makes a model of it; a `const fn`, so that firmware is checked at compile time.
    ///
    /// # Errors
    /// Those of [`Image::parse`]; [`Error::Packing`] when its weights are packed for other cores.
    pub const fn parse(words: &'a [u32]) -> Result<Model<'a>, Error> {
        Model::of(Image::parse(words))
    }

    /// [`parse`](Model::parse) for [`model!`](crate::model): faster for the compiler, slower and larger on a chip.
    #[doc(hidden)]
    pub const fn parse_at_compile_time(words: &'a [u32]) -> Result<Model<'a>, Error> {
        Model::of(Image::parse_at_compile_time(words))
    }

    const fn of(image: Result<Image<'a>, Error>) -> Result<Model<'a>, Error> {
        let image = match image {
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

    /// The image, for tools that read its sections.
    pub const fn image(&self) -> &Image<'a> {
        &self.image
    }

    /// A check of the image's bytes while the model is in use, a piece at a time.
    pub const fn check(&self) -> Check<'a> {
        Check::new(self.image.words())
    }

    /// The tokenizer, if the image holds one.
    pub const fn tokenizer(&self) -> Option<Tokenizer<'a>> {
        Tokenizer::from_image(&self.image)
    }

    /// Frames of the front end, or samples of sensors, that make a whole input of a model that sees all of it at once; `None` for a
    /// stream, which has no end.
    pub const fn clip_frames(&self) -> Option<usize> {
        let dims = &self.image.dims;
        if dims.is_causal() || dims.n_features == 0 {
            return None;
        }
        let frames = dims.max_seq.saturating_sub(dims.n_class);
        let samples = match dims.n_features.checked_div(self.image.n_columns) {
            Some(samples) => samples,
            None => 1,
        };
        Some(frames.saturating_sub(1) * self.image.frame_hop + samples)
    }

    /// The audio front end, if the image holds one.
    #[cfg(feature = "audio")]
    pub const fn front_end(&self) -> Option<FrontEnd<'a>> {
        let Some(words) = self.image.front_end_words() else { return None };
        // Parsing has checked it.
        match FrontEnd::parse(words) {
            Ok(front_end) => Some(front_end),
            Err(_) => None,
        }
    }

    /// The name of an output, if the image holds names.
    pub fn label(&self, output: usize) -> Option<&'a str> {
        self.lines(Tensor::Labels)?.nth(output)
    }

    /// Number of columns of a sensor's recordings: a frame is `n_features / n_columns` samples of them, one after the other.
    pub const fn n_columns(&self) -> usize {
        self.image.n_columns
    }

    /// Samples from the beginning of one frame to that of the next.
    pub const fn frame_hop(&self) -> usize {
        self.image.frame_hop
    }

    /// The names of the columns, if the image holds them.
    pub fn columns(&self) -> Option<impl Iterator<Item = &'a str>> {
        self.lines(Tensor::Columns)
    }

    /// Keys and values that the image says of itself.
    pub fn info(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.lines(Tensor::Info).into_iter().flatten().filter_map(|line| line.split_once(": "))
    }

    /// The lines of a text in the image; none where it is absent or no text.
    fn lines(&self, tensor: Tensor) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
        let text = self.image.has(tensor).then(|| self.image.byte_table(tensor))?;
        let mut rest = Some(core::str::from_utf8(text).ok()?);
        // `str::split` has a panic in its code.
        Some(core::iter::from_fn(move || {
            let text = rest?;
            let end = text.bytes().position(|byte| byte == b'\n').unwrap_or(text.len());
            rest = text.get(end + 1..);
            text.get(..end)
        }))
    }

    fn embedding(&'a self) -> Embedding<'a> {
        let image = &self.image;
        Embedding {
            feature_scaling: image.table(Tensor::FeatureScaling),
            linear: image.linear(Tensor::Embedding, Tensor::EmbeddingBias, 0),
            activation: image.dims.options.embedding_activation,
            class_tokens: image.optional_vector(Tensor::ClassToken, 0),
            positions: image.has(Tensor::PositionTable).then(|| image.matrix(Tensor::PositionTable, 0)),
            norm: self.optional_norm(Tensor::EmbeddingNorm, Tensor::EmbeddingNormBias),
        }
    }

    /// A norm outside of the blocks, if the image holds it.
    fn optional_norm(&'a self, gain: Tensor, bias: Tensor) -> Option<Norm<'a>> {
        self.image.has(gain).then(|| Norm::of(&self.image, gain, bias, 0))
    }

    fn block(&'a self, layer: usize) -> Block<'a> {
        let (image, dims) = (&self.image, &self.image.dims);
        // Without the feature no image with these tensors was parsed, and firmware does without the code.
        let head_norm = |tensor| if cfg!(feature = "qk-norm") { image.optional_vector(tensor, layer) } else { None };
        Block {
            dims,
            attention_norm: Norm::of(image, Tensor::AttentionNorm, Tensor::AttentionNormBias, layer),
            attention: Attention {
                dims,
                query: image.linear(Tensor::Query, Tensor::QueryBias, layer),
                query_norm: head_norm(Tensor::QueryNorm),
                key: image.linear(Tensor::Key, Tensor::KeyBias, layer),
                key_norm: head_norm(Tensor::KeyNorm),
                value: image.linear(Tensor::Value, Tensor::ValueBias, layer),
                output: image.linear(Tensor::AttentionOutput, Tensor::AttentionOutputBias, layer),
            },
            mlp_norm: Norm::of(image, Tensor::MlpNorm, Tensor::MlpNormBias, layer),
            mlp: Mlp {
                activation: dims.options.activation,
                gate: image.has(Tensor::Gate).then(|| image.linear(Tensor::Gate, Tensor::GateBias, layer)),
                up: image.linear(Tensor::Up, Tensor::UpBias, layer),
                down: image.linear(Tensor::Down, Tensor::DownBias, layer),
            },
        }
    }

    fn final_norm(&'a self) -> Option<Norm<'a>> {
        self.optional_norm(Tensor::FinalNorm, Tensor::FinalNormBias)
    }

    fn head(&'a self) -> Head<'a> {
        let (image, dims) = (&self.image, &self.image.dims);
        Head {
            norm: self.final_norm(),
            pooler: (dims.options.pooler != Pooler::None).then(|| image.linear(Tensor::Pooler, Tensor::PoolerBias, 0)),
            image,
            matrix: dims.options.head.then(|| image.head()),
        }
    }

    /// Sends a batch of tokens or frames, neighbours in the sequence, through the network:
    /// `x = embedding; x = block(x) …; logits = head(x)`.
    ///
    /// The head, the widest matrix of a small model, is computed for the last token only, and not at all where the logits of a
    /// batch are not wanted.
    ///
    /// # Shapes
    /// The result: `[n_outputs]`, padded.
    #[inline(never)]
    pub(crate) fn forward<'l>(
        &self,
        inputs: &Inputs<'_>,
        tokens: usize,
        position: usize,
        memory: &'l mut Memory<'_>,
        wants_logits: bool,
        observer: &mut impl Observer,
    ) -> Result<&'l mut [f32], Error> {
        let dims = &self.image.dims;
        let (max_seq, width) = (dims.cached(memory.max_seq), dims.d_model.max(1));
        let Regions { stream, rotations, mut scratch, kv_cache, logits, .. } = memory.regions(dims)?;
        let x = stream.get_mut(..tokens * width).unwrap_or(&mut []);
        let embedding = self.embedding();
        embedding.write(x, width, inputs, &mut scratch)?;
        embedding.add_position(x, width, position.., &mut scratch, observer)?;
        self.rotations(rotations, (position..).take(tokens));
        let layout = HeadLayout::of(dims.head_dim, max_seq, dims.cached(dims.max_seq));
        let step = Step { layer: 0, position, length: 0, max_seq, layout, rotations, head_dim: dims.head_dim };
        let caches = kv_cache.chunks_exact_mut(dims.layer_cache_words(max_seq).max(1));
        for (layer, cache) in caches.take(dims.n_layers).enumerate() {
            self.block(layer).forward(x, cache, &Step { layer, ..step }, &mut scratch, observer)?;
        }
        if wants_logits && let Some(x) = x.chunks_exact_mut(width).next_back() {
            self.head().forward(x, &mut scratch, logits, observer)?;
        }
        Ok(logits)
    }

    /// Writes the rotations of a batch's positions, if the model has rotary positions.
    fn rotations(&self, rotations: &mut [i16], positions: impl Iterator<Item = usize>) {
        let dims = &self.image.dims;
        if !dims.is_rotary() {
            return;
        }
        let fine = self.image.vector(Tensor::RotaryFine, 0);
        let coarse = self.image.vector(Tensor::RotaryCoarse, 0);
        for (rotation, position) in rotations.chunks_exact_mut(dims.head_dim.max(1)).zip(positions) {
            block::rotation(rotation, &fine, &coarse, self.image.rotary_fine, position);
        }
    }

    /// Sends a sequence whose tokens all see each other through the network, hidden tokens left out, and leaves the outputs in
    /// the memory. Without a pooling every token has outputs, and `each` is called with them one after the other.
    #[inline(never)]
    pub(crate) fn infer(
        &self,
        inputs: &Inputs<'_>,
        visible: &Visible<'_>,
        memory: &mut Memory<'_>,
        each: &mut dyn FnMut(usize, &[f32]),
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let dims = &self.image.dims;
        let (max_seq, batch, width) = (memory.max_seq, memory.batch, dims.d_model.max(1));
        let mut regions = memory.regions(dims)?;
        let (stream, logits) = (core::mem::take(&mut regions.stream), core::mem::take(&mut regions.logits));
        let embedding = self.embedding();
        let mut rest = &mut *stream;
        let (class_width, class_last) = (dims.n_class * width, visible.class_last());
        if !class_last {
            embedding.write_class_tokens(take(&mut rest, class_width)?);
        }
        for (start, count) in visible.runs(batch) {
            let x = take(&mut rest, count * width)?;
            embedding.write(x, width, &inputs.part(start, count, dims), &mut regions.scratch)?;
        }
        if class_last {
            embedding.write_class_tokens(take(&mut rest, class_width)?);
        }
        let unused = rest.len();
        let x = stream.get_mut(..stream.len().saturating_sub(unused)).unwrap_or(&mut []);
        embedding.add_position(x, width, visible.positions(), &mut regions.scratch, observer)?;
        self.encode(x, visible, (max_seq, batch), &mut regions, observer)?;

        let mut head = self.head();
        let pooled = match dims.options.pooling {
            Pooling::Last => x.chunks_exact_mut(width).next_back(),
            Pooling::Class if class_last => part(x, Pooling::Classes, class_width, true).chunks_exact_mut(width).next(),
            Pooling::Class => x.chunks_exact_mut(width).next(),
            Pooling::None => {
                for (x, index) in x.chunks_exact_mut(width).zip(visible.indices()) {
                    head.forward(x, &mut regions.scratch, logits, observer)?;
                    each(index, logits.get(..dims.n_outputs).unwrap_or(&[]));
                }
                return Ok(());
            }
            pooling => {
                let x = part(x, pooling, class_width, class_last);
                self.norm_all(x, &mut regions.scratch, observer)?;
                head.norm = None;
                if !cfg!(feature = "ends") || pooling != Pooling::Classes {
                    head::mean(x, width);
                }
                let pooled = x.get_mut(..if cfg!(feature = "ends") { dims.pooled_width() } else { width });
                pooled.inspect(|x| observer.vector(Point::Pooled, 0, &Vector::Floats(x)))
            }
        };
        head.forward(pooled.unwrap_or(&mut []), &mut regions.scratch, logits, observer)
    }

    /// Sends a sequence whose tokens all see each other through the blocks, in place.
    ///
    /// In each block every token first stores its key and value, then each attends to all of them.
    ///
    /// # Shapes
    /// `x: [seq, d_model]`.
    fn encode(
        &self,
        x: &mut [f32],
        visible: &Visible<'_>,
        (max_seq, batch): (usize, usize),
        regions: &mut Regions<'_>,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let dims = &self.image.dims;
        let width = dims.d_model.max(1);
        let Regions { rotations, scratch, kv_cache, .. } = regions;
        let length = x.len() / width;
        let layout = HeadLayout::of(dims.head_dim, max_seq, dims.max_seq);
        for layer in 0..dims.n_layers {
            let block = self.block(layer);
            for storing in [true, false] {
                let mut positions = visible.positions();
                for (index, x) in x.chunks_mut((batch * width).max(1)).enumerate() {
                    let tokens = x.len() / width;
                    self.rotations(rotations, positions.by_ref().take(tokens));
                    let position = index * batch;
                    let step = Step { layer, position, length, max_seq, layout, rotations, head_dim: dims.head_dim };
                    if storing {
                        block.store(x, kv_cache, &step, scratch, observer)?;
                    } else {
                        block.forward(x, kv_cache, &step, scratch, observer)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends streams through the blocks and the final norm, in place.
    ///
    /// # Shapes
    /// `x: [seq, d_model]`.
    #[inline(never)]
    pub(crate) fn streams(
        &self,
        x: &mut [f32],
        memory: &mut Memory<'_>,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let dims = &self.image.dims;
        let shape = (memory.max_seq, memory.batch);
        let mut regions = memory.regions(dims)?;
        let visible = Visible::new(None, x.len() / dims.d_model.max(1), dims)?;
        self.encode(x, &visible, shape, &mut regions, observer)?;
        self.norm_all(x, &mut regions.scratch, observer)?;
        // Without a norm nothing has looked at the last sum.
        max_abs(x).map(|_| ()).ok_or(Error::NotFinite { layer: dims.n_layers })
    }

    /// The final norm of every stream, if there is one.
    fn norm_all(&self, x: &mut [f32], scratch: &mut Scratch<'_>, observer: &mut impl Observer) -> Result<(), Error> {
        let dims = &self.image.dims;
        if let Some(norm) = self.final_norm() {
            for x in x.chunks_exact_mut(dims.d_model.max(1)) {
                norm.in_place(x, scratch).ok_or(Error::NotFinite { layer: dims.n_layers })?;
                observer.vector(Point::FinalNorm, 0, &Vector::Floats(x));
            }
        }
        Ok(())
    }
}

/// The streams that a pooling reads, of a sequence whose class tokens' streams, `class_width` numbers, stand first or last.
///
/// # Shapes
/// `x: [seq, d_model]`.
fn part(x: &mut [f32], pooling: Pooling, class_width: usize, class_last: bool) -> &mut [f32] {
    if !cfg!(feature = "ends") || pooling == Pooling::Mean {
        return x;
    }
    let middle = if class_last { x.len().saturating_sub(class_width) } else { class_width };
    let Some((first, last)) = x.split_at_mut_checked(middle) else { return &mut [] };
    if (pooling == Pooling::MeanOfInputs) == class_last { first } else { last }
}
