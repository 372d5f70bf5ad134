//! From float to int8: one scale per vector, taken from its largest magnitude, so no calibration set is needed.

use super::float::round;

/// Vectors whose largest magnitude is below this are zero: keeps every reciprocal finite and every product normal.
const TINY: f32 = 1e-30;
/// Vectors whose largest magnitude is above this are refused: keeps every product of two scales finite.
const HUGE: f32 = 1e30;

/// An int8 vector and its scale: `value = integer * scale`, integers in -127..=127.
#[derive(Clone, Copy)]
pub(crate) struct Quantized<'a> {
    pub(crate) integers: &'a [i8],
    pub(crate) scale: f32,
}

/// The largest magnitude; `None` when a value is NaN, infinite or beyond all reason.
pub(crate) fn max_abs(x: &[f32]) -> Option<f32> {
    // As integers, magnitudes of floats order like the floats, and NaN lies above infinity: one comparison finds all.
    let bits = x.iter().fold(0, |max, value| max.max(value.to_bits() & 0x7fff_ffff));
    let max = f32::from_bits(bits);
    (max <= HUGE).then_some(max)
}

/// Quantizes a vector: `scale = max_abs / 127`, integers rounded to nearest, ties to even.
///
/// `None` when a value is not finite or `integers` is shorter than `x`.
pub(crate) fn quantize<'q>(x: &[f32], integers: &'q mut [i8]) -> Option<Quantized<'q>> {
    let max = max_abs(x)?;
    let integers = integers.get_mut(..x.len())?;
    if max < TINY {
        integers.fill(0);
        return Some(Quantized { integers, scale: 0.0 });
    }
    let inverse = 127.0 / max;
    for (integer, &value) in integers.iter_mut().zip(x) {
        *integer = round(value * inverse) as i8;
    }
    Some(Quantized { integers, scale: max * (1.0 / 127.0) })
}

/// A scale of the form `mantissa * 2^exponent` with a mantissa of 8 bits: what integer attention multiplies with.
///
/// Its value is a bfloat16 number rounded up, so integers made with it stay within ±127 and it costs no accuracy itself:
/// the vector is quantized with this very scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// 128..=255.
    pub(crate) mantissa: u8,
    /// -107..=93 given the limits above.
    pub(crate) exponent: i8,
}

impl Scale {
    /// The smallest scale that maps ±`max_abs` into ±127.
    pub(crate) fn covering(max_abs: f32) -> Scale {
        let exact = max_abs.max(TINY) * (1.0 / 127.0);
        let bits = (exact.to_bits() + 0xffff) >> 16;
        Scale { mantissa: (bits & 0x7f) as u8 | 0x80, exponent: ((bits >> 7) as i32 - 127 - 7) as i8 }
    }

    /// `mantissa * 2^exponent`.
    pub(crate) fn value(self) -> f32 {
        let exponent = (i32::from(self.exponent) + 7 + 127).cast_unsigned() << 23;
        f32::from_bits(exponent | u32::from(self.mantissa & 0x7f) << 16)
    }
}

/// Quantizes a vector with a [`Scale`], handing the integers out one by one; `None` when a value is not finite.
pub(crate) fn quantize_scaled<'o>(x: &[f32], integers: impl Iterator<Item = &'o mut i8>) -> Option<Scale> {
    let scale = Scale::covering(max_abs(x)?);
    let inverse = 1.0 / scale.value();
    for (integer, &value) in integers.zip(x) {
        *integer = round(value * inverse) as i8;
    }
    Some(scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantized_values_are_within_half_a_step(x in proptest::collection::vec(-1e20_f32..1e20, 1..70)) {
            let mut integers = [0; 70];
            let quantized = quantize(&x, &mut integers).unwrap();
            for (&integer, &value) in quantized.integers.iter().zip(&x) {
                let error = (f32::from(integer) * quantized.scale - value).abs();
                prop_assert!(integer >= -127 && error <= quantized.scale * 0.501, "{integer} for {value}");
            }
        }

        #[test]
        fn bfloat16_scales_cover_their_maximum_and_waste_at_most_a_128th(max in 1e-28_f32..1e28) {
            let scale = Scale::covering(max);
            let exact = max / 127.0;
            prop_assert!(scale.value() >= exact * 0.999_999 && scale.value() <= exact * (1.0 + 1.01 / 128.0));
            prop_assert_eq!(scale.value(), f32::from(scale.mantissa) * 2f32.powi(scale.exponent.into()));
        }
    }

    #[test]
    fn values_that_are_not_finite_are_refused_and_zeros_stay_zero() {
        let mut integers = [1; 4];
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN, 1e38] {
            assert!(quantize(&[0.0, bad], &mut integers).is_none(), "{bad}");
            assert!(quantize_scaled(&[0.0, bad], integers.iter_mut()).is_none(), "{bad}");
        }
        let zeros = quantize(&[0.0, -0.0, 1e-40], &mut integers).unwrap();
        assert_eq!((zeros.integers, zeros.scale), (&[0, 0, 0][..], 0.0));
        assert!(quantize(&[1.0; 5], &mut integers).is_none(), "five values do not fit four integers");
        assert_eq!(quantize_scaled(&[0.0; 4], integers.iter_mut()), Some(Scale::covering(0.0)));
        assert_eq!(integers, [0; 4]);
    }
}
