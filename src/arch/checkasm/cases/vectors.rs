//! Vectors of 32-bit integers: what comes between matrices.

use super::{
    Arena, Backend, Case, GELU_TAIL, GELU_TANH_TAIL, Multiplier, Random, SILU_TAIL, Scalar, Setting, Tail, signed,
    table,
};

pub(super) fn cases<B: Backend>() -> [Case; 18] {
    table!(
        B: abs_max 1, sum 1, sum_of_squares 1, magnitudes 1, rescale 2, rescale_i16 2, rescale_i8 2, rescale_in_place 1,
        rescale_column 2, scale_rows 2, add_scaled 2, truncate 2, activate 1, activate_within 1, activate_times 2, rotate 4,
        subtract_mean 1, scale_and_add 3,
    )
}

fn abs_max<B: Backend>(Setting { random, arena, .. }: &mut Setting<'_>, length: usize) -> bool {
    let x = random.numbers(arena, length, signed(31));
    B::abs_max(x) == Scalar::abs_max(x)
}

fn sum<B: Backend>(Setting { random, arena, .. }: &mut Setting<'_>, length: usize) -> bool {
    let x = random.numbers(arena, length, signed(31));
    B::sum(x) == Scalar::sum(x)
}

fn sum_of_squares<B: Backend>(Setting { random, arena, .. }: &mut Setting<'_>, length: usize) -> bool {
    let shift = random.below(17);
    let x = random.numbers(arena, length, signed(15 + shift));
    B::sum_of_squares(x, shift) == Scalar::sum_of_squares(x, shift)
}

fn magnitudes<B: Backend>(Setting { random, arena, .. }: &mut Setting<'_>, length: usize) -> bool {
    let x = random.numbers(arena, length, signed(29));
    B::magnitudes(x) == Scalar::magnitudes(x)
}

/// Numbers of any size up to 28 bits, and the ratio that makes their largest this one.
fn to_be_rescaled<'a>(
    random: &mut Random,
    arena: &'a Arena<'_>,
    length: usize,
    largest: f32,
) -> (&'a mut [i32], Multiplier) {
    let bits = 1 + random.below(28);
    let x = random.numbers(arena, length, signed(bits));
    let bound = Scalar::abs_max(x);
    (x, Multiplier::new(largest / bound as f32, bound).unwrap_or(Multiplier::ZERO))
}

fn rescale<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let (x, ratio) = to_be_rescaled(random, arena, length, 127.0);
    let expected = random.room(spare, length);
    Scalar::rescale(x, ratio, expected);
    let per_word = 4 / size_of::<B::Activation>();
    let out = B::activations(random.numbers(arena, length.div_ceil(per_word), (0, 0)));
    let (out, rest) = out.split_at_mut(length);
    B::rescale(x, ratio, out);
    let equal = out.iter().zip(expected).all(|(&found, &mut expected)| found.into() == i32::from(expected));
    equal && rest.iter().all(|&found| found.into() == 0)
}

fn rescale_i16<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let (x, ratio) = to_be_rescaled(random, arena, length, 32_767.0);
    let (out, expected) = (random.room::<i16>(arena, length), random.room(spare, length));
    B::rescale_i16(x, ratio, out);
    Scalar::rescale_i16(x, ratio, expected);
    out == expected
}

fn rescale_i8<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let (x, ratio) = to_be_rescaled(random, arena, length, 127.0);
    let (out, expected) = (random.room::<i8>(arena, length), random.room(spare, length));
    B::rescale_i8(x, ratio, out);
    Scalar::rescale_i8(x, ratio, expected);
    out == expected
}

fn rescale_column<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let (x, ratio) = to_be_rescaled(random, arena, length, 127.0);
    let stride = 1 + random.below(40) as usize;
    // The last row has its first byte only, or some more; or there are other rows than numbers.
    let rows = if random.below(4) == 0 { random.below(80) as usize } else { length };
    let bytes = (rows * stride).saturating_sub(random.below(stride as u32) as usize);
    let out = random.room::<i8>(arena, bytes);
    let expected = spare.copy(out);
    B::rescale_column(x, ratio, out, stride);
    Scalar::rescale_column(x, ratio, expected, stride);
    out == expected
}

fn rescale_in_place<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let bits = random.below(29);
    let x = random.numbers(arena, length, signed(bits));
    let expected = spare.copy(x);
    let ratio = random.ratio(1 << bits);
    B::rescale_in_place(x, ratio);
    Scalar::rescale_in_place(expected, ratio);
    x == expected
}

fn scale_rows<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let x = random.numbers::<i32>(arena, length, signed(31));
    let multipliers = random.numbers(arena, length, signed(15));
    let expected = spare.copy(x);
    B::scale_rows(x, multipliers);
    Scalar::scale_rows(expected, multipliers);
    x == expected
}

fn add_scaled<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let x = random.numbers::<i32>(arena, length, signed(30));
    let other = random.numbers(arena, length, signed(15));
    let expected = spare.copy(x);
    let ratio = random.ratio(1 << 15);
    B::add_scaled(x, other, ratio);
    Scalar::add_scaled(expected, other, ratio);
    x == expected
}

#[cfg(thumbformer_fpu)]
fn truncate<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let x = random.numbers::<f32>(arena, length, signed(24));
    let factor = random.next() as f32 / 4_294_967_296.0;
    let (out, expected) = (random.room::<i32>(arena, length), random.room(spare, length));
    B::truncate(x, factor, out);
    Scalar::truncate(x, factor, expected);
    out == expected
}

#[cfg(not(thumbformer_fpu))]
fn truncate<B: Backend>(_: &mut Setting<'_>, _: usize) -> bool {
    true
}

fn tail(random: &mut Random) -> &'static Tail {
    match random.below(3) {
        0 => &SILU_TAIL,
        1 => &GELU_TAIL,
        _ => &GELU_TANH_TAIL,
    }
}

fn activate<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let bits = random.below(29);
    let x = random.numbers::<i32>(arena, length, signed(bits));
    let expected = spare.copy(x);
    let (ratio, tail) = (random.ratio(1 << bits), tail(random));
    B::activate(x, ratio, tail);
    Scalar::activate(expected, ratio, tail);
    x == expected
}

fn activate_within<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let bits = random.below(29);
    let x = random.numbers::<i32>(arena, length, signed(bits));
    let expected = spare.copy(x);
    let (ratio, tail) = (random.ratio(1 << bits), tail(random));
    let largest = B::activate_within(x, ratio, tail);
    Scalar::activate(expected, ratio, tail);
    x == expected && largest.is_none_or(|largest| largest == Scalar::abs_max(x))
}

fn activate_times<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let (bits, up_bits) = (random.below(29), random.below(31));
    let gate = random.numbers::<i32>(arena, length, signed(bits));
    let up = random.numbers(arena, length, signed(up_bits));
    let expected = spare.copy(gate);
    let (ratio, tail) = (random.ratio(1 << bits), tail(random));
    // Results of a ratio are below 2^28; each factor is to have 14 bits.
    let shifts = (14 + random.below(4), up_bits.saturating_sub(14) + random.below(2));
    B::activate_times(gate, up, ratio, shifts, tail);
    Scalar::activate_times(expected, up, ratio, shifts, tail);
    gate == expected
}

fn rotate<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let low = random.numbers::<i32>(arena, length, signed(30));
    let high = random.numbers::<i32>(arena, length, signed(30));
    let cosines = random.numbers(arena, length, signed(15));
    let sines = random.numbers(arena, length, signed(15));
    let (expected_low, expected_high) = (spare.copy(low), spare.copy(high));
    B::rotate(low, high, cosines, sines);
    Scalar::rotate(expected_low, expected_high, cosines, sines);
    low == expected_low && high == expected_high
}

fn subtract_mean<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let shift = random.below(16);
    let x = random.numbers::<i32>(arena, length, signed(14 + shift));
    let mean = random.within(signed(14 + shift));
    let expected = spare.copy(x);
    let squares = B::subtract_mean(x, mean, shift);
    squares == Scalar::subtract_mean(expected, mean, shift) && x == expected
}

fn scale_and_add<B: Backend>(Setting { random, arena, spare }: &mut Setting<'_>, length: usize) -> bool {
    let x = random.numbers::<i32>(arena, length, signed(30));
    let multipliers = random.numbers(arena, length, signed(15));
    let other = random.numbers(arena, length, signed(15));
    let expected = spare.copy(x);
    let ratio = random.ratio(1 << 15);
    let largest = B::scale_and_add(x, multipliers, other, ratio);
    Scalar::scale_and_add(expected, multipliers, other, ratio);
    x == expected && largest.is_none_or(|largest| largest == Scalar::abs_max(x))
}
