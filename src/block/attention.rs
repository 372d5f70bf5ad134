//! Attention: the reduce (Vaswani et al. 2017). The only place where tokens meet, so it owns cache, mask and positions.
//!
//! ```text
//!                   ┌─► query ─► rotate ─┬─ head 0: softmax(q·K) · V ─┐
//! branch ─► quantize┼─► key ──► rotate ─► cache ──────►  …            ├─ concatenated ─► quantize ─► output ─► branch
//!                   └─► value ──────────► cache ─► head h-1 ──────────┘
//! ```
//! Heads attend side by side; `n_heads / n_kv_heads` query heads share one key/value head (Ainslie et al. 2023). The mask
//! is causal by construction: the cache holds the tokens up to this one and no others.

use super::Place;
use super::cache::HeadCache;
use crate::arch::{Backend, Native};
use crate::dims::Dims;
use crate::error::Error;
use crate::kernels::matrix::{dots_i8, matvec_q8};
use crate::kernels::quantize::{quantize, quantize_scaled};
use crate::kernels::softmax::Scores;
use crate::observe::{AttentionRow, Observer, Point};
use crate::state::{Scratch, take};
use crate::weights::Matrix;

/// Multi-head attention with rotary positions.
pub(crate) struct Attention<'a> {
    pub(crate) dims: &'a Dims,
    /// `[n_heads * head_dim, d_model]`.
    pub(crate) query: Matrix<'a>,
    /// `[n_kv_heads * head_dim, d_model]`.
    pub(crate) key: Matrix<'a>,
    /// `[n_kv_heads * head_dim, d_model]`.
    pub(crate) value: Matrix<'a>,
    /// `[d_model, n_heads * head_dim]`.
    pub(crate) output: Matrix<'a>,
}

impl Attention<'_> {
    /// Stores the token's key and value and replaces the branch by what all heads gathered.
    ///
    /// # Shapes
    /// `branch`: `[d_model]`; `cache`: this layer's part of the KV cache.
    pub(crate) fn forward(
        &self,
        branch: &mut [f32],
        cache: &mut [i8],
        place: &Place<'_>,
        scratch: &mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let not_finite = Error::NotFinite { layer: place.layer };
        let head_dim = self.dims.head_dim;
        let Scratch { floats, quantized, scores, weights } = scratch;
        let mut rest = &mut **floats;
        let query = take(&mut rest, self.dims.attention_width(), "activations")?;
        let key = take(&mut rest, self.dims.kv_width(), "activations")?;
        let value = take(&mut rest, self.dims.kv_width(), "activations")?;
        let gathered = take(&mut rest, self.dims.attention_width(), "activations")?;

        let mut scratch = Scratch { floats: rest, quantized, scores, weights };

        let input = quantize(branch, scratch.quantized).ok_or(not_finite)?;
        matvec_q8(query, &self.query, &input);
        matvec_q8(key, &self.key, &input);
        matvec_q8(value, &self.value, &input);
        rotate(query, place.rotation);
        rotate(key, place.rotation);
        observer.vector(Point::Query, place.layer, query);
        observer.vector(Point::Key, place.layer, key);
        observer.vector(Point::Value, place.layer, value);

        // Query heads come in groups that share a key/value head.
        let group = (self.dims.n_heads / self.dims.n_kv_heads.max(1)).max(1);
        let token = key.chunks_exact(head_dim.max(1)).zip(value.chunks_exact(head_dim.max(1)));
        let heads = query.chunks_exact_mut((group * head_dim).max(1));
        let outputs = gathered.chunks_exact_mut((group * head_dim).max(1));
        let caches = HeadCache::heads(cache, head_dim, scratch.scores.len());
        for (index, (((mut cache, (key, value)), queries), outputs)) in
            caches.zip(token).zip(heads).zip(outputs).enumerate()
        {
            cache.store(place.position, key, value).ok_or(not_finite)?;
            let queries = queries.chunks_exact_mut(head_dim.max(1));
            for (member, (query, out)) in queries.zip(outputs.chunks_exact_mut(head_dim.max(1))).enumerate() {
                let head = index * group + member;
                self.attend(query, &cache, out, head, place, &mut scratch, observer)?;
            }
        }
        let gathered = quantize(gathered, scratch.quantized).ok_or(not_finite)?;
        matvec_q8(branch, &self.output, &gathered);
        Ok(())
    }

    /// One head: `out = softmax(query · keys * attention_scale) · values` over the tokens so far.
    ///
    /// # Shapes
    /// `query`, `out`: `[head_dim]`; the query is used up.
    #[allow(clippy::too_many_arguments)] // the parts of one formula
    fn attend(
        &self,
        query: &mut [f32],
        cache: &HeadCache<'_>,
        out: &mut [f32],
        head: usize,
        place: &Place<'_>,
        scratch: &mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        let Scratch { quantized, scores, weights, .. } = scratch;
        let tokens = place.position + 1;
        let full = Error::CacheFull { max_seq: scores.len() };
        let max_seq = scores.len().max(1);
        let scores = scores.get_mut(..tokens).ok_or(full)?;
        let weights = weights.get_mut(..tokens).ok_or(full)?;

        // 2^x is cheaper than e^x: log2(e) is folded into the query, as the attention scale is.
        let scale = self.dims.attention_scale * core::f32::consts::LOG2_E;
        query.iter_mut().for_each(|value| *value *= scale);
        let not_finite = Error::NotFinite { layer: place.layer };
        let query_scale = quantize_scaled(query, quantized.iter_mut()).ok_or(not_finite)?;
        let query = quantized.get(..query.len()).unwrap_or(&[]);

        let mut rows = scores.iter_mut();
        let keys = cache.keys.get(..tokens * self.dims.head_dim).unwrap_or(&[]);
        dots_i8::<Native>(keys, self.dims.head_dim, query, |dot| {
            if let Some(score) = rows.next() {
                *score = dot;
            }
        });
        let key_scales = &cache.key_scales;
        let scores = Scores::new(scores, key_scales.mantissas, key_scales.exponents, query_scale)
            .ok_or(Error::ScoresTooLarge { layer: place.layer })?;
        observer.attention(place.layer, head, &AttentionRow { scores: &scores });

        let value_scales = &cache.value_scales;
        let factor = scores.weigh(weights, value_scales.mantissas, value_scales.exponents, self.dims.max_seq);
        for (out, values) in out.iter_mut().zip(cache.values.chunks_exact(max_seq)) {
            *out = Native::dot_i16_i8(weights, values.get(..tokens).unwrap_or(&[])) as f32 * factor;
        }
        Ok(())
    }
}

/// Rotates every head's pairs `(i, i + head_dim / 2)` by the position's angles (Su et al. 2021).
///
/// # Shapes
/// `heads`: any number of heads `[head_dim]`; `rotation`: `[head_dim]`, cosines, then sines.
fn rotate(heads: &mut [f32], rotation: &[f32]) {
    let half = rotation.len() / 2;
    let (cosines, sines) = rotation.split_at_checked(half).unwrap_or((&[], &[]));
    for head in heads.chunks_exact_mut(rotation.len().max(1)) {
        let Some((low, high)) = head.split_at_mut_checked(half) else { continue };
        for (((low, high), &cos), &sin) in low.iter_mut().zip(high).zip(cosines).zip(sines) {
            (*low, *high) = (*low * cos - *high * sin, *high * cos + *low * sin);
        }
    }
}

/// Writes the rotation of a position from the image's two tables: `angle = coarse angle + fine angle`.
///
/// # Shapes
/// `fine: [fine_rows, head_dim]`, `coarse: [_, head_dim]`, `rotation: [head_dim]`.
pub(crate) fn rotation(rotation: &mut [f32], fine: &[f32], coarse: &[f32], fine_rows: usize, position: usize) {
    let (width, half) = (rotation.len(), rotation.len() / 2);
    let fine_rows = fine_rows.max(1);
    let (coarse_cos, coarse_sin) = table_row(coarse, position / fine_rows, width);
    let (fine_cos, fine_sin) = table_row(fine, position % fine_rows, width);
    let coarse = coarse_cos.iter().zip(coarse_sin);
    let fine = fine_cos.iter().zip(fine_sin);
    let (cosines, sines) = rotation.split_at_mut_checked(half).unwrap_or((&mut [], &mut []));
    for (((cos, sin), (&cos_a, &sin_a)), (&cos_b, &sin_b)) in cosines.iter_mut().zip(sines).zip(coarse).zip(fine) {
        *cos = cos_a * cos_b - sin_a * sin_b;
        *sin = sin_a * cos_b + cos_a * sin_b;
    }
}

/// Cosines and sines of one row of a rotary table `[_, width]`.
fn table_row(table: &[f32], index: usize, width: usize) -> (&[f32], &[f32]) {
    let row = table.chunks_exact(width.max(1)).nth(index).unwrap_or(&[]);
    row.split_at_checked(width / 2).unwrap_or((&[], &[]))
}
