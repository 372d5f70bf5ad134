//! To int8: one scale per vector, taken from its largest magnitude, so no calibration set is needed.
//!
//! ```text
//! stream, f32 ──► block fixed point (24 bits, one exponent) ──► norm ──┐
//! branch, fixed point ────────────────────────────────────────────────┴─► int8 + scale, what meets a matrix
//! ```

use super::scaled::{HUGE, Multiplier, Scaled, TINY, exponent, power_of_two};
use crate::arch::{Backend, Native, PACKED_COLUMNS, activations};

/// The largest magnitude; `None` when a value is NaN, infinite or beyond all reason.
pub(crate) fn max_abs(x: &[f32]) -> Option<f32> {
    // As integers, magnitudes of floats order like the floats, and NaN lies above infinity: one comparison finds all.
    let bits = x.iter().fold(0, |max, value| max.max(value.to_bits() & 0x7fff_ffff));
    let max = f32::from_bits(bits);
    (max <= HUGE).then_some(max)
}

/// Bits of a number in block fixed point, the sign apart.
pub(crate) const BLOCK_BITS: i32 = 23;

/// Brings floats to one exponent: `integer = trunc(x / scale)`, `|integer| < 2^23`; the scale is a power of two.
///
/// `None` when a value is not finite.
///
/// # Shapes
/// `x`, `integers`: `[n]`.
pub(crate) fn to_block(x: &[f32], integers: &mut [i32]) -> Option<f32> {
    let max = max_abs(x)?;
    if max < TINY {
        integers.fill(0);
        return Some(0.0);
    }
    let shift = BLOCK_BITS - 1 - exponent(max);
    #[cfg(thumbformer_fpu)]
    {
        // A power of two: the product is exact, and the conversion cuts it off towards zero.
        Native::truncate(x, power_of_two(shift), integers);
    }
    #[cfg(not(thumbformer_fpu))]
    for (integer, &value) in integers.iter_mut().zip(x) {
        *integer = scaled(value, shift);
    }
    Some(power_of_two(-shift))
}

/// [`quantize_stream`] of `(x - offset) * scale`.
///
/// # Shapes
/// `x: [n]`; `scaling: [2, n]`, the bits of offsets, then of scales; `integers`: at least `n`; `words`: room for `n`, padded.
pub(crate) fn quantize_scaled(x: &[f32], scaling: &[u32], integers: &mut [i32], words: &mut [u32]) -> Option<f32> {
    let integers = integers.get_mut(..x.len())?;
    let (offsets, scales) = scaling.split_at(scaling.len() / 2);
    let mut largest = 0;
    for (slot, (&x, (&offset, &scale))) in integers.iter_mut().zip(x.iter().zip(offsets.iter().zip(scales))) {
        let bits = ((x - f32::from_bits(offset)) * f32::from_bits(scale)).to_bits();
        largest = largest.max(bits & 0x7fff_ffff);
        // The float's bits, until its integer takes the place.
        *slot = bits.cast_signed();
    }
    // As integers, magnitudes order like the floats, and NaN lies above infinity.
    if largest > HUGE.to_bits() {
        return None;
    }
    // What is tiny becomes 0, whatever the shift.
    let shift = if largest < TINY.to_bits() { 0 } else { BLOCK_BITS - 1 - exponent(f32::from_bits(largest)) };
    for slot in integers.iter_mut() {
        *slot = scaled(f32::from_bits(slot.cast_unsigned()), shift);
    }
    quantize(&Scaled { integers, scale: power_of_two(-shift) }, words)
}

/// `trunc(value * 2^shift)` without a float operation, for results below 2^23: what an FPU computes, bit for bit.
#[inline(always)]
fn scaled(value: f32, shift: i32) -> i32 {
    let bits = value.to_bits();
    let mantissa = (bits & 0x007f_ffff) | 0x0080_0000;
    let right = 150 - ((bits >> 23) & 0xff) as i32 - shift;
    let magnitude = (mantissa >> right.clamp(0, 31)) as i32;
    let sign = bits.cast_signed() >> 31;
    (magnitude ^ sign) - sign
}

/// Quantizes a vector in fixed point: the largest magnitude becomes 127, all are rounded to nearest. Returns the scale:
/// `value = integer * scale`.
///
/// The integers, -127..=127, lie in the words as the backend wants them, padded with zeros. `None` when the scale is not finite or the words have no room.
///
/// # Shapes
/// `x`: `[n]`; `words`: room for `n`, padded.
pub(crate) fn quantize(x: &Scaled<'_>, words: &mut [u32]) -> Option<f32> {
    quantize_within(x, None, words)
}

/// [`quantize`], where the largest magnitude may be known already.
pub(crate) fn quantize_within(x: &Scaled<'_>, largest: Option<u32>, words: &mut [u32]) -> Option<f32> {
    let len = x.integers.len();
    let max = match largest {
        Some(largest) => largest,
        None => Native::abs_max(x.integers),
    };
    // NaN is not in order with anything.
    let usable = x.scale <= HUGE;
    if !usable {
        return None;
    }
    let ratio = Multiplier::new(127.0 / max as f32, max)?;
    let (integers, padding) = activations(words).split_at_mut_checked(len)?;
    let padding = padding.get_mut(..len.next_multiple_of(PACKED_COLUMNS) - len)?;
    Native::rescale(x.integers, ratio, integers);
    // Kernels read whole blocks of columns.
    if !padding.is_empty() {
        padding.fill(0);
    }
    Some(if x.scale < TINY { 0.0 } else { x.scale / ratio.value() })
}

/// Quantizes a stream as it is, for a branch that begins without a norm.
///
/// # Shapes
/// `x: [n]`; `integers`: at least as many; `words`: room for `n`, padded.
pub(crate) fn quantize_stream(x: &[f32], integers: &mut [i32], words: &mut [u32]) -> Option<f32> {
    let integers = integers.get_mut(..x.len())?;
    let scale = to_block(x, integers)?;
    quantize(&Scaled { integers, scale }, words)
}

/// The scale of a cached vector, `mantissa * 2^exponent`: small enough a mantissa for one multiplication of 16 bits.
///
/// All vectors of a head share an exponent, which grows when a larger vector comes: `crate::block`'s cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// 0 for a vector of zeros.
    pub(crate) mantissa: i16,
    pub(crate) exponent: i16,
}

/// The exponent of a head that has seen zeros only.
pub(crate) const NO_EXPONENT: i16 = -200;

impl Scale {
    /// The smallest scale that maps ±`max` into ±127, with an exponent of at least `exponent` and `bits` bits of mantissa.
    ///
    /// `None` when `max` is not finite.
    pub(crate) fn covering(max: f32, at_least: i16, bits: i32) -> Option<Scale> {
        let usable = max <= HUGE;
        if !usable {
            return None;
        }
        if max < TINY {
            return Some(Scale { mantissa: 0, exponent: at_least });
        }
        let exact = max * (1.0 / 127.0);
        let exact_exponent = exponent(exact);
        let mut smallest = exact_exponent - bits + 1;
        if up(exact, 24 - bits) >> bits > 0 {
            smallest += 1;
        }
        let exponent = smallest.max(i32::from(at_least));
        Some(Scale { mantissa: up(exact, exponent - exact_exponent + 23) as i16, exponent: exponent as i16 })
    }

    /// `mantissa * 2^exponent`.
    pub(crate) fn value(self) -> f32 {
        f32::from(self.mantissa) * power_of_two(self.exponent.into())
    }
}

/// The 24 bits of a positive float, shifted to the right and rounded up.
fn up(value: f32, shift: i32) -> i32 {
    let mantissa = (value.to_bits() & 0x007f_ffff) | 0x0080_0000;
    // Nothing but the rounding is left of any shift beyond 24.
    let shift = shift.clamp(0, 25);
    ((mantissa + ((1 << shift) - 1)) >> shift).cast_signed()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn floats() -> impl Strategy<Value = Vec<f32>> {
        (prop::collection::vec(-1.0_f32..1.0, 1..70), -20..20_i32)
            .prop_map(|(x, exponent)| x.into_iter().map(|value| value * 2f32.powi(exponent)).collect())
    }

    proptest! {
        #[test]
        fn block_fixed_point_keeps_23_bits_of_the_largest(x in floats()) {
            let mut integers = std::vec![0; x.len()];
            let scale = to_block(&x, &mut integers).unwrap();
            let max = max_abs(&x).unwrap();
            for (&integer, &value) in integers.iter().zip(&x) {
                prop_assert!((f64::from(integer) * f64::from(scale) - f64::from(value)).abs() <= f64::from(max) * 2f64.powi(-22));
                prop_assert!(integer.abs() < 1 << BLOCK_BITS);
            }
        }

        #[test]
        fn conversion_by_integers_equals_the_fpu(value in -1.0_f32..1.0, small in -60..0_i32, shift in 0..23_i32) {
            let value = value * 2f32.powi(small);
            prop_assert_eq!(scaled(value, shift), (value * 2f32.powi(shift)) as i32);
        }

        #[test]
        fn quantized_values_are_within_half_a_step(x in prop::collection::vec(-9_000_000..9_000_000_i32, 1..70)) {
            let mut integers = x.clone();
            let mut words = [u32::MAX; 70];
            let largest = Native::abs_max(&integers);
            let fixed = Scaled { integers: &mut integers, scale: 0.5 };
            let scale = quantize(&fixed, &mut words).unwrap();
            let found: Vec<i32> = activations(&mut words).iter().take(x.len()).map(|&q| q.into()).collect();
            for (&integer, &value) in found.iter().zip(&x) {
                let error = (integer as f32 * scale - value as f32 * 0.5).abs();
                prop_assert!(integer.abs() <= 127 && error <= scale * 0.502, "{integer} for {value}");
            }
            let most = found.iter().map(|q| q.abs()).max().unwrap();
            prop_assert!(largest < 128 || most == 127 || most == 126, "{most}");
        }

        #[test]
        fn scales_cover_their_maximum_and_waste_little(max in 1e-28_f32..1e28, bits in 8..16_i32) {
            let scale = Scale::covering(max, NO_EXPONENT, bits).unwrap();
            let exact = max / 127.0;
            prop_assert!(scale.value() >= exact * 0.999_999 && scale.value() <= exact * (1.0 + 2.02 / 2f32.powi(bits)));
            prop_assert!(i32::from(scale.mantissa) >> bits == 0);
            let coarse = Scale::covering(max, scale.exponent + 3, bits).unwrap();
            prop_assert!(coarse.value() >= exact * 0.999_999 && coarse.exponent == scale.exponent + 3);
        }
    }

    #[test]
    fn values_that_are_not_finite_are_refused_and_zeros_stay_zero() {
        let mut integers = [1; 2];
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN, 1e38] {
            assert!(to_block(&[0.0, bad], &mut integers).is_none(), "{bad}");
            assert!(Scale::covering(bad.abs(), 0, 10).is_none(), "{bad}");
        }
        assert_eq!(to_block(&[0.0, 1e-40], &mut integers), Some(0.0));
        assert_eq!(integers, [0, 0]);
        let mut words = [u32::MAX; 16];
        let zeros = quantize(&Scaled { integers: &mut integers, scale: 1.0 }, &mut words).unwrap();
        assert!(words[0] == 0 && zeros > 0.0);
        let mut many = [3; 70];
        assert!(quantize(&Scaled { integers: &mut many, scale: 1.0 }, &mut words[..5]).is_none(), "no room");
        assert_eq!(Scale::covering(0.0, 7, 10), Some(Scale { mantissa: 0, exponent: 7 }));
    }
}
