//! The MLP: the map. It treats every token alone, so it has no cache and no positions.
//!
//! ```text
//! int8 ─┬─► gate ─► SiLU ─┐
//!       └─► up ──────────► × ─► quantize ─► down ─► branch
//! ```

use super::Place;
use crate::arch::{Backend, LARGEST_TAIL, Native, PACKED_ROWS, SILU_BITS};
use crate::error::Error;
use crate::kernels::fixed::{Fixed, Ratio, bit_length, power_of_two};
use crate::kernels::matrix::{Batch, Products, matmul};
use crate::kernels::quantize::quantize;
use crate::observe::{Observer, Point};
use crate::state::{Scratch, take};
use crate::weights::Matrix;

/// SwiGLU (Shazeer 2020): `down(silu(gate(x)) * up(x))`.
pub(crate) struct Mlp<'a> {
    /// `[d_ff, d_model]`.
    pub(crate) gate: Matrix<'a>,
    /// `[d_ff, d_model]`.
    pub(crate) up: Matrix<'a>,
    /// `[d_model, d_ff]`.
    pub(crate) down: Matrix<'a>,
}

/// Bits of each factor of a hidden value, so that their product fits 30.
const FACTOR_BITS: i32 = 14;

impl Mlp<'_> {
    /// What the MLP adds to the streams, `[tokens, d_model]`, from the normed streams in the scratch's activations.
    pub(crate) fn forward<'s>(
        &self,
        input: &Batch,
        place: &Place<'_>,
        scratch: &'s mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Result<Products<'s>, Error> {
        let not_finite = Error::NotFinite { layer: place.layer };
        let mut rest = &mut *scratch.integers;
        let gate = take(&mut rest, input.tokens() * self.gate.rows.next_multiple_of(PACKED_ROWS))?;
        let up = take(&mut rest, input.tokens() * self.up.rows.next_multiple_of(PACKED_ROWS))?;
        let mut gate = matmul(gate, &self.gate, scratch.activations, input).ok_or(not_finite)?;
        let mut up = matmul(up, &self.up, scratch.activations, input).ok_or(not_finite)?;
        let hidden = Batch::new(self.gate.rows, input.tokens(), scratch.activations, |token, words| {
            let (gate, up) = (gate.token(token)?, up.token(token)?);
            observer.vector(Point::Gate, place.layer, &gate.observed());
            observer.vector(Point::Up, place.layer, &up.observed());
            let hidden = gated(gate, &up)?;
            observer.vector(Point::Hidden, place.layer, &hidden.observed());
            quantize(&hidden, words)
        });
        let hidden = hidden.ok_or(not_finite)?;
        let rows = self.down.rows.next_multiple_of(PACKED_ROWS);
        let out = take(&mut &mut *scratch.integers, input.tokens() * rows)?;
        matmul(out, &self.down, scratch.activations, &hidden).ok_or(not_finite)
    }
}

/// `silu(gate) * up`, in place of the gate; `None` when a scale is beyond all reason.
///
/// # Shapes
/// `gate`, `up`: `[d_ff]`.
fn gated<'g>(gate: Fixed<'g>, up: &Fixed<'_>) -> Option<Fixed<'g>> {
    let (gate_bound, up_bound) = (Native::largest(gate.integers), Native::largest(up.integers));
    let one = power_of_two(SILU_BITS.cast_signed());
    let to_real = Ratio::new(gate.scale * one, gate_bound)?;
    // SiLU's result is no larger than its argument, or than the largest tail.
    let largest = to_real.apply(gate_bound.cast_signed()).cast_unsigned().max(LARGEST_TAIL);
    let shift = |largest: u32| (bit_length(largest) - FACTOR_BITS).max(0);
    let (gate_shift, up_shift) = (shift(largest), shift(up_bound));
    let shifts = (gate_shift.cast_unsigned(), up_shift.cast_unsigned());
    Native::silu_times(gate.integers, up.integers, to_real, shifts);
    let scale = up.scale / one * power_of_two(gate_shift + up_shift);
    Some(Fixed { integers: gate.integers, scale })
}
