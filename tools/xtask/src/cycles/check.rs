//! Checks of the cycle estimator, for `cargo xtask test cycles`.

use super::subject::{self, EMPTY, Subject, WHOLE};
use super::{Options, POSITION, estimates, plugin, sequences, text};
use crate::cores::Core;
use crate::figures;
use crate::shell::{cargo, output, root};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::path::Path;

/// Limit of instructions for the default language model's token at position 64. Estimates of cycles are printed, never limited.
const LIMITS: [(Core, u64); 2] = [(Core::M4, 550_000), (Core::M33, 550_000)];

/// Checks the plugin and the sequences, and on every core the repeatability and the counts.
///
/// # Errors
/// With the first check that fails.
pub fn check() -> Result<String> {
    let mut verdicts = vec![plugin_tests()?, sequences::check(&sequences::sequences()?)?];
    for &core in Core::value_variants() {
        let subject = subject::model(core, POSITION)?;
        let (first, second) = (text(&subject, &options(core, None))?, text(&subject, &options(core, None))?);
        ensure!(first == second, "{}: two runs print different figures:\n{first}\n{second}", core.name());
        counts_as_systick(core, &subject)?;
    }
    verdicts.push(format!(
        "on {} cores two runs print the same, and the plugin counts as SysTick does, within {MARGIN} instructions",
        Core::value_variants().len()
    ));
    figures::compare(&estimates(POSITION)?)?;
    verdicts.push("the estimates of docs/results.md and docs/cycles.md are as recorded".into());
    verdicts.push(refusals()?);
    Ok(verdicts.join("; "))
}

fn options(core: Core, elf: Option<&Path>) -> Options {
    Options {
        cores: vec![core],
        position: POSITION,
        elf: elf.map(Path::to_path_buf),
        line: 16,
        symbols: 12,
        ..Options::default()
    }
}

/// Instructions by which the plugin and SysTick may differ: each of three readings is rounded to a tick of 0.6 instructions, and
/// the code between the readings and the marks is not exactly the same both times.
const MARGIN: u64 = 4;

/// Tests of the plugin, which is a workspace of its own.
fn plugin_tests() -> Result<String> {
    let plugin = |subcommand: &str, more: &[&str]| {
        let manifest = ["--manifest-path", "tools/cycles-plugin/Cargo.toml", "--target-dir"];
        let mut command = cargo();
        command.arg(subcommand).args(manifest).arg(root().join("target/cycles-plugin")).args(more);
        output(&mut command)
    };
    plugin("test", &[])?;
    if output(cargo().args(["clippy", "--version"])).is_ok() {
        plugin("clippy", &["--all-targets", "--", "-D", "warnings"])?;
    }
    Ok("the plugin's own tests pass".into())
}

/// Compares the plugin's count of a token with that of the guest's timer, which counts instructions under `-icount`.
fn counts_as_systick(core: Core, subject: &Subject) -> Result<()> {
    let (trace, output) = plugin::run(&subject.board, &subject.elf, &subject.arguments, &subject.marks())?;
    let printed = String::from_utf8_lossy(&output.console);
    let timer: u64 = printed.trim().parse().with_context(|| format!("expected a count, found {printed:?}"))?;
    let count = |part: u32| trace.parts.get(&part).map_or(0, |part| part.count());
    // A mark and the call of the next are in both; the timer was compared with an empty pair of marks too.
    let counted = count(WHOLE) - count(EMPTY);
    ensure!(
        counted.abs_diff(timer) <= MARGIN,
        "{}: the plugin counts {counted} instructions, SysTick {timer}: does this QEMU still run a block's end twice after I/O?",
        core.name()
    );
    let of_core = LIMITS.iter().find(|(other, _)| *other == core);
    if let Some((_, limit)) = of_core {
        ensure!(counted <= *limit, "{}: a token takes {counted} instructions, at most {limit}", core.name());
    }
    Ok(())
}

/// Checks that files and names without an estimate are refused.
fn refusals() -> Result<String> {
    let folder = root().join("target/cycles-plugin");
    let text_file = folder.join("no.elf");
    std::fs::write(&text_file, "text")?;
    let stripped = folder.join("stripped.elf");
    let m4 = subject::model(Core::M4, POSITION)?;
    std::fs::write(&stripped, without_symbols(&std::fs::read(&m4.elf)?).context("an ELF file of 32 bits")?)?;
    let refused = [
        (&text_file, None, "not an ELF file"),
        (&stripped, None, "without `strip`"),
        (&m4.elf, Some("mark::tokens"), "no function"),
        (&m4.elf, Some("mark::TOKEN"), "cycles::mark::token"),
    ];
    for (elf, start, expected) in refused {
        let error = match subject::program(Core::M4, elf, start, None) {
            Ok(_) => anyhow::bail!("{} with the mark {start:?} must be refused", elf.display()),
            Err(error) => format!("{error:#}"),
        };
        ensure!(error.contains(expected), "expected {expected:?} in the error, found: {error}");
    }
    Ok("files without symbols and names that are not there are refused with the next step".into())
}

/// A 32-bit ELF file without its section table, so that no symbols are found; its code is not changed.
fn without_symbols(elf: &[u8]) -> Option<Vec<u8>> {
    let mut elf = elf.to_vec();
    // e_shoff, and e_shnum with e_shstrndx behind it.
    elf.get_mut(32..36)?.fill(0);
    elf.get_mut(48..52)?.fill(0);
    Some(elf)
}
