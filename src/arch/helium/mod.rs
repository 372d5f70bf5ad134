//! Helium, the vector extension of Cortex-M52, M55 and M85: every loop in assembly, so that stable Rust is enough.
//!
//! ```text
//! wlstp.32 … letp     a loop whose last turn has fewer lanes: any length, nothing left over
//! vrmulh.s32          a product's upper half, rounded: a whole `Multiplier` in one instruction
//! vmlava.s8, .s16     products and their sum
//!
//! Helium ─┬─ matrix, int4        matrices
//!         ├─ attention, softmax  scores of a query, their weights, weighted sums of values
//!         ├─ rotary              pairs of a head, rotated
//!         └─ norm, rescale, activation    what comes between
//! ```
//! The functions here check every length, so that the loops need no bounds. Sums that `VMLAVA` adds to are even registers.

mod activation;
mod attention;
mod int4;
mod matrix;
mod norm;
mod rescale;
mod rotary;
mod softmax;

use super::scalar::{Scalar, matrix as definition};
use super::{
    Backend, Bias, GROUP, LARGEST_TAIL, MAX_COLUMNS_Q4, Multiplier, Packing, Tail, block_words, signed_bytes,
    signed_bytes_mut,
};

/// The Helium backend.
pub(crate) struct Helium;

impl Backend for Helium {
    const NAME: &'static str = "helium";
    const PACKING: Option<Packing> = Some(Packing::M55);
    type Activation = i8;

    fn activations(words: &mut [u32]) -> &mut [i8] {
        signed_bytes_mut(words)
    }

    fn dots_q8(_packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        if !matrix::dots(weights, cols, x, out) {
            definition::dots_q8(Packing::M55, weights, cols, signed_bytes(x), out);
        }
    }

    fn matvec_q8(packing: Packing, weights: &[u32], cols: usize, x: &[u32], multipliers: &[i16], out: &mut [i32]) {
        if !matrix::matmul(weights, cols, x, multipliers, None, out) {
            unshaped(packing, weights, cols, x, multipliers, out);
        }
    }

    fn matmul_q8(packing: Packing, weights: &[u32], cols: usize, x: &[u32], multipliers: &[i16], out: &mut [i32]) {
        if !matrix::matmul(weights, cols, x, multipliers, None, out) {
            Scalar::matmul_q8(packing, weights, cols, x, multipliers, out);
        }
    }

    fn linear_q8(
        packing: Packing,
        weights: &[u32],
        cols: usize,
        x: &[u32],
        multipliers: &[i16],
        bias: &Bias<'_>,
        out: &mut [i32],
    ) {
        if !matrix::matmul(weights, cols, x, multipliers, Some(bias), out) {
            Scalar::linear_q8(packing, weights, cols, x, multipliers, bias, out);
        }
    }

    fn dots_q4(_packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]) {
        if !int4::dots(weights, cols, signed_bytes(x), out) {
            definition::dots_q4(Packing::M55, weights, cols, signed_bytes(x), out);
        }
    }

    fn abs_max(x: &[i32]) -> u32 {
        norm::abs_max(x)
    }

    fn rescale(x: &[i32], ratio: Multiplier, out: &mut [i8]) {
        rescale::rescale_i8(x, ratio, out);
    }

    fn rescale_i16(x: &[i32], ratio: Multiplier, out: &mut [i16]) {
        rescale::rescale_i16(x, ratio, out);
    }

    fn rescale_i8(x: &[i32], ratio: Multiplier, out: &mut [i8]) {
        rescale::rescale_i8(x, ratio, out);
    }

    fn rescale_column(x: &[i32], ratio: Multiplier, out: &mut [i8], stride: usize) {
        rescale::rescale_column(x, ratio, out, stride);
    }

    fn rescale_in_place(x: &mut [i32], ratio: Multiplier) {
        rescale::rescale_in_place(x, ratio);
    }

    fn scale_rows(x: &mut [i32], multipliers: &[i16]) {
        norm::scale_rows(x, multipliers);
    }

    fn add_scaled(x: &mut [i32], other: &[i16], ratio: Multiplier) {
        norm::add_scaled(x, other, ratio);
    }

    fn sum_of_squares(x: &[i32], shift: u32) -> u64 {
        norm::sum_of_squares(x, shift)
    }

    fn sum(x: &[i32]) -> i64 {
        norm::sum(x)
    }

    fn truncate(x: &[f32], factor: f32, out: &mut [i32]) {
        norm::truncate(x, factor, out);
    }

    fn subtract_mean(x: &mut [i32], mean: i32, shift: u32) -> u64 {
        norm::subtract_mean(x, mean, shift)
    }

    fn scale_and_add(x: &mut [i32], multipliers: &[i16], other: &[i16], ratio: Multiplier) -> Option<u32> {
        Some(norm::scale_and_add(x, multipliers, other, ratio))
    }

    fn activate_within(x: &mut [i32], ratio: Multiplier, tail: &Tail) -> Option<u32> {
        activation::activate_within(x, ratio, tail)
    }

    fn magnitudes(x: &[i32]) -> u32 {
        norm::magnitudes(x)
    }

    fn activate(x: &mut [i32], ratio: Multiplier, tail: &Tail) {
        activation::activate(x, ratio, tail);
    }

    fn activate_times(gate: &mut [i32], up: &[i32], ratio: Multiplier, shifts: (u32, u32), tail: &Tail) {
        activation::activate_times(gate, up, ratio, shifts, tail);
    }

    fn rotate(low: &mut [i32], high: &mut [i32], cosines: &[i16], sines: &[i16]) {
        rotary::rotate(low, high, cosines, sines);
    }

    fn scaled_dots(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> i16 {
        attention::scaled_dots(keys, width, mantissas, query, scores)
    }

    fn weigh(scores: &mut [i16], max: i16, shift: u32, mantissas: &[i16]) -> u32 {
        softmax::weigh(scores, max, shift, mantissas)
    }

    fn weighted_sums(values: &[u32], stride: usize, weights: &mut [i16], sums: &mut [i32]) {
        attention::weighted_sums(values, stride, weights, sums);
    }

    fn scaled_sums(values: &[u32], stride: usize, weights: &mut [i16], ratio: Multiplier, sums: &mut [i32]) {
        attention::scaled_sums(values, stride, weights, ratio, sums);
    }
}

/// [`Backend::matvec_q8`] of shapes that no image has; apart, so that its registers are not saved for all others.
#[cold]
#[inline(never)]
fn unshaped(packing: Packing, weights: &[u32], cols: usize, x: &[u32], multipliers: &[i16], out: &mut [i32]) {
    Helium::dots_q8(packing, weights, cols, x, out);
    Helium::scale_rows(out, multipliers);
}

/// Lets the assembler take Helium's instructions. Assembly outside of functions gets the target's architecture and none of its
/// extensions; that a core of this build has Helium `build/choice.rs` found out.
macro_rules! extension {
    () => {
        ".cpu cortex-m55"
    };
}
use extension;

/// The architecture alone again: what the assembler takes holds for all that follows in the module, in whatever order.
macro_rules! reset {
    () => {
        ".arch armv8-m.main"
    };
}
use reset;
