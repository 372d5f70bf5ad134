//! Sequences of instructions with cycles from the manuals, compared with the estimate.
//!
//! ```text
//! boards/bench/sequences/*.s ──► ELF: counted code, and the manual's figures as symbols ──┐
//!                            └─► QEMU with the plugin ──► Estimate of each sequence ──────┴─► equal or not
//! ```

use super::plugin;
use crate::cores;
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSymbol};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use thumbformer_cli::stdout::stdout;
use thumbformer_cycles::cores::Cost;
use thumbformer_cycles::decode::Class;
use thumbformer_cycles::{Core, Flash, estimate};

/// Cores whose tables are from manuals or measurements of single instructions, with the program that has their sequences.
const PROGRAMS: [(cores::Core, &[Core]); 4] = [
    (cores::Core::M0Plus, &[Core::M0, Core::M0Plus]),
    (cores::Core::M3, &[Core::M3]),
    (cores::Core::M4, &[Core::M4]),
    (cores::Core::M33, &[Core::M33]),
];

/// A sequence on a core.
pub struct Sequence {
    /// The core whose table is used.
    pub core: Core,
    /// Name of the sequence in the file.
    pub name: String,
    /// The manual's figure; both ends are equal where it gives no range.
    pub manual: Cost,
    /// The estimate, with a range where the manual gives one.
    pub estimate: Cost,
}

impl Sequence {
    /// True if the estimate is the manual's figure.
    pub fn is_exact(&self) -> bool {
        self.manual == self.estimate
    }
}

/// Prints all sequences.
///
/// # Errors
/// When one is not exact, or a row of a table is in none.
pub fn print() -> Result<()> {
    let sequences = sequences()?;
    writeln!(stdout(), "core    sequence                     manual    est.")?;
    for Sequence { core, name, manual, estimate } in &sequences {
        writeln!(stdout(), "{:<7} {name:<26} {:>8} {:>7}", core.name(), cycles(*manual), cycles(*estimate))?;
    }
    writeln!(stdout(), "{}", check(&sequences)?)?;
    Ok(())
}

/// Cycles as text: `7`, or `7 (2-12)`.
fn cycles(Cost { low, est, high }: Cost) -> String {
    if low == high { est.to_string() } else { format!("{est} ({low}-{high})") }
}

/// Checks that all sequences are exact; returns their number.
///
/// # Errors
/// With the sequences that are not.
pub fn check(sequences: &[Sequence]) -> Result<String> {
    let wrong: Vec<String> = sequences
        .iter()
        .filter(|sequence| !sequence.is_exact())
        .map(|Sequence { core, name, manual, estimate }| {
            format!("{} {name}: the manual has {}, estimated {}", core.name(), cycles(*manual), cycles(*estimate))
        })
        .collect();
    ensure!(wrong.is_empty(), "{} sequences are not exact:\n{}", wrong.len(), wrong.join("\n"));
    let count = |core: Core| sequences.iter().filter(|sequence| sequence.core == core).count();
    let cores = PROGRAMS.iter().flat_map(|(_, cores)| cores.iter());
    let counts: Vec<String> = cores.map(|core| format!("{} {}", core.name(), count(*core))).collect();
    Ok(format!("every row of these tables is in a sequence, and all sequences are exact: {}", counts.join(", ")))
}

/// Runs the sequences on every core that has them.
///
/// # Errors
/// When they cannot be built or run, or a row of a table is in none.
pub fn sequences() -> Result<Vec<Sequence>> {
    let mut all = Vec::new();
    for (machine, cores) in PROGRAMS {
        let board = machine.board()?;
        let elf = board.build_program(&setup::ensure(&board.target)?, "sequences")?;
        let symbols = symbols(&std::fs::read(&elf)?).with_context(|| format!("{}", elf.display()))?;
        let (trace, output) = plugin::run(&board, &elf, &[], &[])?;
        ensure!(output.exit == 0, "the sequences on {} ended with exit code {}", machine.name(), output.exit);
        let part = trace.parts.get(&1).context("the plugin counted nothing")?;
        for &core in cores {
            let estimate = estimate(part, core.table(), Flash::NONE);
            let mut seen = BTreeSet::new();
            for (name, manual) in manual(&symbols, core) {
                let address = |kind: &str| symbols.get(&format!("{kind}.{name}")).copied();
                let ends = address("sequence").zip(address("end")).with_context(|| format!("no code of {name}"))?;
                let inside = |address: u32| (ends.0..ends.1).contains(&address);
                let (count, cycles) = estimate.sum(inside);
                ensure!(count > 0, "{}: the sequence {name} was not executed", core.name());
                seen.extend(estimate.lines.iter().filter(|(at, _)| inside(**at)).map(|(_, line)| line.class));
                let range = manual.low != manual.high;
                let estimate = if range { cycles } else { Cost::exactly(cycles.est) };
                all.push(Sequence { core, name, manual, estimate });
            }
            every_row(core, &seen)?;
        }
    }
    Ok(all)
}

/// Addresses and figures by name.
fn symbols(elf: &[u8]) -> Result<BTreeMap<String, u32>> {
    let file = object::File::parse(elf)?;
    let named = file.symbols().filter_map(|symbol| Some((symbol.name().ok()?.to_string(), symbol.address() as u32)));
    Ok(named.collect())
}

/// The manual's figures for a core.
fn manual(symbols: &BTreeMap<String, u32>, core: Core) -> Vec<(String, Cost)> {
    let prefix = format!("cycles.{}.", core.name());
    let figure = |kind: &str, name: &str| symbols.get(&format!("{kind}.{}.{name}", core.name())).copied();
    let names = symbols.iter().filter_map(|(symbol, est)| Some((symbol.strip_prefix(&prefix)?, *est)));
    let sequence = |(name, est): (&str, u32)| {
        let [low, high] = ["low", "high"].map(|kind| figure(kind, name).unwrap_or(est).into());
        (name.to_string(), Cost { low, est: est.into(), high })
    };
    names.map(sequence).collect()
}

/// Checks that every row of a table was executed in a sequence.
fn every_row(core: Core, seen: &BTreeSet<Class>) -> Result<()> {
    let rows = core.table().rows.iter().flat_map(|rows| rows.iter().map(|row| row.class));
    let missing: Vec<String> = rows.filter(|class| !seen.contains(class)).map(|class| format!("{class:?}")).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("{}: no sequence has the rows {}: add one to boards/bench/sequences", core.name(), missing.join(", "))
}
