//! Decoder of the integer core's 32-bit instructions.

use super::{Class, FLAGS, Op, Registers, core, float, some};

const PC: u32 = 15;

fn op(class: Class) -> Op {
    Op::new(class, 4)
}

/// Decodes an instruction of 32 bits, given as halfwords.
pub(super) fn decode(first: u32, second: u32) -> Op {
    match (first >> 11 & 3, first >> 4 & 0x7f) {
        (1, kind) if kind & 0x64 == 0 => multiple(first, second),
        (1, kind) if kind & 0x64 == 4 => pair(first, second),
        (1, kind) if kind & 0x60 == 0x20 => shifted_register(first, second),
        (2, _) if second & 0x8000 != 0 => branch_or_control(first, second),
        (2, _) => immediate(first, second),
        (3, kind) if kind & 0x71 == 0 => store(first, second),
        (3, kind) if kind & 0x61 == 1 => load(first, second),
        (3, kind) if kind & 0x70 == 0x20 => data_processing(first, second),
        (3, kind) if kind & 0x78 == 0x30 => multiply(first, second),
        (3, kind) if kind & 0x78 == 0x38 => multiply_long(first, second),
        _ => float::decode(first, second),
    }
}

/// LDM and STM, PUSH and POP among them.
fn multiple(first: u32, second: u32) -> Op {
    let (base, is_load) = (core(first), first & 0x10 != 0);
    let written_back = if first & 0x20 != 0 { base } else { 0 };
    let (list, transfers) = (u64::from(second & 0x7fff), second.count_ones());
    let class = match (is_load, second & 0x8000 != 0) {
        (false, _) => return Op { transfers, base: written_back, ..op(Class::StoreMultiple).reading(list).at(base) },
        (true, true) => Class::PopPc,
        (true, false) => Class::LoadMultiple,
    };
    Op { transfers, base: written_back, ..op(class).writing(list).at(base) }
}

/// LDRD, STRD, the exclusive accesses, TBB and TBH.
fn pair(first: u32, second: u32) -> Op {
    let (base, is_load) = (core(first), first & 0x10 != 0);
    let registers = some(second >> 12) | some(second >> 8);
    if first & 0x120 != 0 {
        let written_back = if first & 0x20 != 0 { base } else { 0 };
        let class = if is_load { Class::LoadPair } else { Class::StorePair };
        let literal = first & 15 == PC;
        let op = Op { transfers: 2, base: written_back, literal, ..op(class).at(base) };
        return if is_load { op.writing(registers) } else { op.reading(registers) };
    }
    let register = core(second >> 12);
    match (first >> 7 & 1, is_load, second >> 4 & 15) {
        (1, true, 0 | 1) => op(Class::TableBranch).at(some(first) | some(second)),
        (_, true, _) => op(Class::LoadExclusive).writing(register).at(base),
        (_, false, _) => op(Class::StoreExclusive).reading(register).writing(registers & !register).at(base),
    }
}

fn shifted_register(first: u32, second: u32) -> Op {
    // CSEL and its family (Armv8.1-M); the long shifts have this bit, too.
    if second & 0x8000 != 0 {
        return op(Class::Alu).reading(some(first) | some(second) | FLAGS).writing(some(second >> 8));
    }
    let amount = second >> 10 & 0x1c | second >> 6 & 3;
    let kind = first >> 5 & 15;
    // A move by a shifted register is a shift.
    let is_move = matches!(kind, 2 | 3) && first & 15 == PC;
    let class = match kind {
        6 => Class::Simd,
        _ if !is_move && (amount != 0 || second >> 4 & 3 != 0) => Class::AluShifted,
        _ => Class::Alu,
    };
    let flags = if first & 0x10 != 0 && kind != 6 { FLAGS } else { 0 };
    let carry = if matches!(kind, 10 | 11) { FLAGS } else { 0 };
    op(class).reading(some(first) | some(second) | carry).writing(some(second >> 8) | flags)
}

/// Data processing with a constant.
fn immediate(first: u32, second: u32) -> Op {
    let result = some(second >> 8);
    if first & 0x200 != 0 {
        return match first >> 4 & 31 {
            4 => op(Class::Alu).writing(result),
            12 => op(Class::Alu).reading(result).writing(result),
            22 => op(Class::BitField).reading(some(first) | result).writing(result),
            16..=31 => op(Class::BitField).reading(some(first)).writing(result),
            _ => op(Class::Alu).reading(some(first)).writing(result),
        };
    }
    // A shifted byte, not a repeated one.
    let is_shifted = first >> 7 & 8 | second >> 12 & 7;
    let class = if is_shifted >= 4 { Class::ShiftedConstant } else { Class::Alu };
    let kind = first >> 5 & 15;
    let carry = if matches!(kind, 10 | 11) { FLAGS } else { 0 };
    let flags = if first & 0x10 != 0 { FLAGS } else { 0 };
    op(class).reading(some(first) | carry).writing(result | flags)
}

fn branch_or_control(first: u32, second: u32) -> Op {
    // The loops of Armv8.1-M.
    if first & 0xff80 == 0xf000 && second & 0xd001 == 0xc001 {
        return match (second & 0x2000 != 0, first & 15) {
            (false, 15) => op(Class::LoopEnd),
            (_, counter) => op(Class::LoopStart).reading(some(counter)).writing(core(14)),
        };
    }
    match (second >> 14 & 1, second >> 12 & 1) {
        (1, _) => op(Class::BranchLink).writing(core(14)),
        (0, 1) => op(Class::Branch),
        _ if first >> 7 & 7 != 7 => op(Class::BranchConditional).reading(FLAGS),
        _ => control(first, second),
    }
}

fn control(first: u32, second: u32) -> Op {
    match first >> 4 & 0x7f {
        0x38 | 0x39 => op(Class::SystemRegister).reading(core(first)),
        0x3e | 0x3f => op(Class::SystemRegister).writing(some(second >> 8)),
        0x3b => op(Class::Barrier),
        0x3a if second & 0x0700 != 0 => op(Class::ChangeState),
        0x3a => op(Class::Nop),
        _ => op(Class::Exception),
    }
}

/// The registers of an address, the base if it is written back, and whether there is a register offset.
fn addressing(first: u32, second: u32) -> (Registers, Registers, bool) {
    let base = core(first);
    if first & 0x80 != 0 || first & 15 == PC {
        return (base & !core(PC), 0, false);
    }
    if second & 0x800 == 0 {
        return (base | core(second), 0, true);
    }
    (base, if second & 0x100 != 0 { base } else { 0 }, false)
}

fn store(first: u32, second: u32) -> Op {
    let (address, base, register_offset) = addressing(first, second);
    let class = if register_offset { Class::StoreRegisterOffset } else { Class::Store };
    Op { base, ..op(class).reading(core(second >> 12)).at(address) }
}

fn load(first: u32, second: u32) -> Op {
    let (address, base, _) = addressing(first, second);
    let (register, is_word) = (second >> 12, first >> 5 & 3 == 2);
    let class = match (register, is_word) {
        (PC, true) => Class::LoadPc,
        (PC, false) => return op(Class::Preload).at(address),
        _ => Class::Load,
    };
    let literal = first & 15 == PC;
    Op { base, literal, narrow_load: !is_word, ..op(class).writing(some(register)).at(address) }
}

/// Shifts by a register, extensions, the parallel and saturating additions, reversals.
fn data_processing(first: u32, second: u32) -> Op {
    let (kind, minor) = (first >> 4 & 15, second >> 4 & 15);
    let class = match (kind, minor) {
        (0..=7, 0) => Class::Alu,
        (0..=7, _) => Class::Extend,
        (9 | 11, 8..) => Class::BitField,
        _ => Class::Simd,
    };
    let flags = if kind <= 7 && minor == 0 && kind & 1 == 1 { FLAGS } else { 0 };
    op(class).reading(some(first) | some(second)).writing(some(second >> 8) | flags)
}

fn multiply(first: u32, second: u32) -> Op {
    let (addend, kind) = (some(second >> 12), first >> 4 & 7);
    let class = match (kind, addend) {
        (0, 0) => Class::Multiply,
        (0, _) => Class::MultiplyAccumulate,
        (_, 0) => Class::MultiplyDsp,
        (_, _) => Class::MultiplyAccumulateDsp,
    };
    Op { addend, ..op(class).reading(some(first) | some(second)).writing(some(second >> 8)) }
}

fn multiply_long(first: u32, second: u32) -> Op {
    let (sources, results) = (some(first) | some(second), some(second >> 8) | some(second >> 12));
    match (first >> 4 & 7, second >> 4 & 15) {
        (1 | 3, _) => op(Class::Divide).reading(sources).writing(some(second >> 8)),
        (0 | 2, _) => op(Class::MultiplyLong).reading(sources).writing(results),
        (4 | 6, 0) | (6, _) => {
            Op { addend: results, ..op(Class::MultiplyAccumulateLong).reading(sources).writing(results) }
        }
        _ => Op { addend: results, ..op(Class::MultiplyAccumulateDsp).reading(sources).writing(results) },
    }
}
