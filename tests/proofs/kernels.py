"""The kernels, the arrangements of their weights, and what they must compute: written down apart from the Rust code.

numbers (symbols or integers) ──► buffers ── machine code of the kernels ──► outputs ─┐
                            └──► the definition of `src/arch/backend.rs` ─────────────┴─► pairs that must be equal
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from program import Code, Memory, Program
from ring import Value, add, and_, larger_halves, lsl, mul, or_, settle, sub, total, variable
from thumb import Loop, Machine, mul_q16, packed

WORD_RANGE = (-(1 << 31), (1 << 31) - 1)
HALF_RANGE = (-(1 << 15), (1 << 15) - 1)
# Activations are made within -127..=127; nothing depends on it.
BYTE_RANGE = (-128, 127)
SCALE_RANGE = (0, 255)

# A field of a word: first bit, bits, what is added, then (factor, row, column) of the integers that are summed in it.
Field = tuple[int, int, int, tuple[tuple[int, int, int], ...]]


@dataclass(frozen=True)
class Layout:
    """Four rows in words: the columns of a few words, and the fields of each of these."""

    columns: int
    words: tuple[tuple[Field, ...], ...]


def _m0_int8(row: int) -> tuple[Field, ...]:
    """Low to high: the second column of an even row and of the odd one, then the first column of both; 128 added."""
    return tuple((8 * k, 8, 128, ((1, row + k % 2, 1 - k // 2),)) for k in range(4))


def _m4_int8(row: int, col: int) -> tuple[Field, ...]:
    """A half for each of two columns: `256 * odd row + even row`."""
    return tuple((16 * k, 16, 0, ((256, row + 1, col + k), (1, row, col + k))) for k in range(2))


LAYOUTS = {
    "m0 int8": Layout(2, (_m0_int8(0), _m0_int8(2))),
    # Nibbles k and k + 4 are the second and the first column of row k, 8 added.
    "m0 int4": Layout(2, (tuple((4 * k, 4, 8, ((1, k % 4, 1 - k // 4),)) for k in range(8)),)),
    "m4 int8": Layout(4, (_m4_int8(0, 0), _m4_int8(2, 0), _m4_int8(0, 2), _m4_int8(2, 2))),
    # A half for each of two columns: nibble k is row k, 8 added to all but the last.
    "m4 int4": Layout(2, (tuple((16 * h + 4 * k, 4, 8 * (k < 3), ((1, k, h),)) for h in range(2) for k in range(4)),)),
}


def word_of(fields: tuple[Field, ...], weight: Callable[[int, int], Value]) -> Value:
    """A word of weights; `weight` is given row and column."""
    word: Value = 0
    for start, bits, bias, summands in fields:
        value = total([bias, *(mul(factor & 0xFFFF_FFFF, weight(row, col)) for factor, row, col in summands)])
        word = or_(word, lsl(and_(value, (1 << bits) - 1), start))
    return settle(word)


# Addresses of buffers, far from each other.
X, PREPARED, WEIGHTS, OUT, SHAPE, MORE = (0x0800_0000 * i for i in range(1, 7))


@dataclass
class Case:
    """One call of a kernel with its numbers, memory and machine."""

    program: Program
    # Least weight.
    least: int
    # An integer for a name and its range; `None`: a symbol.
    choose: Callable[[str, int, int], int] | None = None
    # Functions that are not as the program has them.
    changed: dict[str, Code] = field(default_factory=dict)
    machine: Machine = field(default_factory=lambda: Machine(Memory()))
    numbers: dict[str, Value] = field(default_factory=dict)

    @property
    def memory(self) -> Memory:
        """The machine's memory."""
        return self.machine.memory

    def number(self, name: str, range_: tuple[int, int]) -> Value:
        """A number of this range, always the same for a name."""
        if name not in self.numbers:
            value = variable(name, *range_) if self.choose is None else self.choose(name, *range_) & 0xFFFF_FFFF
            self.numbers[name] = value
        return self.numbers[name]

    def call(self, path: str, *args: int, loop: Loop | None = None) -> Value:
        """Calls a function of the program."""
        code = self.changed.get(path) or self.program.code(path)
        return self.machine.call(code, *args, loop=(loop or Loop()) if self.choose is None else None)

    def x(self, col: int, vector: int = 0) -> Value:
        """An activation."""
        return self.number(f"x{vector}[{col}]", BYTE_RANGE)

    def w(self, row: int, col: int) -> Value:
        """A weight."""
        return self.number(f"w[{row}][{col}]", (self.least, 127 if self.least < -8 else 7))

    def scale(self, row: int, group: int) -> Value:
        """The scale of a row's group."""
        return self.number(f"scale[{row}][{group}]", SCALE_RANGE)

    def out(self, row: int) -> Value:
        """What lies where a sum goes: of the columns before, any word."""
        return self.number(f"out[{row}]", WORD_RANGE)

    def halves(self, name: str, count: int, range_: tuple[int, int] = HALF_RANGE) -> list[Value]:
        """Numbers of 16 bits."""
        return [self.number(f"{name}[{index}]", range_) for index in range(count)]

    def place_halves(self, name: str, at: int, halves: list[Value], *, writable: bool = False) -> int:
        """Two numbers in each word."""
        words = [packed(low, high) for low, high in zip(halves[::2], halves[1::2], strict=True)]
        return self.memory.place(name, at, words, writable=writable)

    def place_bytes(self, name: str, at: int, numbers: list[Value]) -> int:
        """Four numbers in each word."""
        words = [
            settle(or_(or_(and_(a, 255), lsl(and_(b, 255), 8)), or_(lsl(and_(c, 255), 16), lsl(d, 24))))
            for a, b, c, d in zip(*(numbers[k::4] for k in range(4)), strict=True)
        ]
        return self.memory.place(name, at, words)

    def place_x(self, cols: int) -> None:
        """The activations of one vector."""
        self.place_halves("x", X, [self.x(col) for col in range(cols)])

    def place_out(self, count: int, *, accumulates: bool) -> int:
        """The outputs: with what is added to, or never written."""
        return self.memory.place("out", OUT, [self.out(r) for r in range(count)] if accumulates else count, writable=True)

    def weights(self, layout: str, widths: list[range], blocks: int, skip: int) -> None:
        """Packed weights of blocks of four rows, `skip` words between them that nobody may read; groups end in their scales."""
        at, arrangement = WEIGHTS, LAYOUTS[layout]
        for row in range(0, 4 * blocks, 4):
            words: list[Value] = []
            for group, cols in enumerate(widths):
                for start in cols[:: arrangement.columns]:
                    at_ = lambda r, c, start=start, row=row: self.w(row + r, start + c)  # noqa: E731
                    words += [word_of(fields, at_) for fields in arrangement.words]
                if layout.endswith("int4"):
                    words.append(total(lsl(self.scale(row + r, group), 8 * r) for r in range(4)))
            at = self.memory.place("weights", at, words) + 4 * skip

    def dot(self, row: int, cols: range, vector: int = 0) -> Value:
        """`sum(w[r][c] * x[c])`."""
        return total(mul(self.w(row, col), self.x(col, vector)) for col in cols)

    def scaled(self, row: int, widths: list[range], vector: int = 0) -> Value:
        """`sum over groups of scale * sum(w[r][c] * x[c])`."""
        return total(mul(self.scale(row, g), self.dot(row, cols, vector)) for g, cols in enumerate(widths))


# What a kernel left in memory, and what it should have.
Pairs = Iterator[tuple[Value, Value]]


def m0_int8(case: Case, arch: str, cols: int, blocks: int, skip: int) -> Pairs:
    """Armv6-M and Armv7-M: a chunk of the columns of int8, added to what the columns before gave."""
    case.place_x(cols)
    end = case.memory.place("prepared", PREPARED, cols, writable=True)
    case.call(f"nosimd::{arch}::prepare_q8", X, PREPARED, end)
    case.weights("m0 int8", [range(cols)], blocks, skip)
    out_end = case.place_out(4 * blocks, accumulates=True)
    case.memory.place("shape", SHAPE, [end, 4 * skip, out_end])
    case.call(f"nosimd::{arch}::kernel_q8", WEIGHTS, PREPARED, OUT, SHAPE)
    for row, found in enumerate(case.memory.list(OUT, 4 * blocks)):
        yield found, add(case.out(row), case.dot(row, range(cols)))


def _groups(groups: int, *, half: bool) -> list[range]:
    first = 16 if half else 32
    return [range(0, first), *(range(first + 32 * g, first + 32 * g + 32) for g in range(groups - 1))]


def m0_int4(case: Case, arch: str, groups: int, half: bool, blocks: int, skip: int) -> Pairs:
    """Armv6-M and Armv7-M: a chunk of the groups of int4, or the half group, for which Rust prepares what is written here."""
    widths = _groups(groups, half=half)
    case.place_x(widths[-1].stop)
    if half:
        pairs = [add(case.x(col), lsl(case.x(col + 1), 16)) for col in range(0, 16, 2)]
        start = sub(0x8000, mul(8 * 0x1_0001, total(pairs)))
        end = case.memory.place("prepared", PREPARED, [mul(0x1111, start), start, *pairs])
    else:
        end = case.memory.place("prepared", PREPARED, 18 * groups, writable=True)
        case.call(f"nosimd::int4_{arch}::prepare_q4", X, PREPARED, end)
    case.weights("m0 int4", widths, blocks, skip)
    out_end = case.place_out(4 * blocks, accumulates=True)
    case.memory.place("shape", SHAPE, [end, 4 * skip, out_end, int(half)])
    case.call(f"nosimd::int4_{arch}::kernel_q4", WEIGHTS, PREPARED, OUT, SHAPE)
    for row, found in enumerate(case.memory.list(OUT, 4 * blocks)):
        yield found, add(case.out(row), case.scaled(row, widths))


def m0_rows(case: Case, arch: str, cols: int, blocks: int, skip: int, loop: Loop | None = None) -> Pairs:
    """Armv6-M and Armv7-M: rows of bytes times a vector of 16 bits, of attention."""
    x = case.halves("x", cols)
    case.place_halves("x", X, x)
    rows = [[case.number(f"row[{r}][{c}]", BYTE_RANGE) for c in range(cols)] for r in range(4 * blocks)]
    for index, row in enumerate(rows):
        case.place_bytes("row", WEIGHTS + index * (cols + 4 * skip), row)
    case.place_out(4 * blocks, accumulates=False)
    case.call(f"nosimd::{arch}::kernel_rows", WEIGHTS, cols + 4 * skip, X, cols, OUT, blocks, loop=loop)
    for row, found in zip(rows, case.memory.list(OUT, 4 * blocks), strict=True):
        yield case.machine.result(found), total(map(mul, row, x))


def m4_int8(case: Case, cols: int, scales: bool, blocks: int) -> Pairs:
    """The M4's matrix of int8 times one vector, scaled or not."""
    case.place_x(cols)
    case.weights("m4 int8", [range(cols)], blocks, 0)
    multipliers = case.halves("multiplier", 4 * blocks)
    case.place_halves("multipliers", MORE, multipliers)
    case.place_out(4 * blocks, accumulates=False)
    case.call("dsp::loops::row_pairs", WEIGHTS, X, OUT, blocks, cols, MORE if scales else 0)
    for row, found in enumerate(case.memory.list(OUT, 4 * blocks)):
        dot = case.dot(row, range(cols))
        yield found, mul_q16(dot, multipliers[row]) if scales else dot


def m4_int8_by_four(case: Case, cols: int, scales: bool, blocks: int, skip: int) -> Pairs:
    """The M4's matrix of int8 times four vectors: scaled, or added to what the columns before gave."""
    for vector in range(4):
        x = [case.x(col, vector) for col in range(cols)]
        case.place_halves("x", X + 2 * vector * (cols + skip), x)
    case.memory.place("woven", PREPARED, 2 * cols, writable=True)
    case.call("dsp::batch::weave_4", X, (cols + skip) // 2, PREPARED, cols // 2)
    case.weights("m4 int8", [range(cols)], blocks, skip)
    multipliers = case.halves("multiplier", 4 * blocks)
    case.place_halves("multipliers", MORE, multipliers)
    case.place_out(16 * blocks, accumulates=not scales)
    args = (WEIGHTS, PREPARED, OUT, 4 * blocks, cols, skip, MORE if scales else 0)
    # Two turns for four rows.
    case.call("dsp::batch::pair_by_four", *args, loop=Loop(period=2))
    for index, found in enumerate(case.memory.list(OUT, 16 * blocks)):
        vector, row = divmod(index, 4 * blocks)
        dot = case.dot(row, range(cols), vector)
        yield found, mul_q16(dot, multipliers[row]) if scales else add(case.out(index), dot)


def m4_int4(case: Case, groups: int, half: bool, accumulates: bool, blocks: int, skip: int) -> Pairs:
    """The M4's matrix of int4 times one vector; what Rust makes of the activations of a half group is written down here."""
    widths = _groups(groups, half=half)
    x = [case.x(col) for col in range(widths[-1].stop)]
    stream, first = PREPARED, X
    if half:
        start = mul(-8 & 0xFFFF_FFFF, total(x[:16]))
        begin = [start, mul(17, start), mul(273, start), mul(273, start)]
        stream = case.memory.place("stream", stream, [*begin, *map(packed, x[:16:2], x[1:16:2])])
        x, first = x[16:], X + 32
    if x:
        case.place_halves("x", first, x)
        case.memory.place("stream", stream, 20 * (len(x) // 32), writable=True)
        case.call("dsp::int4::stream_1", first, stream, len(x) // 32)
    case.weights("m4 int4", widths, blocks, skip)
    case.place_out(4 * blocks, accumulates=accumulates)
    flags = int(accumulates) | int(half) << 1
    case.call("dsp::int4::nibble_rows", WEIGHTS, PREPARED, OUT, 4 * blocks, groups, skip, flags)
    for row, found in enumerate(case.memory.list(OUT, 4 * blocks)):
        dot = case.scaled(row, widths)
        yield found, add(case.out(row), dot) if accumulates else dot


def m4_int4_by_two(case: Case, groups: int, accumulates: bool, blocks: int, skip: int) -> Pairs:
    """The M4's matrix of int4 times two vectors."""
    widths = _groups(groups, half=False)
    for vector, start in enumerate((X, MORE)):
        case.place_halves("x", start, [case.x(col, vector) for col in range(32 * groups)])
    case.memory.place("stream", PREPARED, 40 * groups, writable=True)
    case.call("dsp::int4_batch::stream_2", X, MORE, PREPARED, groups)
    case.weights("m4 int4", widths, blocks, skip)
    case.place_out(8 * blocks, accumulates=accumulates)
    case.call("dsp::int4_batch::nibble_rows_by_two", WEIGHTS, PREPARED, OUT, 4 * blocks, groups, skip, int(accumulates))
    for index, found in enumerate(case.memory.list(OUT, 8 * blocks)):
        vector, row = divmod(index, 4 * blocks)
        dot = case.scaled(row, widths, vector)
        yield found, add(case.out(index), dot) if accumulates else dot


def m4_sums(case: Case, chunks: int, pairs: int, skip: int, loop: Loop) -> Pairs:
    """The M4's weighted sums of attention."""
    weights = case.halves("weight", 4 * chunks)
    case.place_halves("weights", X, weights, writable=True)
    rows = [[case.number(f"row[{r}][{c}]", BYTE_RANGE) for c in range(4 * chunks)] for r in range(2 * pairs)]
    stride = 4 * (chunks + skip)
    for index, row in enumerate(rows):
        case.place_bytes("row", WEIGHTS + index * stride, row)
    case.place_out(2 * pairs, accumulates=False)
    case.call("dsp::sums::weighted_sums_2", WEIGHTS, X, OUT, pairs, chunks, stride, loop=loop)
    for row, found in zip(rows, case.memory.list(OUT, 2 * pairs), strict=True):
        yield case.machine.result(found), total(map(mul, row, weights))


def m4_scores(case: Case, name: str, width: int, tokens: int) -> Pairs:
    """The M4's attention scores, in halves of 16 bits, and the largest of even and of odd tokens."""
    query = case.halves("query", width)
    mantissas = case.halves("mantissa", tokens)
    keys = [[case.number(f"key[{t}][{c}]", BYTE_RANGE) for c in range(width)] for t in range(tokens)]
    case.place_bytes("keys", WEIGHTS, [number for key in keys for number in key])
    case.place_halves("mantissas", MORE, mantissas)
    case.memory.place("scores", OUT, tokens // 2, writable=True)
    loop = Loop(carried=(14,))
    if name == "scaled_dots_4":
        # Rust hands the query over by (0, 2) (1, 3) of each four.
        order = [4 * (i // 4) + (0, 2, 1, 3)[i % 4] for i in range(width)]
        case.place_halves("query", X, [query[i] for i in order])
        case.memory.place("shape", SHAPE, [X, width // 4, MORE, OUT, tokens // 4], writable=True)
        largest = case.call(f"dsp::scores::{name}", WEIGHTS, SHAPE, width, loop=loop)
    else:
        case.place_halves("query", X, query)
        module, count = ("loops", tokens // 2) if name == "scaled_dots_8" else ("scores", tokens)
        largest = case.call(f"dsp::{module}::{name}", WEIGHTS, MORE, OUT, count, X, loop=loop)
    scores = [mul_q16(total(map(mul, key, query)), mantissa) for key, mantissa in zip(keys, mantissas, strict=True)]
    claimed: Value = 0x8000_8000
    for index, found in enumerate(case.memory.list(OUT, tokens // 2)):
        pair = packed(scores[2 * index], scores[2 * index + 1])
        yield found, pair
        claimed = larger_halves(pair, claimed)
    yield case.machine.result(largest), claimed
