//! The KV cache of one layer: int8 keys and values, each vector with its own scale.
//!
//! ```text
//! layer ─► for each key/value head:  keys [max_seq, head_dim]   key mantissas [max_seq]   key exponents [max_seq]
//!                                    values [head_dim, max_seq] value mantissas [max_seq] value exponents [max_seq]
//! ```
//! Values lie transposed, so that the weighted sum over tokens is a dot product of neighbours, as the scores are.
//! A quarter of the RAM of a float cache; the scales are of the form that integer attention multiplies with.

use crate::kernels::quantize::quantize_scaled;

/// One key/value head's part of the cache.
pub(crate) struct HeadCache<'c> {
    /// `[max_seq, head_dim]`.
    pub(crate) keys: &'c mut [i8],
    /// `[head_dim, max_seq]`.
    pub(crate) values: &'c mut [i8],
    /// `[max_seq]`, mantissas as the bits of a `u8`.
    pub(crate) key_scales: ScaleRows<'c>,
    /// `[max_seq]`.
    pub(crate) value_scales: ScaleRows<'c>,
    head_dim: usize,
    max_seq: usize,
}

/// Mantissas and exponents of one scale for each token.
pub(crate) struct ScaleRows<'c> {
    pub(crate) mantissas: &'c mut [i8],
    pub(crate) exponents: &'c mut [i8],
}

impl<'c> HeadCache<'c> {
    /// The heads of a layer's cache, in order.
    pub(crate) fn heads(layer: &'c mut [i8], head_dim: usize, max_seq: usize) -> impl Iterator<Item = HeadCache<'c>> {
        let bytes = max_seq * (2 * head_dim + 4);
        layer.chunks_exact_mut(bytes.max(1)).filter_map(move |head| {
            let (keys, rest) = head.split_at_mut_checked(max_seq * head_dim)?;
            let (values, rest) = rest.split_at_mut_checked(max_seq * head_dim)?;
            let (key_mantissas, rest) = rest.split_at_mut_checked(max_seq)?;
            let (key_exponents, rest) = rest.split_at_mut_checked(max_seq)?;
            let (value_mantissas, value_exponents) = rest.split_at_mut_checked(max_seq)?;
            Some(HeadCache {
                keys,
                values,
                key_scales: ScaleRows { mantissas: key_mantissas, exponents: key_exponents },
                value_scales: ScaleRows { mantissas: value_mantissas, exponents: value_exponents },
                head_dim,
                max_seq,
            })
        })
    }

    /// Quantizes and stores the key and the value of the token at `position`.
    ///
    /// `None` when a value is not finite; a position beyond the cache stores nothing, which callers rule out.
    ///
    /// # Shapes
    /// `key`, `value`: `[head_dim]`.
    pub(crate) fn store(&mut self, position: usize, key: &[f32], value: &[f32]) -> Option<()> {
        let key_row = self.keys.iter_mut().skip(position * self.head_dim);
        let key_scale = quantize_scaled(key, key_row)?;
        let value_column = self.values.iter_mut().skip(position).step_by(self.max_seq.max(1));
        let value_scale = quantize_scaled(value, value_column)?;
        for (rows, scale) in [(&mut self.key_scales, key_scale), (&mut self.value_scales, value_scale)] {
            *rows.mantissas.get_mut(position)? = scale.mantissa as i8;
            *rows.exponents.get_mut(position)? = scale.exponent;
        }
        Some(())
    }
}
