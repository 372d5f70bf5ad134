//! Decoder of 16-bit instructions.

use super::{Class, FLAGS, Op, core};

const SP: u32 = 13;
const LR: u32 = 14;

fn op(class: Class) -> Op {
    Op::new(class, 2)
}

/// Decodes an instruction of 16 bits.
pub(super) fn decode(code: u32) -> Op {
    let (low, middle, high) = (core(code & 7), core(code >> 3 & 7), core(code >> 6 & 7));
    match code >> 11 {
        0..=2 => op(Class::Alu).reading(middle).writing(low | FLAGS),
        3 => {
            let second = if code & 0x400 == 0 { high } else { 0 };
            op(Class::Alu).reading(middle | second).writing(low | FLAGS)
        }
        4..=7 => immediate(code),
        8 if code & 0x400 == 0 => data_processing(code, low, middle),
        8 => high_registers(code),
        9 => Op { literal: true, ..op(Class::Load).writing(core(code >> 8 & 7)) },
        10 | 11 => register_offset(code, low, middle | high),
        12 | 14 | 16 => op(Class::Store).reading(low).at(middle),
        13 | 15 | 17 => Op { narrow_load: code >> 11 != 13, ..op(Class::Load).writing(low).at(middle) },
        18 => op(Class::Store).reading(core(code >> 8 & 7)).at(core(SP)),
        19 => op(Class::Load).writing(core(code >> 8 & 7)).at(core(SP)),
        20 => op(Class::Alu).writing(core(code >> 8 & 7)),
        21 => op(Class::Alu).reading(core(SP)).writing(core(code >> 8 & 7)),
        22 | 23 => miscellaneous(code, low, middle),
        24 | 25 => multiple(code),
        26 | 27 => match code >> 8 & 15 {
            14 | 15 => op(Class::Exception),
            _ => op(Class::BranchConditional).reading(FLAGS),
        },
        28 => op(Class::Branch),
        _ => op(Class::Unknown),
    }
}

/// MOV, CMP, ADD and SUB with 8 bits.
fn immediate(code: u32) -> Op {
    let register = core(code >> 8 & 7);
    match code >> 11 & 3 {
        0 => op(Class::Alu).writing(register | FLAGS),
        1 => op(Class::Alu).reading(register).writing(FLAGS),
        _ => op(Class::Alu).reading(register).writing(register | FLAGS),
    }
}

fn data_processing(code: u32, low: u64, middle: u64) -> Op {
    match code >> 6 & 15 {
        8 | 10 | 11 => op(Class::Alu).reading(low | middle).writing(FLAGS),
        5 | 6 => op(Class::Alu).reading(low | middle | FLAGS).writing(low | FLAGS),
        9 | 15 => op(Class::Alu).reading(middle).writing(low | FLAGS),
        13 => op(Class::MultiplyFlags).reading(low | middle).writing(low | FLAGS),
        _ => op(Class::Alu).reading(low | middle).writing(low | FLAGS),
    }
}

/// ADD, CMP and MOV of any register; BX and BLX.
fn high_registers(code: u32) -> Op {
    let (first, second) = (code & 7 | code >> 4 & 8, core(code >> 3 & 15));
    let result = |reads: u64| match first {
        15 => op(Class::MoveToPc).reading(reads),
        _ => op(Class::Alu).reading(reads).writing(core(first)),
    };
    match code >> 8 & 3 {
        0 => result(core(first) | second),
        1 => op(Class::Alu).reading(core(first) | second).writing(FLAGS),
        2 => result(second),
        _ if code & 0x80 == 0 => op(Class::BranchRegister).reading(second),
        _ => op(Class::BranchLinkRegister).reading(second).writing(core(LR)),
    }
}

fn register_offset(code: u32, register: u64, address: u64) -> Op {
    match code >> 9 & 7 {
        0..=2 => op(Class::StoreRegisterOffset).reading(register).at(address),
        kind => Op { narrow_load: kind != 4, ..op(Class::Load).writing(register).at(address) },
    }
}

fn miscellaneous(code: u32, low: u64, middle: u64) -> Op {
    match code >> 8 & 15 {
        0 => op(Class::Alu).reading(core(SP)).writing(core(SP)),
        1 | 3 | 9 | 11 => op(Class::CompareBranch).reading(low),
        2 => op(Class::Extend).reading(middle).writing(low),
        4 | 5 => {
            let list = u64::from(code & 0xff) | if code & 0x100 != 0 { core(LR) } else { 0 };
            let transfers = list.count_ones();
            Op { transfers, base: core(SP), ..op(Class::StoreMultiple).reading(list).at(core(SP)) }
        }
        6 => op(Class::ChangeState),
        10 if code & 0xc0 != 0x80 => op(Class::BitField).reading(middle).writing(low),
        12 | 13 => {
            let list = u64::from(code & 0xff);
            let class = if code & 0x100 != 0 { Class::PopPc } else { Class::LoadMultiple };
            let transfers = (code & 0x1ff).count_ones();
            Op { transfers, base: core(SP), ..op(class).writing(list).at(core(SP)) }
        }
        15 if code & 15 != 0 => op(Class::It).reading(FLAGS),
        15 => op(Class::Nop),
        _ => op(Class::Exception),
    }
}

/// STM and LDM.
fn multiple(code: u32) -> Op {
    let (list, base) = (u64::from(code & 0xff), core(code >> 8 & 7));
    let transfers = list.count_ones();
    if code & 0x800 == 0 {
        return Op { transfers, base, ..op(Class::StoreMultiple).reading(list).at(base) };
    }
    Op { transfers, base: base & !list, ..op(Class::LoadMultiple).writing(list).at(base) }
}
