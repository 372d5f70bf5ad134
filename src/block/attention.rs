//! Attention: the reduce (Vaswani et al. 2017). The only place where tokens meet, so it owns cache, mask and positions.
//!
//! ```text
//!         ┌─► query ─► [norm] ─► rotate ─┬─ head 0: softmax(q·K) · V ─┐
//! int8 ───┼─► key ──► [norm] ─► rotate ─► cache ──────►  …            ├─ concatenated ─► quantize ─► output ─► branch
//!         └─► value ────────────────────► cache ─► head h-1 ──────────┘
//! ```
//! Heads attend side by side; `n_heads / n_kv_heads` query heads share one key/value head (Ainslie et al. 2023). The mask
//! is which tokens the cache holds when a token looks: those up to itself (causal), or the whole sequence.

use super::norm::norm_heads;
use super::step::Step;
use crate::arch::{self, Backend, MAX_BATCH, Native, PACKED_ROWS};
use crate::dims::Dims;
use crate::error::Error;
use crate::kernels::matrix::{Batch, Products, linear};
use crate::kernels::quantize::{NO_EXPONENT, quantize};
use crate::kernels::scaled::{Scaled, power_of_two};
use crate::kernels::softmax::{Query, Values};
use crate::observe::{AttentionRow, Observer, Point};
use crate::state::kv_cache::HeadCache;
use crate::state::regions::Scratch;
use crate::state::take::take;
use crate::weights::{Linear, Vector};

/// Multi-head attention.
pub(crate) struct Attention<'a> {
    pub(crate) dims: &'a Dims,
    /// `[n_heads * head_dim, d_model]`.
    pub(crate) query: Linear<'a>,
    /// Gain of the norm of each head's query, `[head_dim]`.
    pub(crate) query_norm: Option<Vector<'a>>,
    /// `[n_kv_heads * head_dim, d_model]`.
    pub(crate) key: Linear<'a>,
    /// Gain of the norm of each head's key, `[head_dim]`.
    pub(crate) key_norm: Option<Vector<'a>>,
    /// `[n_kv_heads * head_dim, d_model]`.
    pub(crate) value: Linear<'a>,
    /// `[d_model, n_heads * head_dim]`.
    pub(crate) output: Linear<'a>,
}

/// The pass of one token through the heads: what all of them share.
struct TokenPass<'p, O> {
    step: &'p Step<'p>,
    /// Tokens of the cache that it sees.
    seen: usize,
    /// Exponent of the context: the largest of all heads' values.
    exponent: i16,
    /// Room for a query in 16 bits.
    words: &'p mut [u32],
    /// Room for a row of scores.
    scores: &'p mut [u32],
    observer: &'p mut O,
}

impl Attention<'_> {
    /// Attention of a batch, `[tokens, d_model]`: the branch that is added to the streams.
    ///
    /// Matrices take the batch as a whole. Under a causal mask the tokens meet one after the other: each stores its key and value
    /// and then looks, so that a batch gives the bits of single tokens. Without, all of the sequence was
    /// [stored](Attention::store) before.
    ///
    /// # Shapes
    /// `input: [tokens, d_model]`, in the scratch's activations; `cache`: this layer's part of the KV cache.
    pub(crate) fn forward<'s>(
        &self,
        input: &Batch,
        cache: &mut [u32],
        step: &Step<'_>,
        scratch: &'s mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Result<Products<'s>, Error> {
        let not_finite = Error::NotFinite { layer: step.layer };
        let (tokens, width) = (input.tokens(), self.query.rows().max(1));
        let Scratch { integers, activations, scores } = scratch;
        let mut rest = &mut **integers;
        let query = take(&mut rest, tokens * self.query.rows().next_multiple_of(PACKED_ROWS))?;
        let mut query = linear(query, &self.query, activations, input).ok_or(not_finite)?;
        let all_contexts = take(&mut rest, tokens * self.query.rows())?;
        let mut own = if self.dims.is_causal() {
            Some(self.keys_and_values(input, rest, activations).ok_or(not_finite)?)
        } else {
            None
        };
        let common = if own.is_none() { self.largest_exponent(cache, step) } else { NO_EXPONENT };
        let mut exponents = [common; MAX_BATCH];
        let outputs = all_contexts.chunks_exact_mut(width).zip(&mut exponents).take(tokens);
        for (token, (context, exponent)) in outputs.enumerate() {
            let mut query = query.token(token).ok_or(not_finite)?;
            if cfg!(feature = "qk-norm")
                && let Some(gain) = &self.query_norm
            {
                norm_heads(&mut query, gain, self.dims.norm_eps).ok_or(not_finite)?;
            }
            let rotation = step.rotation(token);
            rotate(&mut query, rotation);
            observer.vector(Point::Query, step.layer, &query.observed());
            if let Some(own) = &mut own {
                *exponent = self.store_kv(own, token, cache, step, observer).ok_or(not_finite)?;
            }
            let causal = (step.position + token + 1).min(step.max_seq);
            let seen = if self.dims.is_causal() { causal } else { step.length };
            let mut pass = TokenPass { step, seen, exponent: *exponent, words: activations, scores, observer };
            self.attend_heads(query, cache, context, &mut pass)?;
            let context = Scaled { integers: context, scale: power_of_two((*exponent).into()) };
            observer.vector(Point::Context, step.layer, &context.observed());
        }
        let mut context = all_contexts.chunks_exact_mut(width).zip(exponents);
        let context = Batch::new(width, tokens, activations, |_, words| {
            let (integers, exponent) = context.next()?;
            quantize(&Scaled { integers, scale: power_of_two(exponent.into()) }, words)
        });
        let out = take(&mut &mut **integers, tokens * self.output.rows().next_multiple_of(PACKED_ROWS))?;
        linear(out, &self.output, activations, &context.ok_or(not_finite)?).ok_or(not_finite)
    }

    /// Stores the keys and values of a batch, for tokens that see later ones.
    ///
    /// # Shapes
    /// As of [`forward`](Attention::forward).
    pub(crate) fn store(
        &self,
        input: &Batch,
        cache: &mut [u32],
        step: &Step<'_>,
        scratch: &mut Scratch<'_>,
        observer: &mut impl Observer,
    ) -> Option<()> {
        let mut own = self.keys_and_values(input, scratch.integers, scratch.activations)?;
        for token in 0..input.tokens() {
            self.store_kv(&mut own, token, cache, step, observer)?;
        }
        Some(())
    }

    /// Keys and values of a batch, `[tokens, n_kv_heads * head_dim]`.
    fn keys_and_values<'s>(
        &self,
        input: &Batch,
        mut rest: &'s mut [i32],
        activations: &[u32],
    ) -> Option<[Products<'s>; 2]> {
        let key = take(&mut rest, input.tokens() * self.key.rows().next_multiple_of(PACKED_ROWS)).ok()?;
        let value = take(&mut rest, input.tokens() * self.value.rows().next_multiple_of(PACKED_ROWS)).ok()?;
        Some([linear(key, &self.key, activations, input)?, linear(value, &self.value, activations, input)?])
    }

    /// Stores a token's key and value. Returns the largest exponent of all heads' values, which the context is brought to;
    /// `None` when a value is not finite.
    fn store_kv(
        &self,
        [keys, values]: &mut [Products<'_>; 2],
        token: usize,
        cache: &mut [u32],
        step: &Step<'_>,
        observer: &mut impl Observer,
    ) -> Option<i16> {
        let (mut key, value) = (keys.token(token)?, values.token(token)?);
        if cfg!(feature = "qk-norm")
            && let Some(gain) = &self.key_norm
        {
            norm_heads(&mut key, gain, self.dims.norm_eps)?;
        }
        rotate(&mut key, step.rotation(token));
        observer.vector(Point::Key, step.layer, &key.observed());
        observer.vector(Point::Value, step.layer, &value.observed());
        let head_dim = self.dims.head_dim.max(1);
        let slot = step.layout.slot(step.position + token);
        let mut exponent = NO_EXPONENT;
        let heads = key.integers.chunks_exact_mut(head_dim).zip(value.integers.chunks_exact_mut(head_dim));
        let caches = HeadCache::heads(cache, &step.layout);
        for (mut cache, (head_key, head_value)) in caches.zip(heads) {
            let head_key = Scaled { integers: head_key, scale: key.scale };
            let head_value = Scaled { integers: head_value, scale: value.scale };
            cache.store(slot, &head_key, &head_value)?;
            exponent = exponent.max(cache.value_exponent());
        }
        Some(exponent)
    }

    /// The largest exponent of all heads' values.
    fn largest_exponent(&self, cache: &mut [u32], step: &Step<'_>) -> i16 {
        let caches = HeadCache::heads(cache, &step.layout);
        caches.map(|cache| cache.value_exponent()).max().unwrap_or(NO_EXPONENT)
    }

    /// Attention of one token, all heads. Query heads come in groups that share a key/value head. Output scale: `2^exponent`.
    ///
    /// # Shapes
    /// `query`, `context`: `[n_heads * head_dim]`.
    fn attend_heads<O: Observer>(
        &self,
        query: Scaled<'_>,
        cache: &mut [u32],
        context: &mut [i32],
        pass: &mut TokenPass<'_, O>,
    ) -> Result<(), Error> {
        let head_dim = self.dims.head_dim.max(1);
        let group = (self.dims.n_heads / self.dims.n_kv_heads.max(1)).max(1);
        let group_width = (group * head_dim).max(1);
        let heads = query.integers.chunks_exact_mut(group_width);
        let outputs = context.chunks_exact_mut(group_width);
        let caches = HeadCache::heads(cache, &pass.step.layout);
        let mut head = 0;
        for ((cache, queries), outputs) in caches.zip(heads).zip(outputs) {
            for (integers, out) in queries.chunks_exact_mut(head_dim).zip(outputs.chunks_exact_mut(head_dim)) {
                let query = Scaled { integers, scale: query.scale };
                self.attend_head(head, &query, &cache, out, pass)?;
                head += 1;
            }
        }
        Ok(())
    }

    /// One head: `out = softmax(query · keys * attention_scale) · values`. Output scale: `2^exponent`.
    ///
    /// # Shapes
    /// `query`, `out`: `[head_dim]`.
    fn attend_head<O: Observer>(
        &self,
        head: usize,
        query: &Scaled<'_>,
        cache: &HeadCache<'_>,
        out: &mut [i32],
        pass: &mut TokenPass<'_, O>,
    ) -> Result<(), Error> {
        let (layer, seen) = (pass.step.layer, pass.seen);
        let full = Error::CacheFull { max_seq: pass.step.max_seq };
        let scores = arch::as_i16_mut(pass.scores).get_mut(..seen.next_multiple_of(4)).ok_or(full)?;
        let key_mantissas = cache.key_mantissas.get(..seen).ok_or(full)?;
        let mantissas = cache.value_mantissas.get(..seen).ok_or(full)?;
        let words = arch::as_i16_mut(pass.words).get_mut(..cache.layout.width).ok_or(full)?;

        // 2^x is cheaper than e^x: log2(e) is folded into the query, as the attention scale is.
        let factor = self.dims.attention_scale * core::f32::consts::LOG2_E;
        let query = Query::new(query, factor, cache.key_exponent(), words);
        let scores = query.ok_or(Error::ScoresTooLarge { layer })?.scores(cache.keys, key_mantissas, scores);
        pass.observer.attention(layer, head, &AttentionRow { scores: &scores });
        let values =
            Values { integers: cache.values, stride: cache.layout.stride, mantissas, bits: cache.layout.value_bits };
        let spare = i32::from(pass.exponent) - i32::from(cache.value_exponent());
        scores.weighted_sums(&values, spare, out).ok_or(Error::NotFinite { layer })
    }
}

/// Rotates every head's pairs `(i, i + head_dim / 2)` by the position's angles (Su et al. 2021).
///
/// # Shapes
/// `heads`: any number of heads `[head_dim]`; `rotation`: `[head_dim]`, cosines, then sines; empty: nothing is rotated.
fn rotate(heads: &mut Scaled<'_>, rotation: &[i16]) {
    if rotation.is_empty() {
        return;
    }
    let half = rotation.len() / 2;
    let (cosines, sines) = rotation.split_at_checked(half).unwrap_or((&[], &[]));
    for head in heads.integers.chunks_exact_mut(rotation.len().max(1)) {
        let Some((low, high)) = head.split_at_mut_checked(half) else { continue };
        Native::rotate(low, high, cosines, sines);
    }
    // Cosine and sine have 15 bits, a multiplication divides by 2^16.
    heads.scale *= 2.0;
}

/// Writes the rotation of a position from the image's two tables: `angle = coarse angle + fine angle`.
///
/// # Shapes
/// `fine: [fine_rows, head_dim]`, `coarse: [_, head_dim]`, `rotation: [head_dim]`; all with 15 fraction bits.
pub(crate) fn rotation(
    rotation: &mut [i16],
    fine: &Vector<'_>,
    coarse: &Vector<'_>,
    fine_rows: usize,
    position: usize,
) {
    let (width, half) = (rotation.len(), rotation.len() / 2);
    let fine_rows = fine_rows.max(1);
    let (coarse_cos, coarse_sin) = table_row(coarse.integers, position / fine_rows, width);
    let (fine_cos, fine_sin) = table_row(fine.integers, position % fine_rows, width);
    let coarse = coarse_cos.iter().zip(coarse_sin);
    let fine = fine_cos.iter().zip(fine_sin);
    let (cosines, sines) = rotation.split_at_mut_checked(half).unwrap_or((&mut [], &mut []));
    for (((cos, sin), (&cos_a, &sin_a)), (&cos_b, &sin_b)) in cosines.iter_mut().zip(sines).zip(coarse).zip(fine) {
        *cos = rounded(product(cos_a, cos_b) - product(sin_a, sin_b));
        *sin = rounded(product(sin_a, cos_b) + product(cos_a, sin_b));
    }
}

/// Of two numbers with 15 fraction bits, halved: two of them fit 31 bits.
fn product(a: i16, b: i16) -> i32 {
    (i32::from(a) * i32::from(b)) >> 1
}

/// From 29 to 15 fraction bits, at most 1.
fn rounded(value: i32) -> i16 {
    ((value + (1 << 13)) >> 14).clamp(-32_767, 32_767) as i16
}

/// Cosines and sines of one row of a rotary table `[_, width]`.
fn table_row(table: &[i16], index: usize, width: usize) -> (&[i16], &[i16]) {
    let row = table.chunks_exact(width.max(1)).nth(index).unwrap_or(&[]);
    row.split_at_checked(width / 2).unwrap_or((&[], &[]))
}
