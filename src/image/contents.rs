//! The tensors of an image and their places in the section table: one order for all models; absent tensors are left out.
//!
//! ```text
//! section table ──► which tensors there are ──► Contents ──► index of a tensor's section, and the tensor of an index
//! ```

use super::layout::{self, header, section, word};
use crate::error::Error;
use crate::options::Options;
use crate::tensors::{Part, Presence, Tensor};

/// A tokenizer's tables: all of them or none.
pub(super) const TOKENIZER: [Tensor; 7] = [
    Tensor::PieceOffsets,
    Tensor::PieceBytes,
    Tensor::ByteTokens,
    Tensor::Characters,
    Tensor::Merges,
    Tensor::AddedTokens,
    Tensor::AddedNames,
];

/// Place of an absent tensor.
const ABSENT: u8 = u8::MAX;

/// Index of a section beyond every image; the indices of its words do not overflow.
pub(super) const NOWHERE: usize = usize::MAX / 64;

/// Which tensors there are, in the order of [`Tensor::ALL`].
pub(super) type Present = [bool; Tensor::COUNT];

/// The tensors of an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contents {
    /// Place of each tensor within its part of the order.
    places: [u8; Tensor::COUNT],
    /// Number of tensors before the layers, of a layer, of a hidden layer of the head, after the layers.
    counts: [usize; 4],
}

/// Number of layers, and of hidden layers of the head.
pub(crate) type Layers = (usize, usize);

impl Contents {
    pub(super) const fn new(present: &Present) -> Contents {
        let mut contents = Contents { places: [ABSENT; Tensor::COUNT], counts: [0; 4] };
        let mut i = 0;
        while i < Tensor::COUNT {
            if present[i] {
                let part = Tensor::ALL[i].part() as usize;
                contents.places[i] = contents.counts[part] as u8;
                contents.counts[part] += 1;
            }
            i += 1;
        }
        contents
    }

    /// Reads which tensors the section table names, and the number of its entries without those at its end that are of a kind of
    /// a later version and may be ignored.
    ///
    /// # Errors
    /// [`Error::UnknownSection`] for a kind of a later version that may not be ignored; [`Error::Unsupported`] for a table that
    /// does not fit the image.
    pub(super) const fn read(words: &[u32]) -> Result<(Contents, usize), Error> {
        let sections = word(words, header::SECTIONS);
        let most = words.len().saturating_sub(header::WORDS + 1) / section::WORDS;
        if sections as usize > most {
            return Err(Error::Unsupported { field: "sections", found: sections });
        }
        let (mut present, mut known, mut index) = ([false; Tensor::COUNT], 0, 0);
        while index < sections as usize {
            let entry = header::WORDS + index * section::WORDS;
            let kind = word(words, entry + section::KIND);
            match Tensor::from_kind(kind.to_le_bytes()) {
                // Nothing that is known comes after what is not.
                Some(tensor) if known == index => {
                    present[tensor as usize] = true;
                    known += 1;
                }
                None if word(words, entry + section::ENCODING) & layout::MAY_BE_IGNORED != 0 => {}
                _ => return Err(Error::UnknownSection { kind }),
            }
            index += 1;
        }
        Ok((Contents::new(&present), known))
    }

    #[inline]
    pub(crate) const fn has(&self, tensor: Tensor) -> bool {
        self.places[tensor as usize] != ABSENT
    }

    /// Number of sections.
    pub(crate) const fn sections(&self, layers: Layers) -> usize {
        self.first(Part::After, layers) + self.counts[3]
    }

    /// Index of the first section of a part.
    #[inline(always)]
    const fn first(&self, part: Part, (n_layers, n_hidden): Layers) -> usize {
        match part {
            Part::Before => 0,
            Part::Layer => self.counts[0],
            Part::HeadLayer => self.counts[0] + n_layers * self.counts[1],
            Part::After => self.counts[0] + n_layers * self.counts[1] + n_hidden * self.counts[2],
        }
    }

    /// Index of a tensor's section; beyond all sections when it is absent.
    #[inline]
    pub(crate) const fn index_of(&self, tensor: Tensor, layer: usize, layers: Layers) -> usize {
        let place = self.places[tensor as usize];
        if place == ABSENT {
            return NOWHERE;
        }
        let part = tensor.part();
        self.first(part, layers) + layer * self.counts[part as usize] + place as usize
    }

    /// The tensor and the layer of a section.
    pub(crate) const fn at(&self, index: usize, layers: Layers) -> (Tensor, usize) {
        let part = if index < self.first(Part::Layer, layers) {
            Part::Before
        } else if index < self.first(Part::HeadLayer, layers) {
            Part::Layer
        } else if index < self.first(Part::After, layers) {
            Part::HeadLayer
        } else {
            Part::After
        };
        let place = index - self.first(part, layers);
        let (place, layer) = match (part, self.counts[part as usize]) {
            (Part::Layer | Part::HeadLayer, count) if count > 0 => (place % count, place / count),
            _ => (place, 0),
        };
        let mut i = 0;
        while i < Tensor::COUNT {
            let tensor = Tensor::ALL[i];
            if tensor.part() as usize == part as usize && self.has(tensor) && self.places[i] as usize == place {
                return (tensor, layer);
            }
            i += 1;
        }
        (Tensor::Embedding, 0)
    }

    /// First tensor that these options need and that is absent, or that has no meaning with them and is there.
    pub(super) const fn check(&self, options: &Options) -> Result<(), Error> {
        let mut i = 0;
        while i < Tensor::COUNT {
            let tensor = Tensor::ALL[i];
            match (tensor.presence(options), self.has(tensor)) {
                (Presence::Always, false) => return Err(Error::MissingTensor { tensor, layer: 0 }),
                (Presence::Never, true) => return Err(Error::UnexpectedTensor { tensor }),
                _ => {}
            }
            i += 1;
        }
        Ok(())
    }

    /// A tokenizer's tables are there, or none of them.
    pub(super) const fn check_tokenizer(&self, wanted: bool) -> Result<(), Error> {
        let mut i = 0;
        while i < TOKENIZER.len() {
            let tensor = TOKENIZER[i];
            match (wanted, self.has(tensor)) {
                (true, false) => return Err(Error::MissingTensor { tensor, layer: 0 }),
                (false, true) => return Err(Error::UnexpectedTensor { tensor }),
                _ => {}
            }
            i += 1;
        }
        Ok(())
    }
}
