//! The kernels one by one, for benchmarks (feature `bench`); not part of the public interface.
//!
//! ```text
//! packed weights, activations ──► matvec ──► one integer per row, scaled        cost of a matrix, whole call
//! keys, query ──► scores ──► weigh ──► weighted_sums                            cost of one head
//! sums ──► rescale, add_scaled, gelu, abs_max, moments                          steps between matrices
//! ```

use crate::arch::{self, Backend, Native, Packing};
#[cfg(feature = "std")]
pub use crate::arch::{pack_q4, pack_q8};

/// Words that hold `count` activations on every core.
pub const fn activation_words(count: usize) -> usize {
    arch::activation_words(count)
}

/// Words of `count` activations on this core.
pub const fn activation_stride(count: usize) -> usize {
    arch::activation_stride(count)
}

/// Writes activations in the layout of this build's kernels.
#[allow(clippy::useless_conversion)] // 16 bits on some cores
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

/// An int8 matrix times a vector, scaled by row, as the engine calls it.
pub fn matvec(packing: Packing, weights: &[u32], cols: usize, x: &[u32], multipliers: &[i16], out: &mut [i32]) {
    Native::matvec_q8(packing, weights, cols, x, multipliers, out);
}

/// An int8 matrix times several vectors, `[vectors, cols]`, scaled by row.
pub fn matmul(packing: Packing, weights: &[u32], cols: usize, x: &[u32], multipliers: &[i16], out: &mut [i32]) {
    Native::matmul_q8(packing, weights, cols, x, multipliers, out);
}

/// [`matmul`], and a bias added to each vector, times a number of its own.
pub fn linear<const VECTORS: usize>(
    (packing, weights, cols): (Packing, &[u32], usize),
    x: &[u32],
    multipliers: &[i16],
    bias: &[i16],
    by: &[Multiplication; VECTORS],
    out: &mut [i32],
) {
    let ratios: [arch::Multiplier; VECTORS] = core::array::from_fn(|vector| by[vector].0);
    let bias = arch::Bias { integers: bias, ratios: &ratios };
    Native::linear_q8(packing, weights, cols, x, multipliers, &bias, out);
}

/// An int4 matrix times several vectors, scaled by group.
pub fn matmul_int4(packing: Packing, weights: &[u32], cols: usize, x: &[u32], rows: usize, out: &mut [i32]) {
    Native::matmul_q4(packing, weights, cols, x, rows, out);
}

/// The group of a column of an int4 matrix.
pub const fn group(cols: usize, col: usize) -> usize {
    arch::group(cols, col)
}

/// The scaled dot product of [`matvec`].
pub const fn scaled(dot: i32, multiplier: i16) -> i32 {
    arch::mul_q16(dot, multiplier)
}

/// Scaled scores of one query and all keys; returns their maximum.
pub fn scores(keys: &[u32], mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> i16 {
    Native::scaled_dots(keys, query.len(), mantissas, query, scores)
}

/// Scores to weights: the softmax without the division by the sum; returns the sum.
pub fn weigh(scores: &mut [i16], max: i16, mantissas: &[i16]) -> u32 {
    Native::weigh(scores, max, 0, mantissas)
}

/// The weight of one score and its probability, by the definition.
pub fn weight(score: i16, max: i16, mantissa: i16) -> (i16, u32) {
    let probability = arch::probability(score, max, 0);
    (((probability * u32::from(mantissa.cast_unsigned())) >> 16) as i16, probability)
}

/// The weighted sums of all values.
pub fn weighted_sums(values: &[u32], stride: usize, weights: &mut [i16], sums: &mut [i32]) {
    Native::weighted_sums(values, stride, weights, sums);
}

/// A multiplication of integers up to a bound by a real number.
pub struct Multiplication(arch::Multiplier);

impl Multiplication {
    /// `None` when a product would not fit.
    pub fn new(number: f32, bound: u32) -> Option<Multiplication> {
        arch::Multiplier::new(number, bound).map(Multiplication)
    }

    /// One product, by the definition.
    pub fn apply(&self, x: i32) -> i32 {
        self.0.apply(x)
    }

    /// GELU of one product, by the definition.
    pub fn gelu(&self, x: i32) -> i32 {
        arch::activation(self.0.apply(x), &arch::GELU_TAIL)
    }
}

/// Products that fit 16 bits.
pub fn rescale(x: &[i32], by: &Multiplication, out: &mut [i16]) {
    Native::rescale_i16(x, by.0, out);
}

/// Products that fit 8 bits.
pub fn rescale_i8(x: &[i32], by: &Multiplication, out: &mut [i8]) {
    Native::rescale_i8(x, by.0, out);
}

/// Products that fit 8 bits, down a column.
pub fn rescale_column(x: &[i32], by: &Multiplication, out: &mut [i8], stride: usize) {
    Native::rescale_column(x, by.0, out, stride);
}

/// Steps of a norm between its sums: subtracts the mean, then applies gain and bias; returns the sum of squares in between.
pub fn center_scale_add(
    x: &mut [i32],
    (mean, shift): (i32, u32),
    gains: &[i16],
    bias: &[i16],
    by: &Multiplication,
) -> (u64, Option<u32>) {
    let squares = Native::subtract_mean(x, mean, shift);
    (squares, Native::scale_and_add(x, gains, bias, by.0))
}

/// Adds products.
pub fn add_scaled(x: &mut [i32], other: &[i16], by: &Multiplication) {
    Native::add_scaled(x, other, by.0);
}

/// GELU of products.
pub fn gelu(x: &mut [i32], by: &Multiplication) {
    Native::activate(x, by.0, &arch::GELU_TAIL);
}

/// Upper bound of `max(abs(x))`, at most 1 too large.
pub fn abs_max(x: &[i32]) -> u32 {
    Native::abs_max(x)
}

/// Sum of the numbers, and sum of squares of the numbers shifted to the right.
pub fn moments(x: &[i32], shift: u32) -> (i64, u64) {
    (Native::sum(x), Native::sum_of_squares(x, shift))
}

/// Tokens of the encoder block that is measured.
pub const ENCODER_TOKENS: usize = 64;

/// Pseudorandom numbers from -1 to 1, the same on every machine (xorshift, Marsaglia 2003).
pub struct Random(pub u32);

impl Random {
    /// The next number.
    pub fn float(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        // 24 bits: exact in a float.
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// Input streams of the encoder block, `[64, 64]`.
pub fn encoder_streams(streams: &mut [f32]) {
    let mut random = Random(1);
    for x in streams {
        *x = random.float() + random.float();
    }
}

/// Sound for the front end: gliding triangle waves at full scale and at a few steps of amplitude, noise, then silence.
#[cfg(feature = "audio")]
pub fn sound(samples: &mut [i16]) {
    let mut random = Random(1);
    let (mut phase, mut speed) = (0_u32, 20_000_000_u32);
    let length = samples.len();
    for (i, sample) in samples.iter_mut().enumerate() {
        phase = phase.wrapping_add(speed);
        speed = speed.wrapping_add(100_000);
        let triangle = (phase.cast_signed() >> 15).abs() - 32_768;
        let loud = i * 4 / length;
        let noise = (random.float() * 300.0) as i32;
        let value = [triangle, triangle / 16 + noise, triangle / 4096, 0].get(loud).copied().unwrap_or(0);
        *sample = value.clamp(-32_768, 32_767) as i16;
    }
}
