//! Validation of estimates with published measurements: Embench's kernels and CoreMark, built by the reader.
//!
//! ```text
//! folder of ELF files ──► QEMU with the plugin ──► Estimate ──┐
//! tools/cycles/validation/*.tsv: published figures ───────────┴─► ratios, mean and worst error
//! ```

use super::plugin;
use super::subject::{self, WHOLE};
use crate::cores::Core;
use crate::shell::root;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::io::Write;
use std::path::Path;
use thumbformer_cli::stdout::stdout;
use thumbformer_cycles::cores::Cost;
use thumbformer_cycles::{Flash, estimate};

/// Limits of the mean and the largest error on M4, in percent.
const BOUNDS: (f64, f64) = (5.0, 15.0);
/// Iterations of each CoreMark program, as in `coremark.sh`.
const ITERATIONS: f64 = 10.0;

/// A program with published measurements.
struct Published {
    file: String,
    core: Core,
    /// Thousands of cycles, or CoreMark/MHz.
    figure: f64,
    /// Source of the figure.
    note: String,
}

/// Prints the errors of the estimates for the programs of a folder that are in the published tables.
///
/// # Errors
/// When the folder has none, one cannot be run, or M4 is out of its limits.
pub fn print(folder: &Path) -> Result<()> {
    let kernels = embench(folder)?;
    let marks = coremark(folder)?;
    ensure!(
        kernels + marks > 0,
        "{}: none of the published programs is there; docs/cycles.md says how they are built",
        folder.display()
    );
    Ok(())
}

/// The rows of a table of published figures.
fn published(name: &str, row: impl Fn(&[&str]) -> Option<Published>) -> Result<Vec<Published>> {
    let file = root().join("tools/cycles/validation").join(name);
    let text = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let rows =
        lines.map(|line| row(&line.split('\t').collect::<Vec<_>>()).with_context(|| format!("{name}: {line:?}")));
    rows.collect()
}

/// Instructions and cycles of a program between two of its functions; `None` when it is not in the folder.
fn measure(folder: &Path, row: &Published, start: &str, stop: &str) -> Result<Option<(u64, Cost)>> {
    let elf = folder.join(format!("{}.elf", row.file));
    if !elf.is_file() {
        return Ok(None);
    }
    let subject = subject::program(row.core, &elf, Some(start), Some(stop))?;
    let (trace, output) = plugin::run(&subject.board, &elf, &[], &subject.marks())?;
    ensure!(output.exit == 0, "{}: exit code {}: it computed something wrong", elf.display(), output.exit);
    let part = trace.parts.get(&WHOLE).with_context(|| format!("{}: nothing between the marks", elf.display()))?;
    Ok(Some(estimate(part, subject.core.table(), Flash::NONE).sum(|_| true)))
}

fn embench(folder: &Path) -> Result<usize> {
    let rows = published("embench-stm32f407.tsv", |words| {
        let [file, figure] = *words else { return None };
        Some(Published { file: file.into(), core: Core::M4, figure: figure.parse().ok()?, note: String::new() })
    })?;
    writeln!(stdout(), "Embench 2.0, Cortex-M4    instructions est. cycles   measured  ratio est.")?;
    let mut errors = Vec::new();
    for row in &rows {
        let Some((instructions, cycles)) = measure(folder, row, "start_trigger", "stop_trigger")? else { continue };
        let measured = 1000.0 * row.figure;
        let ratio = cycles.est as f64 / measured;
        writeln!(stdout(), "{:<25} {instructions:>12} {:>11} {measured:>10} {ratio:>6.3}", row.file, cycles.est)?;
        errors.push(100.0 * (ratio - 1.0).abs());
    }
    if errors.is_empty() {
        writeln!(stdout(), "(no program in the folder)")?;
        return Ok(0);
    }
    let (mean, worst) =
        (errors.iter().sum::<f64>() / errors.len() as f64, errors.iter().fold(0.0_f64, |a, b| a.max(*b)));
    writeln!(stdout(), "{} programs: mean error {mean:.1} %, worst {worst:.1} %\n", errors.len())?;
    ensure!(
        mean <= BOUNDS.0 && worst <= BOUNDS.1,
        "out of bounds, which are {} % and {} %: is it the compiler that docs/cycles.md names?",
        BOUNDS.0,
        BOUNDS.1
    );
    Ok(errors.len())
}

fn coremark(folder: &Path) -> Result<usize> {
    let rows = published("coremark.tsv", |words| {
        let [file, core, figure, compiler, source] = *words else { return None };
        let (file, figure, note) = (file.into(), figure.parse().ok()?, format!("{compiler}; {source}"));
        Some(Published { file, core: Core::from_str(core, false).ok()?, figure, note })
    })?;
    writeln!(stdout(), "CoreMark        cycles est. per MHz est. measured  ratio est.  measured with; where")?;
    let mut found = 0;
    for row in &rows {
        let Some((_, cycles)) = measure(folder, row, "start_time", "stop_time")? else { continue };
        let each = cycles.est as f64 / ITERATIONS;
        let per_mhz = 1e6 / each;
        // A ratio of cycles, as above.
        let ratio = row.figure / per_mhz;
        writeln!(
            stdout(),
            "{:<15} {each:>11.0} {per_mhz:>12.3} {:>8} {ratio:>11.3}  {}",
            row.file,
            row.figure,
            row.note
        )?;
        found += 1;
    }
    if found == 0 {
        writeln!(stdout(), "(no program in the folder)")?;
    }
    Ok(found)
}
