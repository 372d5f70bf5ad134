//! The MLP: the map. It treats every token alone, so it has no cache and no positions.
//!
//! ```text
//! gated: int8 ─┬─► gate ─► f ─┐
//!              └─► up ───────► × ─► quantize ─► down ─► branch
//! plain: int8 ────► up ────► f ───► quantize ─► down ─► branch
//! ```

use super::step::Step;
use crate::arch::{
    ACTIVATION_BITS, Backend, GELU_TAIL, GELU_TANH_TAIL, LARGEST_TAIL, Native, PACKED_ROWS, SILU_TAIL, Tail,
};
use crate::error::Error;
use crate::kernels::matrix::{Batch, Products, linear};
use crate::kernels::quantize::quantize_within;
use crate::kernels::scaled::{Multiplier, Scaled, bit_length, power_of_two};
use crate::observe::{Observer, Point};
use crate::options::Activation;
use crate::state::regions::Scratch;
use crate::state::take::take;
use crate::weights::Linear;

/// `down(f(up(x)))`, or with a gate `down(f(gate(x)) * up(x))` (Shazeer 2020).
pub(crate) struct Mlp<'a> {
    pub(crate) activation: Activation,
    /// `[d_ff, d_model]`.
    pub(crate) gate: Option<Linear<'a>>,
    /// `[d_ff, d_model]`.
    pub(crate) up: Linear<'a>,
    /// `[d_model, d_ff]`.
    pub(crate) down: Linear<'a>,
}

/// Bits of each factor of a hidden value, so that their product fits 30.
const FACTOR_BITS: i32 = 14;

impl Mlp<'_> {
    /// The MLP's branch, `[tokens, d_model]`, from the normed streams in the scratch's activations.
    pub(crate) fn forward<'s>(
        &self,
        input: &Batch,
        step: &Step<'_>,
        scratch: &'s mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Result<Products<'s>, Error> {
        let not_finite = Error::NotFinite { layer: step.layer };
        let rows = input.tokens() * self.up.rows().next_multiple_of(PACKED_ROWS);
        let mut rest = &mut *scratch.integers;
        let up = take(&mut rest, rows)?;
        let mut up = linear(up, &self.up, scratch.activations, input).ok_or(not_finite)?;
        let mut gate = match &self.gate {
            Some(gate) => Some(linear(take(&mut rest, rows)?, gate, scratch.activations, input).ok_or(not_finite)?),
            None => None,
        };
        let hidden = Batch::new(self.up.rows(), input.tokens(), scratch.activations, |token, words| {
            let up = up.token(token)?;
            let (hidden, largest) = match &mut gate {
                Some(gate) => {
                    let gate = gate.token(token)?;
                    observer.vector(Point::Gate, step.layer, &gate.observed());
                    observer.vector(Point::Up, step.layer, &up.observed());
                    (gated(self.activation, gate, &up)?, None)
                }
                None => {
                    observer.vector(Point::Up, step.layer, &up.observed());
                    activated(self.activation, up)?
                }
            };
            observer.vector(Point::Hidden, step.layer, &hidden.observed());
            quantize_within(&hidden, largest, words)
        });
        let hidden = hidden.ok_or(not_finite)?;
        let rows = input.tokens() * self.down.rows().next_multiple_of(PACKED_ROWS);
        let out = take(&mut &mut *scratch.integers, rows)?;
        linear(out, &self.down, scratch.activations, &hidden).ok_or(not_finite)
    }
}

/// The tail of an activation; `None` for one that has none.
fn tail(activation: Activation) -> Option<&'static Tail> {
    match activation {
        Activation::Silu => Some(&SILU_TAIL),
        Activation::Gelu => Some(&GELU_TAIL),
        Activation::GeluTanh => Some(&GELU_TANH_TAIL),
        Activation::Relu => None,
    }
}

/// `f(x)`, in place, and its largest magnitude where that is known; `None` when a scale is beyond all reason.
///
/// # Shapes
/// `x: [d_ff]`.
pub(crate) fn activated(activation: Activation, mut x: Scaled<'_>) -> Option<(Scaled<'_>, Option<u32>)> {
    let Some(tail) = tail(activation) else {
        x.integers.iter_mut().for_each(|x| *x = (*x).max(0));
        return Some((x, None));
    };
    let one = power_of_two(ACTIVATION_BITS.cast_signed());
    let to_real = Multiplier::new(x.scale * one, Native::abs_max(x.integers))?;
    let largest = Native::activate_within(x.integers, to_real, tail);
    x.scale = 1.0 / one;
    Some((x, largest))
}

/// `f(gate) * up`, in place of the gate; `None` when a scale is beyond all reason.
///
/// # Shapes
/// `gate`, `up`: `[d_ff]`.
fn gated<'g>(activation: Activation, gate: Scaled<'g>, up: &Scaled<'_>) -> Option<Scaled<'g>> {
    let (gate_bound, up_bound) = (Native::abs_max(gate.integers), Native::abs_max(up.integers));
    let shift = |largest: u32| (bit_length(largest) - FACTOR_BITS).max(0);
    let up_shift = shift(up_bound);
    let Some(tail) = tail(activation) else {
        let gate_shift = shift(gate_bound);
        for (gate, &up) in gate.integers.iter_mut().zip(up.integers.iter()) {
            *gate = ((*gate).max(0) >> gate_shift) * (up >> up_shift);
        }
        let scale = gate.scale * up.scale * power_of_two(gate_shift + up_shift);
        return Some(Scaled { integers: gate.integers, scale });
    };
    let one = power_of_two(ACTIVATION_BITS.cast_signed());
    let to_real = Multiplier::new(gate.scale * one, gate_bound)?;
    // The result is no larger than its argument, or than the largest tail.
    let largest = to_real.apply(gate_bound.cast_signed()).cast_unsigned().max(LARGEST_TAIL);
    let gate_shift = shift(largest);
    let shifts = (gate_shift.cast_unsigned(), up_shift.cast_unsigned());
    Native::activate_times(gate.integers, up.integers, to_real, shifts, tail);
    let scale = up.scale / one * power_of_two(gate_shift + up_shift);
    Some(Scaled { integers: gate.integers, scale })
}
