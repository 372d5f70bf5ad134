"""What a machine runs and where it keeps things: functions of an ELF file, and buffers that nobody may leave."""

from __future__ import annotations

from dataclasses import dataclass, field

import capstone
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from ring import Value
from ring import field as unsigned_field

STACK = (0x7000_0000, 0x7000_4000)
# Mnemonics of jumps within a function.
JUMPS = ("b", "cbz", "cbnz", *(f"b{condition}" for condition in ("eq", "ne", "hs", "lo", "mi", "pl")))


class Fault(Exception):
    """What a kernel must not do."""


class Unknown(Exception):
    """What is not known here: whether it is right cannot be said."""


class Stale:
    """What an earlier turn of a loop left in a register or on the stack, or a caller: nobody may read it."""


STALE = Stale()
Register = Value | Stale


class Program:
    """Functions of an ELF file."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            elf = ELFFile(file)
            text, table = elf.get_section_by_name(".text"), elf.get_section_by_name(".symtab")
            if text is None or not isinstance(table, SymbolTableSection):
                raise Unknown(f"{path}: no code or no symbols")
            self.base, self.text = text["sh_addr"], text.data()
            symbols = table.iter_symbols()
            self.codes: dict[str, Code] = {}
            self.symbols = {s.name: (s["st_value"] & ~1, s["st_size"]) for s in symbols if s["st_info"]["type"] == "STT_FUNC"}

    def function(self, path: str) -> tuple[int, int]:
        """Address and size of a function of the core by its path below `arch`, as rustc mangles it."""
        mangled = "".join(f"{len(name)}{name}" for name in ["thumbformer", "arch", *path.split("::")])
        found = {place for name, place in self.symbols.items() if mangled in name}
        if len(found) != 1:
            raise Unknown(f"{path}: {len(found)} functions of this name")
        return found.pop()

    def code(self, path: str) -> Code:
        """The instructions of a function."""
        if path not in self.codes:
            address, size = self.function(path)
            start = address - self.base
            self.codes[path] = Code(path, address, self.text[start : start + size])
        return self.codes[path]


class Code:
    """A function's instructions."""

    def __init__(self, name: str, address: int, data: bytes) -> None:
        self.name, self.address, self.data = name, address, data
        decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
        decoder.detail = True
        found = list(decoder.disasm(data, address))
        if sum(insn.size for insn in found) != len(data):
            raise Unknown(f"{name}: bytes that are no instructions")
        self.instructions = {insn.address: insn for insn in found}
        jumps = [insn for insn in found if insn.mnemonic.split(".")[0] in JUMPS and insn.operands[-1].imm < insn.address]
        # Where loops begin, in order.
        self.loops = sorted({insn.operands[-1].imm for insn in jumps})

    def changed(self, at: int, data: bytes) -> Code:
        """The function with other bytes at an address."""
        start = at - self.address
        return Code(self.name, self.address, self.data[:start] + data + self.data[start + len(data) :])


@dataclass
class Region:
    """A buffer: nothing but its bytes may be read, or written."""

    name: str
    start: int
    end: int
    writable: bool


@dataclass
class Memory:
    """Words by their addresses, within regions."""

    words: dict[int, Register] = field(default_factory=dict)
    regions: list[Region] = field(default_factory=lambda: [Region("stack", *STACK, writable=True)])

    def place(self, name: str, start: int, words: list[Value] | int, *, writable: bool = False) -> int:
        """A buffer of these words, or of so many that nobody has written yet; returns its end."""
        count = words if isinstance(words, int) else len(words)
        self.regions.append(Region(name, start, start + 4 * count, writable))
        if not isinstance(words, int):
            self.words.update(zip(range(start, start + 4 * count, 4), words, strict=True))
        return start + 4 * count

    def check(self, address: int, size: int, *, write: bool) -> None:
        """An access must lie within a buffer."""
        if address % size:
            raise Fault(f"{address:#x} is not aligned to {size}")
        inside = any(r.start <= address and address + size <= r.end and (r.writable or not write) for r in self.regions)
        if not inside:
            raise Fault(f"{'writes' if write else 'reads'} {address:#x}, outside of all buffers")

    def load(self, address: int, size: int = 4) -> Register:
        """A word, or the bits of a smaller number in the lower bits."""
        self.check(address, size, write=False)
        word = self.words.get(address & ~3)
        if word is None:
            raise Fault(f"reads {address:#x}, which nobody has written")
        if size == 4 or isinstance(word, Stale):
            return word
        return unsigned_field(word, 8 * (address & 3), 8 * size)

    def store(self, address: int, value: Register) -> None:
        """A word."""
        self.check(address, 4, write=True)
        self.words[address] = value

    def list(self, start: int, count: int) -> list[Value]:
        """Words, which somebody must have written."""
        found = [self.load(start + 4 * index) for index in range(count)]
        if any(isinstance(word, Stale) for word in found):
            raise Fault("a result that an earlier turn left")
        return found  # type: ignore[return-value]
