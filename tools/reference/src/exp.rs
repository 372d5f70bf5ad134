//! The exponential function: the formula of `libm::exp` without its branches, so that a host computes several at a time.

/// Beyond it the result is below the smallest normal number.
const LEAST: f64 = -708.39;
/// Beyond it the result is infinite.
const MOST: f64 = 709.782712893384;
/// Added to a small number, it rounds it to an integer, which then stands in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
/// The logarithm of 2 in two parts; an integer of 11 bits times the first is exact.
const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
/// The rational approximation of `e^r`, for `r` of at most half the logarithm of 2 (FreeBSD's `e_exp.c`).
const P: [f64; 5] = [
    1.666_666_666_666_660_2e-1,
    -2.777_777_777_701_559_3e-3,
    6.613_756_321_437_934e-5,
    -1.653_390_220_546_525_2e-6,
    4.138_136_797_057_238_5e-8,
];

/// `e^x`; 0 where that is no normal number.
///
/// # Errors in the result
/// At most one unit in the last place more than `libm::exp`, and nearly always none.
#[inline(always)]
pub(crate) fn exp(x: f64) -> f64 {
    // e^x = 2^k e^r, and c and the quotient approximate e^r.
    let shifted = x * core::f64::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let (high, low) = (x - k * LN_2[0], k * LN_2[1]);
    let r = high - low;
    let square = r * r;
    let [p1, p2, p3, p4, p5] = P;
    let c = r - square * (p1 + square * (p2 + square * (p3 + square * (p4 + square * p5))));
    let power = 1.0 + (r * c / (2.0 - c) - low + high);
    // 2^k is k added to the exponent. NaN stays NaN: the low bits of `shifted` are zero then.
    let scaled = f64::from_bits(power.to_bits().wrapping_add(shifted.to_bits() << 52));
    let scaled = if x < LEAST { 0.0 } else { scaled };
    if x > MOST { f64::INFINITY } else { scaled }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_those_of_libm_within_one_unit_in_the_last_place() {
        let mut same = 0;
        let count = 2_000_000;
        for i in 0..count {
            let x = -708.3 + f64::from(i) * (1418.0 / f64::from(count));
            // Steps that no binary fraction repeats, and every size of argument.
            let x = if i % 2 == 0 { x } else { x * libm::exp2(-f64::from(i % 60)) };
            let (found, expected) = (exp(x), libm::exp(x));
            let distance = found.to_bits().abs_diff(expected.to_bits());
            assert!(distance <= 1, "{x}: found {found}, expected {expected}");
            same += u32::from(distance == 0);
        }
        assert!(same > count / 1000 * 999, "{same} of {count} are equal");
    }

    #[test]
    fn exponentials_of_what_has_none_are_the_limits() {
        let cases = [
            (0.0, 1.0),
            (-0.0, 1.0),
            (f64::NEG_INFINITY, 0.0),
            (-1e9, 0.0),
            (-708.4, 0.0),
            (709.783, f64::INFINITY),
            (1e300, f64::INFINITY),
            (f64::INFINITY, f64::INFINITY),
        ];
        for (x, expected) in cases {
            assert_eq!(exp(x), expected, "{x}");
        }
        assert!(exp(MOST).is_finite() && exp(LEAST) >= f64::MIN_POSITIVE);
        assert!(exp(f64::NAN).is_nan());
    }
}
