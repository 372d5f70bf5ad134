//! Values of core registers as far as the depth of the stack depends on them, through one instruction.
//!
//! ```text
//! SP at the function's first instruction = Stack(0); push {r4, lr} ──► SP = Stack(8); mov r7, sp ──► R7 = Stack(8)
//! ```
//! [`Op`] says which registers an instruction writes, this file what it writes. One that writes the stack pointer in a way that is not
//! known here is an error.

use crate::thumb::Instruction;
use thumbformer_cycles::decode::{Class, Op};

/// Number of the stack pointer.
pub const SP: usize = 13;
/// Number of the link register.
pub const LR: usize = 14;

/// A register's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Value {
    /// Any.
    #[default]
    Unknown,
    /// A constant.
    Constant(u32),
    /// An address, in bytes below the stack pointer that the function was called with.
    Stack(i64),
    /// The return address.
    Return,
}

use Value::{Constant, Stack, Unknown};

impl Value {
    fn plus(self, other: Value) -> Value {
        match (self, other) {
            (Constant(a), Constant(b)) => Constant(a.wrapping_add(b)),
            (Stack(depth), Constant(more)) | (Constant(more), Stack(depth)) => {
                Stack(depth - i64::from(more.cast_signed()))
            }
            _ => Unknown,
        }
    }

    fn minus(self, other: Value) -> Value {
        match other {
            Constant(less) => self.plus(Constant(less.wrapping_neg())),
            _ => Unknown,
        }
    }

    /// Without its lowest bits: at most so many bytes deeper.
    fn aligned(self, bits: u32) -> Value {
        match self {
            Constant(number) => Constant(number >> bits << bits),
            // The stack pointer is a multiple of 4.
            Stack(depth) => Stack(depth + (1 << bits) - 4),
            other => other,
        }
    }

    /// The value where two paths meet: of two depths the larger.
    pub fn or(self, other: Value) -> Value {
        match (self, other) {
            (Stack(a), Stack(b)) => Stack(a.max(b)),
            (a, b) if a == b => a,
            _ => Unknown,
        }
    }
}

/// Core registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registers(pub [Value; 16]);

impl Registers {
    /// Those at a function's first instruction.
    pub fn at_entry() -> Registers {
        let mut values = [Unknown; 16];
        (values[SP], values[LR]) = (Stack(0), Value::Return);
        Registers(values)
    }

    /// Bytes of the function's stack that are in use.
    pub fn depth(&self) -> Option<i64> {
        if let Stack(depth) = self.0[SP] { Some(depth) } else { None }
    }

    /// State at the meeting of two paths.
    pub fn or(self, other: Registers) -> Registers {
        Registers(std::array::from_fn(|index| self.0[index].or(other.0[index])))
    }

    /// After a call, which may change the registers that are the callee's.
    pub fn called(mut self) -> Registers {
        [0, 1, 2, 3, 12, LR].into_iter().for_each(|register| self.0[register] = Unknown);
        self
    }

    /// After an instruction; `word` reads the program's constants.
    ///
    /// # Errors
    /// When it writes the stack pointer in an unknown way.
    pub fn after(&self, code: &Instruction, op: &Op, word: impl Fn(u64) -> Option<u32>) -> Result<Registers, String> {
        let mut next = *self;
        let written = op.writes | op.base;
        (0..16).filter(|register| written >> register & 1 == 1).for_each(|register| next.0[register] = Unknown);
        let known = match code.second {
            None => self.narrow(code, &word),
            Some(second) => self.wide(code, second, &word),
        };
        for (register, value) in known.into_iter().flatten() {
            // A popped program counter is a return, which the frame deals with.
            if register < 15 {
                next.0[register] = value;
            }
        }
        let is_status = op.class == Class::SystemRegister && code.first & 0xfff0 == 0xf380;
        let writes_sp = is_status && matches!(code.second.map(|second| second & 0xff), Some(8 | 9));
        if next.depth().is_none() || writes_sp {
            return Err("the stack pointer is set in an unknown way".into());
        }
        Ok(next)
    }

    /// Registers that an instruction of 16 bits writes with something known.
    fn narrow(&self, code: &Instruction, word: &impl Fn(u64) -> Option<u32>) -> [Option<(usize, Value)>; 2] {
        let (bits, at) = (code.first, |register: u32| self.0[register as usize & 15]);
        let (low, middle, high) = (bits & 7, bits >> 3 & 7, bits >> 6 & 7);
        let (register, byte) = (bits >> 8 & 7, bits & 0xff);
        let any = bits & 7 | bits >> 4 & 8;
        let one = |register: u32, value: Value| [Some((register as usize, value)), None];
        match bits >> 11 {
            0 => one(low, shifted(at(middle), |number| number << (bits >> 6 & 31), bits >> 6 & 31 == 0)),
            3 => {
                let second = if bits & 0x400 == 0 { at(high) } else { Constant(high) };
                one(low, if bits & 0x200 == 0 { at(middle).plus(second) } else { at(middle).minus(second) })
            }
            4 => one(register, Constant(byte)),
            6 => one(register, at(register).plus(Constant(byte))),
            7 => one(register, at(register).minus(Constant(byte))),
            8 if bits & 0xffc0 == 0x4240 => one(low, Constant(0).minus(at(middle))),
            8 if bits & 0xffc0 == 0x43c0 => one(low, shifted(at(middle), |number| !number, false)),
            8 if bits & 0xff00 == 0x4400 => one(any, at(any).plus(at(bits >> 3 & 15))),
            8 if bits & 0xff00 == 0x4600 => one(any, at(bits >> 3 & 15)),
            9 => one(register, literal(word(((code.address + 4) & !3) + 4 * u64::from(byte)))),
            21 => one(register, at(13).plus(Constant(4 * byte))),
            22 if bits & 0xff80 == 0xb000 => one(13, at(13).plus(Constant(4 * (bits & 0x7f)))),
            22 if bits & 0xff80 == 0xb080 => one(13, at(13).minus(Constant(4 * (bits & 0x7f)))),
            22 if bits & 0xfe00 == 0xb400 => one(13, at(13).minus(Constant(4 * (bits & 0x1ff).count_ones()))),
            23 if bits & 0xfe00 == 0xbc00 => one(13, at(13).plus(Constant(4 * (bits & 0x1ff).count_ones()))),
            _ => [None; 2],
        }
    }

    /// Registers that an instruction of 32 bits writes with something known.
    fn wide(&self, code: &Instruction, second: u32, word: &impl Fn(u64) -> Option<u32>) -> [Option<(usize, Value)>; 2] {
        let (first, at) = (code.first, |register: u32| self.0[register as usize & 15]);
        let (source, result) = (first & 15, second >> 8 & 15);
        let one = |register: u32, value: Value| [Some((register as usize, value)), None];
        let base = |bytes: u32, up: bool| {
            one(source, if up { at(source).plus(Constant(bytes)) } else { at(source).minus(Constant(bytes)) })
        };
        let byte_and_more = (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xff;
        let half = source << 12 | byte_and_more;
        let modified = || expanded(byte_and_more);
        match (first, second) {
            // STMDB, LDMIA with the base written back: PUSH.W and POP.W.
            (0xe920..=0xe92f, _) => base(4 * second.count_ones(), false),
            (0xe8b0..=0xe8bf, _) => base(4 * second.count_ones(), true),
            // LDRD and STRD, the base written back.
            _ if first & 0xfe60 == 0xe860 => base(4 * (second & 0xff), first & 0x80 != 0),
            // One register, the base written back.
            _ if first & 0xfe80 == 0xf800 && second & 0x900 == 0x900 && source != 15 => {
                base(second & 0xff, second & 0x200 != 0)
            }
            // VPUSH, VPOP and their like.
            _ if first & 0xfe20 == 0xec20 && matches!(second >> 8 & 15, 10 | 11) => {
                base(4 * (second & 0xff), first & 0x80 != 0)
            }
            // VSTR and VLDR of MVE, the base written back.
            _ if first & 0xfe20 == 0xec20 && second & 0x1e00 == 0x1e00 => {
                base((second & 0x7f) << (second >> 7 & 3), first & 0x80 != 0)
            }
            _ if first & 0xfbf0 == 0xf240 && second & 0x8000 == 0 => one(result, Constant(half)),
            _ if first & 0xfbf0 == 0xf2c0 && second & 0x8000 == 0 => {
                one(result, shifted(at(result), |number| number & 0xffff | half << 16, false))
            }
            _ if first & 0xfbf0 == 0xf200 && second & 0x8000 == 0 && source != 15 => {
                one(result, at(source).plus(Constant(byte_and_more)))
            }
            _ if first & 0xfbf0 == 0xf2a0 && second & 0x8000 == 0 && source != 15 => {
                one(result, at(source).minus(Constant(byte_and_more)))
            }
            _ if first & 0xfbe0 == 0xf100 && second & 0x8000 == 0 && result != 15 => {
                one(result, at(source).plus(Constant(modified())))
            }
            _ if first & 0xfbe0 == 0xf1a0 && second & 0x8000 == 0 && result != 15 => {
                one(result, at(source).minus(Constant(modified())))
            }
            _ if first & 0xfbef == 0xf04f && second & 0x8000 == 0 => one(result, Constant(modified())),
            _ if first & 0xfbef == 0xf06f && second & 0x8000 == 0 => one(result, Constant(!modified())),
            // BIC and BFC of the lowest bits.
            _ if first & 0xfbe0 == 0xf020 && second & 0x8000 == 0 && modified().wrapping_add(1).is_power_of_two() => {
                one(result, at(source).aligned(modified().count_ones()))
            }
            (0xf36f, _) if second & 0x70c0 == 0 => one(result, at(result).aligned((second & 31) + 1)),
            // MOV, ADD and SUB of registers that are not shifted.
            _ if first & 0xffef == 0xea4f && second & 0x70f0 == 0 => one(result, at(second)),
            _ if first & 0xffe0 == 0xeb00 && second & 0x70f0 == 0 && result != 15 => {
                one(result, at(source).plus(at(second)))
            }
            _ if first & 0xffe0 == 0xeba0 && second & 0x70f0 == 0 && result != 15 => {
                one(result, at(source).minus(at(second)))
            }
            _ if first & 0xff7f == 0xf85f => {
                let (place, offset) = ((code.address + 4) & !3, u64::from(second & 0xfff));
                let place = if first & 0x80 != 0 { place + offset } else { place - offset };
                one(second >> 12, literal(word(place)))
            }
            _ => [None; 2],
        }
    }
}

/// A constant, changed; another value if it stays as it is.
fn shifted(value: Value, change: impl Fn(u32) -> u32, is_move: bool) -> Value {
    match value {
        Constant(number) => Constant(change(number)),
        other if is_move => other,
        _ => Unknown,
    }
}

fn literal(word: Option<u32>) -> Value {
    word.map_or(Unknown, Constant)
}

/// The constant of 12 bits (Arm DDI 0403E, A5.3.2).
fn expanded(code: u32) -> u32 {
    let byte = code & 0xff;
    match code >> 8 & 15 {
        0 => byte,
        1 => byte << 16 | byte,
        2 => byte << 24 | byte << 8,
        3 => byte << 24 | byte << 16 | byte << 8 | byte,
        _ => (0x80 | byte & 0x7f).rotate_right(code >> 7),
    }
}

#[cfg(test)]
mod tests {
    use super::{Constant, Registers, SP, Stack, Value};
    use crate::thumb::Instruction;
    use thumbformer_cycles::decode::Op;

    /// Registers after an instruction.
    fn after(registers: Registers, first: u32, second: Option<u32>) -> Result<Registers, String> {
        let op = second.map_or_else(|| Op::decode(first, 2), |second| Op::decode(first << 16 | second, 4));
        registers.after(&Instruction { address: 0x100, first, second }, &op, |address| Some(address as u32))
    }

    #[test]
    fn the_stack_pointer_moves_as_the_assembler_s_instructions_say() {
        // By `llvm-mc -triple thumbv8.1m.main -mattr=+mve,+fp64 -show-encoding`; from a depth of 0, R7 at 0, R12 = 1044.
        let table = [
            ((0xb5b0, None), 16),            // push {r4, r5, r7, lr}
            ((0xbd10, None), -8),            // pop {r4, pc}
            ((0xb0ff, None), 508),           // sub sp, #508
            ((0xb004, None), -16),           // add sp, #16
            ((0xe92d, Some(0x4910)), 16),    // push.w {r4, r8, r11, lr}
            ((0xe8bd, Some(0x8910)), -16),   // pop.w {r4, r8, r11, pc}
            ((0xf84d, Some(0xbd04)), 4),     // str r11, [sp, #-4]!
            ((0xf85d, Some(0xbb04)), -4),    // ldr r11, [sp], #4
            ((0xe96d, Some(0x4504)), 16),    // strd r4, r5, [sp, #-16]!
            ((0xe8fd, Some(0x4504)), -16),   // ldrd r4, r5, [sp], #16
            ((0xed2d, Some(0x8b04)), 16),    // vpush {d8, d9}
            ((0xecbd, Some(0x8b04)), -16),   // vpop {d8, d9}
            ((0xed2d, Some(0x8a01)), 4),     // vpush {s16}
            ((0xf5ad, Some(0x5d80)), 4096),  // sub.w sp, sp, #4096
            ((0xf2ad, Some(0x4d14)), 1044),  // subw sp, sp, #1044
            ((0xf50d, Some(0x6d80)), -1024), // add.w sp, sp, #1024
            ((0xebad, Some(0x0d0c)), 1044),  // sub.w sp, sp, r12
            ((0x44e5, None), -1044),         // add sp, r12
            ((0x46bd, None), 0),             // mov sp, r7
            ((0x9001, None), 0),             // str r0, [sp, #4]
        ];
        let mut registers = Registers::at_entry();
        (registers.0[7], registers.0[12]) = (Stack(0), Constant(1044));
        for ((first, second), depth) in table {
            let found = after(registers, first, second).map(|registers| registers.depth());
            assert_eq!(found, Ok(Some(depth)), "{first:04x} {second:04x?}");
        }
        for (first, second) in [(0x46a5, None), (0x449d, None), (0xf380, Some(0x8808))] {
            assert!(after(registers, first, second).is_err(), "{first:04x}: mov sp, r4; add sp, r3; msr msp, r0");
        }
    }

    #[test]
    fn registers_that_the_stack_pointer_comes_from_are_followed() {
        // The register that is written, and its value.
        let table = [
            ((0x466c, None), 4, Stack(0)),                       // mov r4, sp
            ((0xaf03, None), 7, Stack(-12)),                     // add r7, sp, #12
            ((0x3c18, None), 4, Stack(64 + 24)),                 // subs r4, #24
            ((0xf1a7, Some(0x0418)), 4, Stack(8 + 24)),          // sub.w r4, r7, #24
            ((0xf36f, Some(0x0403)), 4, Stack(64 + 12)),         // bfc r4, #0, #4
            ((0xf024, Some(0x040f)), 4, Stack(64 + 12)),         // bic r4, r4, #15
            ((0xf241, Some(0x2c34)), 12, Constant(0x1234)),      // movw r12, #4660
            ((0xf2c5, Some(0x6c78)), 12, Constant(0x5678_0414)), // movt r12, #22136, from 1044
            ((0xf04f, Some(0x4080)), 0, Constant(1 << 30)),      // mov.w r0, #1073741824
            ((0x2003, None), 0, Constant(3)),                    // movs r0, #3
            ((0x0209, None), 1, Constant(5 << 8)),               // lsls r1, r1, #8
            ((0x4249, None), 1, Constant(5_u32.wrapping_neg())), // rsbs r1, r1, #0
            ((0x43c9, None), 1, Constant(!5)),                   // mvns r1, r1
            ((0x4e04, None), 6, Constant(0x114)),                // ldr r6, [pc, #16]
            ((0xf8df, Some(0xc010)), 12, Constant(0x114)),       // ldr.w r12, [pc, #16]
            ((0x6804, None), 4, Value::Unknown),                 // ldr r4, [r0]
        ];
        let mut registers = Registers::at_entry();
        (registers.0[1], registers.0[4], registers.0[7]) = (Constant(5), Stack(64), Stack(8));
        registers.0[12] = Constant(1044);
        for ((first, second), register, value) in table {
            let found = after(registers, first, second).map(|registers| (registers.0[register], registers.0[SP]));
            assert_eq!(found, Ok((value, Stack(0))), "{first:04x} {second:04x?}");
        }
        let called = registers.called();
        assert_eq!((called.0[12], called.0[4]), (Value::Unknown, Stack(64)), "a callee keeps R4 to R11");
    }
}
