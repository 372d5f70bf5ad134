//! The trait of a backend: the integer primitives that the kernels are written over.
//!
//! ```text
//! required      products of matrices, scores, their weights, weighted sums: what a core's instructions decide
//! elementwise   a definition each, in plain Rust, which a backend may do faster
//! fused         two of these in one: a backend that gains nothing by it inherits the sequence
//! ```

#[cfg(doc)]
use super::{ACTIVATION_BITS, MAX_COLUMNS_Q4};
use super::{Multiplier, Native, PACKED_COLUMNS, Packing, Tail, activation, mul_q16};

/// The integer primitives that the kernels are written over. All of them have a definition in `scalar`.
///
/// Sums must fit an `i32`; [`crate::Dims::check`] bounds the shapes so that they do. Slices that belong together have the same
/// length: of others nothing outside is read or written, but backends differ in the numbers.
pub(crate) trait Backend {
    // ---- required ----

    /// The folder's name: `scalar`, `nosimd`, `dsp`, `helium` or `simd`.
    const NAME: &'static str;

    /// The only packing that the kernels read, on a device; `None`: every one.
    const PACKING: Option<Packing>;

    /// An activation as the matrix kernels want it: 8 bits of content in this type.
    type Activation: Copy + Into<i32> + From<i8>;

    /// These words as activations, to be written.
    fn activations(words: &mut [u32]) -> &mut [Self::Activation];

    /// `out[r] = sum(w[r][c] * x[c])` of an int8 matrix.
    ///
    /// # Shapes
    /// `weights`: packed, `cols` padded columns; `x`: `[cols]` activations; `out`: padded rows.
    fn dots_q8(packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]);

    /// `out[r] = sum over groups of scale[r][g] * sum(w[r][c] * x[c])` of an int4 matrix; below 2^29.
    ///
    /// # Shapes
    /// As of `dots_q8`, at most [`MAX_COLUMNS_Q4`] columns.
    fn dots_q4(packing: Packing, weights: &[u32], cols: usize, x: &[u32], out: &mut [i32]);

    /// `scores[t] = sum(keys[t][i] * query[i]) * mantissas[t] / 2^16`, rounded down; returns the largest.
    ///
    /// The caller scales the query so that every score fits 16 bits.
    ///
    /// # Shapes
    /// `keys: [tokens, width]` int8, `width` a multiple of 4; `mantissas`, `scores`: `[tokens]`; `query: [width]`.
    fn scaled_dots(keys: &[u32], width: usize, mantissas: &[i16], query: &[i16], scores: &mut [i16]) -> i16;

    /// Replaces scores by weights: `p = 2^((score - max) / 2^(8 - shift))` in 15 bits, `weight = p * mantissa / 2^16`, both
    /// rounded down; returns the sum of all `p`. No score is above `max`.
    ///
    /// # Shapes
    /// `scores`, `mantissas`: `[tokens]`.
    fn weigh(scores: &mut [i16], max: i16, shift: u32, mantissas: &[i16]) -> u32;

    /// `sums[i] = sum(values[i][t] * weights[t])`.
    ///
    /// # Shapes
    /// `values: [sums, stride]` int8, `stride` a multiple of 4; `weights: [tokens]`, padded with zeros to a multiple of 4. Their
    /// order does not stay.
    fn weighted_sums(values: &[u32], stride: usize, weights: &mut [i16], sums: &mut [i32]);

    // ---- elementwise: the definition, which a backend may do faster ----

    /// A number that no magnitude exceeds: the largest, or one more.
    #[inline]
    fn abs_max(x: &[i32]) -> u32 {
        // The magnitude, less one for negative numbers.
        x.iter().fold(0, |max, &x| (x ^ (x >> 31)).max(max)).cast_unsigned() + 1
    }

    /// The sum.
    #[inline]
    fn sum(x: &[i32]) -> i64 {
        x.iter().map(|&x| i64::from(x)).sum()
    }

    /// `sum((x[i] >> shift)^2)`; what is squared has 15 bits and a sign.
    #[inline]
    fn sum_of_squares(x: &[i32], shift: u32) -> u64 {
        x.iter().map(|&x| u64::from((x >> shift).wrapping_mul(x >> shift).cast_unsigned())).sum()
    }

    /// `sum(|x[i]| / 128 + 1)`: in these units the magnitudes of 512 numbers of 29 bits fit a word.
    #[inline]
    fn magnitudes(x: &[i32]) -> u32 {
        x.iter().map(|x| (x.unsigned_abs() >> 7) + 1).sum()
    }

    /// `out[i] = x[i] * ratio`, rounded; the ratio is such that all results fit 8 bits.
    #[inline]
    fn rescale(x: &[i32], ratio: Multiplier, out: &mut [Self::Activation]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = (ratio.apply(x) as i8).into();
        }
    }

    /// `out[i] = x[i] * ratio`, rounded; the ratio is such that all results fit 16 bits.
    #[inline]
    fn rescale_i16(x: &[i32], ratio: Multiplier, out: &mut [i16]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = ratio.apply(x) as i16;
        }
    }

    /// `out[i] = x[i] * ratio`, rounded; the ratio is such that all results fit 8 bits.
    #[inline]
    fn rescale_i8(x: &[i32], ratio: Multiplier, out: &mut [i8]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = ratio.apply(x) as i8;
        }
    }

    /// `x[i] = x[i] * ratio`, rounded.
    #[inline]
    fn rescale_in_place(x: &mut [i32], ratio: Multiplier) {
        for x in x {
            *x = ratio.apply(*x);
        }
    }

    /// `x[i] = x[i] * multipliers[i] / 2^16`, rounded down.
    #[inline]
    fn scale_rows(x: &mut [i32], multipliers: &[i16]) {
        for (x, &multiplier) in x.iter_mut().zip(multipliers) {
            *x = mul_q16(*x, multiplier);
        }
    }

    /// `x[i] = x[i] + other[i] * ratio`, the product rounded; the ratio is for integers of 15 bits and a sign.
    #[inline]
    fn add_scaled(x: &mut [i32], other: &[i16], ratio: Multiplier) {
        for (x, &other) in x.iter_mut().zip(other) {
            *x += ratio.apply(other.into());
        }
    }

    /// `out[i] = trunc(x[i] * factor)`; the products fit 24 bits.
    #[cfg(thumbformer_fpu)]
    #[inline]
    fn truncate(x: &[f32], factor: f32, out: &mut [i32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = (x * factor) as i32;
        }
    }

    /// `x[i] = f(x[i] * ratio)`, the argument and the result of the activation `f` with [`ACTIVATION_BITS`] fraction bits.
    ///
    /// The ratio keeps the argument below 2^13.
    #[inline]
    fn activate(x: &mut [i32], ratio: Multiplier, tail: &Tail) {
        for x in x {
            *x = activation(ratio.apply(*x), tail);
        }
    }

    /// Rotates pairs: `low = low * cos - high * sin`, `high = high * cos + low * sin`, each product divided by 2^16.
    ///
    /// # Shapes
    /// All `[n]`.
    #[inline]
    fn rotate(low: &mut [i32], high: &mut [i32], cosines: &[i16], sines: &[i16]) {
        for (((low, high), &cos), &sin) in low.iter_mut().zip(high).zip(cosines).zip(sines) {
            (*low, *high) = (mul_q16(*low, cos) - mul_q16(*high, sin), mul_q16(*high, cos) + mul_q16(*low, sin));
        }
    }

    // ---- fused: the sequence, which a backend may do in one ----

    /// `out[r] = sum(w[r][c] * x[c]) * multipliers[r] / 2^16`, rounded down.
    ///
    /// # Shapes
    /// As of `dots_q8`; `multipliers`: padded rows.
    #[inline]
    fn matvec_q8(packing: Packing, weights: &[u32], cols: usize, x: &[u32], multipliers: &[i16], out: &mut [i32]) {
        Self::dots_q8(packing, weights, cols, x, out);
        Self::scale_rows(out, multipliers);
    }

    /// [`matvec_q8`](Backend::matvec_q8) for several vectors at a time.
    ///
    /// # Shapes
    /// `x`: `[vectors, cols]`; `out`: `[vectors, rows]`, as many padded rows as there are multipliers.
    #[inline]
    fn matmul_q8(packing: Packing, weights: &[u32], cols: usize, x: &[u32], multipliers: &[i16], out: &mut [i32]) {
        if out.len() == multipliers.len() {
            return Self::matvec_q8(packing, weights, cols, x, multipliers, out);
        }
        let words = words_of::<Self>(cols);
        // `chunks_exact(words.max(1))` keeps its panic in the code of Armv6-M and Armv7-M.
        if words == 0 {
            return;
        }
        for (x, out) in x.chunks_exact(words).zip(out.chunks_exact_mut(multipliers.len().max(1))) {
            Self::matvec_q8(packing, weights, cols, x, multipliers, out);
        }
    }

    /// [`matmul_q8`](Backend::matmul_q8), and to each vector a bias [added](Backend::add_scaled), which may have fewer rows.
    #[inline]
    fn linear_q8(
        packing: Packing,
        weights: &[u32],
        cols: usize,
        x: &[u32],
        multipliers: &[i16],
        bias: &Bias<'_>,
        out: &mut [i32],
    ) {
        Self::matmul_q8(packing, weights, cols, x, multipliers, out);
        for (out, &ratio) in out.chunks_exact_mut(multipliers.len().max(1)).zip(bias.ratios) {
            // Rows that only fill the last block of a packing have no bias.
            let (out, _) = out.split_at_mut(bias.integers.len().min(out.len()));
            Self::add_scaled(out, bias.integers, ratio);
        }
    }

    /// [`dots_q4`](Backend::dots_q4) for several vectors at a time.
    ///
    /// # Shapes
    /// `x`: `[vectors, cols]`; `out`: `[vectors, rows]`, rows padded.
    #[inline]
    fn matmul_q4(packing: Packing, weights: &[u32], cols: usize, x: &[u32], rows: usize, out: &mut [i32]) {
        if out.len() == rows {
            return Self::dots_q4(packing, weights, cols, x, out);
        }
        let words = words_of::<Self>(cols);
        // `chunks_exact(words.max(1))` keeps its panic in the code of Armv6-M and Armv7-M.
        if words == 0 {
            return;
        }
        for (x, out) in x.chunks_exact(words).zip(out.chunks_exact_mut(rows.max(1))) {
            Self::dots_q4(packing, weights, cols, x, out);
        }
    }

    /// [`rescale_i8`](Backend::rescale_i8) down a column: `out[i * stride]`, as far as there are rows.
    #[inline]
    fn rescale_column(x: &[i32], ratio: Multiplier, out: &mut [i8], stride: usize) {
        for (row, &x) in out.chunks_mut(stride.max(1)).zip(x) {
            if let Some(out) = row.first_mut() {
                *out = ratio.apply(x) as i8;
            }
        }
    }

    /// `x[i] = x[i] - mean`; returns the [`sum_of_squares`](Backend::sum_of_squares) of the results.
    #[inline]
    fn subtract_mean(x: &mut [i32], mean: i32, shift: u32) -> u64 {
        x.iter_mut().for_each(|x| *x -= mean);
        Self::sum_of_squares(x, shift)
    }

    /// [`scale_rows`](Backend::scale_rows), then [`add_scaled`](Backend::add_scaled); returns the
    /// [`abs_max`](Backend::abs_max) where it costs little on the way.
    #[inline]
    fn scale_and_add(x: &mut [i32], multipliers: &[i16], other: &[i16], ratio: Multiplier) -> Option<u32> {
        Self::scale_rows(x, multipliers);
        Self::add_scaled(x, other, ratio);
        None
    }

    /// [`activate`](Backend::activate); returns the [`abs_max`](Backend::abs_max) where it costs little on the way.
    #[inline]
    fn activate_within(x: &mut [i32], ratio: Multiplier, tail: &Tail) -> Option<u32> {
        Self::activate(x, ratio, tail);
        None
    }

    /// `gate[i] = (f(gate[i] * ratio) >> shifts.0) * (up[i] >> shifts.1)`, as [`activate`](Backend::activate).
    ///
    /// The shifts keep each factor within 14 bits and a sign.
    #[inline]
    fn activate_times(gate: &mut [i32], up: &[i32], ratio: Multiplier, shifts: (u32, u32), tail: &Tail) {
        for (gate, &up) in gate.iter_mut().zip(up) {
            *gate = (activation(ratio.apply(*gate), tail) >> shifts.0) * (up >> shifts.1);
        }
    }

    /// [`weighted_sums`](Backend::weighted_sums), times a ratio.
    #[inline]
    fn scaled_sums(values: &[u32], stride: usize, weights: &mut [i16], ratio: Multiplier, sums: &mut [i32]) {
        Self::weighted_sums(values, stride, weights, sums);
        Self::rescale_in_place(sums, ratio);
    }
}

/// Most tokens that go through the network together, and the default: the vectors that the kernels of the M4 take at a time.
pub const MAX_BATCH: usize = 4;

/// Bias of a matrix, added to its products.
pub(crate) struct Bias<'a> {
    /// `[rows]`.
    pub(crate) integers: &'a [i16],
    /// Multiplier of the integers for each vector, for integers of 15 bits and a sign.
    pub(crate) ratios: &'a [Multiplier],
}

/// Words of so many activations of a backend, padded with zeros as the columns of a matrix are.
const fn words_of<B: Backend + ?Sized>(count: usize) -> usize {
    count.next_multiple_of(PACKED_COLUMNS) / 4 * size_of::<B::Activation>()
}

/// Words of so many activations of this build's backend.
pub(crate) const fn activation_stride(count: usize) -> usize {
    words_of::<Native>(count)
}

/// Words that have room for so many activations of every backend, so that all machines agree on the size of a state.
pub(crate) const fn activation_words(count: usize) -> usize {
    count.next_multiple_of(PACKED_COLUMNS) / 2
}

/// The packing that this build's kernels read; `None`: every one.
pub const PACKING: Option<Packing> = <Native as Backend>::PACKING;

/// The backend that this build computes with: `scalar`, `nosimd`, `dsp`, `helium` or `simd`.
pub const BACKEND: &str = <Native as Backend>::NAME;

/// These words as activations of this build's backend, to be written.
pub(crate) fn activations(words: &mut [u32]) -> &mut [<Native as Backend>::Activation] {
    Native::activations(words)
}
