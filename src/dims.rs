//! The dimensions of a model: plain numbers, their ranges, and what follows from them alone.
//!
//! ```text
//! header words ──► Dims ──► check: each in its range, and fitting the others
//!                       └─► state/regions: sizes of the state's buffers
//! ```

use crate::error::Error;
use crate::options::{ClassPlace, DenseActivation, Input, Mask, Options, Pooler, Pooling, Positions};

/// The dimensions of a model, as its image declares them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Dims {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of transformer blocks.
    pub n_layers: usize,
    /// Number of query heads.
    pub n_heads: usize,
    /// Number of key/value heads; `n_heads` is a multiple of it (Ainslie et al. 2023, grouped-query attention).
    pub n_kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Width of the MLP's hidden layer: of the widest, where layers differ.
    pub d_ff: usize,
    /// Number of tokens; 0 where something else goes in.
    pub vocab: usize,
    /// Numbers of a frame; 0 where something else goes in.
    pub n_features: usize,
    /// Width of what comes out: `vocab` of a language model, classes or regressed numbers of an encoder; 0 where the stream
    /// itself comes out.
    pub n_outputs: usize,
    /// Class tokens, learned vectors that are part of the sequence: 0, 1 or 2.
    pub n_class: usize,
    /// Widths of the head's hidden layers, the first ones; 0 behind the last one.
    pub head_widths: [usize; MAX_HIDDEN],
    /// Longest context that the model was trained for, in tokens or frames; class tokens count as well.
    pub max_seq: usize,
    /// Most tokens that a token sees, itself included, under a causal mask (Beltagy et al. 2020, section 3.1); 0: all before it.
    pub sliding_window: usize,
    /// Added to the mean square (LayerNorm: to the variance) in every norm.
    pub norm_eps: f32,
    /// Factor of the attention scores, `1 / sqrt(head_dim)` for most models.
    pub attention_scale: f32,
    /// The computation: norms, activation, mask, positions, inputs and outputs.
    pub options: Options,
}

/// Largest width of any vector: keeps every accumulator from overflowing, and every size within 32 bits.
pub const MAX_WIDTH: usize = 65_536;

/// Largest context: beyond it the softmax would have fewer than 9 bits for a probability.
pub const MAX_CONTEXT: usize = 32_768;

/// Largest width of a head: bounds a query's sum of magnitudes.
pub const MAX_HEAD_DIM: usize = 512;

/// Most hidden layers of a head.
pub const MAX_HIDDEN: usize = 4;

/// Most class tokens.
pub const MAX_CLASS: usize = 2;

impl Dims {
    /// The dimensions of a decoder of the Llama family with the usual attention scale.
    ///
    /// # Errors
    /// [`Error::Dimension`] names the first value that is zero, too large or does not fit the others.
    #[allow(clippy::too_many_arguments)] // one per dimension, in the order of the struct
    pub fn new(
        d_model: usize,
        n_layers: usize,
        n_heads: usize,
        n_kv_heads: usize,
        head_dim: usize,
        d_ff: usize,
        vocab: usize,
        max_seq: usize,
        norm_eps: f32,
    ) -> Result<Dims, Error> {
        let attention_scale = 1.0 / libm::sqrtf(head_dim as f32);
        let options = Options::LLAMA;
        let dims = Dims {
            d_model,
            n_layers,
            n_heads,
            n_kv_heads,
            head_dim,
            d_ff,
            vocab,
            n_features: 0,
            n_outputs: vocab,
            n_class: 0,
            head_widths: [0; MAX_HIDDEN],
            max_seq,
            sliding_window: 0,
            norm_eps,
            attention_scale,
            options,
        };
        match dims.check() {
            Ok(()) => Ok(dims),
            Err(error) => Err(error),
        }
    }

    /// The dimensions of one block by itself, streams in and out, with heads of `d_model / n_heads` and the usual attention scale.
    ///
    /// Its fields set the rest; a value that does not fit is found when its image is parsed.
    pub const fn block(d_model: usize, n_heads: usize, d_ff: usize, max_seq: usize, options: Options) -> Dims {
        let head_dim = match d_model.checked_div(n_heads) {
            Some(head_dim) => head_dim,
            None => 0,
        };
        Dims {
            d_model,
            n_layers: 1,
            n_heads,
            n_kv_heads: n_heads,
            head_dim,
            d_ff,
            vocab: 0,
            n_features: 0,
            n_outputs: 0,
            n_class: 0,
            head_widths: [0; MAX_HIDDEN],
            max_seq,
            sliding_window: 0,
            norm_eps: 1e-5,
            attention_scale: inverse_root(head_dim),
            options,
        }
    }

    /// Checks that every dimension can be computed with.
    ///
    /// # Errors
    /// [`Error::Dimension`] names the first value that is zero, too large or does not fit the others, [`Error::Unsupported`] an
    /// option that goes with none of the others.
    pub const fn check(&self) -> Result<(), Error> {
        const fn in_range(name: &'static str, value: usize, max: usize) -> Result<(), Error> {
            if value == 0 || value > max {
                return Err(Error::Dimension { name, found: value as u32 });
            }
            Ok(())
        }
        let table = [
            ("d_model", self.d_model, MAX_WIDTH),
            ("n_layers", self.n_layers, 1024),
            ("n_heads", self.n_heads, 1024),
            ("n_kv_heads", self.n_kv_heads, 1024),
            ("head_dim", self.head_dim, MAX_HEAD_DIM),
            ("d_ff", self.d_ff, MAX_WIDTH),
            ("vocab", if self.has_tokens() { self.vocab } else { 1 }, MAX_WIDTH - 1),
            ("n_features", if self.has_frames() { self.n_features } else { 1 }, MAX_WIDTH),
            ("n_outputs", if self.is_stream() { 1 } else { self.n_outputs }, MAX_WIDTH - 1),
            ("max_seq", self.max_seq, MAX_CONTEXT),
        ];
        let mut i = 0;
        while i < table.len() {
            if let Err(error) = in_range(table[i].0, table[i].1, table[i].2) {
                return Err(error);
            }
            i += 1;
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return Err(Error::Dimension { name: "n_kv_heads", found: self.n_kv_heads as u32 });
        }
        if let Err(error) = self.check_ends() {
            return Err(error);
        }
        if self.is_rotary() && !self.head_dim.is_multiple_of(2) {
            return Err(Error::Dimension { name: "head_dim", found: self.head_dim as u32 });
        }
        if self.attention_width() > MAX_WIDTH {
            return Err(Error::Dimension { name: "n_heads * head_dim", found: self.attention_width() as u32 });
        }
        // Below this, squares that are subnormal would count in the sum, and cores differ in them.
        if !(self.norm_eps.is_finite() && self.norm_eps >= 1e-30) {
            return Err(Error::Dimension { name: "norm_eps", found: self.norm_eps.to_bits() });
        }
        if !(self.attention_scale.is_finite() && self.attention_scale > 0.0) {
            return Err(Error::Dimension { name: "attention_scale", found: self.attention_scale.to_bits() });
        }
        Ok(())
    }

    /// Checks inputs and outputs.
    const fn check_ends(&self) -> Result<(), Error> {
        let options = &self.options;
        if !self.has_tokens() && self.vocab != 0 {
            return Err(Error::Dimension { name: "vocab", found: self.vocab as u32 });
        }
        if !self.has_frames() && self.n_features != 0 {
            return Err(Error::Dimension { name: "n_features", found: self.n_features as u32 });
        }
        // Streams come as a whole.
        if self.is_stream() && self.is_causal() {
            return Err(Error::Unsupported { field: "mask of this input", found: options.mask as u32 });
        }
        // A class token and a mean need the whole sequence.
        let whole = !self.is_stream() && !self.is_causal();
        let pooling_fits = match options.pooling {
            Pooling::None => self.n_class == 0,
            Pooling::Last => !self.is_stream() && self.n_class == 0,
            Pooling::Class | Pooling::Mean => whole,
            Pooling::MeanOfInputs | Pooling::MeanOfClass | Pooling::Classes => whole && self.n_class > 0,
        };
        if matches!(options.pooling, Pooling::None) && !matches!(options.pooler, Pooler::None) {
            return Err(Error::Unsupported { field: "pooler without pooling", found: options.pooler as u32 });
        }
        if !pooling_fits {
            return Err(Error::Unsupported { field: "pooling of this mask and input", found: options.pooling as u32 });
        }
        if self.n_class > MAX_CLASS || (self.n_class == 0 && !matches!(options.class_place, ClassPlace::First)) {
            return Err(Error::Dimension { name: "n_class", found: self.n_class as u32 });
        }
        if !self.has_frames() && !matches!(options.embedding_activation, DenseActivation::None) {
            let found = options.embedding_activation as u32;
            return Err(Error::Unsupported { field: "activation of an embedding of tokens", found });
        }
        if let Err(error) = self.check_hidden() {
            return Err(error);
        }
        if self.pooled_width() > MAX_WIDTH {
            return Err(Error::Dimension { name: "n_class * d_model", found: self.pooled_width() as u32 });
        }
        let outputs_fit = match (self.is_stream(), options.head) {
            (true, head) => self.n_outputs == 0 && !head,
            (false, true) => true,
            (false, false) => self.n_outputs == self.pooled_width(),
        };
        if !outputs_fit {
            return Err(Error::Dimension { name: "n_outputs", found: self.n_outputs as u32 });
        }
        if self.sliding_window > self.max_seq || (self.sliding_window > 0 && !self.is_causal()) {
            return Err(Error::Dimension { name: "sliding_window", found: self.sliding_window as u32 });
        }
        Ok(())
    }

    /// Checks the hidden layers of the head: their widths stand one after the other, and a matrix follows them.
    const fn check_hidden(&self) -> Result<(), Error> {
        let mut layer = 0;
        while layer < MAX_HIDDEN {
            let width = self.head_widths[layer];
            if width > MAX_WIDTH || (width > 0) != (layer < self.n_hidden()) {
                return Err(Error::Dimension { name: "width of a head's hidden layer", found: width as u32 });
            }
            layer += 1;
        }
        let has_activation = !matches!(self.options.head_activation, DenseActivation::None);
        let (hidden, options) = (self.n_hidden() > 0, &self.options);
        if hidden != options.mlp_head || (hidden && !options.head) || (has_activation && !hidden) {
            return Err(Error::Dimension { name: "hidden layers of the head", found: self.n_hidden() as u32 });
        }
        Ok(())
    }

    /// Number of hidden layers of the head.
    pub const fn n_hidden(&self) -> usize {
        let mut count = 0;
        while count < MAX_HIDDEN && self.head_widths[count] > 0 {
            count += 1;
        }
        count
    }

    /// Width of what the pooling gives.
    pub const fn pooled_width(&self) -> usize {
        if matches!(self.options.pooling, Pooling::Classes) {
            self.n_class.saturating_mul(self.d_model)
        } else {
            self.d_model
        }
    }

    /// Width of what goes into a hidden layer of the head, or into the matrix behind the last one.
    pub const fn hidden_input(&self, layer: usize) -> usize {
        match layer.checked_sub(1) {
            Some(before) if before < MAX_HIDDEN => self.head_widths[before],
            _ => self.pooled_width(),
        }
    }

    /// True if tokens go in.
    pub(crate) const fn has_tokens(&self) -> bool {
        matches!(self.options.input, Input::Tokens)
    }

    /// True if frames go in.
    pub(crate) const fn has_frames(&self) -> bool {
        matches!(self.options.input, Input::Frames)
    }

    /// True if the stream itself goes in and comes out.
    pub(crate) const fn is_stream(&self) -> bool {
        matches!(self.options.input, Input::Stream)
    }

    /// True if each token of a sequence that comes as a whole has outputs.
    pub(crate) const fn has_many_outputs(&self) -> bool {
        matches!(self.options.pooling, Pooling::None) && !self.is_causal()
    }

    /// The input of the model, and the functions for it.
    pub(crate) const fn expected_input(&self) -> &'static str {
        match (self.options.input, self.is_causal()) {
            (Input::Tokens, true) => "tokens: `decode`, `prefill` or `infer`",
            (Input::Tokens, false) if self.has_many_outputs() => "tokens as a whole, an output for each: `infer_each`",
            (Input::Tokens, false) => "tokens as a whole: `infer`",
            (Input::Frames, true) => "frames: `push` or `infer`",
            (Input::Frames, false) if self.has_many_outputs() => "frames as a whole, an output for each: `infer_each`",
            (Input::Frames, false) => "frames as a whole: `infer`",
            (Input::Stream, _) => "streams: `encode`",
        }
    }

    /// True if queries and keys are rotated.
    pub(crate) const fn is_rotary(&self) -> bool {
        matches!(self.options.positions, Positions::Rotary)
    }

    /// True if a token sees the tokens before it and no others.
    pub const fn is_causal(&self) -> bool {
        matches!(self.options.mask, Mask::Causal)
    }

    /// Tokens that the cache holds in a state with room for `max_seq`: no more than a token sees.
    pub const fn cached(&self, max_seq: usize) -> usize {
        if self.sliding_window > 0 && self.sliding_window < max_seq { self.sliding_window } else { max_seq }
    }

    /// Longest sequence in a state with room for `max_seq` tokens.
    ///
    /// A sliding window that fits the state goes on for as long as positions do: without end where there are none.
    pub(crate) const fn longest(&self, max_seq: usize) -> usize {
        let slides = self.sliding_window > 0 && self.sliding_window <= max_seq;
        match self.options.positions {
            Positions::None if slides => usize::MAX,
            _ if slides || self.max_seq < max_seq => self.max_seq,
            _ => max_seq,
        }
    }

    /// Width of the concatenated heads, `n_heads * head_dim`.
    pub const fn attention_width(&self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Width of the concatenated key (or value) heads, `n_kv_heads * head_dim`.
    pub const fn kv_width(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// Parameters that are multiplied with an activation for every token, in multiply-accumulates;
    /// a language model's head and a frame's embedding included, attention scores not. Where layers' widths differ, as if all were
    /// the widest.
    pub const fn weight_macs(&self) -> usize {
        let attention = 2 * self.d_model * (self.attention_width() + self.kv_width());
        let mlp = if self.options.gated { 3 } else { 2 } * self.d_model * self.d_ff;
        self.n_layers * (attention + mlp) + (self.vocab + self.n_features) * self.d_model
    }

    /// Multiply-accumulates of attention scores and weighted sums for the token at `position`.
    pub const fn attention_macs(&self, position: usize) -> usize {
        2 * self.n_layers * self.attention_width() * self.cached(position + 1)
    }
}

/// `1 / sqrt(x)`, by Newton's steps, for the compiler; 1 for 0.
const fn inverse_root(x: usize) -> f32 {
    if x == 0 {
        return 1.0;
    }
    // From above, the steps fall until the last bit.
    let (x, mut root) = (x as f64, x as f64);
    loop {
        let next = 0.5 * (root + x / root);
        if next >= root {
            return (1.0 / root) as f32;
        }
        root = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_class_tokens_are_no_wider_together_than_a_vector_may_be() {
        let options = Options { input: Input::Frames, pooling: Pooling::Classes, head: true, ..Options::ENCODER };
        let dims =
            |d_model| Dims { n_class: 2, n_features: 1, n_outputs: 1, ..Dims::block(d_model, 128, 1, 4, options) };
        assert_eq!(dims(MAX_WIDTH / 2).check(), Ok(()));
        let found = MAX_WIDTH as u32 + 256;
        assert_eq!(dims(MAX_WIDTH / 2 + 128).check(), Err(Error::Dimension { name: "n_class * d_model", found }));
    }

    #[test]
    fn the_usual_attention_scale_is_the_nearest_float() {
        for head_dim in 1..=512 {
            assert_eq!(inverse_root(head_dim), (1.0 / libm::sqrt(head_dim as f64)) as f32, "{head_dim}");
        }
    }
}
