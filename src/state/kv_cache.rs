//! The KV cache of one layer: int8 keys and values, each vector with its own scale.
//!
//! ```text
//! layer ─► for each key/value head:  keys [max_seq, width]      key mantissas [max_seq]      key exponent
//!                                    values [head_dim, stride]  value mantissas [max_seq]    value exponent
//! ```
//! Values lie transposed, so that the weighted sum over tokens is a dot product of neighbours, as the scores are. A quarter
//! of the RAM of a float cache. All keys of a head share an exponent, as all values do: it grows when a larger vector comes,
//! and the mantissas before it are shifted and rounded, as those vectors now count for less in units of the largest.

use super::take::take;
use crate::arch::{self, Backend, Native};
use crate::kernels::quantize::{NO_EXPONENT, Scale};
use crate::kernels::scaled::{Multiplier, Scaled, bit_length};
use crate::kernels::softmax::{KEY_BITS, value_bits};

/// Layout of one head's part of the cache, computed once for all heads and layers.
#[derive(Clone, Copy)]
pub(crate) struct HeadLayout {
    /// Words of a head.
    words: usize,
    /// Tokens that fit.
    tokens: usize,
    /// Words of its keys.
    keys: usize,
    /// Words of its values.
    values: usize,
    /// `head_dim`, padded to a multiple of 4.
    pub(crate) width: usize,
    /// `max_seq`, padded to a multiple of 4.
    pub(crate) stride: usize,
    /// Bits of a value's mantissa.
    pub(crate) value_bits: i32,
}

impl HeadLayout {
    /// The layout for `max_seq` tokens. Sizes saturate, as those of all [regions](super::regions) do.
    #[deny(clippy::arithmetic_side_effects)]
    pub(super) const fn new(head_dim: usize, max_seq: usize) -> HeadLayout {
        // In words: four int8, or two mantissas.
        let (key, column) = (head_dim.div_ceil(4), max_seq.div_ceil(4));
        let (keys, values) = (max_seq.saturating_mul(key), head_dim.saturating_mul(column));
        let mantissas = column.saturating_mul(4);
        let words = keys.saturating_add(values).saturating_add(mantissas).saturating_add(1);
        let (width, stride) = (key.saturating_mul(4), column.saturating_mul(4));
        HeadLayout { words, tokens: max_seq, keys, values, width, stride, value_bits: 0 }
    }

    /// Words of a head.
    pub(super) const fn words(&self) -> usize {
        self.words
    }

    /// The slot of the token at a position, which may be that of an older one.
    pub(crate) fn slot(&self, position: usize) -> Slot {
        let replaces = position >= self.tokens;
        let index = if replaces { position.checked_rem(self.tokens).unwrap_or(0) } else { position };
        Slot { index, in_use: if replaces { self.tokens } else { position + 1 }, replaces }
    }

    /// The layout for a state of `max_seq` tokens of a model whose longest context is `context`.
    pub(crate) const fn of(head_dim: usize, max_seq: usize, context: usize) -> HeadLayout {
        let mut layout = HeadLayout::new(head_dim, max_seq);
        layout.value_bits = value_bits(context);
        layout
    }
}

/// The place of a token in the cache.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    index: usize,
    /// Slots that hold a token then.
    in_use: usize,
    /// True if it takes the place of the oldest.
    replaces: bool,
}

/// One key/value head's part of the cache.
pub(crate) struct HeadCache<'c> {
    /// int8, `[max_seq, width]`.
    pub(crate) keys: &'c mut [u32],
    /// int8, `[head_dim, stride]`.
    pub(crate) values: &'c mut [u32],
    /// `[max_seq]`, padded.
    pub(crate) key_mantissas: &'c mut [i16],
    /// `[max_seq]`, padded.
    pub(crate) value_mantissas: &'c mut [i16],
    /// Of keys and of values.
    exponents: &'c mut [i16],
    pub(crate) layout: &'c HeadLayout,
}

impl<'c> HeadCache<'c> {
    /// The heads of a layer's cache, in order.
    pub(crate) fn heads(mut layer: &'c mut [u32], layout: &'c HeadLayout) -> impl Iterator<Item = HeadCache<'c>> {
        core::iter::from_fn(move || {
            let mut head = take(&mut layer, layout.words).ok()?;
            let keys = take(&mut head, layout.keys).ok()?;
            let values = take(&mut head, layout.values).ok()?;
            let key_mantissas = arch::as_i16_mut(take(&mut head, layout.stride / 2).ok()?);
            let value_mantissas = arch::as_i16_mut(take(&mut head, layout.stride / 2).ok()?);
            let exponents = arch::as_i16_mut(head);
            Some(HeadCache { keys, values, key_mantissas, value_mantissas, exponents, layout })
        })
    }

    pub(crate) fn key_exponent(&self) -> i16 {
        self.exponents.first().copied().unwrap_or(NO_EXPONENT)
    }

    pub(crate) fn value_exponent(&self) -> i16 {
        self.exponents.get(1).copied().unwrap_or(NO_EXPONENT)
    }

    /// Quantizes and stores the key and the value of a token; slot 0 begins a new sequence, unless it is another token's.
    ///
    /// `None` when a value is not finite.
    ///
    /// # Shapes
    /// `key`, `value`: `[head_dim]`.
    #[inline(always)] // in the one place where all of its parts are still in registers
    pub(crate) fn store(&mut self, slot: Slot, key: &Scaled<'_>, value: &Scaled<'_>) -> Option<()> {
        let [key_exponent, value_exponent] = self.exponents else { return None };
        let mantissas = self.key_mantissas.get_mut(..slot.in_use)?;
        let ratio = store_scale(key, mantissas, slot, key_exponent, KEY_BITS)?;
        let row = arch::signed_bytes_mut(self.keys).get_mut(slot.index * self.layout.width..)?;
        let (row, rest) = row.split_at_mut_checked(key.integers.len())?;
        let padding = rest.get_mut(..self.layout.width - row.len())?;
        Native::rescale_i8(key.integers, ratio, row);
        if !padding.is_empty() {
            padding.fill(0);
        }
        let mantissas = self.value_mantissas.get_mut(..slot.in_use)?;
        let ratio = store_scale(value, mantissas, slot, value_exponent, self.layout.value_bits)?;
        let column = arch::signed_bytes_mut(self.values).get_mut(slot.index..)?;
        Native::rescale_column(value.integers, ratio, column, self.layout.stride);
        Some(())
    }
}

/// Chooses the scale of a vector, makes the exponent large enough for it, and writes its mantissa into a slot of those in use.
///
/// Returns the multiplier of the vector's integers; `None` when it is not finite.
#[inline(always)]
fn store_scale(x: &Scaled<'_>, mantissas: &mut [i16], slot: Slot, exponent: &mut i16, bits: i32) -> Option<Multiplier> {
    if slot.replaces {
        *mantissas.get_mut(slot.index)? = 0;
        *exponent = lowered(mantissas, *exponent, bits);
    } else if slot.index == 0 {
        *exponent = NO_EXPONENT;
    }
    let max = Native::abs_max(x.integers);
    let scale = Scale::covering(max as f32 * x.scale, *exponent, bits)?;
    let growth = i32::from(scale.exponent) - i32::from(*exponent);
    if growth > 0 {
        let shift = growth.min(16).cast_unsigned();
        for mantissa in &mut *mantissas {
            // What is in the slot is overwritten.
            *mantissa = ((i32::from(*mantissa) + (1 << (shift - 1))) >> shift) as i16;
        }
        *exponent = scale.exponent;
    }
    *mantissas.get_mut(slot.index)? = scale.mantissa;
    if scale.mantissa == 0 { Multiplier::new(0.0, max) } else { Multiplier::new(x.scale / scale.value(), max) }
}

/// The smallest exponent for these mantissas, which are brought to it: in a stream without end one large vector must not cost
/// all later ones their precision.
// Of no use to most models: kept apart, so that it takes no registers from them.
#[cold]
#[inline(never)]
fn lowered(mantissas: &mut [i16], exponent: i16, bits: i32) -> i16 {
    let largest = mantissas.iter().fold(0, |all, &mantissa| all | mantissa);
    if largest <= 0 {
        return NO_EXPONENT;
    }
    let room = (bits - bit_length(largest.unsigned_abs().into())).max(0);
    for mantissa in mantissas {
        *mantissa <<= room;
    }
    exponent - room as i16
}
