//! Rounding of float weights to integers, for images made on the host and at compile time.

/// Scale of an int8 matrix with this largest magnitude; 0 where the scale would be subnormal.
pub(super) const fn matrix_scale(largest: f32) -> f32 {
    // The largest row has the largest multiplier.
    normal(largest / 127.0 / i16::MAX as f32)
}

/// Multiplier of a row with this largest magnitude, rounded up, so that the integers stay within ±127.
pub(super) const fn multiplier(largest: f32, scale: f32) -> i16 {
    if scale == 0.0 {
        return 0;
    }
    let exact = largest / 127.0 / scale;
    let whole = exact as i32;
    let up = if (whole as f32) < exact { whole + 1 } else { whole };
    if up > i16::MAX as i32 { i16::MAX } else { up as i16 }
}

/// Integer of a weight in a row; ties to even.
pub(super) const fn int8(weight: f32, multiplier: i16, scale: f32) -> i8 {
    if multiplier == 0 {
        return 0;
    }
    let integer = round(weight / (multiplier as f32 * scale));
    if integer > 127 {
        127
    } else if integer < -127 {
        -127
    } else {
        integer as i8
    }
}

/// Scale of a vector with this largest magnitude.
pub(super) const fn vector_scale(largest: f32) -> f32 {
    normal(largest / i16::MAX as f32)
}

/// Integer of a value in a vector; ties to even.
pub(super) const fn int16(value: f32, scale: f32) -> i16 {
    if scale == 0.0 { 0 } else { round(value / scale) as i16 }
}

/// Largest magnitude, `max(abs(x))`.
pub(super) const fn abs_max(values: &[f32]) -> f32 {
    let (mut largest, mut i) = (0.0, 0);
    while i < values.len() {
        let magnitude = values[i].abs();
        if magnitude > largest {
            largest = magnitude;
        }
        i += 1;
    }
    largest
}

const fn normal(scale: f32) -> f32 {
    if scale >= f32::MIN_POSITIVE { scale } else { 0.0 }
}

/// Rounds to the nearest integer, ties to even, for magnitudes below 2^22: the sum with the constant has no bits left for a
/// fraction.
const fn round(x: f32) -> i32 {
    const NO_FRACTION: f32 = 12_582_912.0;
    ((x + NO_FRACTION) - NO_FRACTION) as i32
}

#[cfg(test)]
mod tests {
    use super::round;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_rounded_as_the_standard_library_does_it(x in -4_000_000.0_f32..4_000_000.0, half in -9000..9000_i32) {
            prop_assert_eq!(round(x), x.round_ties_even() as i32);
            let tie = half as f32 + 0.5;
            prop_assert_eq!(round(tie), tie.round_ties_even() as i32);
        }
    }
}
