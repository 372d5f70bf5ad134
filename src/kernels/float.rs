//! Float operations in a fixed order: the residual stream's addition, and an own `exp` for the sampler.

use super::fixed::Fixed;

/// `x[i] += y[i]`: the only thing that ever happens to the residual stream of a pre-LN block.
pub(crate) fn add(x: &mut [f32], y: &Fixed<'_>) {
    for (x, &y_integer) in x.iter_mut().zip(y.integers.iter()) {
        *x += y_integer as f32 * y.scale;
    }
}

/// Adding and subtracting this rounds a small float to the nearest integer, ties to even, in any IEEE 754 arithmetic:
/// 1.5 * 2^23, where the distance between neighbours is 1.
const ROUND: f32 = 12_582_912.0;

/// The nearest integer, ties to even, of a value below 2^22 in magnitude.
#[inline(always)]
pub(crate) fn round(value: f32) -> i32 {
    (value + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32
}

/// `e^x`. Arguments outside ±87 are clamped, so the result is neither subnormal nor infinite.
///
/// Accuracy: relative error below 8e-7 over -10..10 (the test samples it), growing with `|x|` as the product
/// `x * log2(e)` is rounded; below 8e-6 everywhere. Minimax polynomial of degree 5 for `2^f`, `f` in -0.5..=0.5.
pub(crate) fn exp(x: f32) -> f32 {
    let log2 = x.clamp(-87.0, 87.0) * core::f32::consts::LOG2_E;
    let whole = round(log2);
    let f = log2 - whole as f32;
    let mut power = 0.001_327_647_2_f32;
    for coefficient in [0.009_675_541_f32, 0.055_507_13, 0.240_221_2, 0.693_146_94, 1.000_000_1] {
        power = power * f + coefficient;
    }
    // |whole| <= 126: adding it to the exponent field keeps the float normal.
    f32::from_bits(power.to_bits().wrapping_add((whole << 23) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_stays_within_its_documented_error() {
        let mut worst_near = 0.0_f64;
        let mut worst = 0.0_f64;
        for step in -87_000..=87_000 {
            let x = step as f32 / 1000.0;
            let exact = f64::from(x).exp();
            let error = ((f64::from(exp(x)) - exact) / exact).abs();
            worst = worst.max(error);
            if x.abs() <= 10.0 {
                worst_near = worst_near.max(error);
            }
        }
        assert!(worst_near < 8e-7, "relative error {worst_near:e} for |x| <= 10");
        assert!(worst < 8e-6, "relative error {worst:e}");
        assert!(exp(-1e9) > 0.0 && exp(1e9).is_finite());
    }

    #[test]
    fn round_takes_ties_to_even() {
        for (value, expected) in [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (126.9, 127), (-126.9, -127)] {
            assert_eq!(round(value), expected, "{value}");
        }
    }
}
