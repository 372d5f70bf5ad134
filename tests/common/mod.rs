//! Small models with random weights, and images with a repaired checksum.

#![allow(dead_code)] // every test file uses a part

use thumbformer::image::layout::{header, section};
use thumbformer::image::{AddedToken, ImageWriter, Int4, Named, TokenizerKind, TokenizerTables};
use thumbformer::{
    Activation, Dims, Error, Input, Mask, Model, Norm, NormPlace, Packing, Pooler, Pooling, Positions, Tensor,
};

/// Numbers that look random and are the same in every run (xorshift, Marsaglia 2003).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn word(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    /// From -1 to 1.
    pub fn float(&mut self) -> f32 {
        self.word() as f32 / 2_147_483_648.0 - 1.0
    }

    pub fn floats(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.float() * scale).collect()
    }
}

/// Dimensions and options in which the test models differ.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub d_model: usize,
    pub n_layers: usize,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub head_dim: usize,
    pub d_ff: usize,
    pub vocab: usize,
    pub max_seq: usize,
    pub tied: bool,
    pub tokenizer: bool,
    /// int4 matrices in the layers.
    pub int4: bool,
}

/// Shapes with and without everything that a loop could get wrong: groups of heads, heads that do not divide `d_model`,
/// widths beside multiples of 4, one of everything.
pub const SHAPES: [Shape; 5] = [
    Shape {
        d_model: 16,
        n_layers: 2,
        n_heads: 4,
        n_kv_heads: 2,
        head_dim: 4,
        d_ff: 24,
        vocab: 300,
        max_seq: 24,
        tied: true,
        tokenizer: true,
        int4: false,
    },
    Shape {
        d_model: 13,
        n_layers: 1,
        n_heads: 3,
        n_kv_heads: 1,
        head_dim: 6,
        d_ff: 7,
        vocab: 31,
        max_seq: 9,
        tied: false,
        tokenizer: false,
        int4: true,
    },
    Shape {
        d_model: 1,
        n_layers: 1,
        n_heads: 1,
        n_kv_heads: 1,
        head_dim: 2,
        d_ff: 1,
        vocab: 1,
        max_seq: 1,
        tied: true,
        tokenizer: false,
        int4: false,
    },
    Shape {
        d_model: 32,
        n_layers: 3,
        n_heads: 4,
        n_kv_heads: 4,
        head_dim: 8,
        d_ff: 50,
        vocab: 270,
        max_seq: 40,
        tied: false,
        tokenizer: true,
        int4: false,
    },
    Shape {
        d_model: 10,
        n_layers: 2,
        n_heads: 2,
        n_kv_heads: 2,
        head_dim: 10,
        d_ff: 18,
        vocab: 65,
        max_seq: 130,
        tied: true,
        tokenizer: false,
        int4: true,
    },
];

/// An image of this shape with random weights, packed for hosts.
pub fn image(shape: &Shape, seed: u64) -> Vec<u32> {
    packed(shape, seed, Packing::Host)
}

/// An image of this shape with random weights.
pub fn packed(shape: &Shape, seed: u64, packing: Packing) -> Vec<u32> {
    let Shape { d_model, n_layers, n_heads, n_kv_heads, head_dim, d_ff, vocab, max_seq, .. } = *shape;
    let dims = Dims::new(d_model, n_layers, n_heads, n_kv_heads, head_dim, d_ff, vocab, max_seq, 1e-5).expect("dims");
    let mut random = Random::new(seed);
    let mut writer = ImageWriter::new(dims, packing);
    let (q, kv) = (n_heads * head_dim, n_kv_heads * head_dim);
    let mut add = |tensor, layer, rows: usize, cols: usize| {
        if rows == 1 && matches!(tensor, Tensor::AttentionNorm | Tensor::MlpNorm | Tensor::FinalNorm) {
            let gains: Vec<f32> = random.floats(cols, 0.5).iter().map(|gain| gain + 1.0).collect();
            writer.vector(tensor, layer, &gains).expect("a vector");
        } else if shape.int4 && !matches!(tensor, Tensor::Embedding | Tensor::Head) {
            let integers = (0..rows * cols).map(|_| (random.word() % 15) as i8 - 7).collect();
            let group_scales = (0..rows * Int4::groups(cols)).map(|_| (random.word() % 256) as u8).collect();
            let scale = 1.5 / (cols as f32).sqrt() / 7.0 / 255.0;
            writer.int4(tensor, layer, &Int4 { rows, cols, integers, group_scales, scale }).expect("an int4 matrix");
        } else {
            let weights = random.floats(rows * cols, 1.5 / (cols as f32).sqrt());
            writer.matrix(tensor, layer, rows, cols, &weights).expect("a matrix");
        }
    };
    add(Tensor::Embedding, 0, vocab, d_model);
    for layer in 0..n_layers {
        add(Tensor::AttentionNorm, layer, 1, d_model);
        add(Tensor::Query, layer, q, d_model);
        add(Tensor::Key, layer, kv, d_model);
        add(Tensor::Value, layer, kv, d_model);
        add(Tensor::AttentionOutput, layer, d_model, q);
        add(Tensor::MlpNorm, layer, 1, d_model);
        add(Tensor::Gate, layer, d_ff, d_model);
        add(Tensor::Up, layer, d_ff, d_model);
        add(Tensor::Down, layer, d_model, d_ff);
    }
    add(Tensor::FinalNorm, 0, 1, d_model);
    if !shape.tied {
        add(Tensor::Head, 0, vocab, d_model);
    }
    writer.rotary(10_000.0);
    if shape.tokenizer {
        tokenizer(&mut writer, vocab);
    }
    writer.finish().expect("an image")
}

/// Tokens 0 to 2 are special, 3 to 258 the bytes; then characters and merges as far as the vocabulary reaches.
fn tokenizer(writer: &mut ImageWriter, vocab: usize) {
    writer.special_tokens(Some(1), &[2]);
    let mut pieces: Vec<Vec<u8>> = vec![Vec::new(); 3];
    pieces.extend((0..=255_u8).map(|byte| vec![byte]));
    let characters: Vec<(char, u32)> = [' ', 'a', 'b', 'é'].iter().zip(259..).map(|(&c, token)| (c, token)).collect();
    pieces.extend(characters.iter().map(|(c, _)| c.to_string().into_bytes()));
    let merges = [(260, 261, 263, 0), (259, 263, 264, 1), (263, 263, 265, 2)];
    pieces.extend([b"ab".to_vec(), b" ab".to_vec(), b"abab".to_vec()]);
    pieces.resize(vocab, b"?".to_vec());
    let mut byte_tokens = [0; 256];
    byte_tokens.iter_mut().zip(3..).for_each(|(slot, token)| *slot = token);
    let named = |id, name| AddedToken { id, name, named: Named::Special };
    let tables = TokenizerTables {
        added: &[named(1, "<s>"), named(2, "</s>")],
        kind: TokenizerKind::Characters,
        prefix_space: true,
        pieces: &pieces,
        byte_tokens: &byte_tokens,
        characters: &characters,
        merges: &merges,
    };
    writer.tokenizer(&tables).expect("a tokenizer");
}

/// First word of a tensor's entry in the section table.
pub fn entry(words: &[u32], tensor: Tensor, layer: u32) -> usize {
    let count = words[header::SECTIONS] as usize;
    (0..count)
        .map(|index| header::WORDS + index * section::WORDS)
        .find(|&at| words[at] == u32::from_le_bytes(tensor.kind()) && words[at + 1] == layer)
        .expect("the section")
}

/// Replaces one integer of a matrix.
pub fn set_integer(words: &mut [u32], tensor: Tensor, layer: u32, row: usize, col: usize, value: i8) {
    let at = entry(words, tensor, layer);
    let width = (words[at + section::COLS] as usize).next_multiple_of(16);
    let byte = words[at + section::OFFSET] as usize + row * width + col;
    let mut bytes = words[byte / 4].to_le_bytes();
    bytes[byte % 4] = value.cast_unsigned();
    words[byte / 4] = u32::from_le_bytes(bytes);
}

/// Replaces the multiplier of one row of a matrix.
pub fn set_multiplier(words: &mut [u32], tensor: Tensor, layer: u32, row: usize, multiplier: i16) {
    let at = words[entry(words, tensor, layer) + section::SCALES] as usize / 4 + 1 + row / 2;
    let shift = 16 * (row % 2);
    words[at] = words[at] & !(0xffff << shift) | u32::from(multiplier.cast_unsigned()) << shift;
}

/// Replaces the scale of a matrix or a vector.
pub fn set_scale(words: &mut [u32], tensor: Tensor, layer: u32, scale: f32) {
    let at = words[entry(words, tensor, layer) + section::SCALES] as usize / 4;
    words[at] = scale.to_bits();
}

/// Makes length and checksum right again, so that what was changed before them is looked at.
pub fn repair(words: &mut [u32]) {
    let Some(last) = words.len().checked_sub(1) else { return };
    if last > 2 {
        words[2] = 4 * words.len() as u32;
    }
    let bytes: Vec<u8> = words[..last].iter().flat_map(|word| word.to_le_bytes()).collect();
    words[last] = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes);
}

/// The error of an image that must be refused.
pub fn error(words: &[u32]) -> Error {
    match Model::parse(words) {
        Ok(_) => panic!("the image was accepted"),
        Err(error) => error,
    }
}

/// Networks that are no language models, with everything that such a network can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoder {
    /// Frames, a class token, a position table, a norm after the embedding, post-LN, a pooler, named outputs.
    Classifier,
    /// Tokens as a whole, rotary positions, the mean comes out.
    Sentence,
    /// Frames one by one, a sliding window, no positions.
    Stream,
}

pub const ENCODERS: [Encoder; 3] = [Encoder::Classifier, Encoder::Sentence, Encoder::Stream];

/// Numbers in a frame.
pub const N_FEATURES: usize = 11;
/// Most tokens that one sees.
pub const WINDOW: usize = 6;

/// An image of such a network with random weights: `d_model` 12, two layers, 12 tokens at most.
pub fn encoder(kind: Encoder, seed: u64) -> Vec<u32> {
    encoder_writer(kind, seed).finish().expect("an image")
}

/// The same before it is finished.
pub fn encoder_writer(kind: Encoder, seed: u64) -> ImageWriter {
    const D: usize = 12;
    let mut dims = Dims::new(D, 2, 2, 1, 6, 20, 40, 12, 1e-5).expect("dims");
    let options = &mut dims.options;
    (options.norm, options.gated, options.activation) = (Norm::Layer, false, Activation::Gelu);
    (options.norm_place, options.positions, options.pooler) = match kind {
        Encoder::Classifier => (NormPlace::Post, Positions::Table, Pooler::Tanh),
        Encoder::Sentence => (NormPlace::Pre, Positions::Rotary, Pooler::None),
        Encoder::Stream => (NormPlace::Pre, Positions::None, Pooler::None),
    };
    (options.mask, options.pooling) = match kind {
        Encoder::Classifier => (Mask::Bidirectional, Pooling::Class),
        Encoder::Sentence => (Mask::Bidirectional, Pooling::Mean),
        Encoder::Stream => (Mask::Causal, Pooling::Last),
    };
    options.head = kind != Encoder::Sentence;
    dims.n_outputs = if options.head { 3 } else { D };
    if kind != Encoder::Sentence {
        options.input = Input::Frames;
        (dims.vocab, dims.n_features) = (0, N_FEATURES);
    }
    dims.sliding_window = if kind == Encoder::Stream { WINDOW } else { 0 };

    let mut random = Random::new(seed);
    let mut writer = ImageWriter::new(dims, Packing::Host);
    let mut matrix = |tensor, layer, rows: usize, cols: usize| {
        let weights = random.floats(rows * cols, 1.5 / (cols as f32).sqrt());
        writer.matrix(tensor, layer, rows, cols, &weights).expect("a matrix");
    };
    match kind {
        Encoder::Sentence => matrix(Tensor::Embedding, 0, 40, D),
        _ => matrix(Tensor::Embedding, 0, D, N_FEATURES),
    }
    for layer in 0..2 {
        for tensor in [Tensor::Query, Tensor::AttentionOutput] {
            matrix(tensor, layer, D, D);
        }
        for tensor in [Tensor::Key, Tensor::Value] {
            matrix(tensor, layer, 6, D);
        }
        matrix(Tensor::Up, layer, 20, D);
        matrix(Tensor::Down, layer, D, 20);
    }
    if kind == Encoder::Classifier {
        matrix(Tensor::PositionTable, 0, 12, D);
        matrix(Tensor::Pooler, 0, D, D);
    }
    if dims.options.head {
        matrix(Tensor::Head, 0, 3, D);
        writer.labels(&["yes", "no", "naïve"]).expect("three names");
    }
    let mut vector = |tensor, layer, offset: f32| {
        let values: Vec<f32> = random.floats(D, 0.4).iter().map(|value| value + offset).collect();
        writer.vector(tensor, layer, &values).expect("a vector");
    };
    for layer in 0..2 {
        vector(Tensor::AttentionNorm, layer, 1.0);
        vector(Tensor::AttentionNormBias, layer, 0.0);
        vector(Tensor::MlpNorm, layer, 1.0);
        vector(Tensor::DownBias, layer, 0.0);
    }
    if kind == Encoder::Classifier {
        vector(Tensor::ClassToken, 0, 0.0);
        vector(Tensor::EmbeddingBias, 0, 0.0);
        vector(Tensor::EmbeddingNorm, 0, 1.0);
        vector(Tensor::PoolerBias, 0, 0.0);
    } else {
        vector(Tensor::FinalNorm, 0, 1.0);
    }
    if kind == Encoder::Sentence {
        writer.rotary(10_000.0);
    }
    writer
}
