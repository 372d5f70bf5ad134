//! Cases: a method of the trait, its inputs made at random, its results beside those of `scalar`.

mod attention;
mod matrix;
mod vectors;

use super::arena::{Arena, Plain};
use super::{
    Backend, Bias, GELU_TAIL, GELU_TANH_TAIL, GROUP, Int4, Multiplier, Packing, SILU_TAIL, Scalar, Tail, power_of_two,
    signed_bytes_mut, word_q8, words_q4,
};

/// Pseudorandom numbers (xorshift, Marsaglia 2003), extremes among them.
pub(super) struct Random(u32);

/// Numbers of a buffer.
#[derive(Clone, Copy)]
enum Style {
    /// Any, every fourth an extreme.
    Mixed,
    /// Any.
    Plain,
    /// All of them the largest, or the smallest.
    Largest,
    Smallest,
}

/// Smallest and largest number of a buffer.
type Range = (i32, i32);

/// Integers of `bits` bits and a sign.
const fn signed(bits: u32) -> Range {
    let largest = ((1_u32 << bits) - 1).cast_signed();
    (!largest, largest)
}

/// Weights, keys, values and activations of 8 bits.
const INT8: Range = (-127, 127);

impl Random {
    pub(super) fn new(seed: u32) -> Random {
        // Zero would stay zero; the product spreads seeds that follow each other.
        Random(seed.wrapping_mul(0x9e37_79b9) | 1)
    }

    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A number below a limit of 16 bits.
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        ((self.next() >> 16) * limit) >> 16
    }

    /// A number of a range.
    fn within(&mut self, (smallest, largest): Range) -> i32 {
        let distance = match largest.abs_diff(smallest).checked_add(1) {
            Some(count) => self.next() % count,
            None => self.next(),
        };
        smallest.wrapping_add_unsigned(distance)
    }

    /// Numbers of a range.
    fn fill<T: Plain>(&mut self, buffer: &mut [T], range: Range) {
        let (smallest, largest) = range;
        let style = match self.below(16) {
            0 => Style::Largest,
            1 => Style::Smallest,
            2..8 => Style::Plain,
            _ => Style::Mixed,
        };
        for number in buffer {
            let random = match (style, self.below(16)) {
                (Style::Largest, _) | (Style::Mixed, 0 | 1) => largest,
                (Style::Smallest, _) | (Style::Mixed, 2 | 3) => smallest,
                (Style::Mixed, 4) => 0.clamp(smallest, largest),
                _ => self.within(range),
            };
            *number = T::from_integer(random);
        }
    }

    /// A buffer of numbers of a range.
    fn numbers<'a, T: Plain>(&mut self, arena: &'a Arena<'_>, length: usize, range: Range) -> &'a mut [T] {
        let buffer = arena.take(length, self.below(4) as usize);
        self.fill(buffer, range);
        buffer
    }

    /// A buffer for results; what is in it before does not matter.
    pub(super) fn room<'a, T: Plain>(&mut self, arena: &'a Arena<'_>, length: usize) -> &'a mut [T] {
        self.numbers(arena, length, signed(31))
    }

    /// A ratio for integers up to a bound: any for which there is a multiplier.
    fn ratio(&mut self, bound: u32) -> Multiplier {
        let number = power_of_two(self.within((-24, 12))) * (1.0 + self.next() as f32 / 4_294_967_296.0);
        let mut number = if self.below(16) == 0 { 0.0 } else { number };
        loop {
            match Multiplier::new(number, bound) {
                Some(ratio) => return ratio,
                None => number /= 4.0,
            }
        }
    }
}

/// Inputs of a case.
pub(super) struct Setting<'m> {
    pub(super) random: Random,
    /// Buffers that the backend gets.
    pub(super) arena: Arena<'m>,
    /// Buffers that `scalar` gets.
    pub(super) spare: Arena<'m>,
}

/// A case: a method, and a function that is true if its results for a length are those of `scalar`.
pub(super) struct Case {
    pub(super) method: &'static str,
    /// Buffers, each of which has its turn at the memory's end.
    pub(super) buffers: usize,
    pub(super) run: fn(&mut Setting<'_>, usize) -> bool,
}

/// A case for each of these methods, which are functions of a backend.
macro_rules! table {
    ($backend:ident: $($method:ident $buffers:literal),* $(,)?) => {
        [$(Case { method: stringify!($method), buffers: $buffers, run: $method::<$backend> }),*]
    };
}
use table;

/// The cases of a backend.
pub(super) fn all<B: Backend>() -> impl Iterator<Item = Case> {
    vectors::cases::<B>().into_iter().chain(attention::cases::<B>()).chain(matrix::cases::<B>())
}
