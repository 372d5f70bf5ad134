"""Thumb instructions executed on values that are integers or symbols.

    instructions of capstone ── one after the other, on values of `ring` ──► registers, memory

The flow of control must not depend on a symbol. What would be wrong in silence is an error: an instruction, an operand or a
condition that is not known here, an access outside of the buffers, to what was never written, below the stack pointer or not
aligned to its size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import capstone
from capstone import arm

from program import JUMPS, STACK, STALE, Code, Fault, Memory, Register, Stale, Unknown
from ring import (
    WORD,
    Expr,
    NotLinear,
    Poly,
    Value,
    add,
    and_,
    asr,
    larger_halves,
    lsl,
    lsr,
    mul,
    opaque,
    or_,
    replaced,
    settle,
    signed_field,
    sub,
    variable,
    xor,
)

NAMES = {**{f"r{i}": i for i in range(13)}, "sb": 9, "sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15}
SP, LR, PC = 13, 14, 15
RETURN = 0xFFFF_FFF0


@dataclass(frozen=True)
class Loop:
    """A loop of a function, whose turns must do the same with other pointers.

    At its head, what a register or a place on the stack holds is either an integer, which changes from turn to turn by the same
    step; or what it was at the first turn; or `carried`: from there on any word, so that the turn is proved for all; or
    forgotten: an instruction that reads it is an error.
    """

    # Among the places to which the function jumps back.
    index: int = 0
    # Turns after which the steps repeat.
    period: int = 1
    # Registers.
    carried: tuple[int, ...] = ()


def half(value: Value, top: bool) -> Value:
    """Half a word, signed."""
    return signed_field(value, 16 if top else 0, 16)


def mul_q16(a: Value, b: Value) -> Value:
    """`a * b / 2^16` of 32 by 16 bits, rounded down; the function of which nothing else is used where there are symbols."""
    if isinstance(a, int) and isinstance(b, int):
        return (signed(a) * signed(b) >> 16) & WORD
    return opaque("mul_q16", a, b)


def signed(a: int) -> int:
    """A word as a signed integer."""
    return a - (1 << 32) if a >> 31 else a


def packed(low: Value, high: Value) -> Value:
    """Two halves."""
    return or_(and_(low, 0xFFFF), lsl(high, 16))


CONDITIONS: dict[int, Callable[[dict[str, int]], bool]] = {
    arm.ARM_CC_EQ: lambda f: f["z"] == 1,
    arm.ARM_CC_NE: lambda f: f["z"] == 0,
    arm.ARM_CC_HS: lambda f: f["c"] == 1,
    arm.ARM_CC_LO: lambda f: f["c"] == 0,
    arm.ARM_CC_MI: lambda f: f["n"] == 1,
    arm.ARM_CC_PL: lambda f: f["n"] == 0,
}


def _halves_of(name: str) -> tuple[bool, bool]:
    return name[0] == "t", name[1] == "t"


def _dual(a: Value, b: Value, start: Value) -> Value:
    products = [mul(half(a, top), half(b, top)) for top in (False, True)]
    return add(start, add(*products))


# An operation of each mnemonic, without the suffixes for flags, width and condition, on all operands but the destination.
OPERATIONS: dict[str, Callable[..., Value]] = {
    "add": add,
    "sub": sub,
    "rsb": lambda a, b: sub(b, a),
    "mul": mul,
    "mla": lambda a, b, c: add(mul(a, b), c),
    "mov": lambda a: a,
    "movw": lambda a: a,
    "mvn": lambda a: xor(a, WORD),
    "and": and_,
    "bic": lambda a, b: and_(a, xor(b, WORD)),
    "orr": or_,
    "eor": xor,
    "sxth": lambda a: half(a, False),
    "sxtb16": lambda a: packed(signed_field(a, 0, 8), signed_field(a, 16, 8)),
    "uxtb16": lambda a: and_(a, 0x00FF_00FF),
    "pkhbt": lambda a, b: or_(and_(a, 0xFFFF), and_(b, 0xFFFF_0000)),
    "pkhtb": lambda a, b: or_(and_(a, 0xFFFF_0000), and_(b, 0xFFFF)),
    "smuad": lambda a, b: _dual(a, b, 0),
    "smlad": _dual,
    **{
        f"smla{names}": lambda a, b, c, n=names: add(mul(half(a, _halves_of(n)[0]), half(b, _halves_of(n)[1])), c)
        for names in ("bb", "bt", "tb", "tt")
    },
    "smulwb": lambda a, b: mul_q16(a, half(b, False)),
    "smulwt": lambda a, b: mul_q16(a, half(b, True)),
}
SHIFTS: dict[str, Callable[[Value, int], Value]] = {"lsl": lsl, "lsr": lsr, "asr": asr}
LOADS = {"ldr": (4, False), "ldrh": (2, False), "ldrsh": (2, True), "ldrb": (1, False), "ldrsb": (1, True)}


class Machine:
    """Registers, flags and memory while a function runs."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.registers: list[Register] = [STALE] * 16
        self.flags: dict[str, int] = {}
        self.compared: tuple[Value, Value] | None = None
        self.mnemonics: set[str] = set()
        self.steps, self.most_steps = 0, 1_000_000
        self.executed: set[int] = set()
        # What a word that stands for any word really is.
        self.meant: dict[Poly, Value] = {}

    def call(self, code: Code, *args: int, loop: Loop | None) -> Value:
        """Calls a function; r0 to r3 and the stack hold its arguments, all other registers what it must not change or use.

        `loop`: what must be the same in each of its turns; `None` where all values are integers.
        """
        kept = [variable(f"r{i} of the caller", -(1 << 31), (1 << 31) - 1) for i in range(4, 12)]
        saved: list[Value] = list(kept) if loop else [0x0101_0101 * i for i in range(4, 12)]
        self.registers = [STALE] * 16
        self.registers[4:12] = saved
        for index, arg in enumerate(args[:4]):
            self.registers[index] = arg
        start = STACK[1] - 64
        for index, arg in enumerate(args[4:]):
            self.memory.words[start + 4 * index] = arg
        self.memory.regions[0].end = start + 4 * len(args[4:])
        self.registers[SP], self.registers[LR], pc = start, RETURN | 1, code.address
        self.flags, self.steps = {}, 0
        turns: list[dict[int, Register]] = []
        while pc != RETURN:
            if pc not in code.instructions:
                raise Fault(f"{code.name}: jumps to {pc:#x}")
            if loop and code.loops and pc == code.loops[loop.index]:
                self._turn(start, saved, turns, loop)
            insn = code.instructions[pc]
            try:
                pc = self._step(insn)
            except NotLinear as reason:
                raise NotLinear(f"{code.name}, {_text(insn)}: {reason}") from reason
            except Fault as fault:
                raise Fault(f"{code.name}, {_text(insn)}: {fault}") from fault
            except (Unknown, KeyError, TypeError, IndexError, ValueError) as error:
                raise Unknown(f"{code.name}, {_text(insn)}: {error!r}") from error
            self.executed.add(insn.address)
            self.steps += 1
            if self.steps > self.most_steps:
                raise Fault(f"{code.name}: does not end")
        if self.registers[4:12] != saved or self.registers[SP] != start:
            raise Fault(f"{code.name}: r4 to r11 or the stack pointer are not as before")
        if loop:
            _ensure_regular(code.name, turns, loop.period)
        result = self.registers[0]
        return 0 if isinstance(result, Stale) else result

    def _turn(self, stack: int, saved: list[Value], turns: list[dict[int, Register]], loop: Loop) -> None:
        """The head of a loop: forgets what no turn may hand to the next."""
        self.flags, self.compared = {}, None
        own = [at for at in self.memory.words if STACK[0] <= at < stack]
        held: dict[int, Register] = {**dict(enumerate(self.registers[:PC])), **{at: self.memory.words[at] for at in own}}
        for place, value in held.items():
            if place in loop.carried:
                self.meant[any_word := variable(f"r{place} at turn {len(turns)}", -(1 << 31), (1 << 31) - 1)] = self._read(place)
                self.registers[place] = any_word
                continue
            is_known = isinstance(value, int) or value in saved or value == turns[0].get(place) if turns else True
            if not is_known and place < PC:
                self.registers[place] = STALE
            elif not is_known:
                self.memory.words[place] = STALE
        turns.append({place: value for place, value in held.items() if place not in loop.carried})

    def result(self, value: Value) -> Value:
        """A value with the meaning of words that stood for any word."""
        for any_word, meaning in reversed(self.meant.items()):
            value = replaced(value, any_word, meaning)
        return value

    def _read(self, register: int) -> Value:
        if register == PC:
            raise Unknown("reads the program counter")
        value = self.registers[register]
        if isinstance(value, Stale):
            raise Fault("reads what nobody or an earlier turn has left there")
        return value

    def _write(self, register: int, value: Register) -> None:
        if register == SP and not isinstance(value, int):
            raise Fault("the stack pointer is no integer")
        self.registers[register] = settle(value) if isinstance(value, Expr) else value

    def _number(self, insn: capstone.CsInsn, register: int) -> int:
        value = self.registers[register]
        if not isinstance(value, int):
            raise Fault(f"an address or a condition that is no integer, by {insn.mnemonic}")
        return value

    def _operand(self, insn: capstone.CsInsn, op: arm.ArmOp) -> Value:
        if op.type == arm.ARM_OP_IMM:
            return op.imm & WORD
        if op.type != arm.ARM_OP_REG or op.subtracted:
            raise Unknown("an operand that is not known here")
        return self._shifted(self._read(self._index(insn, op)), op)

    @staticmethod
    def _shifted(value: Value, op: arm.ArmOp) -> Value:
        kind, amount = op.shift.type, op.shift.value
        if kind == arm.ARM_SFT_INVALID:
            return value
        if kind == arm.ARM_SFT_ROR:
            return settle(or_(lsr(value, amount), lsl(value, 32 - amount)))
        shifts = {arm.ARM_SFT_LSL: lsl, arm.ARM_SFT_LSR: lsr, arm.ARM_SFT_ASR: asr}
        return settle(shifts[kind](value, amount))

    @staticmethod
    def _index(insn: capstone.CsInsn, op: arm.ArmOp) -> int:
        return NAMES[insn.reg_name(op.reg)]

    def _step(self, insn: capstone.CsInsn) -> int:
        name = insn.mnemonic.split(".")[0]
        following = insn.address + insn.size
        if name == "nop" or name.startswith("it"):
            return following
        if name in JUMPS:
            self.mnemonics.add(name)
            return self._jump(insn, name, following)
        if insn.cc != arm.ARM_CC_AL:
            name = name[:-2]
        self.mnemonics.add(name)
        if insn.cc != arm.ARM_CC_AL and not CONDITIONS[insn.cc](self.flags):
            return following
        if name == "bx":
            return self._number(insn, self._index(insn, insn.operands[0])) & ~1
        if name in ("push", "pop", "ldm", "stm"):
            return self._many(insn, name) or following
        if name.startswith(("ldr", "str")):
            self._access(insn, name)
        else:
            self._compute(insn, name)
        return following

    def _jump(self, insn: capstone.CsInsn, name: str, following: int) -> int:
        target = insn.operands[-1].imm
        if name == "b":
            return target
        if name in ("cbz", "cbnz"):
            is_zero = self._number(insn, self._index(insn, insn.operands[0])) == 0
            return target if is_zero == (name == "cbz") else following
        return target if CONDITIONS[insn.cc](self.flags) else following

    def _on_stack(self, address: int, before: int) -> None:
        after = self._read(SP)
        if isinstance(after, int) and STACK[0] <= address < min(before, after):
            raise Fault(f"{address:#x} is below the stack pointer")

    def _many(self, insn: capstone.CsInsn, name: str) -> int:
        registers = [self._index(insn, op) for op in insn.operands]
        before = self._number(insn, SP)
        if name in ("push", "pop"):
            base, writes_back, listed = SP, True, registers
        else:
            base, writes_back, listed = registers[0], insn.writeback, registers[1:]
        if listed != sorted(listed):
            raise Unknown("registers out of order")
        start = self._number(insn, base)
        address = start - 4 * len(listed) if name == "push" else start
        end = start if name == "push" else start + 4 * len(listed)
        if writes_back:
            self._write(base, address if name == "push" else end)
        jump = 0
        for register in listed:
            self._on_stack(address, before)
            if name in ("push", "stm"):
                if writes_back and register == base:
                    raise Unknown("stores its changed base")
                self.memory.store(address, self.registers[register])
            elif register == PC:
                jump = self.memory.load(address)  # type: ignore[assignment]
                if not isinstance(jump, int) or not jump & 1:
                    raise Fault("returns to nowhere")
                jump &= ~1
            else:
                self.registers[register] = self.memory.load(address)
            address += 4
        return jump

    def _access(self, insn: capstone.CsInsn, name: str) -> None:
        count = 2 if name.endswith("d") else 1
        targets = [self._index(insn, op) for op in insn.operands[:count]]
        place, after = insn.operands[count], insn.operands[count + 1 :]
        base = NAMES[insn.reg_name(place.mem.base)]
        start, before = self._number(insn, base), self._number(insn, SP)
        offset = place.mem.disp
        if place.mem.index:
            index = self._number(insn, NAMES[insn.reg_name(place.mem.index)])
            offset += signed(index << place.shift.value & WORD)
            if place.mem.scale != 1 or place.shift.type not in (arm.ARM_SFT_INVALID, arm.ARM_SFT_LSL):
                raise Unknown("an address that is not known here")
        address = start if insn.post_index else start + offset
        if insn.post_index:
            (step,) = after
            if step.type != arm.ARM_OP_IMM:
                raise Unknown("a step that is not known here")
            offset = step.imm
        if insn.writeback:
            self._write(base, start + offset)
        for register in targets:
            self._on_stack(address, before)
            if name in ("str", "strd"):
                self.memory.store(address, self.registers[register])
            else:
                size, is_signed = LOADS[name.removesuffix("d")]
                value = self.memory.load(address, size)
                if is_signed and not isinstance(value, Stale):
                    value = signed_field(value, 0, 8 * size)
                self.registers[register] = value
            address += 4

    def _compute(self, insn: capstone.CsInsn, name: str) -> None:
        operands = list(insn.operands)
        if name == "cmp":
            self._compare(*(self._operand(insn, op) for op in operands), write=None)
            return
        name = name.removesuffix("s") if insn.update_flags else name
        target = self._index(insn, operands[0])
        if target == PC:
            raise Unknown("a jump that is not known here")
        takes_two = name in SHIFTS or name in ("add", "sub", "rsb", "mul", "and", "bic", "orr", "eor")
        inputs = operands if takes_two and len(operands) == 2 else operands[1:]
        values = [self._operand(insn, op) for op in inputs]
        if name == "ssub16":
            self.compared = (values[0], values[1])
            self.registers[target] = STALE
            return
        if name == "sel":
            if self.compared != (values[0], values[1]):
                raise Unknown("selects by another comparison")
            self._write(target, larger_halves(*values))
            return
        if name in SHIFTS:
            amount = values[1]
            if not isinstance(amount, int) or inputs[1].type != arm.ARM_OP_IMM:
                raise Unknown("a shift by a register")
            result, carry = SHIFTS[name](values[0], amount), _carry(name, values[0], amount)
        else:
            result, carry = OPERATIONS[name](*values), None
        if insn.update_flags:
            if name in ("add", "sub"):
                self._compare(*values, write=name)
            else:
                self.flags = _signs(result) | ({"c": carry} if carry is not None else {})
        self._write(target, result)

    def _compare(self, a: Value, b: Value, *, write: str | None) -> None:
        if not (isinstance(a, int) and isinstance(b, int)):
            self.flags = {}
            return
        second = b if write == "add" else b ^ WORD
        full = a + second + (0 if write == "add" else 1)
        self.flags = _signs(full & WORD) | {"c": full >> 32}


def _text(insn: capstone.CsInsn) -> str:
    return f"{insn.address:#x} {insn.mnemonic} {insn.op_str}"


def _signs(value: Value) -> dict[str, int]:
    return {"n": value >> 31, "z": int(value == 0)} if isinstance(value, int) else {}


def _carry(name: str, value: Value, amount: int) -> int | None:
    if not isinstance(value, int) or not 0 < amount < 32:
        return None
    return value >> (32 - amount if name == "lsl" else amount - 1) & 1


def _ensure_regular(name: str, turns: list[dict[int, Register]], period: int) -> None:
    """What the turns hand on as integers must change by the same steps, from the second on."""
    integers = [{place: value for place, value in turn.items() if isinstance(value, int)} for turn in turns[1:]]
    steps = [
        {place: later[place] - value for place, value in turn.items() if place in later}
        for turn, later in zip(integers, integers[period:], strict=False)
    ]
    if any(a != b for a, b in zip(steps, steps[period:], strict=False)):
        raise Fault(f"{name}: a turn of the loop is not like the others")
