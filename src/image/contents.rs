//! The tensors of an image and their places in the section table: one order for all models; absent tensors are left out.
//!
//! ```text
//! section table ──► which tensors there are ──► Contents ──► index of a tensor's section, and the tensor of an index
//! ```

use super::layout::{self, header, section, word};
use crate::dims::MAX_HIDDEN;
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
    counts: [u8; 4],
    /// Index of the first section of each of these parts, and that behind the last one: 16 bits hold those of every model.
    firsts: [u16; 5],
}

/// Number of layers, and of hidden layers of the head.
pub(crate) type Layers = (usize, usize);

impl Contents {
    /// Contents of an image that has so many layers, a number that need not be one of a model.
    pub(super) const fn new(present: &Present, (n_layers, n_hidden): Layers) -> Contents {
        let mut contents = Contents { places: [ABSENT; Tensor::COUNT], counts: [0; 4], firsts: [0; 5] };
        let mut i = 0;
        while i < Tensor::COUNT {
            if present[i] {
                let part = Tensor::ALL[i].part() as usize;
                contents.places[i] = contents.counts[part];
                contents.counts[part] += 1;
            }
            i += 1;
        }
        let (mut part, repeats) = (0, [1, n_layers, n_hidden, 1]);
        while part < repeats.len() {
            let sections = repeats[part].saturating_mul(contents.counts[part] as usize);
            let end = sections.saturating_add(contents.firsts[part] as usize);
            contents.firsts[part + 1] = if end > u16::MAX as usize { u16::MAX } else { end as u16 };
            part += 1;
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
        Ok((Contents::new(&present, layers(words)), known))
    }

    #[inline]
    pub(crate) const fn has(&self, tensor: Tensor) -> bool {
        self.places[tensor as usize] != ABSENT
    }

    /// Number of sections.
    pub(crate) const fn sections(&self) -> usize {
        self.firsts[4] as usize
    }

    /// Index of a tensor's section; beyond all sections when it is absent.
    #[inline]
    pub(crate) const fn index_of(&self, tensor: Tensor, layer: usize) -> usize {
        let place = self.places[tensor as usize];
        if place == ABSENT {
            return NOWHERE;
        }
        let first = match tensor.part() {
            Part::Before => 0,
            Part::Layer => self.firsts[1] as usize + layer * self.counts[1] as usize,
            // Without the feature no image with such a part is read.
            Part::HeadLayer if cfg!(feature = "ends") => self.firsts[2] as usize + layer * self.counts[2] as usize,
            _ => self.firsts[3] as usize,
        };
        first + place as usize
    }

    /// The tensor and the layer of a section.
    pub(crate) const fn at(&self, index: usize) -> (Tensor, usize) {
        let mut part = 0;
        while part < 3 && index >= self.firsts[part + 1] as usize {
            part += 1;
        }
        let place = index - self.firsts[part] as usize;
        let count = self.counts[part] as usize;
        let (place, layer) = match place.checked_div(count) {
            Some(layer) => (place - layer * count, layer),
            None => (place, 0),
        };
        let mut i = 0;
        while i < Tensor::COUNT {
            let tensor = Tensor::ALL[i];
            if tensor.part() as usize == part && self.has(tensor) && self.places[i] as usize == place {
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

/// Number of layers, and of hidden layers of the head, of a header that is not checked yet.
const fn layers(words: &[u32]) -> Layers {
    let mut n_hidden = 0;
    while n_hidden < MAX_HIDDEN && word(words, header::HEAD_WIDTHS + n_hidden) > 0 {
        n_hidden += 1;
    }
    (word(words, header::N_LAYERS) as usize, n_hidden)
}
