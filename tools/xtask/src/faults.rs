//! Flipped bits during inference, `cargo xtask faults`: a bit of the image, the state or the stack in the emulator, at a random time.
//!
//! ```text
//! boards/bench/faults, first flip ──► QEMU ──► a line for each flip: target, class ─┬─► counts by target and class
//!                                        └─ ends after a flip that it did not survive ─► again, from the next flip on
//! ```

use crate::cores::Core;
use crate::emulator::emulate;
use crate::figures::{self, Figures};
use crate::setup;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Write;
use thumbformer_cli::stdout::stdout;

/// Options of the command.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Core
    #[arg(long, default_value = "m4")]
    core: Core,
    /// Flips, a third of them in each of image, state and stack
    #[arg(long, default_value_t = FLIPS)]
    flips: u32,
}

/// Flips of the check.
const FLIPS: u32 = 1000;
/// Exit codes of the program: it has said what became of a flip, and is not to go on; and those of one that cannot begin.
const UNSOUND: i32 = 7;
const CANNOT_BEGIN: std::ops::RangeInclusive<i32> = 3..=6;
/// Targets, as the program takes turns.
const TARGETS: [&str; 3] = ["image", "state", "stack"];

/// A line that the program prints.
#[derive(Debug, Deserialize)]
struct Line {
    flip: u32,
    class: String,
}

/// Flips by their ends.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Counts {
    /// An error, a fault of the core, a panic.
    found: u64,
    /// No end: a watchdog finds it.
    hung: u64,
    /// Other outputs, and the pass of `Model::check` after them found the bit.
    checked: u64,
    harmless: u64,
    /// Other outputs, and nothing said so.
    silent: u64,
}

impl Counts {
    fn add(&mut self, class: &str) -> Result<()> {
        let count = match class {
            "error" | "fault" | "panic" => &mut self.found,
            "hang" | "lockup" => &mut self.hung,
            "check" => &mut self.checked,
            "harmless" => &mut self.harmless,
            "silent" => &mut self.silent,
            _ => anyhow::bail!("{class}: no class of flips"),
        };
        *count += 1;
        Ok(())
    }
}

/// Runs the campaign and prints a line for each target.
///
/// # Errors
/// A program that cannot be built or run.
pub fn print(options: &Options) -> Result<()> {
    for (target, counts) in run(options.core, options.flips)? {
        let Counts { found, hung, checked, harmless, silent } = counts;
        writeln!(
            stdout(),
            "{target:<6} {found:>4} found at once, {hung:>3} hung, {checked:>4} found by Model::check, {harmless:>4} harmless, \
             {silent:>4} silent"
        )?;
    }
    Ok(())
}

/// Runs the campaign of the M4 and compares the figures.
///
/// # Errors
/// As [`print()`], and a changed bit of the image that changed outputs unseen.
pub fn check() -> Result<String> {
    let found = figures()?;
    figures::compare(&found)?;
    Ok(found.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", "))
}

/// Figures of the campaign of the M4.
///
/// # Errors
/// As [`check`].
pub fn figures() -> Result<Figures> {
    let mut all = Figures::new();
    for (target, Counts { found, hung, checked, harmless, silent }) in run(Core::M4, FLIPS)? {
        ensure!(target != "image" || silent == 0, "{silent} flips of the image that Model::check did not find");
        let numbers = [("found", found + hung), ("checked", checked), ("harmless", harmless), ("silent", silent)];
        all.extend(numbers.map(|(name, number)| (format!("flips {target} {name}"), number.to_string())));
    }
    Ok(all)
}

fn run(core: Core, flips: u32) -> Result<BTreeMap<&'static str, Counts>> {
    let board = core.board()?;
    let elf = board.build_program(&setup::ensure(&board.target)?, "faults")?;
    let mut classes = BTreeMap::new();
    let mut first = 0;
    while first < flips {
        let arguments = [first.to_string(), (flips - first).to_string()];
        // Of a core that locks up, QEMU ends itself.
        let (printed, exit) = match emulate(&board, &elf, &arguments, |_| ()) {
            Ok(output) => (String::from_utf8_lossy(&output.console).into_owned(), Some(output.exit)),
            Err(error) if format!("{error:#}").contains("ended by a signal") => (String::new(), None),
            Err(error) => return Err(error),
        };
        let lines = printed.lines().filter(|line| line.starts_with("{\"flip\""));
        for line in lines {
            let line: Line = serde_json::from_str(line).with_context(|| format!("it printed {line:?}"))?;
            classes.insert(line.flip, line.class);
            first = line.flip + 1;
        }
        match exit {
            Some(0) => ensure!(first == flips, "{}: it ended after {first} of {flips} flips", elf.display()),
            Some(UNSOUND) => {}
            Some(code) if CANNOT_BEGIN.contains(&code) => {
                anyhow::bail!("{}: exit code {code}: {printed}", elf.display())
            }
            Some(_) => _ = (classes.insert(first, "panic".into()), first += 1),
            None => _ = (classes.insert(first, "lockup".into()), first += 1),
        }
    }
    let mut all: BTreeMap<&'static str, Counts> = BTreeMap::new();
    for (flip, class) in classes {
        all.entry(TARGETS[flip as usize % TARGETS.len()]).or_default().add(&class)?;
    }
    Ok(all)
}
