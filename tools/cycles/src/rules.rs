//! Effects of the preceding instructions on an instruction's cycles.
//!
//! ```text
//! (the two before, this one) ──► Change: difference in cycles
//! ```
//!
//! "Silicon" marks the measurements named in docs/cycles.md, where they go beyond the manuals.

use crate::cores::{Cost, Rules};
use crate::decode::{Class, FLAGS, Op};

/// Difference in cycles from the table's row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// Always added.
    pub always: Cost,
    /// Added when a branch is not taken.
    pub stays: Cost,
    /// Added when a branch is taken.
    pub jumps: Cost,
}

impl From<Cost> for Change {
    fn from(always: Cost) -> Change {
        Change { always, ..Change::default() }
    }
}

/// The instructions executed directly before an instruction, without a jump.
#[derive(Clone, Copy, Default)]
pub struct Before<'a> {
    /// The one directly before.
    pub last: Option<&'a Op>,
    /// The one before that.
    pub second: Option<&'a Op>,
    /// True if the one directly before was issued alone, on a core that can issue two.
    pub alone: bool,
}

impl Rules {
    /// Effect of the preceding instructions on one; true if it is issued alone.
    pub fn change(self, before: Before<'_>, op: &Op) -> (Change, bool) {
        let Some(last) = before.last else {
            return (own(self, op).into(), true);
        };
        let change = match self {
            Rules::Plain => Change::default(),
            Rules::ThreeStages { writeback_chains } => three_stages(last, op, writeback_chains).into(),
            Rules::Latencies => {
                let (stays, jumps) = along_with(last, op);
                Change { always: latencies(last, before.second, op), stays, jumps }
            }
            Rules::Beats => (latencies(last, before.second, op) + overlap(last, op)).into(),
            Rules::TwoAtATime => {
                let pairs = before.alone && pairs(last, op);
                let together = Cost::exactly(if pairs { -1 } else { 0 });
                return ((late(last, op) + together).into(), !pairs);
            }
        };
        (Change { always: change.always + own(self, op), ..change }, true)
    }
}

/// Effect of an instruction's own operands.
fn own(rules: Rules, op: &Op) -> Cost {
    let both = op.class == Class::ShiftedConstant && op.writes & FLAGS != 0;
    Cost::exactly(i64::from(both && matches!(rules, Rules::Latencies | Rules::Beats)))
}

/// Effects on Cortex-M3 and M4.
fn three_stages(last: &Op, op: &Op, writeback_chains: bool) -> Cost {
    let feeds_address = (last.writes | last.base) & op.address != 0;
    match op.class {
        // "IT can be folded" into an instruction of 16 bits.
        Class::It => return Cost::exactly(if last.size == 2 { -1 } else { 0 }),
        // A load or store "that generates an address dependent on the result of a preceding data processing operation".
        _ if op.is_memory() && last.is_data_processing() && feeds_address => return Cost::exactly(1),
        // "Take one cycle longer if their result is consumed by the following instruction."
        _ if last.is_float_arithmetic() && last.writes & op.inputs() != 0 => return Cost::exactly(1),
        _ => {}
    }
    if last.is_load() && !feeds_address {
        let chains = last.literal == op.literal && (op.base == 0 || writeback_chains);
        return match op.class {
            Class::Load | Class::LoadExclusive if chains => Cost::exactly(-1),
            // Silicon: literals and other data do not chain; the M3 does not chain what writes back.
            Class::Load => Cost::range(-1, 0, 0),
            Class::StoreRegisterOffset | Class::StoreExclusive => Cost::exactly(-1),
            // Silicon: it saves the load's second cycle; the manual's example does not show that.
            Class::Store => Cost::range(-1, -1, 0),
            _ => Cost::default(),
        };
    }
    // Silicon: a store does not pipeline with the load after it.
    let load_after_store = op.is_load() && last.is_store();
    if load_after_store { Cost::range(0, 1, 1) } else { Cost::default() }
}

/// True if a result is ready only after the second of the M33's two execution stages.
fn is_late(op: &Op) -> bool {
    use Class::*;
    let extends_and_adds = op.class == Extend && op.reads.count_ones() > 1;
    let multiplies = op.is_multiply() && op.class != MultiplyFlags;
    let shifted = op.class == AluShifted || op.class == ShiftedConstant && op.writes & FLAGS == 0;
    extends_and_adds || multiplies || shifted || op.class == Simd || op.class == FpToCore
}

/// Cortex-M33 and M55: results that are one or more cycles late.
fn latencies(last: &Op, second: Option<&Op>, op: &Op) -> Cost {
    let is_fused = |op: &Op| op.class == Class::FpMultiplyAccumulate;
    if op.is_float() && is_fused(last) {
        return Cost::exactly(2);
    }
    let float = op.is_float() && !last.is_float() && second.is_some_and(is_fused);
    let late = if last.is_load() || is_late(last) {
        // A stored value and the addend of a product are needed a cycle later than other operands.
        let late_use = op.is_store() || op.class == Class::StorePair;
        let early = if late_use { op.address } else { op.reads | op.address };
        last.writes & early != 0
    } else {
        let float = last.is_float_arithmetic() || last.class == Class::FpPairFromCore;
        float && last.writes & op.inputs() != 0
    };
    Cost::exactly(i64::from(float || late))
}

/// Cortex-M33: branches and NOPs of 16 bits are issued along with an instruction of 16 bits before them. The effect when they do
/// not jump, and when they do.
fn along_with(last: &Op, op: &Op) -> (Cost, Cost) {
    let narrow = last.size == 2 && op.size == 2 && !last.is_branch();
    let saved = Cost::exactly(-1);
    match op.class {
        Class::Nop if narrow => (saved, Cost::default()),
        _ if narrow && op.is_branch() && op.class != Class::PopPc => {
            // The branch jumps without delay where it does not wait for the flags.
            (saved, if last.writes & FLAGS == 0 { saved } else { Cost::default() })
        }
        _ => (Cost::default(), Cost::default()),
    }
}

/// Cortex-M55: the pipeline of a vector instruction.
fn pipeline(op: &Op) -> Option<u32> {
    match op.class {
        Class::VectorLoad | Class::VectorStore => Some(0),
        Class::VectorAlu => Some(1),
        Class::VectorMultiply => Some(2),
        _ => None,
    }
}

/// Cortex-M55: the second half of a vector instruction runs along with the first half of the next, in another pipeline.
fn overlap(last: &Op, op: &Op) -> Cost {
    match (pipeline(last), pipeline(op)) {
        (Some(first), Some(second)) if first != second => Cost::range(-1, -1, 0),
        _ => Cost::default(),
    }
}

/// Cortex-M7: cycles that an instruction waits for the result of the one before it.
fn late(last: &Op, op: &Op) -> Cost {
    if last.writes & op.inputs() == 0 {
        return Cost::default();
    }
    let only_addend = last.writes & (op.reads | op.address) == 0;
    match last.class {
        Class::Load if last.writes & op.address != 0 => Cost::exactly(2),
        Class::Load => Cost::exactly(i64::from(last.narrow_load)),
        _ if last.is_multiply() => Cost::exactly(i64::from(!only_addend)),
        Class::FpMultiplyAccumulate => Cost::range(2, 4, 5),
        _ if last.is_float_arithmetic() => Cost::range(1, 2, 3),
        _ => Cost::default(),
    }
}

/// Cortex-M7: true if an instruction is issued along with the one before it.
fn pairs(last: &Op, op: &Op) -> bool {
    use Class::*;
    let depends = last.writes & op.inputs() & !FLAGS != 0;
    let forwarded = last.class == Alu && (op.class == Alu || op.is_store() && last.writes & op.address == 0);
    let alone = |op: &Op| {
        let multiple = matches!(op.class, LoadPair | LoadMultiple | StorePair | StoreMultiple | PopPc | LoadPc);
        let float = matches!(op.class, FpLoadMultiple | FpStoreMultiple | FpStatus | FpDivide | FpSquareRoot);
        let slow = matches!(op.class, Divide | TableBranch | Barrier | SystemRegister | ChangeState | It);
        multiple || float || slow
    };
    let shifts = |op: &Op| matches!(op.class, AluShifted | ShiftedConstant | BitField | Extend | Simd);
    let is_any_store = |op: &Op| op.is_store() || op.class == FpStore;
    let same_unit = last.is_multiply() && (op.is_multiply() || op.is_store())
        || is_any_store(last) && is_any_store(op)
        || last.is_store() && op.is_multiply()
        || shifts(last) && shifts(op)
        || last.is_float_arithmetic() && op.is_float_arithmetic()
        || last.class == FpMultiplyAccumulate && matches!(op.class, FpLoad | FpStore);
    !(last.is_branch() || alone(last) || alone(op) || same_unit || depends && !forwarded)
}
