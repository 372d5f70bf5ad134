//! Estimate of the cycles of every executed instruction.
//!
//! ```text
//! Part: counts, jumps ─┐
//! Table: rows, rules ──┼──► Estimate: instructions and cycles by address
//! Flash ───────────────┘
//! ```

#[cfg(test)]
mod tests;

use crate::cores::{Cost, Rules, Table};
use crate::decode::{Class, Op};
use crate::rules::Before;
use crate::trace::{Executed, Part};
use serde::Serialize;
use std::collections::BTreeMap;

/// The memory of the instructions, behind an accelerator that reads whole lines ahead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Flash {
    /// Wait states: additional cycles of reading a line.
    pub wait_states: u32,
    /// Size of a line in bytes; a power of two.
    pub line: u32,
}

impl Flash {
    /// Memory that never makes the core wait.
    pub const NONE: Flash = Flash { wait_states: 0, line: 16 };

    /// Cost of a jump: 0 within its line; otherwise typically the whole wait, as the line was not read ahead, but 0 where the
    /// accelerator's cache has the line.
    fn jump(self, from: u32, to: u32) -> Cost {
        if from / self.line == to / self.line {
            return Cost::default();
        }
        let wait = i64::from(self.wait_states);
        Cost::range(0, wait, wait)
    }

    /// Cost of fetching the next instruction: typically 0, as it was read ahead; at most the wait where it begins a line.
    fn straight(self, address: u32, size: u32) -> Cost {
        let begins = address.is_multiple_of(self.line) || (address + size - 1) / self.line != address / self.line;
        Cost::range(0, 0, if begins { i64::from(self.wait_states) } else { 0 })
    }
}

/// Count and cycles of one instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// Kind of instruction.
    pub class: Class,
    /// Number of executions, exact.
    pub count: u64,
    /// Cycles of all executions, estimated.
    pub cycles: Cost,
}

/// Counts and cycles of a part, by address.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Estimate {
    /// Instructions of the part.
    pub lines: BTreeMap<u32, Line>,
}

impl Estimate {
    /// Sum of instructions and cycles over the addresses for which `of` is true.
    pub fn sum(&self, mut of: impl FnMut(u32) -> bool) -> (u64, Cost) {
        let lines = self.lines.iter().filter(|(address, _)| of(**address));
        lines.fold((0, Cost::default()), |(count, cycles), (_, line)| (count + line.count, cycles + line.cycles))
    }

    /// Number of executed instructions without a row in the core's table, each of which was counted as one cycle.
    pub fn without_row(&self, table: &Table) -> u64 {
        self.lines.values().filter(|line| table.row(line.class).is_none()).map(|line| line.count).sum()
    }
}

/// Penalty of a mispredicted branch, on a core with branch prediction (M7).
const MISPREDICTED: Cost = Cost::range(0, 6, 8);

/// An instruction, with the jumps at its end.
struct Step {
    address: u32,
    executed: Executed,
    op: Op,
    jumps: u64,
}

impl Step {
    fn straight_on(&self) -> u64 {
        self.executed.count.saturating_sub(self.jumps)
    }

    fn end(&self) -> u32 {
        self.address + self.op.size
    }

    /// Number of executions with effect: under an IT, a load or store whose condition failed has no accesses.
    fn done(&self) -> u64 {
        match self.executed.accesses {
            Some(accesses) if self.op.is_memory() => {
                (accesses / u64::from(self.op.transfers.max(1))).min(self.executed.count)
            }
            _ => self.executed.count,
        }
    }
}

/// Estimates the cycles of a part.
pub fn estimate(part: &Part, table: &Table, flash: Flash) -> Estimate {
    let steps = steps(part);
    let mut lines = BTreeMap::new();
    let mut alone = true;
    for (index, step) in steps.iter().enumerate() {
        let last = index.checked_sub(1).and_then(|last| steps.get(last)).filter(|last| last.end() == step.address);
        // Number of times that it was reached from the one before it.
        let through = last.map_or(0, |last| last.straight_on().min(step.executed.count));
        let second = index.checked_sub(2).and_then(|second| steps.get(second));
        let second = second.filter(|second| last.is_some_and(|last| second.end() == last.address));
        let before = Before { last: last.map(|last| &last.op), second: second.map(|second| &second.op), alone };
        let mut cycles = by_itself(step, table);
        let (change, now_alone) = table.rules.change(before, &step.op);
        let reached = through.min(step.done());
        let jumps = step.jumps.min(reached);
        cycles += change.always * reached + change.jumps * jumps + change.stays * (reached - jumps);
        // After a jump it has no neighbours before it.
        let (first, _) = table.rules.change(Before::default(), &step.op);
        cycles += first.always * (step.done() - reached);
        cycles += flash.straight(step.address, step.op.size) * through;
        // Where most executions come from a jump, these decide which instructions are issued together.
        alone = if 2 * through < step.executed.count { true } else { now_alone };
        lines.insert(step.address, Line { class: step.op.class, count: step.executed.count, cycles });
    }
    jumps(part, table, flash, &mut lines);
    if table.rules == Rules::Beats {
        around_loops(part, &steps, table, &mut lines);
    }
    Estimate { lines }
}

fn steps(part: &Part) -> Vec<Step> {
    let mut jumps: BTreeMap<u32, u64> = BTreeMap::new();
    for ((from, _), count) in &part.jumps {
        *jumps.entry(*from).or_insert(0) += count;
    }
    let step = |(&address, &executed): (&u32, &Executed)| Step {
        address,
        executed,
        op: Op::decode(executed.code, executed.size),
        jumps: jumps.get(&address).copied().unwrap_or(0),
    };
    part.instructions.iter().map(step).collect()
}

/// Cycles of an instruction without effects of its neighbours.
fn by_itself(step: &Step, table: &Table) -> Cost {
    let skipped = step.executed.count - step.done();
    let Some(row) = table.row(step.op.class) else {
        return Cost::exactly(1) * step.executed.count;
    };
    let transfers = if table.rules == Rules::TwoAtATime { step.op.transfers.div_ceil(2) } else { step.op.transfers };
    let once = row.cycles + Cost::exactly(row.each * i64::from(transfers));
    let mut cycles = once * step.done() + Cost::exactly(1) * skipped;
    if table.rules == Rules::TwoAtATime && step.op.is_branch() {
        // A predictor that always predicts the more frequent outcome is wrong this often.
        cycles += MISPREDICTED * step.jumps.min(step.straight_on());
    }
    cycles
}

/// Adds the cost of taken branches.
fn jumps(part: &Part, table: &Table, flash: Flash, lines: &mut BTreeMap<u32, Line>) {
    for (&(from, to), &count) in &part.jumps {
        let Some(line) = lines.get_mut(&from) else { continue };
        let taken = table.row(line.class).map_or(Cost::default(), |row| row.taken);
        let target = part.instructions.get(&to);
        let is_slow = to % 4 == 2 && target.is_some_and(|target| target.size == 4);
        let slow = Cost { est: if is_slow { table.unaligned_target } else { 0 }, ..Cost::default() };
        line.cycles += (taken + slow + flash.jump(from, to)) * count;
    }
}

/// Overlaps the last vector instruction of a loop with its first: the loop's end takes no time.
fn around_loops(part: &Part, steps: &[Step], table: &Table, lines: &mut BTreeMap<u32, Line>) {
    for (&(from, to), &count) in &part.jumps {
        let Ok(end) = steps.binary_search_by_key(&from, |step| step.address) else { continue };
        let Ok(head) = steps.binary_search_by_key(&to, |step| step.address) else { continue };
        let (end, head, last) = (&steps[end], &steps[head], end.checked_sub(1).map(|last| &steps[last]));
        let last = last.filter(|last| end.op.class == Class::LoopEnd && last.end() == end.address);
        if let (Some(last), Some(line)) = (last, lines.get_mut(&to)) {
            let before = Before { last: Some(&last.op), ..Before::default() };
            let (first, _) = table.rules.change(Before::default(), &head.op);
            let (change, _) = table.rules.change(before, &head.op);
            line.cycles += change.always * count;
            line.cycles += Cost { low: -first.always.low, est: -first.always.est, high: -first.always.high } * count;
        }
    }
}
