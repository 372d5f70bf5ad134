//! The kernels by themselves, for measurements (feature `bench`); no part of the interface.
//!
//! ```text
//! packed weights, activations ──► matvec ──► one integer per row, scaled        what a matrix costs, whole call
//! keys, query ──► scores ──► weigh ──► weighted_sums                            what one head costs
//! ```

use crate::arch::{self, Backend, Native, Packing};
#[cfg(feature = "std")]
pub use crate::arch::{pack_q4, pack_q8};

/// Words that have room for so many activations on every core.
pub const fn activation_words(count: usize) -> usize {
    arch::activation_words(count)
}

/// Words of so many activations on this core.
pub const fn activation_stride(count: usize) -> usize {
    arch::activation_stride(count)
}

/// Writes activations as this build's kernels want them.
pub fn activations(x: &[i8], words: &mut [u32]) {
    let slots = arch::activations(words);
    slots.fill(0);
    for (slot, &x) in slots.iter_mut().zip(x) {
        *slot = x.into();
    }
}

/// An int8 matrix times a vector: the exact dot products.
pub fn dots(packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
    Native::dots_q8(packing, weights, cols, x, out);
}

/// An int8 matrix times a vector, scaled by row: what the engine calls.
pub fn matvec(packing: Packing, weights: &[u32], cols: usize, x: &[u32], multipliers: &[i16], out: &mut [i32]) {
    Native::matvec_q8(packing, weights, cols, x, multipliers, out);
}

/// An int8 matrix times several vectors, `[vectors, cols]`, scaled by row.
pub fn matmul(packing: Packing, weights: &[u32], cols: usize, x: &[u32], multipliers: &[i16], out: &mut [i32]) {
    Native::matmul_q8(packing, weights, cols, x, multipliers, out);
}

/// An int4 matrix times several vectors, scaled by group.
pub fn matmul_int4(packing: Packing, weights: &[u32], cols: usize, x: &[u32], rows: usize, out: &mut [i32]) {
    Native::matmul_q4(packing, weights, cols, x, rows, out);
}

/// The group of a column of an int4 matrix.
pub const fn group(cols: usize, col: usize) -> usize {
    arch::group(cols, col)
}

/// What [`matvec`] makes of a dot product.
pub const fn scaled(dot: i32, multiplier: i16) -> i32 {
    arch::mul_wide(dot, multiplier)
}

/// The scores of one query and all keys, scaled, and their maximum.
pub fn scores(keys: &[u32], mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> i16 {
    Native::scaled_dots(keys, query.len(), mantissas, query, scores)
}

/// Scores to weights: the softmax but for the division by the sum, which is returned.
pub fn weigh(scores: &mut [i16], max: i16, mantissas: &[i16]) -> u32 {
    Native::weigh(scores, max, 0, mantissas)
}

/// The weight of one score and its probability, by the definition.
pub fn weight(score: i16, max: i16, mantissa: i16) -> (i16, u32) {
    let probability = arch::probability(score, max, 0);
    (((probability * u32::from(mantissa.cast_unsigned())) >> 16) as i16, probability)
}

/// The weighted sums of all values.
pub fn weighted_sums(values: &[u32], stride: usize, weights: &[i16], sums: &mut [i32]) {
    Native::weighted_sums(values, stride, weights, sums);
}

/// Tokens of the encoder block that is measured.
pub const ENCODER_TOKENS: usize = 64;

/// Numbers from -1 to 1 that look random and are the same everywhere (xorshift, Marsaglia 2003).
struct Random(u32);

impl Random {
    fn float(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        // 24 bits: exact in a float.
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// The streams that go into the encoder block, `[64, 64]`.
pub fn encoder_streams(streams: &mut [f32]) {
    let mut random = Random(1);
    for x in streams {
        *x = random.float() + random.float();
    }
}

/// The encoder block that is measured, with random weights: 64 tokens, `d_model` 64, 4 heads, hidden 256, LayerNorm, GELU, a bias
/// everywhere.
#[cfg(feature = "std")]
pub fn encoder(packing: Packing) -> std::vec::Vec<u32> {
    use crate::error::Tensor;
    use std::vec::Vec;
    const D: usize = 64;
    const FF: usize = 256;
    let mut dims = crate::Dims::new(D, 1, 4, 4, D / 4, FF, 1, ENCODER_TOKENS, 1e-5).expect("dimensions of a decoder");
    dims.vocab = 0;
    dims.options = crate::Options::ENCODER;
    let mut writer = crate::image::ImageWriter::new(dims, packing);
    let mut random = Random(2);
    let mut floats = |count: usize, scale: f32, offset: f32| -> Vec<f32> {
        (0..count).map(|_| random.float() * scale + offset).collect()
    };
    for (tensor, bias, rows, cols) in [
        (Tensor::Query, Tensor::QueryBias, D, D),
        (Tensor::Key, Tensor::KeyBias, D, D),
        (Tensor::Value, Tensor::ValueBias, D, D),
        (Tensor::AttentionOutput, Tensor::AttentionOutputBias, D, D),
        (Tensor::Up, Tensor::UpBias, FF, D),
        (Tensor::Down, Tensor::DownBias, D, FF),
    ] {
        let weights = floats(rows * cols, 1.7 / (cols as f32).sqrt(), 0.0);
        writer.matrix(tensor, 0, rows, cols, &weights).expect("finite weights");
        writer.vector(bias, 0, &floats(rows, 0.1, 0.0)).expect("finite weights");
    }
    for (gain, bias) in [(Tensor::AttentionNorm, Tensor::AttentionNormBias), (Tensor::MlpNorm, Tensor::MlpNormBias)] {
        writer.vector(gain, 0, &floats(D, 0.3, 1.0)).expect("finite weights");
        writer.vector(bias, 0, &floats(D, 0.1, 0.0)).expect("finite weights");
    }
    writer.finish().expect("an image")
}

/// The bits that come out of the encoder block: their CRC-32.
#[cfg(feature = "std")]
pub fn encoder_crc32() -> u32 {
    let words = encoder(arch::PACKING.unwrap_or(Packing::Host));
    let model = crate::Model::parse(&words).expect("an image");
    let mut state = crate::state::HostState::new(model.dims(), ENCODER_TOKENS);
    let mut streams = std::vec![0.0; ENCODER_TOKENS * model.dims().d_model];
    encoder_streams(&mut streams);
    model.session(state.memory()).encode(&mut streams).expect("a sound model");
    crate::LogitsCrc::new().update(&streams)
}
