//! The tensors of an image and their places in the section table: one order for all models; absent tensors are left out.
//!
//! ```text
//! header: a bit for each tensor ──► Contents ──► index of a tensor's section, and the tensor of an index
//! ```

use crate::options::Options;
use crate::tensors::{Presence, Tensor};

/// A tensor's bit in the header.
pub(crate) const fn bit(tensor: Tensor) -> u64 {
    1 << (tensor as u32)
}

const fn bits(tensors: &[Tensor]) -> u64 {
    let (mut set, mut i) = (0, 0);
    while i < tensors.len() {
        set |= bit(tensors[i]);
        i += 1;
    }
    set
}

/// Bits of a tokenizer's tables.
pub(crate) const TOKENIZER: u64 =
    bits(&[Tensor::PieceOffsets, Tensor::PieceBytes, Tensor::ByteTokens, Tensor::Characters, Tensor::Merges]);
const BEFORE: u64 = bits(Tensor::PARTS[0]);
const LAYER: u64 = bits(Tensor::PARTS[1]);

/// Place of an absent tensor.
const ABSENT: u8 = u8::MAX;

/// Index of a section beyond every image; the indices of its words do not overflow.
pub(super) const NOWHERE: usize = usize::MAX / 64;

/// The tensors of an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contents {
    present: u64,
    /// Place of each tensor, by its number, within its part of the order.
    places: [u8; Tensor::COUNT],
    /// Number of tensors before the layers, of a layer, after the layers.
    counts: [usize; 3],
}

impl Contents {
    pub(crate) const fn new(present: u64) -> Contents {
        let mut contents = Contents { present, places: [ABSENT; Tensor::COUNT], counts: [0; 3] };
        let mut part = 0;
        while part < Tensor::PARTS.len() {
            let mut i = 0;
            while i < Tensor::PARTS[part].len() {
                let tensor = Tensor::PARTS[part][i];
                if present & bit(tensor) != 0 {
                    contents.places[tensor as usize] = contents.counts[part] as u8;
                    contents.counts[part] += 1;
                }
                i += 1;
            }
            part += 1;
        }
        contents
    }

    /// The tensors of the image, a bit for each.
    pub(super) const fn present(&self) -> u64 {
        self.present
    }

    pub(crate) const fn has(&self, tensor: Tensor) -> bool {
        self.present & bit(tensor) != 0
    }

    /// Number of sections.
    pub(crate) const fn sections(&self, n_layers: usize) -> usize {
        self.counts[0] + self.counts[1] * n_layers + self.counts[2]
    }

    /// Index of a tensor's section; beyond all sections when it is absent.
    #[inline]
    pub(crate) const fn index_of(&self, tensor: Tensor, layer: usize, n_layers: usize) -> usize {
        let number = tensor as usize;
        let place = if number < self.places.len() { self.places[number] } else { ABSENT };
        if place == ABSENT {
            return NOWHERE;
        }
        let set = bit(tensor);
        let part = if set & LAYER != 0 {
            self.counts[0] + layer * self.counts[1]
        } else if set & BEFORE != 0 {
            0
        } else {
            self.counts[0] + n_layers * self.counts[1]
        };
        part + place as usize
    }

    /// The tensor and the layer of a section.
    pub(crate) const fn at(&self, index: usize, n_layers: usize) -> (Tensor, usize) {
        let [before, per_layer, _] = self.counts;
        let after = before + per_layer * n_layers;
        let (part, place, layer) = if index < before {
            (0, index, 0)
        } else if index < after && per_layer > 0 {
            (1, (index - before) % per_layer, (index - before) / per_layer)
        } else {
            (2, index.saturating_sub(after), 0)
        };
        let mut i = 0;
        while i < Tensor::PARTS[part].len() {
            let tensor = Tensor::PARTS[part][i];
            let number = tensor as usize;
            if number < self.places.len() && self.places[number] as usize == place && self.has(tensor) {
                return (tensor, layer);
            }
            i += 1;
        }
        (Tensor::Embedding, 0)
    }

    /// First absent tensor that these options need.
    pub(crate) const fn missing(&self, options: &Options) -> Option<Tensor> {
        let mut i = 0;
        while i < Tensor::ALL.len() {
            let tensor = Tensor::ALL[i];
            if !self.has(tensor) && matches!(tensor.presence(options), Presence::Always) {
                return Some(tensor);
            }
            i += 1;
        }
        None
    }

    /// True if the image holds a tensor that has no meaning with these options.
    pub(crate) const fn superfluous(&self, options: &Options) -> bool {
        let mut i = 0;
        while i < Tensor::ALL.len() {
            let tensor = Tensor::ALL[i];
            if self.has(tensor) && matches!(tensor.presence(options), Presence::Never) {
                return true;
            }
            i += 1;
        }
        false
    }
}
