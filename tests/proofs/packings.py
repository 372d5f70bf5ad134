"""Proofs of the kernels that pack integers, for all weights and activations, from their machine code.

    python packings.py REPOSITORY/src/arch m0plus=ELF m3=ELF m4=ELF m7=ELF m33=ELF [--verbose]

**Claim.** For every shape of a kernel below, all weights within -127..=127 (int4: -7..=7), all activations within -128..=127,
all scales and all sums of the columns before: what the kernel leaves in memory is what `src/arch/backend.rs` defines, modulo
2^32. It accesses nothing but its buffers and its stack, reads nothing that was never written, and restores r4 to r11 and the
stack pointer. Below 2^31, which `Dims` and `MAX_COLUMNS_Q4` keep the sums, modulo 2^32 means equal: 65,536 columns of
127 * 128 are less.

**Proof.** A kernel is executed on symbols (`thumb.py`). Sums and products are polynomials modulo 2^32, equal by the laws of the
ring (`ring.py`); whatever else an instruction does is a lemma that z3 proves by bit vectors: that the mask gives a pair of
weights, that the upper half of a word is the sum of the products in it, as that of the lower half, rounded, has no carry. At
the end two polynomials are compared. (As one query, two columns of one row, z3 does not decide it in four minutes.)

**Columns.** Rust calls the kernels of matrices with at most `CHUNK`, `LONGEST`, `PIECE`... columns: all these widths are
executed, so no induction is needed; wider matrices are sums of such calls, which begin with any sums. Loops of attention that
have no such limit are proved by a turn from any sums (`Loop.carried`): it adds the products of its columns, and the next turn
differs from it in its pointers alone. **Rows.** The same: a turn for a block of rows reads nothing that an earlier one has left
but pointers, whose steps are constant (`Loop`).

**Tests of the proof itself**, in each run: the symbolic results against executions with integers; kernels with one instruction
changed, for which execution finds a counterexample, must not be proved; nor with weights of -128 or -8, as the table says.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import ring
import words
from changes import changes
from kernels import (
    Case,
    Pairs,
    m0_int4,
    m0_int8,
    m0_rows,
    m4_int4,
    m4_int4_by_two,
    m4_int8,
    m4_int8_by_four,
    m4_scores,
    m4_sums,
)
from program import Code, Fault, Program, Unknown
from ring import LEMMAS, NotLinear, Undecided, equal, evaluate
from thumb import Loop

# Changed kernels of each function that must be refuted, at least; and how many are made.
LEAST_REFUTED, CHANGES = 12, 20
TRIALS = 60


@dataclass
class Kernel:
    """A kernel, with the functions it is made of and the shapes it is proved for."""

    name: str
    core: str
    functions: list[str]
    run: Callable[..., Pairs]
    # Least weight; with one less, the claim must fail, or hold.
    least: int
    fails_below: bool
    # Arguments of `run`; the first is the shape of changed kernels.
    shapes: list[tuple]


def kernels(arch: Path) -> Iterator[Kernel]:
    """All of them."""
    for core, arch_, sums in (("m0plus", "armv6m", (8, 9, 10, 11)), ("m3", "armv7m", (4, 5, 6, 7))):
        widths = range(16, words.constant(arch, "nosimd/mod.rs", "CHUNK") + 1, 16)
        path = f"nosimd::{arch_}::"
        yield Kernel(
            "int8 matrix",
            core,
            [path + "prepare_q8", path + "kernel_q8"],
            m0_int8,
            -127,
            True,
            [(arch_, 32, 2, 3), (arch_, 32, 5, 0), *((arch_, cols, 2, 3) for cols in widths)],
        )
        groups = range(1, widths[-1] // 32 + 1)
        yield Kernel(
            "int4 matrix",
            core,
            [f"nosimd::int4_{arch_}::prepare_q4", f"nosimd::int4_{arch_}::kernel_q4"],
            m0_int4,
            -7,
            True,
            [(arch_, 2, False, 2, 3), (arch_, 2, False, 5, 0), (arch_, 1, True, 5, 3)]
            + [(arch_, count, False, 2, 3) for count in groups],
        )
        yield Kernel(
            "rows of attention",
            core,
            [path + "kernel_rows"],
            m0_rows,
            0,
            False,
            [(arch_, 8, 2, 1), *((arch_, cols, 5, 1) for cols in (4, 8)), *((arch_, cols, 2, 1) for cols in range(4, 68, 4))]
            + [(arch_, cols, 1, 1, Loop(1, carried=sums)) for cols in (4, 24)],
        )
    dsp = "m4"
    widths = range(16, words.constant(arch, "dsp/mod.rs", "LONGEST") + 1, 16)
    yield Kernel(
        "int8 matrix",
        dsp,
        ["dsp::loops::row_pairs"],
        m4_int8,
        -127,
        True,
        [(48, True, 2), *((cols, scales, 5) for cols in (32, 48) for scales in (False, True))]
        + [(cols, scales, 2) for cols in widths for scales in (False, True)],
    )
    widths = range(16, words.constant(arch, "dsp/batch.rs", "PIECE_FOUR_VECTORS") + 1, 16)
    yield Kernel(
        "int8 matrix, four vectors",
        dsp,
        ["dsp::batch::weave_4", "dsp::batch::pair_by_four"],
        m4_int8_by_four,
        -127,
        True,
        [(32, False, 2, 16), *((32, scales, 5, 16) for scales in (False, True))]
        + [(cols, scales, 2, 16) for cols in widths for scales in (False, True)],
    )
    groups = range(1, words.constant(arch, "dsp/int4.rs", "PIECE") // 32 + 1)
    yield Kernel(
        "int4 matrix",
        dsp,
        ["dsp::int4::stream_1", "dsp::int4::nibble_rows"],
        m4_int4,
        -7,
        True,
        [(2, False, True, 2, 3), *((2, half, adds, 5, 3) for half, adds in ((False, False), (False, True), (True, False)))]
        + [(count, half, False, 2, 3) for count in groups for half in (False, True)]
        + [(count, False, True, 2, 3) for count in groups],
    )
    groups = range(1, words.constant(arch, "dsp/int4_batch.rs", "PIECE_TWO_VECTORS") // 32 + 1)
    yield Kernel(
        "int4 matrix, two vectors",
        dsp,
        ["dsp::int4_batch::stream_2", "dsp::int4_batch::nibble_rows_by_two"],
        m4_int4_by_two,
        -7,
        True,
        [(2, True, 2, 3), *((2, adds, 5, 3) for adds in (False, True))]
        + [(count, adds, 2, 3) for count in groups for adds in (False, True)],
    )
    rows, columns = Loop(1), Loop(2, carried=(11, 12))
    yield Kernel(
        "weighted sums",
        dsp,
        ["dsp::sums::weighted_sums_2"],
        m4_sums,
        0,
        False,
        [(7, 2, 1, rows), *((chunks, 5, 1, rows) for chunks in range(1, 9))]
        + [(chunks, 1, 1, columns) for chunks in range(17, 21)],
    )
    for name, module, widths_ in (
        ("scaled_dots_8", "loops", [8]),
        ("four_tokens_16", "scores", [16]),
        ("four_tokens_32", "scores", [32]),
        ("scaled_dots_4", "scores", range(4, words.constant(arch, "dsp/mod.rs", "WIDEST") + 1, 4)),
    ):
        shapes = [(name, width, 20) for width in widths_ if width <= 32] + [(name, width, 4) for width in widths_]
        yield Kernel(f"scores, {name}", dsp, [f"dsp::{module}::{name}"], m4_scores, 0, False, shapes)


@dataclass
class Prover:
    """Proofs and counterexamples of the kernels of some programs."""

    arch: Path
    programs: dict[str, Program]
    mnemonics: set[str] = field(default_factory=set)

    def differs(self, kernel: Kernel, shape: tuple, changed: dict[str, Code], choose: Callable | None) -> str | None:
        """What is wrong for all values (`choose` is `None`: `None` proves the claim), or for some integers."""
        case = Case(self.programs[kernel.core], kernel.least, choose, changed)
        LEMMAS.milliseconds = ring.MILLISECONDS_OF_CHANGED if changed else ring.MILLISECONDS
        if changed:
            case.machine.most_steps = 20_000
        try:
            for index, (found, claimed) in enumerate(kernel.run(case, *shape)):
                if not equal(found, claimed):
                    if isinstance(found, int) and isinstance(claimed, int):
                        return f"output {index} is {found:#x} instead of {claimed:#x}; {_some(case)}"
                    return f"output {index} is not proved"
        except Fault as fault:
            return str(fault)
        except NotLinear as reason:
            return f"not proved: {reason}"
        except (Undecided, Unknown) as reason:
            if changed and choose is None:
                return str(reason)
            raise
        if not changed:
            self.mnemonics |= case.machine.mnemonics
        return None

    def counterexample(self, kernel: Kernel, changed: dict[str, Code]) -> str | None:
        """Integers for which the kernel is wrong, or what it does that no kernel may do."""
        for seed in range(TRIALS):
            found = self.differs(kernel, kernel.shapes[0], changed, _chooser(seed))
            if found:
                return found
        return None

    def ensure_same(self, core: str, others: list[str]) -> None:
        """A core's kernels must be, byte for byte, those of other cores."""
        for kernel in kernels(self.arch):
            for path in kernel.functions if kernel.core == core else ():
                data = self.programs[core].code(path).data
                if any(self.programs[other].code(path).data != data for other in others):
                    raise SystemExit(f"{path} is not the same on {core} and {', '.join(others)}")

    def check_symbols(self, kernel: Kernel) -> None:
        """What symbols gave, with integers in their place, is what integers give."""
        case = Case(self.programs[kernel.core], kernel.least)
        symbolic = [found for found, _ in kernel.run(case, *kernel.shapes[0])]
        choose = _chooser(3)
        integers = Case(self.programs[kernel.core], kernel.least, choose)
        concrete = [found for found, _ in kernel.run(integers, *kernel.shapes[0])]

        def value(variable: ring.Variable) -> int:
            if not variable.name.startswith("mul_q16"):
                return choose(variable.name, variable.low, variable.high)
            a, b = (evaluate(arg, value) for arg in ring.OPAQUE[variable.name])
            return (_signed(a) * _signed(b) >> 16) & ring.WORD

        if [evaluate(found, value) for found in symbolic] != concrete:
            raise Fault(f"{kernel.name}: symbols and integers give different numbers")

    def refute(self, kernel: Kernel) -> tuple[int, int]:
        """Changes instructions: how many changes are refuted, and how many are not, as they change nothing or next to nothing."""
        made = refuted = 0
        for path in kernel.functions:
            before, here = made, 0
            code = self.programs[kernel.core].code(path)
            for what, wrong in changes(self._executed(kernel, path), code):
                try:
                    example = self.counterexample(kernel, {path: wrong})
                except Unknown:
                    # No instruction that is known here.
                    continue
                is_proved = self.differs(kernel, kernel.shapes[0], {path: wrong}, None) is None
                if example and is_proved:
                    raise Fault(f"proved, but wrong: {path}, {what}: {example}")
                made, here = made + 1, here + bool(example)
                if "--verbose" in sys.argv:
                    print(
                        f"    {path}, {what}: {example or ('changes nothing in this shape, proved' if is_proved else 'not decided')}"
                    )
                if made == before + CHANGES:
                    break
            if here < LEAST_REFUTED:
                raise Fault(f"{path}: only {here} changed kernels are refuted")
            refuted += here
        return refuted, made - refuted

    def _executed(self, kernel: Kernel, path: str) -> list[int]:
        case = Case(self.programs[kernel.core], kernel.least, _chooser(0))
        list(kernel.run(case, *kernel.shapes[0]))
        code = self.programs[kernel.core].code(path)
        return sorted(case.machine.executed & set(code.instructions))


def _signed(a: int) -> int:
    return a - (1 << 32) if a >> 31 else a


def _some(case: Case) -> str:
    return ", ".join(f"{name} = {_signed(value)}" for name, value in list(case.numbers.items())[:6] if isinstance(value, int))


def _chooser(seed: int) -> Callable[[str, int, int], int]:
    """Integers by their names: the least, the largest, extremes by turns, or anything."""

    def choose(name: str, low: int, high: int) -> int:
        if seed < 2:
            # Scales are not 0.
            return low if seed == 0 and low < 0 else high
        number = random.Random(f"{name} {seed}")
        return number.choice((low, high)) if seed % 3 == 0 else number.randint(low, high)

    return choose


def main() -> None:
    """Proves all, or ends with an error."""
    begin = time.monotonic()
    arch, *files = (argument for argument in sys.argv[1:] if not argument.startswith("--"))
    programs = {core: Program(path) for core, path in (file.split("=", 1) for file in files)}
    prover = Prover(Path(arch), programs)
    if missing := {"m0plus", "m3", "m4", "m7", "m33"} - set(programs):
        raise SystemExit(f"no program for {', '.join(sorted(missing))}")
    prover.ensure_same("m4", ["m7", "m33"])
    proved_words, wrong = words.prove(Path(arch))
    if wrong:
        raise SystemExit("\n".join(wrong))
    print(f"words: {proved_words} claims proved")
    refuted, count, functions, lemmas = words.broken(Path(arch)), 0, 0, set()
    for kernel in kernels(Path(arch)):
        start, LEMMAS.needed = time.monotonic(), set()
        for shape in kernel.shapes:
            error = prover.differs(kernel, shape, {}, None) or prover.differs(kernel, shape, {}, _chooser(4))
            if error:
                raise SystemExit(f"{kernel.core}, {kernel.name} of {shape}: {error}")
        needed, LEMMAS.needed = LEMMAS.needed, None
        lemmas |= needed
        prover.check_symbols(kernel)
        below = "" if kernel.least == 0 else _below(prover, kernel)
        more, same = prover.refute(kernel)
        print(
            f"{kernel.core:<8} {kernel.name:<26} {len(kernel.shapes):>3} shapes, {len(needed):>2} lemmas; "
            f"{more} changes refuted, {same} not{below}; {time.monotonic() - start:.0f} s",
            flush=True,
        )
        refuted, count, functions = refuted + more, count + len(kernel.shapes), functions + len(kernel.functions)
    print(f"{len(prover.mnemonics)} instructions: {' '.join(sorted(prover.mnemonics))}")
    print(
        f"{functions} kernels in {count} shapes by {len(lemmas)} lemmas, {proved_words} claims of words, for all inputs; "
        f"{refuted} broken ones refuted"
    )
    print(f"{time.monotonic() - begin:.0f} s", file=sys.stderr)


def _below(prover: Prover, kernel: Kernel) -> str:
    """Whether the claim holds for a weight less, which must be as the table says."""
    wider = Kernel(kernel.name, kernel.core, kernel.functions, kernel.run, kernel.least - 1, False, kernel.shapes)
    example = prover.counterexample(wider, {})
    is_proved = prover.differs(wider, wider.shapes[0], {}, None) is None
    if bool(example) != kernel.fails_below or is_proved == kernel.fails_below:
        raise SystemExit(f"{kernel.core}, {kernel.name} with weights of {wider.least}: proved {is_proved}, {example}")
    return f"; with {wider.least} {'refuted' if example else 'proved too'}"


if __name__ == "__main__":
    main()
