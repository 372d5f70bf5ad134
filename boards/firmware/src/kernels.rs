//! Every kernel by itself: what the whole call takes, and whether its result is that of a plain loop.
//!
//! ```text
//! random matrices, in this core's packing ──► kernel ──► instructions or cycles ──► a row
//!              and row-major ──► plain i32 loop ──► exact or not
//! ```

use crate::Line;
use core::hint::black_box;
use thumbformer::Packing;
use thumbformer::bench as kernels;
use thumbformer::cycles::CycleCounter;

/// A matrix of random integers in -127..=127.
pub struct Case<'a> {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// Row-major.
    pub integers: &'a [i8],
    /// As this core's kernels want them.
    pub packed: &'a [u32],
    /// One for each row.
    pub multipliers: &'a [i16],
    /// Integers in -7..=7, row-major.
    pub int4: &'a [i8],
    /// One for each row and group of columns.
    pub group_scales: &'a [u8],
    /// The int4 matrix as this core's kernels want it.
    pub int4_packed: &'a [u32],
}

/// Measured kernel.
pub struct Row {
    /// The kernel.
    pub kernel: &'static str,
    /// Kind of the integers.
    pub quant: &'static str,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// Vectors at a time.
    pub batch: usize,
    /// Multiply-accumulates, or elements.
    pub macs: usize,
    /// Cost of the whole call.
    pub count: u64,
    /// True if the result is that of a plain loop.
    pub exact: bool,
}

impl Row {
    /// The row on a line; `cargo xtask bench device` has the name `instructions` for what was counted.
    pub fn line(&self, line: Line) -> Line {
        let line = line.text("kernel", self.kernel).text("quant", self.quant).number("rows", self.rows as u64);
        let line = line.number("cols", self.cols as u64).number("batch", self.batch as u64);
        line.number("instructions", self.count).number("macs", self.macs as u64).flag("exact", self.exact)
    }
}

/// Memory for a batch of the longest vectors, cut up as the kernels need it.
pub struct Workspace<'a> {
    /// Vectors, `[batch, cols]` at least.
    pub raw: &'a mut [i8],
    /// The same as the kernels want them, [`Workspace::words`] at least.
    pub words: &'a mut [u32],
    /// Results, `[batch, rows]` at least.
    pub sums: &'a mut [i32],
    /// Vectors at a time.
    pub batch: usize,
}

impl Workspace<'_> {
    /// Words for a batch of vectors.
    pub const fn words(batch: usize, cols: usize) -> usize {
        batch * kernels::activation_words(cols)
    }
}

/// A small generator (Knuth's constants): keys, values and activations.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 16
    }

    fn int8(&mut self) -> i8 {
        ((self.next() % 255) as i32 - 127) as i8
    }
}

/// Longest vector that is batched.
const LONGEST_IN_BATCH: usize = 512;
const TOKENS: usize = 256;
/// Widths of a head: the default language model's, the encoder block's, one that is no power of two, and a wide one.
const HEADS: [usize; 4] = [8, 16, 24, WIDEST];
const WIDEST: usize = 32;

/// Cost of one call: of two calls less that of one, so that the reading itself does not count.
fn measure(counter: &mut impl CycleCounter, mut call: impl FnMut()) -> u64 {
    let start = counter.now();
    call();
    let middle = counter.now();
    call();
    call();
    let end = counter.now();
    counter.units((end - middle).saturating_sub(middle - start))
}

/// Measures every kernel; 12 KiB of stack.
pub fn kernels(
    counter: &mut impl CycleCounter,
    packing: Packing,
    cases: &[Case<'_>],
    workspace: &mut Workspace<'_>,
    each: &mut dyn FnMut(Row),
) {
    for case in cases {
        matvec(counter, packing, case, workspace, each);
    }
    linear(counter, packing, cases, each);
    norm(counter, each);
    for width in HEADS {
        attention(counter, width, each);
    }
    vectors(counter, each);
}

/// Measured: numbers of the usual size, in vectors of whole fours. Exact: all sizes and lengths.
fn vectors(counter: &mut impl CycleCounter, each: &mut dyn FnMut(Row)) {
    const LENGTH: usize = 256;
    const BITS: u32 = 20;
    let mut random = Random(3);
    let mut integers = [0_i32; LENGTH];
    integers.iter_mut().for_each(|x| *x = (random.next() << 16 | random.next()) as i32 >> (31 - BITS));
    let mut halves = [0_i16; LENGTH];
    halves.iter_mut().for_each(|half| *half = random.next() as i16);
    let (usual, all) = ((1.0 / 64.0, 1.0, 1.0), -30..12);
    let number = |exponent: i32| 1.37 * f32::from_bits(((127 + exponent) as u32) << 23);
    let bound = (1 << BITS) - 1;

    let mut instructions = 0;
    let mut scaled = [0_i16; LENGTH];
    let mut rescale = |x: &[i32], by: f32, bound: u32| {
        let (Some(by), Some(out)) = (kernels::Multiplication::new(by, bound), scaled.get_mut(..x.len())) else {
            return true;
        };
        instructions = measure(counter, || kernels::rescale(black_box(x), &by, out));
        let mut bytes = [0_i8; LENGTH];
        kernels::rescale_i8(x, &by, bytes.get_mut(..x.len()).unwrap_or(&mut []));
        x.iter().zip(out).zip(&bytes).all(|((&x, out), byte)| by.apply(x) as i16 == *out && by.apply(x) as i8 == *byte)
    };
    let mut exact = true;
    for exponent in all.clone() {
        exact &= (1..16).all(|length| rescale(integers.get(..length).unwrap_or(&[]), number(exponent), bound));
    }
    exact &= rescale(&integers, usual.0, bound);
    let mut row = |kernel, count, exact| {
        each(Row { kernel, quant: "q15", rows: 1, cols: LENGTH, batch: 1, macs: LENGTH, count, exact });
    };
    row("rescale", instructions, exact);

    let mut sums = integers;
    let copy = measure(counter, || sums = black_box(integers));
    let mut add = |length: usize, by: f32| {
        let (Some(by), Some(other)) = (kernels::Multiplication::new(by, 1 << 15), halves.get(..length)) else {
            return true;
        };
        instructions = measure(counter, || {
            sums = black_box(integers);
            kernels::add_scaled(sums.get_mut(..length).unwrap_or(&mut []), other, &by);
        });
        let mut sums = integers.iter().zip(other).zip(&sums);
        sums.all(|((&x, &other), &sum)| x + by.apply(other.into()) == sum)
    };
    let mut exact = true;
    for exponent in all.clone() {
        exact &= (1..16).all(|length| add(length, number(exponent)));
    }
    exact &= add(LENGTH, usual.1);
    row("add", instructions.saturating_sub(copy), exact);

    let mut gelu = |length: usize, by: f32| {
        let Some(by) = kernels::Multiplication::new(by, bound) else { return true };
        instructions = measure(counter, || {
            sums = black_box(integers);
            kernels::gelu(sums.get_mut(..length).unwrap_or(&mut []), &by);
        });
        integers.iter().zip(&sums).take(length).all(|(&x, &sum)| by.gelu(x) == sum)
    };
    let mut exact = true;
    for exponent in all {
        exact &= (1..16).all(|length| gelu(length, number(exponent)));
    }
    exact &= gelu(LENGTH, usual.2);
    row("gelu", instructions.saturating_sub(copy), exact);

    let mut largest = |x: &[i32]| {
        let mut found = 0;
        instructions = measure(counter, || found = kernels::abs_max(black_box(x)));
        let (max, min) = x.iter().fold((0, 0), |(max, min), &x| (x.max(max), x.min(min)));
        found == max.cast_unsigned() || found == min.unsigned_abs() || found == max.cast_unsigned() + 1
    };
    let exact = (1..LENGTH).all(|length| largest(integers.get(..length).unwrap_or(&[]))) && largest(&integers);
    row("largest", instructions, exact);

    let mut moments = |x: &[i32]| {
        let mut found = (0, 0);
        instructions = measure(counter, || found = kernels::moments(black_box(x), BITS - 15));
        let square = |x: &i32| u64::from((x >> (BITS - 15)).unsigned_abs().pow(2));
        found == (x.iter().map(|&x| i64::from(x)).sum(), x.iter().map(square).sum())
    };
    let exact = (1..16).all(|length| moments(integers.get(..length).unwrap_or(&[]))) && moments(&integers);
    row("moments", instructions, exact);
}

fn matvec(
    counter: &mut impl CycleCounter,
    packing: Packing,
    case: &Case<'_>,
    workspace: &mut Workspace<'_>,
    each: &mut dyn FnMut(Row),
) {
    let Case { rows, cols, integers, packed, multipliers, int4, group_scales, int4_packed } = *case;
    let Workspace { raw, words, sums, batch } = workspace;
    let mut random = Random(rows as u32);
    // A vector where the results of a batch have no room.
    let batch =
        if *batch * rows <= sums.len() && *batch * cols <= raw.len() && cols <= LONGEST_IN_BATCH { *batch } else { 1 };
    let x = raw.get_mut(..batch * cols).unwrap_or(&mut []);
    x.iter_mut().for_each(|x| *x = random.int8());
    let stride = kernels::activation_stride(cols);
    for (words, x) in words.chunks_exact_mut(stride).zip(x.chunks_exact(cols)) {
        kernels::activations(x, words);
    }
    let dot = |row: &[i8], x: &[i8]| row.iter().zip(x).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum::<i32>();
    let scaled = |row: usize, x: &[i8]| {
        let dot = dot(integers.get(row * cols..(row + 1) * cols).unwrap_or(&[]), x);
        kernels::scaled(dot, multipliers.get(row).copied().unwrap_or(0))
    };
    let groups = group_scales.len() / rows;
    let by_group = |row: usize, x: &[i8]| {
        let products = x.iter().enumerate().map(|(col, &x)| {
            let scale = group_scales.get(row * groups + kernels::group(cols, col)).copied().unwrap_or(0);
            i32::from(int4.get(row * cols + col).copied().unwrap_or(0)) * i32::from(x) * i32::from(scale)
        });
        products.sum::<i32>()
    };
    let x = &*x;
    let words = &*words;
    let mut tell =
        |kernel, quant, batch, macs, count, exact| each(Row { kernel, quant, rows, cols, batch, macs, count, exact });
    let exact = |sums: &[i32], value: &dyn Fn(usize, &[i8]) -> i32| {
        x.chunks_exact(cols)
            .zip(sums.chunks_exact(rows))
            .all(|(x, sums)| sums.iter().enumerate().all(|(row, &sum)| sum == value(row, x)))
    };
    let macs = rows * cols;
    let one = sums.get_mut(..rows).unwrap_or(&mut []);
    let instructions = measure(counter, || kernels::dots(black_box(packing), black_box(packed), cols, words, one));
    let exact_dots = exact(one, &|row, x| dot(integers.get(row * cols..(row + 1) * cols).unwrap_or(&[]), x));
    tell("dots", "q8", 1, macs, instructions, exact_dots);
    let instructions = measure(counter, || {
        kernels::matvec(black_box(packing), black_box(packed), cols, words, multipliers, one);
    });
    tell("matvec", "q8", 1, macs, instructions, exact(one, &scaled));
    let instructions = measure(counter, || {
        kernels::matmul_int4(black_box(packing), black_box(int4_packed), cols, words, rows, one);
    });
    tell("matvec", "q4", 1, macs, instructions, exact(one, &by_group));
    if batch == 1 {
        return;
    }
    let all = sums.get_mut(..batch * rows).unwrap_or(&mut []);
    let macs = batch * rows * cols;
    let words = words.get(..batch * stride).unwrap_or(&[]);
    let instructions = measure(counter, || {
        kernels::matmul(black_box(packing), black_box(packed), cols, words, multipliers, all);
    });
    tell("matmul", "q8", batch, macs, instructions, exact(all, &scaled));
    let instructions = measure(counter, || {
        kernels::matmul_int4(black_box(packing), black_box(int4_packed), cols, words, rows, all);
    });
    tell("matmul", "q4", batch, macs, instructions, exact(all, &by_group));
}

/// A matrix with a bias, times one to five vectors: what is measured has the encoder block's shape; exact must be others too.
fn linear(counter: &mut impl CycleCounter, packing: Packing, cases: &[Case<'_>], each: &mut dyn FnMut(Row)) {
    const VECTORS: usize = 5;
    let Some(matrix) = cases.iter().find(|matrix| matrix.rows == 64 && matrix.cols == 256) else { return };
    let mut random = Random(5);
    let mut bias = [0_i16; 64];
    bias.iter_mut().for_each(|bias| *bias = random.next() as i16);
    let by: [_; VECTORS] = core::array::from_fn(|vector| {
        kernels::Multiplication::new(f32::from_bits(0x4080_0000 - 0x0091_2345 * vector as u32), 1 << 15)
    });
    let [Some(a), Some(b), Some(c), Some(d), Some(e)] = by else { return };
    let by = [a, b, c, d, e];
    let mut raw = [0_i8; 256];
    let mut words = [0_u32; VECTORS * kernels::activation_words(256)];
    let (mut out, mut dots) = ([0_i32; VECTORS * 64], [0_i32; 64]);
    let mut check = |rows: usize, cols: usize, vectors: usize| {
        let mut exact = true;
        // Any cut of a packed matrix is one of other shape.
        let weights = matrix.packed.get(..rows * cols / 4).unwrap_or(&[]);
        let multipliers = matrix.multipliers.get(..rows).unwrap_or(&[]);
        // The last rows of a matrix may only fill its packing: they have no bias.
        let bias = bias.get(..rows - usize::from(vectors == 2)).unwrap_or(&[]);
        let stride = kernels::activation_stride(cols);
        let words = words.get_mut(..vectors * stride).unwrap_or(&mut []);
        for words in words.chunks_exact_mut(stride) {
            let raw = raw.get_mut(..cols).unwrap_or(&mut []);
            raw.iter_mut().for_each(|x| *x = random.int8());
            kernels::activations(raw, words);
        }
        let out = out.get_mut(..vectors * rows).unwrap_or(&mut []);
        let shape = (black_box(packing), black_box(weights), cols);
        let instructions = measure(counter, || kernels::linear(shape, words, multipliers, bias, &by, out));
        for ((x, out), by) in words.chunks_exact(stride).zip(out.chunks_exact(rows)).zip(&by) {
            let dots = dots.get_mut(..rows).unwrap_or(&mut []);
            kernels::dots(packing, weights, cols, x, dots);
            let biases = bias.iter().copied().chain(core::iter::repeat(0));
            for (((&out, &dot), &multiplier), bias) in out.iter().zip(&*dots).zip(multipliers).zip(biases) {
                exact &= out == kernels::scaled(dot, multiplier) + by.apply(bias.into());
            }
        }
        (instructions, exact)
    };
    let mut exact = true;
    for cols in (16..=256).step_by(16) {
        for (rows, vectors) in [(4, 1), (8, 2), (12, 3), (4, VECTORS)] {
            exact &= check(rows, cols, vectors).1;
        }
    }
    let (instructions, measured) = check(64, 64, 4);
    let (rows, cols, batch) = (64, 64, 4);
    let exact = exact && measured;
    each(Row {
        kernel: "linear",
        quant: "q8",
        rows,
        cols,
        batch,
        macs: batch * rows * cols,
        count: instructions,
        exact,
    });
}

/// Parts of a norm between its sums, and bytes down a column: every length up to 70.
fn norm(counter: &mut impl CycleCounter, each: &mut dyn FnMut(Row)) {
    const LENGTH: usize = 70;
    let mut random = Random(9);
    let (mut x, mut gains, mut bias) = ([0_i32; LENGTH], [0_i16; LENGTH], [0_i16; LENGTH]);
    x.iter_mut().for_each(|x| *x = (random.next() << 16 | random.next()) as i32 >> 9);
    gains.iter_mut().for_each(|gain| *gain = (random.next() % 32_768) as i16);
    bias.iter_mut().for_each(|bias| *bias = random.next() as i16);
    let (Some(by), Some(small)) =
        (kernels::Multiplication::new(1.7, 1 << 15), kernels::Multiplication::new(1e-5, 1 << 23))
    else {
        return;
    };
    const MEAN: (i32, u32) = (-123_456, 9);
    let (mut instructions, mut exact) = (0, true);
    for length in 1..=LENGTH {
        let (x, gains) = (x.get(..length).unwrap_or(&[]), gains.get(..length).unwrap_or(&[]));
        let mut normed = [0; LENGTH];
        let normed = normed.get_mut(..length).unwrap_or(&mut []);
        let mut found = (0, None);
        instructions = measure(counter, || {
            normed.copy_from_slice(black_box(x));
            found = kernels::center_scale_add(normed, MEAN, gains, &bias, &by);
        });
        let centered = x.iter().map(|x| x - MEAN.0);
        exact &= found.0 == centered.clone().map(|x| u64::from((x >> MEAN.1).unsigned_abs().pow(2))).sum::<u64>();
        let expected =
            centered.zip(gains).zip(&bias).map(|((x, &gain), &bias)| kernels::scaled(x, gain) + by.apply(bias.into()));
        exact &= expected.eq(normed.iter().copied());
        exact &= found.1.is_none_or(|largest| largest == kernels::abs_max(normed));
        let mut column = [0_i8; 3 * LENGTH];
        kernels::rescale_column(x, &small, column.get_mut(1..).unwrap_or(&mut []), 3);
        exact &= column.chunks_exact(3).zip(x).all(|(row, &x)| row == [0, small.apply(x) as i8, 0]);
        exact &= column.iter().skip(3 * length).all(|&byte| byte == 0);
    }
    each(Row {
        kernel: "norm",
        quant: "q15",
        rows: 1,
        cols: LENGTH,
        batch: 1,
        macs: LENGTH,
        count: instructions,
        exact,
    });
}

fn attention(counter: &mut impl CycleCounter, width: usize, each: &mut dyn FnMut(Row)) {
    let mut tell = |kernel, quant, rows, cols, count, exact| {
        each(Row { kernel, quant, rows, cols, batch: 1, macs: rows * cols, count, exact });
    };
    let mut random = Random(7);
    let mut keys = [0_u32; TOKENS * WIDEST / 4];
    let keys = keys.get_mut(..TOKENS * width / 4).unwrap_or(&mut []);
    keys.iter_mut()
        .for_each(|word| *word = u32::from_le_bytes(core::array::from_fn(|_| random.int8().cast_unsigned())));
    let mut query = [0_i16; WIDEST];
    let query = query.get_mut(..width).unwrap_or(&mut []);
    query.iter_mut().for_each(|query| *query = (random.next() % 401) as i16 - 200);
    let mut mantissas = [0_i16; TOKENS];
    mantissas.iter_mut().for_each(|mantissa| *mantissa = (random.next() % 1024) as i16);
    let mut scores = [0_i16; TOKENS];
    let byte = |words: &[u32], index: usize| (words[index / 4] >> (8 * (index % 4))) as u8 as i8;

    let mut max = 0;
    let instructions = measure(counter, || max = kernels::scores(black_box(&*keys), &mantissas, query, &mut scores));
    let exact = scores.iter().enumerate().all(|(token, &score)| {
        let dot = query.iter().enumerate().map(|(i, &q)| i32::from(q) * i32::from(byte(keys, width * token + i))).sum();
        kernels::scaled(dot, mantissas[token]) == i32::from(score)
    });
    let mut exact = exact && scores.iter().max() == Some(&max);
    // Tokens that are no multiple of 4.
    for tokens in 1..=13 {
        let mut few = [0; 13];
        let few = few.get_mut(..tokens).unwrap_or(&mut []);
        let max = kernels::scores(keys, mantissas.get(..tokens).unwrap_or(&[]), query, few);
        exact &= scores.starts_with(few) && few.iter().max() == Some(&max);
    }
    tell("scores", "q8", TOKENS, width, instructions, exact);

    let before = scores;
    mantissas.iter_mut().for_each(|mantissa| *mantissa = (random.next() % 32_768) as i16);
    let mut sum = 0;
    let instructions = measure(counter, || {
        // The copy is in all three calls alike, and is counted apart.
        scores = black_box(before);
        sum = kernels::weigh(black_box(&mut scores), max, &mantissas);
    });
    let copy = measure(counter, || scores = black_box(before));
    let mut expected = 0;
    sum = kernels::weigh(&mut scores, max, &mantissas);
    let exact = before.iter().zip(&mantissas).zip(&scores).all(|((&score, &mantissa), &found)| {
        let (weight, probability) = kernels::weight(score, max, mantissa);
        expected += probability;
        weight == found
    });
    let exact = exact && expected == sum;
    let instructions = instructions.saturating_sub(copy);
    tell("softmax", "q15", 1, TOKENS, instructions, exact);

    let mut sums = [0_i32; WIDEST];
    let sums = sums.get_mut(..width).unwrap_or(&mut []);
    let mut weights = scores;
    let instructions = measure(counter, || kernels::weighted_sums(black_box(&*keys), TOKENS, &mut weights, sums));
    let exact_sums = |tokens: usize, sums: &[i32]| {
        sums.iter().enumerate().all(|(i, &sum)| {
            let weights = scores.iter().take(tokens).enumerate();
            weights.map(|(t, &w)| i32::from(w) * i32::from(byte(keys, TOKENS * i + t))).sum::<i32>() == sum
        })
    };
    let mut exact = exact_sums(TOKENS, sums);
    // Loops begin in the middle where the tokens are no multiple of 16, and rows come in pairs.
    for tokens in (4..=64).step_by(4) {
        for rows in [1, 2, 3, 4, 7, 8] {
            let sums = sums.get_mut(..rows).unwrap_or(&mut []);
            weights = scores;
            sums.fill(1);
            kernels::weighted_sums(keys, TOKENS, weights.get_mut(..tokens).unwrap_or(&mut []), sums);
            exact &= exact_sums(tokens, sums);
        }
    }
    tell("weighted_sums", "q8", width, TOKENS, instructions, exact);
}
