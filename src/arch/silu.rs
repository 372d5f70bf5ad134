//! Activations in fixed point: what is left of the input when it is negative, from a small table.
//!
//! ```text
//! SiLU(x) = max(x, 0) - tail(|x|)        tail(a) = a / (1 + e^a): 0 at 0, at most 0.28, gone at 12
//! ```
//! The tail is the same on both sides, so one table of 193 words serves both; between its points it is a straight line.

/// Fraction bits of arguments and results.
pub(crate) const SILU_BITS: u32 = 16;
/// Distance of the table's points: 2^-4.
pub(super) const STEP_BITS: u32 = 4;
/// Arguments from here on have no tail.
pub(super) const END: usize = 12 << STEP_BITS;
/// The largest value of a tail, in fixed point.
pub(crate) const LARGEST_TAIL: u32 = 18_252;

/// Each word: the value at a point in the low half, the difference to the next point in the high half.
pub(super) static SILU_TAIL: [u32; END + 1] = {
    // e^(1/16), by its series; the table is made of products of it.
    let x = 1.0 / 16.0;
    let factor = 1.0 + x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 * (1.0 + x / 6.0)))));
    let mut values = [0_u16; END + 1];
    let mut power = 1.0_f64;
    let mut i = 0;
    // The last value stays zero, so that nothing is left from there on.
    while i < END {
        values[i] = (i as f64 / 16.0 / (1.0 + power) * 65_536.0 + 0.5) as u16;
        power *= factor;
        i += 1;
    }
    let mut table = [0; END + 1];
    let mut i = 0;
    while i < END {
        let slope = values[i + 1].wrapping_sub(values[i]);
        table[i] = values[i] as u32 | (slope as u32) << 16;
        i += 1;
    }
    table
};

/// `x / (1 + e^-x)` (Elfwing et al. 2017, SiLU; the Swish of Shazeer 2020's SwiGLU), 16 fraction bits.
///
/// Absolute error below 2.6e-4 (the test samples it). `|x| < 2^13`.
#[inline(always)]
pub(crate) fn silu(x: i32) -> i32 {
    let magnitude = x.unsigned_abs();
    let shift = SILU_BITS - STEP_BITS;
    let word = SILU_TAIL[((magnitude >> shift) as usize).min(END)];
    let fraction = (magnitude & ((1 << shift) - 1)).cast_signed();
    let slope = word.cast_signed() >> 16;
    let tail = (word & 0xffff).cast_signed() + ((slope * fraction) >> shift);
    (x & !(x >> 31)) - tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silu_stays_within_its_documented_error() {
        let mut largest = 0;
        for x in (-(20 << 16)..20 << 16).step_by(37).chain([0, 1, -1, 8_191 << 16, -(8_191 << 16)]) {
            let exact = f64::from(x) / 65_536.0;
            let exact = exact / (1.0 + (-exact).exp());
            let found = f64::from(silu(x)) / 65_536.0;
            assert!((found - exact).abs() < 2.6e-4, "{x}: {found} for {exact}");
            largest = largest.max(x.max(0) - silu(x));
        }
        assert_eq!(silu(0), 0);
        assert!((0..=LARGEST_TAIL.cast_signed()).contains(&largest), "{largest}");
    }
}
