//! Cortex-M7, a coarse model: two instructions at a time where neither needs the other, and predicted branches. Arm publishes no
//! table; the figures are from the published measurements on an STM32H743 named in docs/cycles.md. Effects of neighbours are in
//! `rules::two_at_a_time`.

use super::Class::*;
use super::{Cost, Row, Rules, Table, branch, multiple, row, varies};

/// Cost of a taken branch that was predicted.
const PREDICTED: Cost = Cost::range(0, 0, 1);

const ROWS: &[Row] = &[
    row(Alu, 1),
    row(AluShifted, 1),
    row(ShiftedConstant, 1),
    row(BitField, 1),
    row(Extend, 1),
    row(Simd, 1),
    row(Multiply, 1),
    row(MultiplyFlags, 1),
    row(MultiplyAccumulate, 1),
    row(MultiplyDsp, 1),
    row(MultiplyAccumulateDsp, 1),
    row(MultiplyLong, 1),
    row(MultiplyAccumulateLong, 1),
    varies(Divide, 3, 8, 20),
    row(Load, 1),
    row(LoadPair, 1),
    // Two registers per cycle.
    multiple(LoadMultiple, 0),
    row(LoadExclusive, 2),
    row(Store, 1),
    row(StoreRegisterOffset, 1),
    row(StorePair, 1),
    multiple(StoreMultiple, 0),
    row(StoreExclusive, 2),
    row(Preload, 1),
    branch(Branch, 1, PREDICTED),
    branch(BranchConditional, 1, PREDICTED),
    branch(CompareBranch, 1, PREDICTED),
    branch(BranchLink, 1, PREDICTED),
    branch(BranchRegister, 1, Cost::range(0, 1, 4)),
    branch(BranchLinkRegister, 1, Cost::range(0, 1, 4)),
    branch(MoveToPc, 1, Cost::range(1, 4, 8)),
    branch(LoadPc, 2, Cost::range(1, 4, 8)),
    Row { class: PopPc, cycles: Cost::exactly(1), each: 1, taken: Cost::range(0, 2, 4) },
    branch(TableBranch, 3, Cost::range(1, 4, 8)),
    row(It, 1),
    row(Nop, 1),
    varies(Barrier, 1, 4, 10),
    varies(SystemRegister, 1, 2, 4),
    varies(ChangeState, 1, 1, 4),
    row(FpAdd, 1),
    row(FpMultiply, 1),
    row(FpMultiplyAccumulate, 1),
    varies(FpDivide, 1, 14, 16),
    varies(FpSquareRoot, 1, 14, 16),
    row(FpConvert, 1),
    row(FpCompare, 1),
    row(FpMove, 1),
    row(FpToCore, 1),
    row(FpFromCore, 1),
    row(FpPairToCore, 1),
    row(FpPairFromCore, 1),
    row(FpStatus, 1),
    row(FpLoad, 1),
    row(FpStore, 1),
    multiple(FpLoadMultiple, 0),
    multiple(FpStoreMultiple, 0),
];

/// Cortex-M7.
pub(super) const M7: Table = Table {
    name: "Cortex-M7",
    source: "a coarse model after measurements on an STM32H743, published: see docs/cycles.md",
    error: (25.0, "CoreMark alone"),
    experimental: true,
    rows: &[ROWS],
    rules: Rules::TwoAtATime,
    unaligned_target: 0,
};
