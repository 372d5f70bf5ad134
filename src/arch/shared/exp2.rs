//! `2^-f` for a fraction of eight bits: the table that softmax looks probabilities up in.

/// Bits of the fraction.
pub(crate) const FRACTION_BITS: u32 = 8;

/// `32768 * 2^(-f / 256)`, computed by a cubic polynomial in 15-bit fixed point.
///
/// The polynomial is the definition, the table is made from it: a core whose vector unit multiplies faster than it looks up
/// (`VQDMULH` on Cortex-M55) computes the same bits. Relative error below 1.4e-4.
pub(crate) static TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let fraction = (i as u32) << 7;
        let mut power = 7535 - ((fraction * 1276) >> 15);
        power = 22_642 - ((fraction * power) >> 15);
        table[i] = (32_765 - ((fraction * power) >> 15)) as u16;
        i += 1;
    }
    table
};

/// `32768 * 2^(-x / 256)`, rounded down, of a part of a unit.
#[inline(always)]
pub(crate) fn exp2_fraction(x: u8) -> u32 {
    TABLE[usize::from(x)].into()
}

/// `32768 * 2^(-x / 256)`, rounded down; 0 from 16 units on.
#[inline(always)]
fn exp2_negative(x: u32) -> u32 {
    let power = exp2_fraction(x as u8);
    // A shift by 15 leaves nothing of 15 bits.
    let shift = (x >> FRACTION_BITS).min(255);
    #[cfg(thumbformer_backend = "nosimd")]
    {
        let mut power = power;
        // SAFETY: a shift between registers. On these cores it is by 0 to 255, and nothing is left after 31, which the compiler does
        // not make use of.
        unsafe {
            core::arch::asm!("lsrs {0}, {1}", inout(reg) power, in(reg) shift, options(pure, nomem, nostack));
        }
        power
    }
    #[cfg(not(thumbformer_backend = "nosimd"))]
    {
        power >> shift.min(31)
    }
}

/// `2^((score - max) / 2^(8 - shift))` in 15 bits.
#[inline(always)]
pub(crate) fn probability(score: i16, max: i16, shift: u32) -> u32 {
    // Below 2^16, as both are of 16 bits; beyond 2^16 the power is zero.
    let distance = (i32::from(max) - i32::from(score)).cast_unsigned() & 0xffff;
    exp2_negative((distance << shift.min(15)).min(0xffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp2_stays_within_its_documented_error_and_ends_at_zero() {
        for fraction in 0..256_u32 {
            let exact = (-f64::from(fraction) / 256.0).exp2() * 32768.0;
            let found = f64::from(exp2_negative(fraction));
            assert!(((found - exact) / exact).abs() < 1.4e-4, "{fraction}: {found} for {exact}");
        }
        for x in [15 << 8, (16 << 8) - 1, 16 << 8, 65_535, u32::MAX] {
            assert_eq!(exp2_negative(x), 0, "{x}");
        }
        assert_eq!(exp2_negative(14 << 8), 1);
    }
}
