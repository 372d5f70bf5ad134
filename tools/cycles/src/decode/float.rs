//! Instructions of the FPU and of MVE (Helium).

use super::{Class, Op, Registers, core, some};

fn op(class: Class) -> Op {
    Op::new(class, 4)
}

/// Bit of S0 in a set of registers.
const S0: u32 = 32;

/// Single or double register of an operand: four bits, and one bit elsewhere in the instruction.
fn register(bits: u32, extra: u32, double: bool) -> Registers {
    let number = if double { 2 * (extra << 4 | bits) } else { bits << 1 | extra };
    let mask: Registers = if double { 3 } else { 1 };
    mask << (S0 + number.min(31))
}

/// Registers of an instruction with three operands: result, first, second.
fn operands(first: u32, second: u32) -> (Registers, Registers, Registers) {
    let double = second & 0x100 != 0;
    let d = register(second >> 12 & 15, first >> 6 & 1, double);
    let n = register(first & 15, second >> 7 & 1, double);
    (d, n, register(second & 15, second >> 5 & 1, double))
}

/// Decodes a coprocessor instruction.
pub(super) fn decode(first: u32, second: u32) -> Op {
    let is_fpu = matches!(second >> 8 & 15, 10 | 11);
    match first >> 8 {
        0xec | 0xed if is_fpu && first & 0xffe0 == 0xec40 => pair(first, second),
        0xec | 0xed if is_fpu => memory(first, second),
        0xee if is_fpu && second & 0x10 != 0 => transfer(first, second),
        0xee if is_fpu => arithmetic(first, second),
        0xfe if is_fpu && second & 0x10 == 0 && first & 0x80 == 0 => {
            let (d, n, m) = operands(first, second);
            op(Class::FpMove).reading(n | m).writing(d)
        }
        0xfe if is_fpu && second & 0x10 == 0 => {
            let (d, n, m) = operands(first, second);
            if first & 0xb0 == 0x80 { op(Class::FpCompare).reading(n | m) } else { op(Class::FpConvert).reading(m) }
                .writing(d)
        }
        _ => vector(first, second),
    }
}

/// VMOV between two core registers and two single or one double register.
fn pair(first: u32, second: u32) -> Op {
    let double = second & 0x100 != 0;
    let one = register(second & 15, second >> 5 & 1, double);
    let both = if double { one } else { one | one << 1 };
    let cores = core(second >> 12) | core(first);
    match first & 0x10 {
        0 => op(Class::FpPairFromCore).reading(cores).writing(both),
        _ => op(Class::FpPairToCore).reading(both).writing(cores),
    }
}

/// VLDR, VSTR, VLDM, VSTM, VPUSH, VPOP.
fn memory(first: u32, second: u32) -> Op {
    let double = second & 0x100 != 0;
    let one = register(second >> 12 & 15, first >> 6 & 1, double);
    let (is_load, address) = (first & 0x10 != 0, some(first));
    if first & 0x120 == 0x100 {
        let class = if is_load { Class::FpLoad } else { Class::FpStore };
        let op = Op { transfers: if double { 2 } else { 1 }, ..op(class).at(address) };
        return if is_load { op.writing(one) } else { op.reading(one) };
    }
    let words = second & 0xff;
    let start = one.trailing_zeros();
    let all = (0..words.min(32)).filter(|word| start + word < 64).map(|word| 1 << (start + word));
    let registers: Registers = all.fold(0, |set, register: Registers| set | register);
    let base = if first & 0x20 != 0 { address } else { 0 };
    let class = if is_load { Class::FpLoadMultiple } else { Class::FpStoreMultiple };
    let op = Op { transfers: words, base, ..op(class).at(address) };
    if is_load { op.writing(registers) } else { op.reading(registers) }
}

/// VMOV of one core register, VMRS, VMSR.
fn transfer(first: u32, second: u32) -> Op {
    let (n, rt) = (register(first & 15, second >> 7 & 1, false), second >> 12);
    match (first >> 5 & 7, first & 0x10 != 0) {
        (7, true) if rt == 15 => op(Class::FpStatus).writing(super::FLAGS),
        (7, true) => op(Class::FpStatus).writing(core(rt)),
        (7, false) => op(Class::FpStatus).reading(core(rt)),
        (0, false) if second & 0x100 == 0 => op(Class::FpFromCore).reading(core(rt)).writing(n),
        (0, true) if second & 0x100 == 0 => op(Class::FpToCore).reading(n).writing(core(rt)),
        (_, false) => op(Class::VectorMove).reading(core(rt)),
        (_, true) => op(Class::VectorMove).writing(core(rt)),
    }
}

fn arithmetic(first: u32, second: u32) -> Op {
    let (d, n, m) = operands(first, second);
    let three = |class: Class| op(class).reading(n | m).writing(d);
    match first >> 4 & 0b1011 {
        0 | 1 | 9 | 10 => Op { addend: d, ..three(Class::FpMultiplyAccumulate) },
        2 => three(Class::FpMultiply),
        3 => three(Class::FpAdd),
        8 => three(Class::FpDivide),
        _ if second & 0x40 == 0 => op(Class::FpMove).writing(d),
        _ => match (first & 15, second & 0x80 != 0) {
            (0, _) | (1, false) => op(Class::FpMove).reading(m).writing(d),
            (1, true) => op(Class::FpSquareRoot).reading(m).writing(d),
            (4 | 5, _) => op(Class::FpCompare).reading(d | m),
            _ => op(Class::FpConvert).reading(m).writing(d),
        },
    }
}

/// MVE, in the detail that the coarse model of the Cortex-M55 needs: the pipeline, and core registers.
fn vector(first: u32, second: u32) -> Op {
    let is_memory = matches!(first >> 8, 0xec | 0xed | 0xfc | 0xfd) && second & 0x1e00 == 0x1e00;
    if is_memory {
        let class = if first & 0x10 != 0 { Class::VectorLoad } else { Class::VectorStore };
        let base = if first & 0x20 != 0 { some(first) } else { 0 };
        return Op { base, ..op(class).at(some(first)) };
    }
    // VMOV of two lanes, and of one lane.
    if first & 0xff00 == 0xec00 || first & 0xff10 == 0xee10 && second & 0xf10 == 0xb10 {
        return op(Class::VectorMove).writing(some(second >> 12));
    }
    // VMLADAV, VMLAV, VMLALDAV and their family write core registers.
    let is_sum_of_products = first & 0xef80 == 0xee80 && second & 0xf10 & !0x100 == 0xe00;
    if is_sum_of_products {
        let result = some(second >> 12 & 14);
        let addend = if second & 0x20 != 0 { result } else { 0 };
        return Op { addend, ..op(Class::VectorMultiply).writing(result) };
    }
    // VMUL, VMLA, VQDMULH, VFMA and the like: the products' encodings.
    let is_multiply = matches!(second & 0xf10, 0x950 | 0x910 | 0xb00 | 0xc50 | 0xc10 | 0xd50 | 0xd10 | 0xe00 | 0xe40);
    op(if is_multiply { Class::VectorMultiply } else { Class::VectorAlu })
}
