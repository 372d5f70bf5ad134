//! Every kernel by itself: instructions of the whole call, and whether its result is that of a plain loop.
//!
//! ```text
//! random matrices, in this core's packing ──► kernel ──► instructions ──► a line of JSON for `cargo xtask bench device`
//!              and row-major ──► plain i32 loop ──► exact or not
//! ```
#![no_std]
#![no_main]

use bench::{Counter, MATRICES, Matrix, PACKING};
use core::hint::black_box;
use semihosting as _;
use thumbformer::bench as kernels;

/// What was measured.
struct Row {
    kernel: &'static str,
    quant: &'static str,
    rows: usize,
    cols: usize,
    /// Multiply-accumulates, or elements.
    macs: usize,
    instructions: u32,
    exact: bool,
}

impl Row {
    fn print(&self) {
        let Row { kernel, quant, rows, cols, macs, instructions, exact } = self;
        semihosting::println!(
            "{{\"kernel\":\"{kernel}\",\"quant\":\"{quant}\",\"rows\":{rows},\"cols\":{cols},\"batch\":1,\
             \"instructions\":{instructions},\"macs\":{macs},\"exact\":{exact}}}"
        );
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

const LARGEST: usize = 512;
const TOKENS: usize = 256;
const HEAD: usize = 8;

#[cortex_m_rt::entry]
fn main() -> ! {
    let counter = Counter::start();
    for matrix in MATRICES {
        matvec(&counter, matrix);
    }
    attention(&counter);
    semihosting::process::exit(0)
}

fn matvec(counter: &Counter, matrix: &Matrix) {
    let Matrix { rows, cols, integers, packed, multipliers } = *matrix;
    let mut random = Random(rows as u32);
    let mut raw = [0_i8; LARGEST];
    let x = raw.get_mut(..cols).unwrap_or(&mut []);
    x.iter_mut().for_each(|x| *x = random.int8());
    let mut words = [0_u32; kernels::activation_words(LARGEST)];
    kernels::activations(x, &mut words);
    let mut buffer = [0_i32; LARGEST];
    let out = buffer.get_mut(..rows).unwrap_or(&mut []);
    let dot = |row: &[i8]| row.iter().zip(&*x).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum::<i32>();
    let macs = rows * cols;
    let instructions = counter.measure(|| kernels::dots(black_box(PACKING), black_box(packed), cols, &words, out));
    let exact = integers.chunks_exact(cols).zip(&*out).all(|(row, &found)| dot(row) == found);
    Row { kernel: "dots", quant: "q8", rows, cols, macs, instructions, exact }.print();
    let instructions = counter.measure(|| {
        kernels::matvec(black_box(PACKING), black_box(packed), cols, &words, multipliers, out);
    });
    let exact = integers
        .chunks_exact(cols)
        .zip(multipliers)
        .zip(&*out)
        .all(|((row, &multiplier), &found)| kernels::scaled(dot(row), multiplier) == found);
    Row { kernel: "matvec", quant: "q8", rows, cols, macs, instructions, exact }.print();
}

fn attention(counter: &Counter) {
    let mut random = Random(7);
    let mut keys = [0_u32; TOKENS * HEAD / 4];
    keys.iter_mut()
        .for_each(|word| *word = u32::from_le_bytes(core::array::from_fn(|_| random.int8().cast_unsigned())));
    let mut query = [0_i16; HEAD];
    query.iter_mut().for_each(|query| *query = (random.next() % 401) as i16 - 200);
    let mut mantissas = [0_i16; TOKENS];
    mantissas.iter_mut().for_each(|mantissa| *mantissa = (random.next() % 1024) as i16);
    let mut scores = [0_i16; TOKENS];
    let byte = |words: &[u32], index: usize| (words[index / 4] >> (8 * (index % 4))) as u8 as i8;

    let mut max = 0;
    let instructions = counter.measure(|| max = kernels::scores(black_box(&keys), &mantissas, &query, &mut scores));
    let exact = scores.iter().enumerate().all(|(token, &score)| {
        let dot = query.iter().enumerate().map(|(i, &q)| i32::from(q) * i32::from(byte(&keys, HEAD * token + i))).sum();
        kernels::scaled(dot, mantissas[token]) == i32::from(score)
    });
    let exact = exact && scores.iter().max() == Some(&max);
    Row { kernel: "scores", quant: "q8", rows: TOKENS, cols: HEAD, macs: TOKENS * HEAD, instructions, exact }.print();

    let before = scores;
    mantissas.iter_mut().for_each(|mantissa| *mantissa = (random.next() % 32_768) as i16);
    let mut sum = 0;
    let instructions = counter.measure(|| {
        // The copy is in all three calls alike, and is counted apart.
        scores = black_box(before);
        sum = kernels::weigh(black_box(&mut scores), max, &mantissas);
    });
    let copy = counter.measure(|| scores = black_box(before));
    let mut expected = 0;
    sum = kernels::weigh(&mut scores, max, &mantissas);
    let exact = before.iter().zip(&mantissas).zip(&scores).all(|((&score, &mantissa), &found)| {
        let (weight, probability) = kernels::weight(score, max, mantissa);
        expected += probability;
        weight == found
    });
    let exact = exact && expected == sum;
    let instructions = instructions.saturating_sub(copy);
    Row { kernel: "softmax", quant: "q15", rows: 1, cols: TOKENS, macs: TOKENS, instructions, exact }.print();

    let mut sums = [0_i32; HEAD];
    let instructions = counter.measure(|| kernels::weighted_sums(black_box(&keys), TOKENS, &scores, &mut sums));
    let exact = sums.iter().enumerate().all(|(i, &sum)| {
        let products = scores.iter().enumerate().map(|(t, &w)| i32::from(w) * i32::from(byte(&keys, TOKENS * i + t)));
        products.sum::<i32>() == sum
    });
    let macs = TOKENS * HEAD;
    Row { kernel: "weighted_sums", quant: "q8", rows: HEAD, cols: TOKENS, macs, instructions, exact }.print();
}
