//! Decoder of opcodes for the cost models: a class, and the registers that are read and written.
//!
//! ```text
//! opcode ─┬─ 16 bits ──► narrow ─┐
//!         ├─ 32 bits ──► wide ───┼──► Op { class, reads, writes, address, … }
//!         └─ FPU, MVE ─► float ──┘
//! ```
//!
//! Encodings are those of the Armv7-M (Arm DDI 0403E) and Armv8-M (DDI 0553B) Architecture Reference Manuals. Only properties that
//! affect cycles are decoded.

mod float;
mod narrow;
#[cfg(test)]
mod tests;
mod wide;

use serde::Serialize;

/// A kind of instruction: one row of every core's table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the manuals' rows")]
pub enum Class {
    Alu,
    AluShifted,
    ShiftedConstant,
    BitField,
    Extend,
    Simd,
    Multiply,
    MultiplyFlags,
    MultiplyAccumulate,
    MultiplyDsp,
    MultiplyAccumulateDsp,
    MultiplyLong,
    MultiplyAccumulateLong,
    Divide,
    Load,
    LoadPair,
    LoadMultiple,
    LoadExclusive,
    Store,
    StoreRegisterOffset,
    StorePair,
    StoreMultiple,
    StoreExclusive,
    Preload,
    Branch,
    BranchConditional,
    CompareBranch,
    BranchLink,
    BranchRegister,
    BranchLinkRegister,
    MoveToPc,
    LoadPc,
    PopPc,
    TableBranch,
    It,
    Nop,
    Barrier,
    SystemRegister,
    ChangeState,
    Exception,
    FpAdd,
    FpMultiply,
    FpMultiplyAccumulate,
    FpDivide,
    FpSquareRoot,
    FpConvert,
    FpCompare,
    FpMove,
    FpToCore,
    FpFromCore,
    FpPairToCore,
    FpPairFromCore,
    FpStatus,
    FpLoad,
    FpLoadMultiple,
    FpStore,
    FpStoreMultiple,
    LoopStart,
    LoopEnd,
    VectorLoad,
    VectorStore,
    VectorAlu,
    VectorMultiply,
    VectorMove,
    Unknown,
}

/// A set of registers: bits 0–15 the core's, bit 16 the flags, bits 32–63 S0–S31.
pub type Registers = u64;

/// The flags in a set of registers.
pub const FLAGS: Registers = 1 << 16;

/// A core register as a set.
pub(crate) fn core(register: u32) -> Registers {
    1 << (register & 15)
}

/// A core register as a set; empty for 15, the encoding of "none".
fn some(register: u32) -> Registers {
    if register & 15 == 15 { 0 } else { core(register) }
}

/// A decoded instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op {
    /// Kind of instruction.
    pub class: Class,
    /// Size in bytes.
    pub size: u32,
    /// Registers that are read, except for the address and a product's addend.
    pub reads: Registers,
    /// Addend of a product.
    pub addend: Registers,
    /// Registers that are written, except for a base that is written back.
    pub writes: Registers,
    /// Registers of the address.
    pub address: Registers,
    /// Base register that is written back.
    pub base: Registers,
    /// Number of registers or words of a multiple transfer.
    pub transfers: u32,
    /// True for a load relative to the program counter.
    pub literal: bool,
    /// True for a load of less than a word.
    pub narrow_load: bool,
}

impl Op {
    fn new(class: Class, size: u32) -> Op {
        Op {
            class,
            size,
            reads: 0,
            addend: 0,
            writes: 0,
            address: 0,
            base: 0,
            transfers: 1,
            literal: false,
            narrow_load: false,
        }
    }

    fn reading(self, registers: Registers) -> Op {
        Op { reads: registers, ..self }
    }

    fn writing(self, registers: Registers) -> Op {
        Op { writes: registers, ..self }
    }

    fn at(self, registers: Registers) -> Op {
        Op { address: registers, ..self }
    }

    /// Decodes an instruction of `size` bytes.
    pub fn decode(code: u32, size: u32) -> Op {
        if size == 2 { narrow::decode(code) } else { wide::decode(code >> 16, code & 0xffff) }
    }

    /// All registers that the instruction needs when it starts.
    pub fn inputs(&self) -> Registers {
        self.reads | self.addend | self.address
    }

    /// True if the next instruction may be elsewhere than directly after this one.
    pub fn is_branch(&self) -> bool {
        use Class::*;
        matches!(
            self.class,
            Branch
                | BranchConditional
                | CompareBranch
                | BranchLink
                | BranchRegister
                | BranchLinkRegister
                | MoveToPc
                | LoadPc
                | PopPc
                | TableBranch
                | LoopStart
                | LoopEnd
        )
    }

    /// True if it loads one core register.
    pub fn is_load(&self) -> bool {
        matches!(self.class, Class::Load | Class::LoadExclusive)
    }

    /// True if it stores one core register.
    pub fn is_store(&self) -> bool {
        matches!(self.class, Class::Store | Class::StoreRegisterOffset | Class::StoreExclusive)
    }

    /// True if it accesses data in memory.
    pub fn is_memory(&self) -> bool {
        use Class::*;
        let multiple = matches!(self.class, LoadPair | LoadMultiple | StorePair | StoreMultiple | PopPc | LoadPc);
        let float = matches!(self.class, FpLoad | FpLoadMultiple | FpStore | FpStoreMultiple);
        let vector = matches!(self.class, VectorLoad | VectorStore);
        self.is_load() || self.is_store() || multiple || float || vector
    }

    /// True for a data-processing instruction of the integer core.
    pub fn is_data_processing(&self) -> bool {
        use Class::*;
        let plain = matches!(self.class, Alu | AluShifted | ShiftedConstant | BitField | Extend | Simd);
        plain || self.is_multiply()
    }

    /// True if it multiplies integers.
    pub fn is_multiply(&self) -> bool {
        use Class::*;
        matches!(
            self.class,
            Multiply
                | MultiplyFlags
                | MultiplyAccumulate
                | MultiplyDsp
                | MultiplyAccumulateDsp
                | MultiplyLong
                | MultiplyAccumulateLong
        )
    }

    /// True if the FPU computes it.
    pub fn is_float_arithmetic(&self) -> bool {
        use Class::*;
        matches!(self.class, FpAdd | FpMultiply | FpMultiplyAccumulate | FpDivide | FpSquareRoot | FpConvert)
    }

    /// True if the FPU takes part in it.
    pub fn is_float(&self) -> bool {
        use Class::*;
        let moves = matches!(self.class, FpMove | FpCompare | FpToCore | FpFromCore | FpPairToCore | FpPairFromCore);
        let memory = matches!(self.class, FpLoad | FpLoadMultiple | FpStore | FpStoreMultiple | FpStatus);
        self.is_float_arithmetic() || moves || memory
    }
}
