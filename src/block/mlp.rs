//! The MLP: the map. It treats every token alone, so it has no cache and no positions.
//!
//! ```text
//! branch ─► quantize ─┬─► gate ─► SiLU ─┐
//!                     └─► up ──────────► × ─► quantize ─► down ─► branch
//! ```

use super::Place;
use crate::error::Error;
use crate::kernels::float::silu;
use crate::kernels::matrix::matvec_q8;
use crate::kernels::quantize::quantize;
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

impl Mlp<'_> {
    /// Replaces the branch by the MLP's output.
    ///
    /// # Shapes
    /// `branch`: `[d_model]`.
    pub(crate) fn forward(
        &self,
        branch: &mut [f32],
        place: &Place<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), Error> {
        let not_finite = Error::NotFinite { layer: place.layer };
        let mut rest = &mut *scratch.floats;
        let hidden = take(&mut rest, self.gate.rows, "activations")?;
        let up = take(&mut rest, self.up.rows, "activations")?;

        let input = quantize(branch, scratch.quantized).ok_or(not_finite)?;
        matvec_q8(hidden, &self.gate, &input);
        matvec_q8(up, &self.up, &input);
        for (hidden, &up) in hidden.iter_mut().zip(&*up) {
            *hidden = silu(*hidden) * up;
        }
        let hidden = quantize(hidden, scratch.quantized).ok_or(not_finite)?;
        matvec_q8(branch, &self.down, &hidden);
        Ok(())
    }
}
