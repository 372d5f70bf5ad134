//! Activations in fixed point: what is left of the input when it is negative, from a small table.
//!
//! ```text
//! f(x) = max(x, 0) - tail(|x|)        SiLU: tail(a) = a / (1 + e^a)        GELU: tail(a) = a * Phi(-a)
//! ```
//! The tail is the same on both sides of all of them, so one table serves both; between its points it is a straight line. It is
//! 0 at 0, at most 0.28, and gone at 12.

/// Fraction bits of arguments and results.
pub(crate) const ACTIVATION_BITS: u32 = 16;
/// Distance of the table's points: 2^-4.
pub(crate) const STEP_BITS: u32 = 4;
/// Arguments from here on have no tail.
const END: usize = 12 << STEP_BITS;
/// The largest value of any tail, in fixed point.
pub(crate) const LARGEST_TAIL: u32 = 18_252;

/// Each word: the value at a point in the low half, the difference to the next point in the high half; zeros from the end on, as
/// far as a place of 8 bits reaches.
pub(crate) type Tail = [u32; 256];

/// `e^x` for small `x`, by its series.
const fn exp(x: f64) -> f64 {
    1.0 + x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 * (1.0 + x / 6.0)))))
}

/// Values at the points, the last one zero, so that nothing is left from there on.
const fn table(values: &[f64; END]) -> Tail {
    let mut rounded = [0_u16; END + 1];
    let mut i = 0;
    while i < END {
        rounded[i] = (values[i] * 65_536.0 + 0.5) as u16;
        i += 1;
    }
    let mut table = [0; 256];
    let mut i = 0;
    while i < END {
        let slope = rounded[i + 1].wrapping_sub(rounded[i]);
        table[i] = rounded[i] as u32 | (slope as u32) << 16;
        i += 1;
    }
    table
}

/// `a / (1 + e^a)`.
pub(crate) static SILU_TAIL: Tail = {
    let mut values = [0.0; END];
    let mut power = 1.0;
    let mut i = 0;
    while i < END {
        values[i] = i as f64 / 16.0 / (1.0 + power);
        power *= exp(1.0 / 16.0);
        i += 1;
    }
    table(&values)
};

/// `a * Phi(-a)`: the normal distribution's integral by Simpson's rule, sixteen steps from a point to the next.
pub(crate) static GELU_TAIL: Tail = {
    const STEPS: usize = 16;
    const H: f64 = 1.0 / 256.0;
    let mut values = [0.0; END];
    // The density at x and what it is multiplied with to get to x + h: e^(-x h - h^2 / 2).
    let mut density = 0.398_942_280_401_432_7;
    let mut factor = exp(-H * H / 2.0);
    let mut above = 0.5;
    let mut i = 0;
    while i < END {
        values[i] = i as f64 / 16.0 * above;
        let mut step = 0;
        while step < STEPS {
            let weight = if step == 0 {
                1.0
            } else if step % 2 == 1 {
                4.0
            } else {
                2.0
            };
            above -= weight * density * H / 3.0;
            density *= factor;
            factor *= exp(-H * H);
            step += 1;
        }
        above -= density * H / 3.0;
        i += 1;
    }
    table(&values)
};

/// `a * (1 - tanh(sqrt(2 / pi) * (a + 0.044715 a^3))) / 2`, which is `a / (1 + e^(2 sqrt(2 / pi) * (a + 0.044715 a^3)))`.
pub(crate) static GELU_TANH_TAIL: Tail = {
    let mut values = [0.0; END];
    let mut i = 0;
    while i < END {
        let a = i as f64 / 16.0;
        let exponent = 1.595_769_121_605_730_7 * (a + 0.044_715 * a * a * a);
        // Beyond 2^-16 of its value nothing is left.
        if exponent < 20.0 {
            // e^x as the 256th power of e^(x / 256).
            let mut power = exp(exponent / 256.0);
            let mut squarings = 0;
            while squarings < 8 {
                power *= power;
                squarings += 1;
            }
            values[i] = a / (1.0 + power);
        }
        i += 1;
    }
    table(&values)
};

/// `max(x, 0) - tail(|x|)`, 16 fraction bits, `|x| < 2^13`.
///
/// Absolute error below 2.6e-4 for SiLU and 4.1e-4 for GELU (the tests sample it).
#[inline(always)]
pub(crate) fn activation(x: i32, tail: &Tail) -> i32 {
    let magnitude = x.unsigned_abs();
    let shift = ACTIVATION_BITS - STEP_BITS;
    let word = tail[((magnitude >> shift) as usize).min(255)];
    let fraction = (magnitude & ((1 << shift) - 1)).cast_signed();
    let slope = word.cast_signed() >> 16;
    let tail = (word & 0xffff).cast_signed() + ((slope * fraction) >> shift);
    (x & !(x >> 31)) - tail
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn activations_stay_within_their_documented_errors() {
        let silu = |x: f64| x / (1.0 + (-x).exp());
        let gelu = |x: f64| 0.5 * x * libm::erfc(-x / std::f64::consts::SQRT_2);
        let tanh =
            |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh());
        type Exact = fn(f64) -> f64;
        let table: [(&Tail, Exact, f64); 3] =
            [(&SILU_TAIL, silu, 2.6e-4), (&GELU_TAIL, gelu, 4.1e-4), (&GELU_TANH_TAIL, tanh, 4.1e-4)];
        for (index, (tail, exact, bound)) in table.into_iter().enumerate() {
            let mut largest = 0;
            for x in (-(20 << 16)..20 << 16).step_by(37).chain([0, 1, -1, 8_191 << 16, -(8_191 << 16)]) {
                let (found, exact) = (f64::from(activation(x, tail)) / 65_536.0, exact(f64::from(x) / 65_536.0));
                assert!((found - exact).abs() < bound, "{index}, {x}: {found} for {exact}");
                largest = largest.max(x.max(0) - activation(x, tail));
            }
            assert_eq!(activation(0, tail), 0);
            assert!((0..=LARGEST_TAIL.cast_signed()).contains(&largest), "{largest}");
        }
    }
}
