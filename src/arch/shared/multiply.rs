//! Multiplication in fixed point: 32 by 16 bits, and by real numbers.
//!
//! ```text
//! integer ── << left ── × 15-bit multiplier, upper 32 bits ── + half ── >> right ──► integer × real number, rounded
//! ```

/// `a * b / 2^16`, rounded down.
///
/// The halves are multiplied apart, which is exact and needs no 64-bit product: what cores without `SMULL` want, and what
/// compilers turn into `SMULWB` or `SMULL` where there is one.
#[inline(always)]
pub(crate) const fn mul_q16(a: i32, b: i16) -> i32 {
    if cfg!(all(thumbformer_backend = "nosimd", thumbformer_long_multiply)) {
        // `SMULL` has the product in its upper word, which shifting a product of 48 bits down would need two instructions for.
        ((a as i64 * ((b as i32) << 16) as i64) >> 32) as i32
    } else if cfg!(thumbformer_long_multiply) {
        ((a as i64 * b as i64) >> 16) as i32
    } else {
        let low = ((a & 0xffff).wrapping_mul(b as i32)) >> 16;
        (a >> 16).wrapping_mul(b as i32).wrapping_add(low)
    }
}

/// `2^exponent` for exponents of normal floats; others are clamped to -126 and 127.
pub(crate) const fn power_of_two(exponent: i32) -> f32 {
    let clamped = if exponent < -126 {
        -126
    } else if exponent > 127 {
        127
    } else {
        exponent
    };
    f32::from_bits(((clamped + 127) as u32) << 23)
}

/// The square root of a positive number, rounded to nearest: by `VSQRT` where the compiler lets us say so, to the same bits as by `libm`.
#[inline]
pub(crate) fn sqrt(x: f32) -> f32 {
    #[cfg(thumbformer_backend = "helium")]
    {
        let mut root = x;
        // SAFETY: an operation between registers; IEEE 754 defines its one result.
        unsafe {
            core::arch::asm!("vsqrt.f32 {0}, {0}", inout(sreg) root, options(pure, nomem, nostack));
        }
        root
    }
    #[cfg(not(thumbformer_backend = "helium"))]
    libm::sqrtf(x)
}

/// The exponent of a normal float: `2^exponent <= |value| < 2^(exponent + 1)`.
pub(crate) const fn exponent(value: f32) -> i32 {
    ((value.to_bits() >> 23) & 0xff) as i32 - 127
}

/// Bits of a magnitude: the smallest `n` with `magnitude < 2^n`.
pub(crate) const fn bit_length(magnitude: u32) -> i32 {
    32 - magnitude.leading_zeros() as i32
}

/// Multiplication of integers up to a bound by a positive real number, rounded to nearest.
///
/// `apply(a) = ((a << left) * multiplier / 2^16 + half) >> right`: the number has 15 bits, the integer keeps all of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Multiplier {
    pub(crate) left_shift: u32,
    pub(crate) multiplier: i16,
    pub(crate) right_shift: u32,
}

impl Multiplier {
    /// Multiplier that makes zeros of all.
    pub(crate) const ZERO: Multiplier = Multiplier { left_shift: 0, multiplier: 0, right_shift: 0 };

    /// The ratio for integers with `|a| <= bound`; it is never larger than the number that was asked for.
    ///
    /// `None` when the number is not finite or a result could be 2^28.
    #[inline]
    pub(crate) fn new(number: f32, bound: u32) -> Option<Multiplier> {
        if bound == 0 || number <= 0.0 {
            return Some(Multiplier::ZERO);
        }
        let left = 30 - bit_length(bound);
        // NaN and infinity have the largest exponent of all.
        let exponent = exponent(number);
        // (a << left) < 2^30, the product < 2^29: shifting it right by 1 at least leaves room for the rounding.
        let right = left - exponent - 2;
        if left < 0 || right < 1 {
            return None;
        }
        let mantissa = (number.to_bits() & 0x007f_ffff) | 0x0080_0000;
        // Beyond 31 every result is zero, which a shift by 31 of a number below 2^29 and half of 2^31 gives as well.
        Some(Multiplier {
            left_shift: left as u32,
            multiplier: (mantissa >> 9) as i16,
            right_shift: right.min(31) as u32,
        })
    }

    /// The product, rounded to nearest; halves are rounded up.
    #[inline(always)]
    pub(crate) const fn apply(self, integer: i32) -> i32 {
        let half = if self.right_shift == 0 { 0 } else { 1 << (self.right_shift - 1) };
        (mul_q16(integer << self.left_shift, self.multiplier).wrapping_add(half)) >> self.right_shift
    }

    /// The ratio as one product of 32 by 32 bits: `apply(a) = ((a << left) * multiplier + 2^31) >> 32`, left and multiplier.
    ///
    /// `None` for numbers below 2^-18, whose multiplier would have too few bits.
    #[cfg(any(test, thumbformer_backend = "dsp", thumbformer_backend = "helium"))]
    pub(crate) const fn wide(self) -> Option<(u32, i32)> {
        // Shifts of the numerator, of which the multiplier takes as many as it has room for.
        let Some(shift) = (self.left_shift + 16).checked_sub(self.right_shift) else { return None };
        let left = shift.saturating_sub(16);
        Some((left, (self.multiplier as i32) << (shift - left)))
    }

    /// The number that is really multiplied with; zero where every result is zero.
    pub(crate) fn value(self) -> f32 {
        f32::from(self.multiplier) * power_of_two(self.left_shift as i32 - 16 - self.right_shift as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn products_without_a_long_multiplication_are_the_same() {
        let halves = |a: i32, b: i16| {
            let low = ((a & 0xffff) * i32::from(b)) >> 16;
            (a >> 16).wrapping_mul(i32::from(b)).wrapping_add(low)
        };
        for a in [0, 1, -1, 65_535, 65_536, -65_536, i32::MAX, i32::MIN, 123_456_789, -987_654_321] {
            for b in [0, 1, -1, i16::MAX, i16::MIN, 12_345, -12_345] {
                let exact = ((i64::from(a) * i64::from(b)) >> 16) as i32;
                assert_eq!((mul_q16(a, b), halves(a, b)), (exact, exact), "{a} * {b}");
            }
        }
    }

    proptest! {
        #[test]
        fn ratios_round_to_nearest_within_their_fifteen_bits(a in -1_000_000..1_000_000_i32, number in 1e-12_f32..200.0) {
            let Some(ratio) = Multiplier::new(number, 1_000_000) else { return Err(TestCaseError::fail("in range")) };
            let exact = f64::from(a) * f64::from(number);
            let found = f64::from(ratio.apply(a));
            prop_assert!((found - exact).abs() <= 0.5001 + exact.abs() / 16_384.0, "{found} for {exact}");
            let exact = f64::from(a) * f64::from(ratio.value());
            prop_assert!((found - exact).abs() <= 0.5001, "{found} for {exact} of the value");
        }

        #[test]
        fn one_wide_product_is_the_same_as_two_shifts(a in any::<i32>(), bits in 1..31_u32, number in -30.0..11.0_f32) {
            let bound = (1 << bits) - 1;
            let Some(ratio) = Multiplier::new(number.exp2(), bound) else { return Ok(()) };
            let wide = ratio.wide();
            prop_assert!(wide.is_some() || number < -17.0, "2^{number}");
            prop_assert!(wide.is_none_or(|(left, _)| left == 0) || number > -2.0, "2^{number}");
            for a in [a >> (31 - bits), bound as i32, -(bound as i32), 0] {
                let Some((left, multiplier)) = wide else { continue };
                let product = (i64::from(a << left) * i64::from(multiplier) + (1 << 31)) >> 32;
                prop_assert_eq!(product, i64::from(ratio.apply(a)));
            }
        }
    }

    #[test]
    fn ratios_refuse_what_does_not_fit_and_nothing_else() {
        for (number, bound, fits) in [
            (f32::NAN, 1, false),
            (f32::INFINITY, 1, false),
            (1e30, 1, false),
            (256.0, (1 << 20) - 1, false),
            (255.0, (1 << 20) - 1, true),
            (1.0, u32::MAX, false),
            (1.0, (1 << 27) - 1, true),
            (1.0, (1 << 28) - 1, false),
            (0.0, 5, true),
            (1e-38, 5, true),
            (f32::NAN, 0, true),
        ] {
            assert_eq!(Multiplier::new(number, bound).is_some(), fits, "{number} {bound}");
        }
        assert_eq!(Multiplier::new(1e-30, 1 << 28).map(|ratio| ratio.apply(-(1 << 28))), Some(0));
    }
}
