//! The activation of a layer outside the blocks, in fixed point.

use crate::block::activated;
use crate::kernels::scaled::{Scaled, power_of_two};
use crate::options::{Activation, DenseActivation};

/// Bits behind the point of a `tanh`.
const TANH_BITS: i32 = 20;

/// `f(x)`, in place, and its largest magnitude where that is known; `None` when a scale is beyond all reason.
///
/// # Shapes
/// `x`: any.
pub(crate) fn dense_activated(activation: DenseActivation, mut x: Scaled<'_>) -> Option<(Scaled<'_>, Option<u32>)> {
    let activation = match activation {
        DenseActivation::None => return Some((x, None)),
        DenseActivation::Tanh => {
            // Once per sequence: `libm`, the same software on every core, is fast enough.
            for value in x.integers.iter_mut() {
                *value = (libm::tanhf(*value as f32 * x.scale) * power_of_two(TANH_BITS)) as i32;
            }
            x.scale = power_of_two(-TANH_BITS);
            return Some((x, None));
        }
        DenseActivation::Relu => Activation::Relu,
        DenseActivation::Gelu => Activation::Gelu,
        DenseActivation::GeluTanh => Activation::GeluTanh,
        DenseActivation::Silu => Activation::Silu,
    };
    activated(activation, x)
}
