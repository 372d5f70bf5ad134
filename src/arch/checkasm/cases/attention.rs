//! Scores of a query, their weights, and weighted sums of values.

use super::{Arena, Backend, Case, INT8, Random, Scalar, Setting, signed, signed_bytes_mut, table};

pub(super) fn cases<B: Backend>() -> [Case; 4] {
    table!(B: scaled_dots 4, weigh 2, weighted_sums 3, scaled_sums 3)
}

/// Words of four integers of 8 bits.
pub(super) fn int8_words<'a>(random: &mut Random, arena: &'a Arena<'_>, words: usize) -> &'a mut [u32] {
    let buffer = random.room::<u32>(arena, words);
    random.fill(signed_bytes_mut(buffer), INT8);
    buffer
}

fn scaled_dots<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, tokens: usize) -> bool {
    // The widths that loops are made for, and others.
    let width = match random.below(6) {
        0 => 8,
        1 => 16,
        2 => 24,
        3 => 32,
        _ => 4 * (1 + random.below(34) as usize),
    };
    let keys = int8_words(random, arena, tokens * width / 4);
    // Scores fit 16 bits: the mantissas' bits are the query's to lose.
    let bits = 1 + random.below(15);
    let mantissas = random.numbers(arena, tokens, (0, (1 << bits) - 1));
    let largest = (0x7fff_u64 << 16 >> bits) / (127 * width as u64);
    let largest = largest.min(32_767) as i32;
    let query = random.numbers(arena, width, (-largest, largest));
    let (scores, expected) = (random.room::<i16>(arena, tokens), random.room(spare, tokens));
    let max = B::scaled_dots(keys, width, mantissas, query, scores);
    max == Scalar::scaled_dots(keys, width, mantissas, query, expected) && scores == expected
}

fn weigh<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, tokens: usize) -> bool {
    let bits = random.below(16);
    let scores = random.numbers::<i16>(arena, tokens, signed(bits));
    let mantissas = random.numbers(arena, tokens, (0, 32_767));
    let expected = spare.copy(scores);
    let max = scores.iter().copied().max().unwrap_or(0);
    let shift = if random.below(2) == 0 { 0 } else { random.below(17) };
    let sum = B::weigh(scores, max, shift, mantissas);
    sum == Scalar::weigh(expected, max, shift, mantissas) && scores == expected
}

/// Values, their stride and weights for these sums: rows as long as there are tokens, or longer.
fn to_be_summed<'a>(random: &mut Random, arena: &'a Arena<'_>, sums: usize) -> (&'a mut [u32], usize, &'a mut [i16]) {
    let tokens = 4 * random.below(20) as usize;
    let stride = (tokens + 4 * random.below(3) as usize).max(4);
    let values = int8_words(random, arena, sums * stride / 4);
    (values, stride, random.numbers(arena, tokens, (0, 32_767)))
}

fn weighted_sums<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let (values, stride, weights) = to_be_summed(random, arena, length);
    let (sums, expected) = (random.room::<i32>(arena, length), random.room(spare, length));
    Scalar::weighted_sums(values, stride, spare.copy(weights), expected);
    B::weighted_sums(values, stride, weights, sums);
    sums == expected
}

fn scaled_sums<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let (values, stride, weights) = to_be_summed(random, arena, length);
    let (sums, expected) = (random.room::<i32>(arena, length), random.room(spare, length));
    let bound = 32_767 * 127 * weights.len().max(1) as u32;
    let ratio = random.ratio(bound);
    Scalar::scaled_sums(values, stride, spare.copy(weights), ratio, expected);
    B::scaled_sums(values, stride, weights, ratio, sums);
    sums == expected
}
