"""Words by themselves: what parsing an image refuses, and products in fixed point. Their few lines of Rust are transcribed.

The transcription is bound to the source: the constants are read from it, and a function whose text is another one is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import z3
from z3 import BitVecRef as BitVec

from kernels import LAYOUTS, Field
from ring import MILLISECONDS, Undecided

OUT_OF_RANGE = """
        let ones = if self.bits == 8 { 0x0101_0101 } else { 0x1111_1111 };
        let mut lanes = word ^ self.flip;
        if self.borrowed != 0 {
            let above = (word & self.borrowed) << 1;
            lanes ^= (above << self.bits).wrapping_sub(above);
        }
        lanes.wrapping_sub(ones) & !lanes & ones << (self.bits - 1)
"""
MUL_Q16 = """
        let low = ((a & 0xffff).wrapping_mul(b as i32)) >> 16;
        (a >> 16).wrapping_mul(b as i32).wrapping_add(low)
"""
APPLY = """
        let half = if self.right_shift == 0 { 0 } else { 1 << (self.right_shift - 1) };
        (mul_q16(integer << self.left_shift, self.multiplier).wrapping_add(half)) >> self.right_shift
"""
WIDE = """
        let Some(shift) = (self.left_shift + 16).checked_sub(self.right_shift) else { return None };
        let left = shift.saturating_sub(16);
        Some((left, (self.multiplier as i32) << (shift - left)))
"""
# What Rust makes of the activations of a half group, in place of the loops: `kernels.py` has it.
PREPARE_HALF = """
    let pair = |word: u32| (word as i16 as u32).wrapping_add(word & 0xffff_0000);
    let pairs = x.iter().take(GROUP / 4).map(|&word| pair(word));
    let sum = pairs.clone().fold(0, u32::wrapping_add).wrapping_mul(0x1_0001);
    let start = 0x8000_u32.wrapping_sub(sum.wrapping_mul(8));
    for (index, word) in [start.wrapping_mul(0x1111), start].into_iter().chain(pairs).enumerate() {
"""
HALF_STREAM = """
    let words = x.get(..GROUP / 4).unwrap_or(&[]);
    let sum: i32 = words.iter().map(|&word| i32::from(word as i16) + (word.cast_signed() >> 16)).sum();
    let first = -8 * sum;
    let third = 273 * first;
    let begin = [first, 17 * first, third, third];
    for (index, word) in begin.iter().map(|word| word.cast_unsigned()).chain(words.iter().copied()).enumerate() {
"""
TRANSCRIBED = {
    "packing/range.rs": [OUT_OF_RANGE],
    "shared/multiply.rs": [MUL_Q16, APPLY, WIDE],
    "nosimd/mod.rs": [PREPARE_HALF],
    "dsp/int4.rs": [HALF_STREAM],
}


def _plain(text: str) -> str:
    return " ".join(re.sub(r"//.*", "", text).split())


def constant(arch: Path, file: str, name: str) -> int:
    """A number of the source."""
    found = re.search(rf"const {name}: usize = (\d+);", (arch / file).read_text())
    if not found:
        raise ValueError(f"{file}: no constant {name}")
    return int(found[1])


def lanes(arch: Path, file: str, name: str) -> tuple[int, int, int]:
    """Bits of a lane, what is flipped and which signs were borrowed, of a packing."""
    text = (arch / file).read_text()
    if re.search(rf"const {name}: Lanes = Lanes::BYTES;", text):
        text, name = (arch / "packing/range.rs").read_text(), "BYTES"
    found = re.search(rf"const {name}: Lanes = Lanes {{ bits: (\w+), flip: (\w+), borrowed: (\w+) }};", text)
    if not found:
        raise ValueError(f"{file}: no lanes {name}")
    bits, flip, borrowed = (int(number, 0) for number in found.groups())
    return bits, flip, borrowed


def out_of_range(word: BitVec, bits: int, flip: int, borrowed: int) -> BitVec:
    """`Lanes::out_of_range`."""
    ones = z3.BitVecVal(0x0101_0101 if bits == 8 else 0x1111_1111, 32)
    found = word ^ flip
    if borrowed:
        above = (word & borrowed) << 1
        found ^= (above << bits) - above
    return (found - ones) & ~found & ones << (bits - 1)


def _signed(value: BitVec, start: int, bits: int) -> BitVec:
    return z3.SignExt(32 - bits, z3.Extract(start + bits - 1, start, value))


def _unsigned(value: BitVec, start: int, bits: int) -> BitVec:
    return z3.ZeroExt(32 - bits, z3.Extract(start + bits - 1, start, value))


def _plain_lanes(bits: int, bias: int) -> Callable[[BitVec], list[BitVec]]:
    """Lanes by themselves: signed, or with a bias."""
    take = _unsigned if bias else _signed
    return lambda word: [take(word, start, bits) - bias for start in range(0, 32, bits)]


def _sums(bits: int) -> Callable[[BitVec], list[BitVec]]:
    """Pairs `2^bits * upper + lower`, both signed, in twice as many bits."""

    def integers(word: BitVec) -> list[BitVec]:
        found = []
        for start in range(0, 32, 2 * bits):
            lower = _signed(word, start, bits)
            found += [lower, _signed((_unsigned(word, start, 2 * bits) - lower) >> bits, 0, bits)]
        return found

    return integers


def _m4_int4(word: BitVec) -> list[BitVec]:
    starts = [(16 * h + 4 * k, k) for h in range(2) for k in range(4)]
    return [_signed(word, at, 4) if k == 3 else _unsigned(word, at, 4) - 8 for at, k in starts]


def _packed(fields: tuple[Field, ...], integers: list[BitVec]) -> BitVec:
    """The word that a layout makes of integers, which come field by field, smaller factors first."""
    word, left = z3.BitVecVal(0, 32), list(integers)
    for start, bits, bias, summands in fields:
        total = z3.BitVecVal(bias, 32)
        for factor, _, _ in sorted(summands):
            total += factor * left.pop(0)
        word |= (total & (1 << bits) - 1) << start
    return word


# The integers of a word, for each packing: file, its constant, what takes the word apart, and the layout in `kernels.py`.
PACKINGS: list[tuple[str, str, Callable[[BitVec], list[BitVec]], str | None]] = [
    ("scalar/packing.rs", "Q8", _plain_lanes(8, 0), None),
    ("scalar/packing.rs", "Q4", _plain_lanes(4, 0), None),
    ("nosimd/packing.rs", "Q8", _plain_lanes(8, 128), "m0 int8"),
    ("nosimd/packing.rs", "Q4", _plain_lanes(4, 8), "m0 int4"),
    ("dsp/packing.rs", "Q8", _sums(8), "m4 int8"),
    ("dsp/packing.rs", "Q4", _m4_int4, "m4 int4"),
    ("helium/packing.rs", "Q8", _plain_lanes(8, 0), None),
    ("helium/packing.rs", "Q4", _sums(4), None),
]


def claims(arch: Path) -> Iterator[tuple[str, z3.BoolRef]]:
    """Sentences, each with the claim that must hold for all values of its variables."""
    for file, functions in TRANSCRIBED.items():
        text = _plain((arch / file).read_text())
        for function in functions:
            if _plain(function) not in text:
                raise ValueError(f"{file}: no longer has the lines that words.py transcribes:\n{function}")
    word = z3.BitVec("word", 32)
    for file, name, integers, layout in PACKINGS:
        least = -128 if name == "Q8" else -8
        is_bad = z3.Or(*(integer == least for integer in integers(word)))
        found = out_of_range(word, *lanes(arch, file, name)) != 0
        yield f"{file} {name}: refused are the words with {least}, and no others, of all 2^32", found == is_bad
        if layout:
            inside = [z3.And(integer > least, integer < -least) for integer in integers(word)]
            again = _packed(LAYOUTS[layout].words[0], integers(word)) == word
            yield f"{file} {name}: all other words are integers in the range, packed", z3.Or(found, z3.And(again, *inside))
    yield from _multiply()


def _multiply() -> Iterator[tuple[str, z3.BoolRef]]:
    """Claims of `multiply.rs`; that `a = 2^16 high + low` gives `a * b = 2^16 * (high * b) + low * b` is a law of the ring."""
    a, q, p = z3.BitVec("a", 32), z3.BitVec("q", 64), z3.BitVec("p", 32)
    halves = ((a >> 16) << 16) + (a & 0xFFFF) == a
    yield "mul_q16: a word is its halves", halves
    low, b = z3.BitVec("low", 16), z3.BitVec("b", 16)
    product = z3.ZeroExt(48, low) * z3.SignExt(48, b)
    fits = z3.SignExt(32, z3.Extract(31, 0, product)) == product
    yield "mul_q16: the product of the lower half fits a word", fits
    # q is `high * b`, of 32 bits and a sign at most, p is `low * b`.
    whole = z3.Extract(31, 0, ((q << 16) + z3.SignExt(32, p)) >> 16)
    is_q = z3.And(q >= -(1 << 31), q < 1 << 31)
    yield "mul_q16: halves multiplied apart", z3.Implies(is_q, whole == z3.Extract(31, 0, q) + (p >> 16))
    # `Multiplier::wide`: n is `integer * multiplier`, of 2^left * n below 2^45, as `Multiplier::new` makes it.
    n = z3.BitVec("n", 64)
    for left in range(31):
        for right in range(1, 32):
            shift = left + 16 - right
            if shift < 0:
                continue
            bounds = z3.And(n < 1 << (45 - left), n > -(1 << (45 - left)))
            apply = (((n << left) >> 16) + (1 << (right - 1))) >> right
            wide = ((n << shift) + (1 << 31)) >> 32
            yield f"wide: left {left}, right {right}", z3.Implies(bounds, apply == wide)


def prove(arch: Path) -> tuple[int, list[str]]:
    """The number of claims proved, and those that are wrong, with an example."""
    proved, wrong = 0, []
    for sentence, claim in claims(arch):
        solver = z3.Solver()
        solver.set("timeout", MILLISECONDS)
        solver.add(z3.Not(claim))
        answer = solver.check()
        if answer == z3.unknown:
            raise Undecided(sentence)
        if answer == z3.unsat:
            proved += 1
        else:
            wrong.append(f"{sentence}: {solver.model()}")
    return proved, wrong


def broken(arch: Path) -> int:
    """How many wrong constants of packings are refuted: all, or it is an error."""
    word, count = z3.BitVec("word", 32), 0
    for file, name, integers, _ in PACKINGS:
        bits, flip, borrowed = lanes(arch, file, name)
        is_bad = z3.Or(*(integer == (-128 if name == "Q8" else -8) for integer in integers(word)))
        for wrong in [(bits, flip ^ 1, borrowed), (bits, flip, borrowed ^ 1 << bits - 1), (12 - bits, flip, borrowed)]:
            solver = z3.Solver()
            solver.add((out_of_range(word, *wrong) != 0) != is_bad)
            if solver.check() != z3.sat:
                raise ValueError(f"{file} {name}: wrong lanes {wrong} are not refuted")
            count += 1
    return count
