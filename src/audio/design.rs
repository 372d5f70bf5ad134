//! Mathematical functions for the tables, in f64 and `const`: evaluated at compile time, on no core.
//!
//! Each has an error below 1e-12 in its stated range; the tables keep 16 bits.

use core::f64::consts::{LN_2, PI};

/// `sin(x)^2` for `0 <= x <= PI`.
pub(super) const fn sin_squared(x: f64) -> f64 {
    // Taylor series of the sine about 0, up to a quarter of a circle.
    let x = if x > PI / 2.0 { PI - x } else { x };
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while n < 25.0 {
        term *= -x * x / ((n + 1.0) * (n + 2.0));
        sum += term;
        n += 2.0;
    }
    sum * sum
}

/// Natural logarithm for `x >= 1`.
const fn ln(x: f64) -> f64 {
    let (mut mantissa, mut exponent) = (x, 0.0);
    while mantissa > 1.5 {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    // 2 artanh(r), |r| <= 1/5.
    let r = (mantissa - 1.0) / (mantissa + 1.0);
    let (mut power, mut sum, mut n) = (r, r, 1.0);
    while n < 31.0 {
        power *= r * r;
        n += 2.0;
        sum += power / n;
    }
    exponent * LN_2 + 2.0 * sum
}

/// `e^x` for `0 <= x <= 10`.
const fn exp(x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (1.0, 1.0, 1.0);
    // Series of x / 2^8, then eight squarings.
    let x = x / 256.0;
    while n < 12.0 {
        term *= x / n;
        sum += term;
        n += 1.0;
    }
    let mut squarings = 0;
    while squarings < 8 {
        sum *= sum;
        squarings += 1;
    }
    sum
}

/// Mel scale of a frequency: `ln(1 + hz / 700)`, without the customary factor, which would cancel (O'Shaughnessy 1987).
pub(super) const fn mel(hz: f64) -> f64 {
    ln(1.0 + hz / 700.0)
}

/// Frequency of a mel value, the inverse of [`mel`].
pub(super) const fn hertz(mel: f64) -> f64 {
    700.0 * (exp(mel) - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_s_functions_are_those_of_the_library() {
        for i in 0..=1000 {
            let x = f64::from(i) / 1000.0;
            let angle = x * PI;
            assert!((sin_squared(angle) - libm::pow(libm::sin(angle), 2.0)).abs() < 1e-12, "sin({angle})");
            let hz = 8000.0 * x;
            assert!((mel(hz) - libm::log1p(hz / 700.0)).abs() < 1e-12, "mel({hz})");
            assert!((hertz(mel(hz)) - hz).abs() < 1e-8, "hertz({})", mel(hz));
        }
    }
}
