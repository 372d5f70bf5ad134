//! log2 of a float, from its exponent and an integer polynomial of its mantissa.

/// `log2(x) * 32768` for a positive normal `x`; absolute error of the logarithm below 2.5e-4.
///
/// With `t` the mantissa minus one, `log2(1 + t) = t + t (1 - t) q(t)`: exact at both ends, so that octaves meet. `q` is the
/// quadratic with the least maximum error, 1.14e-4; the remaining error is rounding of 15-bit products.
#[inline]
pub(super) fn log2_q15(x: f32) -> i32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let t = (bits >> 8 & 0x7fff) as i32;
    let q = 14_376 + ((t * (-7833 + ((t * 2691) >> 15))) >> 15);
    let bend = (((t * (32_768 - t)) >> 15) * q) >> 15;
    exponent * 32_768 + t + bend
}

#[cfg(test)]
mod tests {
    use super::log2_q15;

    #[test]
    fn the_logarithm_stays_within_its_documented_error_and_never_falls() {
        let mut worst = 0.0_f64;
        let mut last = i32::MIN;
        // Four octaves in steps of 2^-12 of a mantissa, and the last float before each octave.
        for bits in (0x3f00_0000_u32..0x4100_0000).step_by(1 << 11).flat_map(|bits| [bits, bits + (1 << 11) - 1]) {
            let x = f32::from_bits(bits);
            let found = log2_q15(x);
            worst = worst.max((f64::from(found) / 32_768.0 - libm::log2(f64::from(x))).abs());
            assert!(found >= last, "log2({x}) falls");
            last = found;
        }
        assert!(worst < 2.5e-4, "{worst}");
        for (x, exact) in [(1.0, 0), (f32::MIN_POSITIVE, -126), (f32::from_bits(0x7f00_0000), 127), (0.25, -2)] {
            assert_eq!(log2_q15(x), exact * 32_768, "log2({x})");
        }
    }
}
