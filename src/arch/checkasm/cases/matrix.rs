//! Matrices times vectors.

use super::{
    Arena, Backend, Bias, Case, GROUP, INT8, Int4, Multiplier, Packing, Random, Scalar, Setting, signed,
    signed_bytes_mut, table, word_q8, words_q4,
};

pub(super) fn cases<B: Backend>() -> [Case; 6] {
    table!(B: dots_q8 3, matvec_q8 4, matmul_q8 4, linear_q8 5, dots_q4 3, matmul_q4 3)
}

/// Most vectors of a case: two batches, and one more.
const MOST_VECTORS: u32 = 9;

/// Rows, columns and vectors of a case.
struct Shape {
    packing: Packing,
    rows: usize,
    cols: usize,
    vectors: usize,
}

impl Shape {
    /// Half of the lengths are rows, half are sixteens of columns.
    fn new<B: Backend>(random: &mut Random, length: usize, most_vectors: u32) -> Shape {
        let packing = B::PACKING.unwrap_or(Packing::ALL[random.below(4) as usize]);
        let small = 1 + random.below(4) as usize;
        let (rows, cols) = if random.below(2) == 0 { (length, 16 * small) } else { (4 * small, 16 * length.max(1)) };
        let vectors = 1 + random.below(most_vectors) as usize;
        Shape { packing, rows: rows.next_multiple_of(4), cols, vectors }
    }

    fn weights_q8<'a>(&self, random: &mut Random, arena: &'a Arena<'_>) -> &'a mut [u32] {
        let words = random.room::<u32>(arena, self.rows * self.cols / 4);
        for word in &mut *words {
            let mut integers = [0; 4];
            random.fill(&mut integers, INT8);
            *word = word_q8(self.packing, integers);
        }
        // A matrix of one integer has the largest sums.
        if random.below(8) == 0 {
            let integer = if random.below(2) == 0 { 127 } else { -127 };
            words.fill(word_q8(self.packing, [integer; 4]));
        }
        words
    }

    fn weights_q4<'a>(&self, random: &mut Random, arena: &'a Arena<'_>, spare: &Arena<'_>) -> &'a mut [u32] {
        let (rows, cols) = (self.rows, self.cols);
        let integers = random.numbers::<i8>(spare, rows * cols, (-7, 7));
        let scales = random.numbers::<u8>(spare, rows * cols.div_ceil(GROUP), (0, 255));
        let words = random.room::<u32>(arena, words_q4(rows, cols) as usize);
        let mut bytes = signed_bytes_mut(words).iter_mut();
        self.packing.bytes_q4(&Int4 { rows, cols, integers, scales }, &mut |byte| {
            bytes.next().into_iter().for_each(|place| *place = byte.cast_signed());
        });
        words
    }

    /// Vectors as the backend wants them, and as `scalar` does.
    #[allow(clippy::useless_conversion)] // 16 bits on some cores
    fn x<'a, B: Backend>(
        &self,
        random: &mut Random,
        arena: &'a Arena<'_>,
        spare: &'a Arena<'_>,
    ) -> (&'a mut [u32], &'a mut [u32]) {
        let count = self.vectors * self.cols;
        let plain = random.room::<u32>(spare, count / 4);
        random.fill(Scalar::activations(plain), INT8);
        let words = random.room::<u32>(arena, count / 4 * size_of::<B::Activation>());
        for (slot, &mut x) in B::activations(words).iter_mut().zip(Scalar::activations(plain)) {
            *slot = x.into();
        }
        (words, plain)
    }
}

fn dots_q8<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let shape = Shape::new::<B>(random, length, 1);
    let weights = shape.weights_q8(random, arena);
    let (x, plain) = shape.x::<B>(random, arena, spare);
    let (out, expected) = (random.room::<i32>(arena, shape.rows), random.room(spare, shape.rows));
    B::dots_q8(shape.packing, weights, shape.cols, x, out);
    Scalar::dots_q8(shape.packing, weights, shape.cols, plain, expected);
    out == expected
}

fn matvec_q8<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let shape = Shape::new::<B>(random, length, 1);
    let weights = shape.weights_q8(random, arena);
    let (x, plain) = shape.x::<B>(random, arena, spare);
    let multipliers = random.numbers(arena, shape.rows, signed(15));
    let (out, expected) = (random.room::<i32>(arena, shape.rows), random.room(spare, shape.rows));
    B::matvec_q8(shape.packing, weights, shape.cols, x, multipliers, out);
    Scalar::matvec_q8(shape.packing, weights, shape.cols, plain, multipliers, expected);
    out == expected
}

fn matmul_q8<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let shape = Shape::new::<B>(random, length, MOST_VECTORS);
    let results = shape.vectors * shape.rows;
    let weights = shape.weights_q8(random, arena);
    let (x, plain) = shape.x::<B>(random, arena, spare);
    let multipliers = random.numbers(arena, shape.rows, signed(15));
    let (out, expected) = (random.room::<i32>(arena, results), random.room(spare, results));
    B::matmul_q8(shape.packing, weights, shape.cols, x, multipliers, out);
    Scalar::matmul_q8(shape.packing, weights, shape.cols, plain, multipliers, expected);
    out == expected
}

fn linear_q8<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let shape = Shape::new::<B>(random, length, MOST_VECTORS);
    let results = shape.vectors * shape.rows;
    let weights = shape.weights_q8(random, arena);
    let (x, plain) = shape.x::<B>(random, arena, spare);
    let multipliers = random.numbers(arena, shape.rows, signed(15));
    // Padded rows have none.
    let missing = if random.below(4) == 0 { random.below(4) as usize } else { 0 };
    let integers = random.numbers(arena, shape.rows.saturating_sub(missing), signed(15));
    let ratios: [Multiplier; MOST_VECTORS as usize] = core::array::from_fn(|_| random.ratio(1 << 15));
    let bias = Bias { integers, ratios: &ratios[..shape.vectors] };
    let (out, expected) = (random.room::<i32>(arena, results), random.room(spare, results));
    B::linear_q8(shape.packing, weights, shape.cols, x, multipliers, &bias, out);
    Scalar::linear_q8(shape.packing, weights, shape.cols, plain, multipliers, &bias, expected);
    out == expected
}

fn dots_q4<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let shape = Shape::new::<B>(random, length, 1);
    let weights = shape.weights_q4(random, arena, spare);
    let (x, plain) = shape.x::<B>(random, arena, spare);
    let (out, expected) = (random.room::<i32>(arena, shape.rows), random.room(spare, shape.rows));
    B::dots_q4(shape.packing, weights, shape.cols, x, out);
    Scalar::dots_q4(shape.packing, weights, shape.cols, plain, expected);
    out == expected
}

fn matmul_q4<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let shape = Shape::new::<B>(random, length, MOST_VECTORS);
    let results = shape.vectors * shape.rows;
    let weights = shape.weights_q4(random, arena, spare);
    let (x, plain) = shape.x::<B>(random, arena, spare);
    let (out, expected) = (random.room::<i32>(arena, results), random.room(spare, results));
    B::matmul_q4(shape.packing, weights, shape.cols, x, shape.rows, out);
    Scalar::matmul_q4(shape.packing, weights, shape.cols, plain, shape.rows, expected);
    out == expected
}
