//! Cortex-M33: Arm publishes no table of its cycles. Unless marked, these figures are from measurements on an RP2350 published by
//! J. Lewandowski (address in docs/cycles.md).

use super::Class::*;
use super::{Cost, Row, Rules, Table, branch, multiple, row, varies};

const DIRECT: Cost = Cost::exactly(1);
const INDIRECT: Cost = Cost::range(1, 2, 3);

pub(super) const INTEGER: &[Row] = &[
    row(Alu, 1),
    row(AluShifted, 1),
    row(ShiftedConstant, 1),
    row(BitField, 1),
    row(Extend, 1),
    row(Simd, 1),
    row(Multiply, 1),
    row(MultiplyFlags, 2),
    row(MultiplyAccumulate, 1),
    row(MultiplyDsp, 1),
    row(MultiplyAccumulateDsp, 1),
    row(MultiplyLong, 1),
    row(MultiplyAccumulateLong, 1),
    // Not in the measurements: the range of Cortex-M4.
    varies(Divide, 2, 7, 12),
    row(Load, 1),
    row(LoadPair, 2),
    multiple(LoadMultiple, 0),
    row(LoadExclusive, 1),
    row(Store, 1),
    row(StoreRegisterOffset, 1),
    row(StorePair, 2),
    multiple(StoreMultiple, 0),
    row(StoreExclusive, 1),
    row(Preload, 1),
    row(Nop, 1),
    // Not in the measurements.
    varies(Barrier, 1, 1, 4),
    varies(SystemRegister, 1, 2, 2),
    varies(ChangeState, 1, 1, 2),
    // Issued along with the instruction before it.
    row(It, 0),
];

const BRANCHES: &[Row] = &[
    branch(Branch, 1, DIRECT),
    branch(BranchConditional, 1, DIRECT),
    branch(CompareBranch, 1, DIRECT),
    branch(BranchLink, 1, DIRECT),
    branch(BranchRegister, 1, INDIRECT),
    branch(BranchLinkRegister, 1, INDIRECT),
    branch(MoveToPc, 1, INDIRECT),
    branch(LoadPc, 1, Cost::range(2, 3, 4)),
    Row { class: PopPc, cycles: Cost::exactly(0), each: 1, taken: INDIRECT },
    branch(TableBranch, 2, Cost::range(1, 3, 4)),
];

pub(super) const FLOAT: &[Row] = &[
    row(FpAdd, 1),
    row(FpMultiply, 1),
    row(FpMultiplyAccumulate, 1),
    // Not in the measurements: as Cortex-M4.
    varies(FpDivide, 1, 14, 14),
    varies(FpSquareRoot, 1, 14, 14),
    row(FpConvert, 1),
    row(FpCompare, 1),
    row(FpMove, 1),
    row(FpToCore, 1),
    row(FpFromCore, 1),
    row(FpPairToCore, 2),
    row(FpPairFromCore, 1),
    row(FpStatus, 1),
    multiple(FpLoad, 0),
    multiple(FpStore, 0),
    multiple(FpLoadMultiple, 0),
    multiple(FpStoreMultiple, 0),
];

/// Cortex-M33.
pub(super) const M33: Table = Table {
    name: "Cortex-M33",
    source: "measurements on an RP2350, published (Arm publishes no table): see docs/cycles.md",
    error: (15.0, "CoreMark alone, on an AN505"),
    experimental: false,
    rows: &[INTEGER, BRANCHES, FLOAT],
    rules: Rules::Latencies,
    unaligned_target: 0,
};
