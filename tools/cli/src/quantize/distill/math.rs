//! Functions of single numbers, with their derivatives.

use thumbformer_checkpoint::Activation;

/// `e^x` with a relative error of at most `3e-7 + 1.2e-7 |x|`. It has no branches, so that compilers vectorize it.
pub(super) fn exp(x: f32) -> f32 {
    // 2^n times a Taylor polynomial of the rest in [-0.5, 0.5] (error below 2e-7); constant and product are rounded, hence `|x|`.
    let scaled = (x * std::f32::consts::LOG2_E).clamp(-126.0, 126.0);
    // Adding it rounds to a whole number, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let whole = scaled + ROUND;
    let rest = (scaled - (whole - ROUND)) * std::f32::consts::LN_2;
    let terms = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let power = terms.iter().fold(1.0 / 5040.0, |sum, term| sum * rest + term);
    power * f32::from_bits(whole.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23)
}

/// Softmax of the logits of a position, in place.
pub(super) fn softmax(x: &mut [f32]) {
    let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    x.iter_mut().for_each(|x| *x = exp(*x - largest));
    let sum: f32 = x.iter().sum();
    x.iter_mut().for_each(|x| *x /= sum);
}

/// Value and derivative of an activation.
pub(super) fn activate(activation: Activation, x: f32) -> (f32, f32) {
    match activation {
        Activation::Silu => {
            let sigmoid = 1.0 / (1.0 + exp(-x));
            (x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid)))
        }
        Activation::Gelu => {
            let below = 0.5 * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2));
            let density =
                exp(-0.5 * x * x) * (0.5 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2);
            (x * below, below + x * density)
        }
        Activation::GeluTanh => {
            const SQRT_2_PI: f32 = 0.797_884_6;
            let tanh = libm::tanhf(SQRT_2_PI * (x + 0.044_715 * x * x * x));
            let inner = SQRT_2_PI * (1.0 + 3.0 * 0.044_715 * x * x);
            (0.5 * x * (1.0 + tanh), 0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * inner)
        }
        Activation::Relu => (x.max(0.0), if x > 0.0 { 1.0 } else { 0.0 }),
        // NaN for an unknown activation: the tests compare all, and NaN agrees with nothing.
        _ => (f32::NAN, f32::NAN),
    }
}
