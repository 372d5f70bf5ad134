//! The kernels by themselves, for measurements (feature `bench`); no part of the interface.
//!
//! ```text
//! packed weights, activations ──► matvec ──► one integer per row, scaled        what a matrix costs, whole call
//! keys, query ──► scores ──► weigh ──► weighted_sums                            what one head costs
//! ```

#[cfg(feature = "std")]
pub use crate::arch::pack_q8;
use crate::arch::{self, Backend, Native, Packing};

/// Words that hold so many activations.
pub const fn activation_words(count: usize) -> usize {
    arch::activation_words(count)
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
