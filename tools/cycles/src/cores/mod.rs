//! Costs of instructions, as data: one table for each core.
//!
//! ```text
//! Class ──► Row: cycles, for each register, when a branch is taken      effects of neighbours ──► Rules
//! ```
//!
//! A cost has a low and a high end where the manual gives a range, and a typical value between them. All tables are for memory
//! without wait states.

mod m0;
mod m33;
mod m4;
mod m55;
mod m7;

use crate::decode::Class;
use serde::Serialize;
use std::ops::{Add, AddAssign, Mul};

/// A number of cycles: a typical value and a range around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Cost {
    /// Minimum.
    pub low: i64,
    /// Typical value.
    pub est: i64,
    /// Maximum.
    pub high: i64,
}

impl Cost {
    /// A cost without a range.
    pub const fn exactly(cycles: i64) -> Cost {
        Cost { low: cycles, est: cycles, high: cycles }
    }

    /// A cost with a range.
    pub const fn range(low: i64, est: i64, high: i64) -> Cost {
        Cost { low, est, high }
    }
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost { low: self.low + other.low, est: self.est + other.est, high: self.high + other.high }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        *self = *self + other;
    }
}

impl Mul<u64> for Cost {
    type Output = Cost;

    fn mul(self, count: u64) -> Cost {
        let count = count.cast_signed();
        Cost { low: self.low * count, est: self.est * count, high: self.high * count }
    }
}

/// Cost of a kind of instruction by itself.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The kind of instruction.
    pub class: Class,
    /// Cycles without the registers of a multiple transfer, and when no branch is taken.
    pub cycles: Cost,
    /// Cycles for each register or word of a multiple transfer.
    pub each: i64,
    /// Additional cycles when the branch is taken.
    pub taken: Cost,
}

/// The model of the effects of neighbouring instructions, with its parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rules {
    /// Cortex-M0 and M0+: instructions do not overlap.
    Plain,
    /// Cortex-M3 and M4: three stages, see [`m4`](self).
    ThreeStages {
        /// True if a load that writes its base back can be pipelined after another load (M4).
        writeback_chains: bool,
    },
    /// Cortex-M33: late results, and branches issued along with the instruction before them.
    Latencies,
    /// Cortex-M7: two instructions at a time, late results, predicted branches.
    TwoAtATime,
    /// Cortex-M55: as M33, and vector instructions in two beats.
    Beats,
}

/// Costs of a core.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The core's full name.
    pub name: &'static str,
    /// Source of the figures.
    pub source: &'static str,
    /// Error of estimates of whole programs, in percent, and the validation that it is from.
    pub error: (f64, &'static str),
    /// True if the model is coarse.
    pub experimental: bool,
    /// Costs by kind of instruction.
    pub rows: &'static [&'static [Row]],
    /// Effects of neighbouring instructions.
    pub rules: Rules,
    /// Additional cycles when a taken branch leads to an instruction of 32 bits that crosses a word's end.
    pub unaligned_target: i64,
}

impl Table {
    /// Row of a kind of instruction, if the core has it.
    pub fn row(&self, class: Class) -> Option<&'static Row> {
        self.rows.iter().flat_map(|rows| rows.iter()).find(|row| row.class == class)
    }
}

/// A core with a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Core {
    M0,
    M0Plus,
    M3,
    M4,
    M7,
    M33,
    M55,
}

impl Core {
    /// All cores.
    pub const ALL: [Core; 7] = [Core::M0, Core::M0Plus, Core::M3, Core::M4, Core::M7, Core::M33, Core::M55];

    /// Short name of the core, for `--core`.
    pub fn name(self) -> &'static str {
        match self {
            Core::M0 => "m0",
            Core::M0Plus => "m0plus",
            Core::M3 => "m3",
            Core::M4 => "m4",
            Core::M7 => "m7",
            Core::M33 => "m33",
            Core::M55 => "m55",
        }
    }

    /// The core with a short name or a compiler's name.
    pub fn find(name: &str) -> Option<Core> {
        let short = name.strip_prefix("cortex-").unwrap_or(name);
        Core::ALL.into_iter().find(|core| core.name() == short)
    }

    /// Costs of the core's instructions.
    pub fn table(self) -> &'static Table {
        match self {
            Core::M0 => &m0::M0,
            Core::M0Plus => &m0::M0_PLUS,
            Core::M3 => &m4::M3,
            Core::M4 => &m4::M4,
            Core::M7 => &m7::M7,
            Core::M33 => &m33::M33,
            Core::M55 => &m55::M55,
        }
    }
}

/// A row of fixed cycles.
const fn row(class: Class, cycles: i64) -> Row {
    Row { class, cycles: Cost::exactly(cycles), each: 0, taken: Cost::exactly(0) }
}

/// A row of cycles in a range.
const fn varies(class: Class, low: i64, est: i64, high: i64) -> Row {
    Row { class, cycles: Cost::range(low, est, high), each: 0, taken: Cost::exactly(0) }
}

/// A row of a multiple transfer: `cycles`, and one for each register.
const fn multiple(class: Class, cycles: i64) -> Row {
    Row { class, cycles: Cost::exactly(cycles), each: 1, taken: Cost::exactly(0) }
}

/// A row of a branch: `cycles` when it is not taken, and `taken` more when it is.
const fn branch(class: Class, cycles: i64, taken: Cost) -> Row {
    Row { class, cycles: Cost::exactly(cycles), each: 0, taken }
}

#[cfg(test)]
mod tests {
    use super::Core;

    #[test]
    fn every_class_has_at_most_one_row() {
        for core in Core::ALL {
            let table = core.table();
            let mut classes: Vec<_> = table.rows.iter().flat_map(|rows| rows.iter().map(|row| row.class)).collect();
            let rows = classes.len();
            classes.sort();
            classes.dedup();
            assert_eq!(classes.len(), rows, "{}", table.name);
        }
    }

    #[test]
    fn ranges_hold_what_is_typical() {
        for core in Core::ALL {
            for row in core.table().rows.iter().flat_map(|rows| rows.iter()) {
                for cost in [row.cycles, row.taken] {
                    assert!(cost.low <= cost.est && cost.est <= cost.high, "{} {:?}", core.name(), row.class);
                }
            }
        }
    }

    #[test]
    fn cores_are_found_by_both_names() {
        for core in Core::ALL {
            assert_eq!(Core::find(core.name()), Some(core));
            assert_eq!(Core::find(&format!("cortex-{}", core.name())), Some(core));
        }
        assert_eq!(Core::find("m1"), None);
    }
}
