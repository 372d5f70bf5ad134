//! Report of an estimate: totals, and sums by symbol and by kind of instruction.

use crate::cores::{Cost, Table};
use crate::decode::Class;
use crate::estimate::Estimate;
use crate::program::Program;
use serde::Serialize;
use std::collections::BTreeMap;

/// Instructions and cycles of a symbol or a kind of instruction.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Share {
    /// The symbol, or the kind.
    pub name: String,
    /// Executed instructions, exact.
    pub instructions: u64,
    /// Cycles, estimated.
    pub cycles: Cost,
}

/// Instructions and cycles of a part of a program.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// Executed instructions, exact.
    pub instructions: u64,
    /// Cycles, estimated. The range is that of costs that depend on operands or that of the model's known error, whichever is
    /// wider.
    pub cycles: Cost,
    /// Sums by symbol, the most cycles first.
    pub symbols: Vec<Share>,
    /// Sums by kind of instruction, the most cycles first.
    pub classes: Vec<Share>,
}

/// Name for addresses without a symbol.
const UNKNOWN: &str = "(no symbol)";

impl Report {
    /// Sums an estimate.
    pub fn new(estimate: &Estimate, program: &Program, table: &Table) -> Report {
        let mut symbols: BTreeMap<&str, (u64, Cost)> = BTreeMap::new();
        let mut classes: BTreeMap<Class, (u64, Cost)> = BTreeMap::new();
        for (&address, line) in &estimate.lines {
            let name = program.function(address).map_or(UNKNOWN, |function| function.name.as_str());
            for sum in [symbols.entry(name).or_default(), classes.entry(line.class).or_default()] {
                sum.0 += line.count;
                sum.1 += line.cycles;
            }
        }
        let (instructions, cycles) = estimate.sum(|_| true);
        let classes = classes.into_iter().map(|(class, sum)| (format!("{class:?}"), sum));
        Report {
            instructions,
            cycles: band(cycles, table),
            symbols: sorted(symbols.into_iter().map(|(name, sum)| (name.to_string(), sum)), table),
            classes: sorted(classes, table),
        }
    }
}

/// Widens a range to the model's known error.
fn band(cycles: Cost, table: &Table) -> Cost {
    let error = cycles.est as f64 * table.error.0 / 100.0;
    let (low, high) = ((cycles.est as f64 - error) as i64, (cycles.est as f64 + error) as i64);
    Cost { low: cycles.low.min(low), est: cycles.est, high: cycles.high.max(high) }
}

fn sorted(sums: impl Iterator<Item = (String, (u64, Cost))>, table: &Table) -> Vec<Share> {
    let share = |(name, (instructions, cycles))| Share { name, instructions, cycles: band(cycles, table) };
    let mut shares: Vec<Share> = sums.map(share).collect();
    // Ties by name, so that two runs print the same.
    shares.sort_by(|a, b| b.cycles.est.cmp(&a.cycles.est).then_with(|| a.name.cmp(&b.name)));
    shares
}
