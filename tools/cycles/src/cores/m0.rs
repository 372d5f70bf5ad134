//! Cortex-M0 and Cortex-M0+: table 3-1 of Arm DDI 0432C and DDI 0484C. Nothing overlaps.
//!
//! The multiplier is the one that takes one cycle. The small one takes 32 cycles; `--core` has no name for it, as no part is known
//! that has it and 32 KiB of flash.

use super::Class::*;
use super::{Cost, Row, Rules, Table, branch, multiple, row};

/// Rows that both cores share.
const COMMON: &[Row] = &[
    row(Alu, 1),
    row(Extend, 1),
    row(BitField, 1),
    row(MultiplyFlags, 1),
    row(Load, 2),
    row(Store, 2),
    row(StoreRegisterOffset, 2),
    multiple(LoadMultiple, 1),
    multiple(StoreMultiple, 1),
    row(ChangeState, 1),
    row(Nop, 1),
];

const M0_PLUS_ROWS: &[Row] = &[
    branch(Branch, 1, Cost::exactly(1)),
    branch(BranchConditional, 1, Cost::exactly(1)),
    branch(BranchLink, 2, Cost::exactly(1)),
    branch(BranchRegister, 1, Cost::exactly(1)),
    branch(BranchLinkRegister, 1, Cost::exactly(1)),
    branch(MoveToPc, 1, Cost::exactly(1)),
    Row { class: PopPc, cycles: Cost::exactly(1), each: 1, taken: Cost::exactly(2) },
    row(SystemRegister, 3),
    row(Barrier, 3),
];

const M0_ROWS: &[Row] = &[
    branch(Branch, 1, Cost::exactly(2)),
    branch(BranchConditional, 1, Cost::exactly(2)),
    branch(BranchLink, 2, Cost::exactly(2)),
    branch(BranchRegister, 1, Cost::exactly(2)),
    branch(BranchLinkRegister, 1, Cost::exactly(2)),
    branch(MoveToPc, 1, Cost::exactly(2)),
    Row { class: PopPc, cycles: Cost::exactly(2), each: 1, taken: Cost::exactly(2) },
    row(SystemRegister, 4),
    row(Barrier, 4),
];

/// Cortex-M0+.
pub(super) const M0_PLUS: Table = Table {
    name: "Cortex-M0+",
    source: "Arm DDI 0484C, table 3-1",
    error: (5.0, "CoreMark on an RP2040 from RAM"),
    experimental: false,
    rows: &[COMMON, M0_PLUS_ROWS],
    rules: Rules::Plain,
    unaligned_target: 0,
};

/// Cortex-M0.
pub(super) const M0: Table = Table {
    name: "Cortex-M0",
    source: "Arm DDI 0432C, table 3-1",
    error: (5.0, "not validated by itself: as Cortex-M0+"),
    experimental: false,
    rows: &[COMMON, M0_ROWS],
    rules: Rules::Plain,
    unaligned_target: 0,
};
