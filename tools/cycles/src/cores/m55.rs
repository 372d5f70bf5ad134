//! Cortex-M55, a coarse model: the M33's costs, and vector instructions of two cycles, one of which is hidden where the neighbour
//! uses another pipeline (Arm's "beats": DDI 0553B, B5.4, two a cycle on this core). Validated only with CoreMark, which has no
//! vectors.

use super::Class::*;
use super::m33::{FLOAT, INTEGER};
use super::{Cost, Row, Rules, Table, branch, row};

/// Refill after a taken branch.
const REFILL: Cost = Cost::range(1, 2, 4);

const ROWS: &[Row] = &[
    branch(Branch, 1, REFILL),
    branch(BranchConditional, 1, REFILL),
    branch(CompareBranch, 1, REFILL),
    branch(BranchLink, 1, REFILL),
    branch(BranchRegister, 1, REFILL),
    branch(BranchLinkRegister, 1, REFILL),
    branch(MoveToPc, 1, REFILL),
    branch(LoadPc, 1, Cost::range(2, 3, 5)),
    Row { class: PopPc, cycles: Cost::exactly(0), each: 1, taken: REFILL },
    branch(TableBranch, 2, Cost::range(1, 3, 5)),
    branch(LoopStart, 1, Cost::range(1, 2, 4)),
    // From the second iteration on the jump is known.
    branch(LoopEnd, 0, Cost::range(0, 0, 1)),
    row(VectorLoad, 2),
    row(VectorStore, 2),
    row(VectorAlu, 2),
    row(VectorMultiply, 2),
    row(VectorMove, 1),
];

/// Cortex-M55.
pub(super) const M55: Table = Table {
    name: "Cortex-M55",
    source: "a coarse model after DDI 0553B's beats: see docs/cycles.md",
    error: (30.0, "not validated but for CoreMark"),
    experimental: true,
    rows: &[INTEGER, FLOAT, ROWS],
    rules: Rules::Beats,
    unaligned_target: 0,
};
