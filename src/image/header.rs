//! The header, an image's first words: the envelope, then dimensions and options. An option that this version does not support
//! is refused by name.

use super::contents::Contents;
use super::layout::{self, header, word};
use super::view::{Image, TokenizerKind};
use crate::arch::{self, Packing};
use crate::dims::{Dims, MAX_HIDDEN};
use crate::error::Error;
use crate::options::{
    Activation, ClassPlace, DenseActivation, Input, Mask, Norm, NormPlace, Options, Outputs, Pooler, Pooling, Positions,
};
use crate::tensors::Tensor;
use crc::{CRC_32_ISO_HDLC, Crc, Table};

/// Most tokens that end a text.
pub(super) const ENDS: usize = 4;

/// Largest number of words of an image: offsets are 32-bit numbers of bytes.
const MAX_WORDS: usize = u32::MAX as usize / 4;

/// The CRC-32 of zlib and PNG.
pub(crate) const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The same with a table of 16 KB: the compiler's interpreter is faster at 16 bytes a step, and no firmware holds the table.
const CRC_AT_COMPILE_TIME: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// Checks magic, version, length and CRC, before any other word is read.
pub(super) const fn envelope<const AT_COMPILE_TIME: bool>(words: &[u32]) -> Result<(), Error> {
    let found = if words.len() > MAX_WORDS { u32::MAX } else { 4 * words.len() as u32 };
    if word(words, header::MAGIC) != layout::MAGIC {
        return Err(Error::NotAnImage { found: word(words, header::MAGIC) });
    }
    if word(words, header::VERSION) != layout::VERSION {
        return Err(Error::Version { expected: layout::VERSION, found: word(words, header::VERSION) });
    }
    let expected = word(words, header::BYTES);
    let aligned = (expected as usize).is_multiple_of(layout::ALIGNMENT);
    if expected != found || !aligned || words.len() <= header::WORDS || words.len() > MAX_WORDS {
        return Err(Error::Length { expected, found });
    }
    let Some((covered, _)) = words.split_at_checked(words.len() - 1) else {
        return Err(Error::Length { expected, found });
    };
    let stored = word(words, words.len() - 1);
    let covered = arch::bytes(covered);
    let computed = if AT_COMPILE_TIME { CRC_AT_COMPILE_TIME.checksum(covered) } else { CRC.checksum(covered) };
    if stored != computed {
        return Err(Error::Checksum { expected: stored, found: computed });
    }
    Ok(())
}

/// Reads dimensions and options; an option that this version does not support is refused by name.
pub(super) const fn read_header<'a>(words: &'a [u32]) -> Result<Image<'a>, Error> {
    let (contents, sections) = match Contents::read(words) {
        Ok(found) => found,
        Err(error) => return Err(error),
    };
    let options = match read_options(words, &contents) {
        Ok(options) => options,
        Err(error) => return Err(error),
    };
    let quantization = word(words, header::QUANTIZATION);
    if !matches!(quantization, layout::QUANTIZATION_Q8 | layout::QUANTIZATION_Q4) {
        return Err(Error::Unsupported { field: "quantization", found: quantization });
    }
    let tokenizer = match word(words, header::TOKENIZER) {
        0 => None,
        1 => Some(TokenizerKind::Bytes),
        2 => Some(TokenizerKind::Characters),
        found => return Err(Error::Unsupported { field: "tokenizer", found }),
    };
    let flags = word(words, header::TOKENIZER_FLAGS);
    if flags > 1 {
        return Err(Error::Unsupported { field: "tokenizer flags", found: flags });
    }
    // Words without a name must be zero, so that no option of a later version is ignored.
    let mut i = header::NAMED;
    while i < header::WORDS {
        if word(words, i) != 0 {
            return Err(Error::Unsupported { field: "header word without a name", found: word(words, i) });
        }
        i += 1;
    }
    // A special token is stored plus 1.
    let mut i = header::BOS;
    while i < header::ENDS + ENDS {
        let token = word(words, i);
        if token > word(words, header::VOCAB) {
            return Err(Error::Unsupported {
                field: if i == header::BOS { "bos token" } else { "end token" },
                found: token - 1,
            });
        }
        i += 1;
    }
    if let Err(error) = contents.check_tokenizer(tokenizer.is_some()) {
        return Err(error);
    }
    let rotary_fine = word(words, header::ROTARY_FINE);
    if (rotary_fine == 0) == matches!(options.positions, Positions::Rotary) {
        return Err(Error::Dimension { name: "rows of the fine rotary table", found: rotary_fine });
    }
    let (vocab, n_outputs) = (word(words, header::VOCAB) as usize, word(words, header::N_OUTPUTS) as usize);
    let dims = Dims {
        d_model: word(words, header::D_MODEL) as usize,
        n_layers: word(words, header::N_LAYERS) as usize,
        n_heads: word(words, header::N_HEADS) as usize,
        n_kv_heads: word(words, header::N_KV_HEADS) as usize,
        head_dim: word(words, header::HEAD_DIM) as usize,
        d_ff: word(words, header::D_FF) as usize,
        vocab,
        n_features: word(words, header::N_FEATURES) as usize,
        n_outputs: if n_outputs == 0 { vocab } else { n_outputs },
        n_class: match (contents.has(Tensor::ClassToken), word(words, header::CLASS_TOKENS) as usize) {
            (true, 0) => 1,
            (_, n_class) => n_class,
        },
        head_widths: head_widths(words),
        max_seq: word(words, header::MAX_SEQ) as usize,
        sliding_window: word(words, header::SLIDING_WINDOW) as usize,
        norm_eps: f32::from_bits(word(words, header::NORM_EPS)),
        attention_scale: f32::from_bits(word(words, header::ATTENTION_SCALE)),
        options,
    };
    let (n_columns, frame_hop) = (word(words, header::N_COLUMNS), word(words, header::FRAME_HOP));
    let samples = if n_columns == 0 { 1 } else { dims.n_features / n_columns as usize };
    let are_whole = n_columns == 0 || dims.n_features.is_multiple_of(n_columns as usize) && dims.n_features > 0;
    if !are_whole {
        return Err(Error::Dimension { name: "n_columns", found: n_columns });
    }
    if frame_hop as usize > samples {
        return Err(Error::Dimension { name: "frame_hop", found: frame_hop });
    }
    let Some(packing) = Packing::from_id(word(words, header::LAYOUT)) else {
        return Err(Error::Unsupported { field: "layout id", found: word(words, header::LAYOUT) });
    };
    Ok(Image {
        words,
        dims,
        packing,
        quantization,
        contents,
        sections,
        rotary_fine: rotary_fine as usize,
        tokenizer,
        prefix_space: flags == 1,
        bos: word(words, header::BOS),
        ends: [
            word(words, header::ENDS),
            word(words, header::ENDS + 1),
            word(words, header::ENDS + 2),
            word(words, header::ENDS + 3),
        ],
        n_columns: if n_columns == 0 { dims.n_features } else { n_columns as usize },
        frame_hop: if frame_hop == 0 { samples } else { frame_hop as usize },
    })
}

/// Widths of the head's hidden layers.
const fn head_widths(words: &[u32]) -> [usize; MAX_HIDDEN] {
    let (mut widths, mut i) = ([0; MAX_HIDDEN], 0);
    while i < MAX_HIDDEN {
        widths[i] = word(words, header::HEAD_WIDTHS + i) as usize;
        i += 1;
    }
    widths
}

/// Reads the options of a header; one that this version does not support is refused by name.
const fn read_options(words: &[u32], contents: &Contents) -> Result<Options, Error> {
    macro_rules! option {
        ($type:ident, $field:literal, $index:ident) => {
            match $type::from_id(word(words, header::$index)) {
                Some(option) => option,
                None => return Err(Error::Unsupported { field: $field, found: word(words, header::$index) }),
            }
        };
    }
    let headless = word(words, header::HEADLESS);
    if headless > 1 {
        return Err(Error::Unsupported { field: "headless", found: headless });
    }
    let qk_norm = contents.has(Tensor::QueryNorm);
    if qk_norm && !cfg!(feature = "qk-norm") {
        return Err(Error::MissingFeature { feature: "qk-norm" });
    }
    Ok(Options {
        norm: option!(Norm, "norm", NORM),
        norm_place: option!(NormPlace, "norm placement", NORM_PLACE),
        activation: option!(Activation, "activation", ACTIVATION),
        mask: option!(Mask, "mask", MASK),
        positions: option!(Positions, "positions", POSITIONS),
        gated: contents.has(Tensor::Gate),
        qk_norm,
        input: option!(Input, "input", INPUT),
        pooling: option!(Pooling, "pooling", POOLING),
        pooler: option!(Pooler, "pooler", POOLER),
        class_place: option!(ClassPlace, "class place", CLASS_PLACE),
        embedding_activation: option!(DenseActivation, "embedding activation", EMBEDDING_ACTIVATION),
        mlp_head: contents.has(Tensor::HeadHidden),
        head_activation: option!(DenseActivation, "head activation", HEAD_ACTIVATION),
        outputs: option!(Outputs, "outputs", OUTPUTS),
        head: headless == 0 && word(words, header::INPUT) != Input::Stream as u32,
    })
}

impl Dims {
    /// Header of an int8 image without tokenizer and rotary tables.
    pub(super) const fn header_words(&self, packing: Packing, sections: u32, bytes: u32) -> [u32; header::WORDS] {
        let options = &self.options;
        let mut words = [0; header::WORDS];
        words[header::MAGIC] = layout::MAGIC;
        words[header::VERSION] = layout::VERSION;
        words[header::BYTES] = bytes;
        words[header::SECTIONS] = sections;
        words[header::LAYOUT] = packing.id();
        words[header::QUANTIZATION] = layout::QUANTIZATION_Q8;
        words[header::D_MODEL] = self.d_model as u32;
        words[header::N_LAYERS] = self.n_layers as u32;
        words[header::N_HEADS] = self.n_heads as u32;
        words[header::N_KV_HEADS] = self.n_kv_heads as u32;
        words[header::HEAD_DIM] = self.head_dim as u32;
        words[header::D_FF] = self.d_ff as u32;
        words[header::VOCAB] = self.vocab as u32;
        words[header::MAX_SEQ] = self.max_seq as u32;
        words[header::NORM_EPS] = self.norm_eps.to_bits();
        words[header::ATTENTION_SCALE] = self.attention_scale.to_bits();
        words[header::NORM] = options.norm as u32;
        words[header::NORM_PLACE] = options.norm_place as u32;
        words[header::ACTIVATION] = options.activation as u32;
        words[header::MASK] = options.mask as u32;
        words[header::POSITIONS] = options.positions as u32;
        words[header::INPUT] = options.input as u32;
        words[header::POOLING] = options.pooling as u32;
        words[header::POOLER] = options.pooler as u32;
        words[header::N_OUTPUTS] = if self.n_outputs == self.vocab { 0 } else { self.n_outputs as u32 };
        words[header::N_FEATURES] = self.n_features as u32;
        words[header::SLIDING_WINDOW] = self.sliding_window as u32;
        if self.n_class > 1 {
            words[header::CLASS_TOKENS] = self.n_class as u32;
        }
        words[header::CLASS_PLACE] = options.class_place as u32;
        words[header::EMBEDDING_ACTIVATION] = options.embedding_activation as u32;
        words[header::HEAD_ACTIVATION] = options.head_activation as u32;
        let mut i = 0;
        while i < MAX_HIDDEN {
            words[header::HEAD_WIDTHS + i] = self.head_widths[i] as u32;
            i += 1;
        }
        words[header::OUTPUTS] = options.outputs as u32;
        words[header::HEADLESS] = !options.head as u32 * !matches!(options.input, Input::Stream) as u32;
        words
    }
}
