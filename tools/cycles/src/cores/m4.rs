//! Cortex-M3 and Cortex-M4: table 3-1 and the section on load/store timings of Arm DDI 0337I and 100166, and the table of the
//! M4's FPU (100166).
//!
//! In these tables P, the refill of the pipeline, is 1 to 3. It is taken as 1 after a branch to an address in the instruction, as 2
//! after one to an address in a register or from memory, and 1 more where the target is an instruction of 32 bits across a word's
//! end. Effects of neighbours are in `rules::three_stages`.

use super::Class::*;
use super::{Cost, Row, Rules, Table, branch, multiple, row, varies};

const DIRECT: Cost = Cost::range(1, 1, 3);
const INDIRECT: Cost = Cost::range(1, 2, 3);

/// Rows that both cores share.
const COMMON: &[Row] = &[
    row(Alu, 1),
    row(AluShifted, 1),
    row(ShiftedConstant, 1),
    row(BitField, 1),
    row(Extend, 1),
    row(Multiply, 1),
    row(MultiplyFlags, 1),
    varies(Divide, 2, 7, 12),
    row(Load, 2),
    row(LoadPair, 3),
    multiple(LoadMultiple, 1),
    row(LoadExclusive, 2),
    varies(Store, 1, 1, 2),
    row(StoreRegisterOffset, 2),
    row(StorePair, 3),
    multiple(StoreMultiple, 1),
    row(StoreExclusive, 2),
    row(Preload, 2),
    branch(Branch, 1, DIRECT),
    branch(BranchConditional, 1, DIRECT),
    branch(CompareBranch, 1, DIRECT),
    branch(BranchLink, 1, DIRECT),
    branch(BranchRegister, 1, INDIRECT),
    branch(BranchLinkRegister, 1, INDIRECT),
    branch(MoveToPc, 1, INDIRECT),
    // "At least two cycles for the load, and three cycles for the pipeline reload."
    branch(LoadPc, 2, Cost::exactly(3)),
    Row { class: PopPc, cycles: Cost::exactly(1), each: 1, taken: INDIRECT },
    // The table says 2 + P, the text at least six.
    branch(TableBranch, 2, Cost::range(1, 3, 4)),
    row(It, 1),
    row(Nop, 1),
    varies(Barrier, 1, 1, 4),
    varies(SystemRegister, 1, 2, 2),
    varies(ChangeState, 1, 1, 2),
];

const M3_ROWS: &[Row] =
    &[row(MultiplyAccumulate, 2), varies(MultiplyLong, 3, 4, 5), varies(MultiplyAccumulateLong, 4, 5, 7)];

const M4_ROWS: &[Row] = &[
    row(MultiplyAccumulate, 1),
    row(MultiplyLong, 1),
    row(MultiplyAccumulateLong, 1),
    row(Simd, 1),
    row(MultiplyDsp, 1),
    row(MultiplyAccumulateDsp, 1),
    row(FpAdd, 1),
    row(FpMultiply, 1),
    row(FpMultiplyAccumulate, 3),
    varies(FpDivide, 1, 14, 14),
    varies(FpSquareRoot, 1, 14, 14),
    row(FpConvert, 1),
    row(FpCompare, 1),
    row(FpMove, 1),
    row(FpToCore, 1),
    row(FpFromCore, 1),
    row(FpPairToCore, 2),
    row(FpPairFromCore, 2),
    row(FpStatus, 1),
    multiple(FpLoad, 1),
    multiple(FpStore, 1),
    multiple(FpLoadMultiple, 1),
    multiple(FpStoreMultiple, 1),
];

/// Cortex-M3.
pub(super) const M3: Table = Table {
    name: "Cortex-M3",
    source: "Arm DDI 0337I, table 3-1 and load/store timings; what silicon does with pairs: see docs/cycles.md",
    error: (15.0, "not validated by itself: as Cortex-M4"),
    experimental: false,
    rows: &[COMMON, M3_ROWS],
    rules: Rules::ThreeStages { writeback_chains: false },
    unaligned_target: 1,
};

/// Cortex-M4.
pub(super) const M4: Table = Table {
    name: "Cortex-M4",
    source: "Arm 100166, tables of instructions; DDI 0337I, load/store timings; what silicon does with pairs: see docs/cycles.md",
    error: (15.0, "19 Embench programs on an STM32F407"),
    experimental: false,
    rows: &[COMMON, M4_ROWS],
    rules: Rules::ThreeStages { writeback_chains: true },
    unaligned_target: 1,
};
