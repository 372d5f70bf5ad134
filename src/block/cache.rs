//! The KV cache of one layer: int8 keys and values, each vector with its own scale.
//!
//! ```text
//! layer ─► for each key/value head:  keys [max_seq, width]      key mantissas [max_seq]      key exponent
//!                                    values [head_dim, stride]  value mantissas [max_seq]    value exponent
//! ```
//! Values lie transposed, so that the weighted sum over tokens is a dot product of neighbours, as the scores are. A quarter
//! of the RAM of a float cache. All keys of a head share an exponent, as all values do: it grows when a larger vector comes,
//! and the mantissas before it are shifted and rounded, as those vectors now count for less in units of the largest.

use crate::arch::{self, Backend, Native};
use crate::kernels::fixed::{Fixed, Ratio};
use crate::kernels::quantize::{NO_EXPONENT, Scale};
use crate::kernels::softmax::{KEY_BITS, value_bits};
use crate::state::take;

/// Words of one head's part of the cache.
pub(crate) const fn head_words(head_dim: usize, max_seq: usize) -> usize {
    Layout::new(head_dim, max_seq).words
}

/// How a head's part of the cache is cut, computed once for all heads and layers.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    /// Words of a head.
    words: usize,
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

impl Layout {
    pub(crate) const fn new(head_dim: usize, max_seq: usize) -> Layout {
        let (width, stride) = (head_dim.next_multiple_of(4), max_seq.next_multiple_of(4));
        let (keys, values) = (max_seq * width / 4, head_dim * stride / 4);
        let words = keys + values + 2 * (stride / 2) + 1;
        Layout { words, keys, values, width, stride, value_bits: 0 }
    }

    /// The layout for a state of `max_seq` tokens of a model whose longest context is `context`.
    pub(crate) const fn of(head_dim: usize, max_seq: usize, context: usize) -> Layout {
        let mut layout = Layout::new(head_dim, max_seq);
        layout.value_bits = value_bits(context);
        layout
    }
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
    pub(crate) layout: &'c Layout,
}

impl<'c> HeadCache<'c> {
    /// The heads of a layer's cache, in order.
    pub(crate) fn heads(mut layer: &'c mut [u32], layout: &'c Layout) -> impl Iterator<Item = HeadCache<'c>> {
        core::iter::from_fn(move || {
            let mut head = take(&mut layer, layout.words).ok()?;
            let keys = take(&mut head, layout.keys).ok()?;
            let values = take(&mut head, layout.values).ok()?;
            let key_mantissas = arch::halves_mut(take(&mut head, layout.stride / 2).ok()?);
            let value_mantissas = arch::halves_mut(take(&mut head, layout.stride / 2).ok()?);
            let exponents = arch::halves_mut(head);
            Some(HeadCache { keys, values, key_mantissas, value_mantissas, exponents, layout })
        })
    }

    pub(crate) fn key_exponent(&self) -> i16 {
        self.exponents.first().copied().unwrap_or(NO_EXPONENT)
    }

    pub(crate) fn value_exponent(&self) -> i16 {
        self.exponents.get(1).copied().unwrap_or(NO_EXPONENT)
    }

    /// Quantizes and stores the key and the value of the token at `position`; position 0 begins a new sequence.
    ///
    /// `None` when a value is not finite or the position is beyond the cache.
    ///
    /// # Shapes
    /// `key`, `value`: `[head_dim]`.
    pub(crate) fn store(&mut self, position: usize, key: &Fixed<'_>, value: &Fixed<'_>) -> Option<()> {
        let [key_exponent, value_exponent] = self.exponents else { return None };
        let mantissas = self.key_mantissas.get_mut(..=position)?;
        let ratio = store_scale(key, mantissas, key_exponent, KEY_BITS)?;
        let row = arch::signed_bytes_mut(self.keys).get_mut(position * self.layout.width..)?;
        let (row, rest) = row.split_at_mut_checked(key.integers.len())?;
        let padding = rest.get_mut(..self.layout.width - row.len())?;
        Native::rescale_bytes(key.integers, ratio, row);
        if !padding.is_empty() {
            padding.fill(0);
        }
        let mantissas = self.value_mantissas.get_mut(..=position)?;
        let ratio = store_scale(value, mantissas, value_exponent, self.layout.value_bits)?;
        let rows = arch::signed_bytes_mut(self.values).chunks_exact_mut(self.layout.stride.max(1));
        for (row, &value) in rows.zip(value.integers.iter()) {
            *row.get_mut(position)? = ratio.apply(value) as i8;
        }
        Some(())
    }
}

/// Chooses the scale of a vector, makes the exponent large enough for it, and writes its mantissa at the end.
///
/// Returns what the vector's integers are to be multiplied with; `None` when it is not finite.
fn store_scale(x: &Fixed<'_>, mantissas: &mut [i16], exponent: &mut i16, bits: i32) -> Option<Ratio> {
    let (mantissa, before) = mantissas.split_last_mut()?;
    if before.is_empty() {
        *exponent = NO_EXPONENT;
    }
    let max = Native::largest(x.integers);
    let scale = Scale::covering(max as f32 * x.scale, *exponent, bits)?;
    let growth = i32::from(scale.exponent) - i32::from(*exponent);
    if growth > 0 {
        let shift = growth.min(16).cast_unsigned();
        for mantissa in before {
            *mantissa = ((i32::from(*mantissa) + (1 << (shift - 1))) >> shift) as i16;
        }
        *exponent = scale.exponent;
    }
    *mantissa = scale.mantissa;
    if scale.mantissa == 0 { Ratio::new(0.0, max) } else { Ratio::new(x.scale / scale.value(), max) }
}
