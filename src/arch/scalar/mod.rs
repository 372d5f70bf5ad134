//! Plain Rust: the definition of correct, which every other backend must equal, and what runs where there is no other.
//!
//! ```text
//! Scalar ─┬─ matrix     every packing, multiplied
//!         └─ attention  scores of a query, their weights, weighted sums of values
//! ```
//! The functions between are defined in the trait itself.

pub(super) mod attention;
pub(super) mod matrix;

use super::{Backend, Packing, mul_q16, probability, signed_bytes, signed_bytes_mut};
use super::{GROUP, PACKED_ROWS, block_words, first_group};

/// The scalar backend.
pub(crate) struct Scalar;

impl Backend for Scalar {
    const NAME: &'static str = "scalar";
    const PACKING: Option<Packing> = None;
    type Activation = i8;

    fn activations(words: &mut [u32]) -> &mut [i8] {
        signed_bytes_mut(words)
    }

    fn dots_q8(packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        matrix::dots_q8(packing, weights, cols, signed_bytes(x), out);
    }

    fn dots_q4(packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        matrix::dots_q4(packing, weights, cols, signed_bytes(x), out);
    }

    #[inline]
    fn scaled_dots(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> i16 {
        attention::scaled_dots(keys, width, mantissas, query, scores, (0, i16::MIN))
    }

    #[inline]
    fn weigh(scores: &mut [i16], max: i16, shift: u32, mantissas: &[i16]) -> u32 {
        attention::weigh(scores, max, shift, mantissas)
    }

    #[inline]
    fn weighted_sums(values: &[u32], stride: usize, weights: &mut [i16], sums: &mut [i32]) {
        attention::weighted_sums(values, stride, weights, sums, 0);
    }
}
