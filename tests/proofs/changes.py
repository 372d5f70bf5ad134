"""Kernels with one instruction changed, which no proof must accept: in a bit of what it does, or with nothing in its place."""

from __future__ import annotations

import random
from collections.abc import Iterator

from program import Code, Unknown

NOPS = b"\x00\xbf"


def changes(executed: list[int], code: Code) -> Iterator[tuple[str, Code]]:
    """The function with one of the executed instructions changed, each time another one, in no order."""
    places = [(at, kind, mask) for at in executed for kind, mask in _bits(bytes(code.instructions[at].bytes))]
    for at, kind, mask in random.Random(code.name).sample(places, len(places)):
        insn = code.instructions[at]
        data = bytes(insn.bytes)
        wrong = NOPS * (len(data) // 2) if mask == 0 else _flipped(data, mask)
        try:
            changed = code.changed(at, wrong)
        except Unknown:
            continue
        after = changed.instructions.get(at)
        if after is not None and after.size == insn.size:
            text = "nothing" if mask == 0 else f"{after.mnemonic} {after.op_str}"
            yield f"{at:#x} {kind}: {insn.mnemonic} {insn.op_str} ──► {text}", changed


def _flipped(data: bytes, mask: int) -> bytes:
    return (int.from_bytes(data, "little") ^ mask).to_bytes(len(data), "little")


def _bits(data: bytes) -> Iterator[tuple[str, int]]:
    """Bits of an instruction whose change makes it another one: of a shift, a constant, a register; 0: nothing in its place."""
    first = int.from_bytes(data[:2], "little")
    if len(data) == 2:
        if first >> 13 == 0:
            yield ("register", 1 << 6) if first >> 11 == 3 else ("shift", 1 << 6)
        elif first >> 13 == 1:
            yield "constant", 1
        elif first >> 10 in (0x10, 0x11) and first >> 8 != 0x47:
            yield "register", 1 << 3
        else:
            return
        yield "dropped", 0
        return
    second = int.from_bytes(data[2:], "little")
    if first >> 9 == 0b1110101:
        yield "shift", 1 << 22
        yield "register", 1 << 17
    elif first >> 11 == 0b11110 and not second >> 15:
        yield "constant", 1 << 16
    elif first >> 8 in (0xFA, 0xFB):
        yield ("rotation", 1 << 20) if first >> 8 == 0xFA and second >> 6 & 3 == 2 else ("other half", 1 << 20)
        yield "register", 1 << 17
    else:
        return
    yield "dropped", 0
