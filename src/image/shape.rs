//! The shape of each tensor in a model of given dimensions.

use super::contents::Layers;
use super::layout;
use crate::dims::Dims;
use crate::tensors::{Encoding, Part, Size, Tensor};

impl Dims {
    /// Rows and columns of a tensor; a vector is one row. 0 where any number is allowed, and for rotary tables. `layer` matters only to
    /// the head's hidden layers.
    pub const fn shape(&self, tensor: Tensor, layer: usize) -> (usize, usize) {
        let (_, rows, cols) = demand(self, 0, tensor, layer);
        (rows, cols)
    }

    /// Number of layers, and of hidden layers of the head.
    pub(super) const fn layers(&self) -> Layers {
        (self.n_layers, self.n_hidden())
    }

    /// Number of times that a tensor stands in a model.
    pub const fn count(&self, tensor: Tensor) -> usize {
        match tensor.part() {
            Part::Layer => self.n_layers,
            Part::HeadLayer => self.n_hidden(),
            _ => 1,
        }
    }
}

/// Encoding, rows and columns (0: any number) that the dimensions require of a tensor.
pub(super) const fn demand(dims: &Dims, rotary_fine: usize, tensor: Tensor, layer: usize) -> (u32, usize, usize) {
    let encoding = match tensor.encoding() {
        Encoding::Matrix => layout::ENCODING_Q8,
        Encoding::Vector => layout::ENCODING_I16,
        Encoding::Table | Encoding::Bytes => layout::ENCODING_RAW,
    };
    let (rows, cols) = tensor.sizes();
    (encoding, number(dims, rotary_fine, rows, layer), number(dims, rotary_fine, cols, layer))
}

/// The number of a size; 0 for any number.
const fn number(dims: &Dims, rotary_fine: usize, size: Size, layer: usize) -> usize {
    match size {
        Size::One => 1,
        Size::Two => 2,
        Size::Byte => 256,
        Size::Any => 0,
        Size::DModel => dims.d_model,
        Size::QueryWidth => dims.attention_width(),
        Size::KvWidth => dims.kv_width(),
        Size::HeadDim => dims.head_dim,
        Size::DFf => dims.d_ff,
        Size::VocabEnds => dims.vocab + 1,
        Size::Outputs => dims.n_outputs,
        Size::ClassTokens => dims.n_class,
        Size::Pooled => dims.pooled_width(),
        Size::HiddenWidth => dims.hidden_input(layer + 1),
        Size::HiddenInput => dims.hidden_input(layer),
        Size::HeadInput => dims.hidden_input(dims.n_hidden()),
        Size::MaxSeq => dims.max_seq,
        Size::Features => dims.n_features,
        Size::EmbeddingRows if dims.has_frames() => dims.d_model,
        Size::EmbeddingRows => dims.vocab,
        Size::EmbeddingColumns if dims.has_frames() => dims.n_features,
        Size::EmbeddingColumns => dims.d_model,
        Size::Fine => rotary_fine,
        // Parsing has refused a table without rows; `if` tells the compiler, which would keep a panic otherwise.
        Size::Coarse if rotary_fine > 0 => dims.max_seq.div_ceil(rotary_fine),
        Size::Coarse => 0,
    }
}
