"""Values of 32 bits: an integer, a polynomial over bounded variables, or an expression that is no polynomial (yet).

    sum, difference, product, shift to the left of polynomials ──► a polynomial, by the laws of the ring of integers modulo 2^32
    anything else (shifts to the right, masks, halves) ──► an expression ── lemma, proved by z3 ──► a polynomial

A lemma says that an expression is linear in the variables it contains, for all their values. The claim is found by evaluating
the expression at a few points, which proves nothing; z3 proves it for all, or it is no lemma. A polynomial within an
expression enters a lemma as the sum of its parts, each the sum of all products that have the same factor: as one variable,
bounded by interval arithmetic. So a lemma holds for more than is asked, never for less. Lemmas that differ in names are one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import z3

WORD = 0xFFFF_FFFF
# A lemma that takes longer is an error.
MILLISECONDS = 60_000
# One of a changed kernel that takes longer is not proved.
MILLISECONDS_OF_CHANGED = 1_000
# Variables of a lemma: no word has more fields than nibbles.
MOST_PARTS = 10


class Undecided(Exception):
    """z3 has given up: neither proved nor refuted."""


class NotLinear(Exception):
    """An expression without a lemma, where a polynomial is needed."""


@dataclass(frozen=True)
class Variable:
    """An input, with the least and the largest of its values."""

    name: str
    low: int
    high: int


VARIABLES: list[Variable] = []
_INDICES: dict[Variable, int] = {}
# The arguments of functions that are variables, by their names.
OPAQUE: dict[str, tuple[Value, ...]] = {}

# The indices of the variables of a product, ascending; of none: the constant.
Product = tuple[int, ...]


class Poly:
    """A polynomial modulo 2^32: the factor of each product, none of them 0."""

    __slots__ = ("terms",)

    def __init__(self, terms: dict[Product, int]) -> None:
        self.terms = terms

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Poly) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(frozenset(self.terms.items()))


@dataclass(frozen=True)
class Part:
    """The sum of all products of a polynomial that have one factor, as a variable of a lemma."""

    products: tuple[Product, ...]
    low: int
    high: int


class Expr:
    """An operation on values; its leaves are integers and polynomials."""

    __slots__ = ("args", "op")

    def __init__(self, op: str, args: tuple[Value, ...]) -> None:
        self.op, self.args = op, args


Value = int | Poly | Expr


def variable(name: str, low: int, high: int) -> Poly:
    """The variable of this name, as a polynomial."""
    key = Variable(name, low, high)
    if key not in _INDICES:
        _INDICES[key] = len(VARIABLES)
        VARIABLES.append(key)
    return Poly({(_INDICES[key],): 1})


def opaque(name: str, *args: Value) -> Value:
    """The result of a function of which nothing is known but that it is one."""
    if not _is_ring(*args):
        raise NotLinear("an argument is no polynomial")
    terms = [sorted(arg.terms.items()) if isinstance(arg, Poly) else arg for arg in args]
    OPAQUE[key := f"{name}{terms}"] = args
    return variable(key, -(1 << 31), (1 << 31) - 1)


def _terms(value: int | Poly) -> dict[Product, int]:
    if isinstance(value, Poly):
        return value.terms
    return {(): value} if value else {}


def _value(terms: dict[Product, int]) -> int | Poly:
    if not terms:
        return 0
    return terms[()] if len(terms) == 1 and () in terms else Poly(terms)


def _is_ring(*args: Value) -> bool:
    return not any(isinstance(arg, Expr) for arg in args)


def add(a: Value, b: Value) -> Value:
    """The sum."""
    if isinstance(a, int) and isinstance(b, int):
        return a + b & WORD
    if not _is_ring(a, b):
        raise NotLinear("a summand is no polynomial")
    small, large = sorted((_terms(a), _terms(b)), key=len)  # type: ignore[arg-type]
    result = dict(large)
    for product, factor in small.items():
        total = result.get(product, 0) + factor & WORD
        if total:
            result[product] = total
        else:
            result.pop(product, None)
    return _value(result)


def mul(a: Value, b: Value) -> Value:
    """The product."""
    if isinstance(a, int) and isinstance(b, int):
        return a * b & WORD
    if not _is_ring(a, b):
        # A shift to the left of what is masked or shifted on.
        if isinstance(a, int) or isinstance(b, int):
            return Expr("mul", (a, b))
        raise NotLinear("a factor is no polynomial")
    result: dict[Product, int] = {}
    for left, factor in _terms(a).items():  # type: ignore[arg-type]
        for right, other in _terms(b).items():  # type: ignore[arg-type]
            product = tuple(sorted(left + right)) if left and right else left or right
            result[product] = result.get(product, 0) + factor * other & WORD
    return _value({product: factor for product, factor in result.items() if factor})


def sub(a: Value, b: Value) -> Value:
    """The difference."""
    return add(a, mul(b, WORD))


def lsl(a: Value, amount: int) -> Value:
    """`a << amount`: 0 when the amount is 32 or more."""
    return mul(a, (1 << amount) & WORD)


def total(values: Iterable[Value]) -> Value:
    """The sum of all."""
    result: Value = 0
    for value in values:
        result = add(result, value)
    return result


def replaced(value: Value, variable_: Poly, by: Value) -> Value:
    """The value with another in the place of a variable."""
    if isinstance(value, int):
        return value
    if isinstance(value, Expr):
        args = tuple(replaced(arg, variable_, by) for arg in value.args)
        return value if all(new is old for new, old in zip(args, value.args, strict=True)) else Expr(value.op, args)
    if value == variable_:
        return by
    ((index,),) = variable_.terms
    if not any(index in product for product in value.terms):
        return value
    result: Value = 0
    for product, factor in value.terms.items():
        summand: Value = Poly({product: factor})
        if index in product:
            rest = tuple(other for other in product if other != index)
            summand = Poly({rest: factor}) if rest else factor
            for _ in range(len(product) - len(rest)):
                summand = mul(summand, by)
        result = add(result, summand)
    return result


def equal(a: Value, b: Value) -> bool:
    """`True` when both are the same for all values of their variables: by the ring's laws or by a lemma."""
    if not (isinstance(a, Expr) or isinstance(b, Expr)):
        return a == b
    if isinstance(a, Expr) and isinstance(b, Expr) and a.op == b.op == "larger_halves":
        return all(equal(left, right) for left, right in zip(a.args, b.args, strict=True))
    return settle(xor(a, b)) == 0


def _operation(op: str) -> Callable[..., Value]:
    def operation(*args: Value) -> Value:
        return CONCRETE[op](*args) if all(isinstance(arg, int) for arg in args) else Expr(op, args)

    return operation


def _signed(a: int) -> int:
    return a - (1 << 32) if a >> 31 else a


def _larger_halves(a: int, b: int) -> int:
    low = max((a & 0xFFFF) ^ 0x8000, (b & 0xFFFF) ^ 0x8000) ^ 0x8000
    return low | max(a >> 16 ^ 0x8000, b >> 16 ^ 0x8000) << 16 ^ 0x8000_0000


def _larger_halves_z3(a: z3.BitVecRef, b: z3.BitVecRef) -> z3.BitVecRef:
    halves = [(z3.Extract(top, top - 15, a), z3.Extract(top, top - 15, b)) for top in (31, 15)]
    return z3.Concat(*(z3.If(left >= right, left, right) for left, right in halves))


CONCRETE: dict[str, Callable[..., int]] = {
    "add": lambda a, b: a + b & WORD,
    "mul": lambda a, b: a * b & WORD,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "lsr": lambda a, amount: a >> amount,
    "asr": lambda a, amount: _signed(a) >> amount & WORD,
    "larger_halves": _larger_halves,
}
SYMBOLIC: dict[str, Callable[..., z3.BitVecRef]] = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "lsr": z3.LShR,
    "asr": lambda a, amount: a >> amount,
    "larger_halves": _larger_halves_z3,
}
and_, or_, xor = _operation("and"), _operation("or"), _operation("xor")
_lsr, _asr = _operation("lsr"), _operation("asr")
# The larger of each half, signed.
larger_halves = _operation("larger_halves")


def lsr(a: Value, amount: int) -> Value:
    """`a >> amount` with zeros: 0 when the amount is 32."""
    return 0 if amount > 31 else _lsr(a, amount)


def asr(a: Value, amount: int) -> Value:
    """`a >> amount` with signs."""
    return _asr(a, min(amount, 31))


def signed_field(a: Value, start: int, width: int) -> Value:
    """Bits of a word as a signed integer."""
    return settle(asr(lsl(a, 32 - width - start), 32 - width))


def field(a: Value, start: int, width: int) -> Value:
    """Bits of a word as an unsigned integer."""
    return settle(lsr(lsl(a, 32 - width - start), 32 - width))


# ---- lemmas ----

# An expression without names: ("v", index of a variable), ("c", constant), or (operation, *arguments).
Shape = tuple


def _parts(poly: Poly) -> list[tuple[int, Part]]:
    by_factor: dict[int, list[Product]] = {}
    for product, factor in poly.terms.items():
        if product:
            by_factor.setdefault(factor, []).append(product)
    found = []
    for factor, products in sorted(by_factor.items()):
        low = high = 0
        for product in products:
            least, most = 1, 1
            for index in product:
                ends = [end * other for end in (least, most) for other in (VARIABLES[index].low, VARIABLES[index].high)]
                least, most = min(ends), max(ends)
            low, high = low + least, high + most
        found.append((factor, Part(tuple(sorted(products)), low, high)))
    return found


def _shape(value: Value, parts: dict[Part, int]) -> Shape:
    if isinstance(value, int):
        return ("c", value)
    if isinstance(value, Expr):
        return (value.op, *(_shape(arg, parts) for arg in value.args))
    shape: Shape = ("c", value.terms.get((), 0))
    for factor, part in _parts(value):
        shape = ("add", shape, ("mul", ("c", factor), ("v", parts.setdefault(part, len(parts)))))
    return shape


def _evaluate(shape: Shape, values: list[int]) -> int:
    if shape[0] == "c":
        return shape[1]
    if shape[0] == "v":
        return values[shape[1]] & WORD
    return CONCRETE[shape[0]](*(_evaluate(arg, values) for arg in shape[1:]))


def _z3(shape: Shape, variables: list[z3.BitVecRef]) -> z3.BitVecRef:
    if shape[0] == "c":
        return z3.BitVecVal(shape[1], 32)
    if shape[0] == "v":
        return variables[shape[1]]
    return SYMBOLIC[shape[0]](*(_z3(arg, variables) for arg in shape[1:]))


Ranges = tuple[tuple[int, int], ...]


@dataclass
class Lemmas:
    """What z3 has proved: for all values of the ranges, the shape is the constant plus the sum of factor times variable."""

    proved: dict[tuple[Shape, Ranges], tuple[int, list[int]]]
    refused: set[tuple[Shape, Ranges]]
    milliseconds: int = MILLISECONDS
    # Those that a proof has needed since somebody has begun to count.
    needed: set[tuple[Shape, Ranges]] | None = None

    def linear(self, shape: Shape, ranges: Ranges) -> tuple[int, list[int]] | None:
        """Constant and factors of the linear function that the shape is; `None` when it is none."""
        key = (shape, ranges)
        if key in self.refused:
            return None
        if key not in self.proved:
            claim = self._guess(shape, ranges)
            if claim is None or not self._prove(shape, ranges, *claim):
                self.refused.add(key)
                return None
            self.proved[key] = claim
        if self.needed is not None:
            self.needed.add(key)
        return self.proved[key]

    @staticmethod
    def _guess(shape: Shape, ranges: Ranges) -> tuple[int, list[int]] | None:
        base = [min(max(0, low), high) for low, high in ranges]
        start = _evaluate(shape, base)
        factors = []
        for index, (_, high) in enumerate(ranges):
            step = 1 if base[index] < high else -1
            moved = [*base[:index], base[index] + step, *base[index + 1 :]]
            factors.append(step * (_evaluate(shape, moved) - start) & WORD)
        constant = start - sum(factor * at for factor, at in zip(factors, base, strict=True)) & WORD
        # Most claims that are wrong are so at a corner: saves the time of z3.
        random_ = random.Random(1)
        for trial in range(60):
            ends = [(low, high)[trial % 2 if trial < 2 else random_.randrange(2)] for low, high in ranges]
            values = (
                ends
                if trial < 30
                else [random_.choice((end, random_.randint(*range_))) for end, range_ in zip(ends, ranges, strict=True)]
            )
            claimed = constant + sum(factor * value for factor, value in zip(factors, values, strict=True))
            if _evaluate(shape, values) != claimed & WORD:
                return None
        return constant, factors

    def _prove(self, shape: Shape, ranges: Ranges, constant: int, factors: list[int]) -> bool:
        solver = z3.Solver()
        variables = []
        for index, (low, high) in enumerate(ranges):
            width = max(low.bit_length(), high.bit_length()) + 1
            if width > 32:
                # Any word, which is more than the range.
                variables.append(z3.BitVec(f"v{index}", 32))
                continue
            narrow = z3.BitVec(f"v{index}", width)
            solver.add(narrow >= low, narrow <= high)
            variables.append(z3.SignExt(32 - width, narrow) if width < 32 else narrow)
        claim = z3.BitVecVal(constant, 32)
        for factor, narrow in zip(factors, variables, strict=True):
            claim = claim + factor * narrow
        solver.set("timeout", self.milliseconds)
        solver.add(_z3(shape, variables) != claim)
        answer = solver.check()
        if answer == z3.unknown:
            raise Undecided(f"{solver.reason_unknown()}: {shape}")
        return answer == z3.unsat


LEMMAS = Lemmas({}, set())


def settle(value: Value) -> Value:
    """The polynomial that the value is by a lemma; without one, the value."""
    if not isinstance(value, Expr):
        return value
    parts: dict[Part, int] = {}
    shape = _shape(value, parts)
    if len(parts) > MOST_PARTS:
        return value
    claim = LEMMAS.linear(shape, tuple((part.low, part.high) for part in parts))
    if claim is None:
        return value
    result: Value = claim[0]
    for factor, part in zip(claim[1], parts, strict=True):
        result = add(result, _value({product: factor for product in part.products} if factor else {}))
    return result


def evaluate(value: Value, inputs: Callable[[Variable], int]) -> int:
    """The value for integers in the place of the variables."""
    if isinstance(value, int):
        return value
    if isinstance(value, Expr):
        return CONCRETE[value.op](*(evaluate(arg, inputs) for arg in value.args))
    result = 0
    for product, factor in value.terms.items():
        for index in product:
            factor *= inputs(VARIABLES[index])
        result += factor
    return result & WORD
