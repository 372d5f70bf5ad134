//! Tests of `boards/on-target` on every emulated core, as `probe-rs run` runs them on a board: `cargo xtask test on-target`.
//!
//! ```text
//! ELF ──► symbols of section .embedded_test: name, entry ──► QEMU, once for each: `run_addr ENTRY` ──► exit code, log
//! ```

use crate::cores::Core;
use crate::emulator;
use crate::firmware::Board;
use crate::parallel::each;
use crate::setup::{self, Toolchain};
use crate::shell::{in_path, root};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use object::{Object, ObjectSection, ObjectSymbol};
use serde::Deserialize;
use std::io::Write;
use std::path::Path;
use thumbformer_cli::stdout::stdout;

/// Supported version of `embedded-test`'s protocol.
const PROTOCOL: u32 = 1;

/// A test, as `embedded-test` describes it in the name of a symbol.
#[derive(Debug, Deserialize)]
struct Test {
    name: String,
    ignored: bool,
    should_panic: bool,
    /// Address of the function that runs it.
    #[serde(skip)]
    entry: u32,
}

/// Runs all tests on all cores; returns the number that passed.
///
/// # Errors
/// When one failed, with its log.
pub fn check() -> Result<String> {
    let cores = Core::value_variants();
    let mut results = each(cores, |&core| check_board(&core.name(), &board(core)?))?;
    // After the others: its program has the M55's name.
    results.push(check_board("m55 by simd", &on_simd()?)?);
    let passed: usize = results.iter().map(|(passed, _)| passed).sum();
    let failures: Vec<String> = results.into_iter().flat_map(|(_, failures)| failures).collect();
    ensure!(failures.is_empty(), "{passed} passed, {} failed:\n{}", failures.len(), failures.join("\n"));
    Ok(format!("{passed} tests on {} cores, and on the M55 by `simd`", cores.len()))
}

/// Runs all tests, built for one core; returns the number that passed, and the messages of the others.
fn check_board(name: &str, board: &Board) -> Result<(usize, Vec<String>)> {
    let (mut passed, mut failures) = (0, Vec::new());
    let elf = board.build_program(&setup::ensure(&board.target)?, "on-target")?;
    let tests = listed(&std::fs::read(&elf)?).with_context(|| format!("{}", elf.display()))?;
    for test in tests.iter().filter(|test| !test.ignored) {
        match run(board, &elf, test) {
            Ok(()) => passed += 1,
            Err(error) => failures.push(format!("{} on {}: {error:#}", test.name, name)),
        }
    }
    Ok((passed, failures))
}

/// Runs all tests on one board: in the emulator where the board is one of its machines, otherwise by the debug probe.
///
/// # Errors
/// When a test failed, or the board cannot be reached.
pub fn on_board(name: &str) -> Result<()> {
    let described = board_manifest::find(&root().join("boards"), name)?;
    let core = Core::of(&described)?;
    if core.emulated()?.name != described.name {
        return by_probe(&described);
    }
    let board = board(core)?;
    let elf = board.build_program(&setup::ensure(&board.target)?, "on-target")?;
    let mut failed = 0;
    for test in listed(&std::fs::read(&elf)?)?.iter().filter(|test| !test.ignored) {
        let result = run(&board, &elf, test);
        writeln!(stdout(), "{}: {}", test.name, if result.is_ok() { "passed" } else { "FAILED" })?;
        if let Err(error) = result {
            writeln!(stdout(), "  {error:#}")?;
            failed += 1;
        }
    }
    ensure!(failed == 0, "{failed} failed");
    Ok(())
}

/// Flashes the tests and runs one after the other by `probe-rs run`, each after a reset.
fn by_probe(board: &board_manifest::Board) -> Result<()> {
    let chip =
        board.chip.as_deref().with_context(|| format!("{} has no core that the tests are built for", board.name))?;
    ensure!(in_path("probe-rs").is_some(), "no probe-rs: `cargo install probe-rs-tools --locked`");
    let feature = match (chip, board.backend.as_str()) {
        ("RP2040", _) => "rtt,rp2040",
        (chip, _) if chip.starts_with("RP235") => "rtt,rp2350",
        _ => "rtt",
    };
    let mut command = crate::shell::cargo();
    command
        .current_dir(root().join("boards/on-target"))
        .args(["run", "--release", "--no-default-features", "--features", feature, "--config"])
        .arg(board.folder.join(".cargo/config.toml"))
        .env("THUMBFORMER_BOARD", &board.name);
    let status = command.status().context("cargo could not be started")?;
    ensure!(status.success(), "probe-rs failed ({status}), its output is above");
    Ok(())
}

/// The tests as they are built for a core, in the memory that its benchmarks have.
fn board(core: Core) -> Result<Board> {
    let board = core.board()?;
    // The first word of the command line is the board's name for other firmware, but the command for `embedded-test`.
    Ok(Board { name: "run_addr".into(), folder: root().join("boards/on-target"), ..board })
}

/// The tests as they are built for the M55 with the backend `simd` forced on it. Unstable features are for the engine alone, whatever
/// compiler is installed; Debian's route has them for all crates.
fn on_simd() -> Result<Board> {
    let mut board = board(Core::M55)?;
    board.build.features.push("portable-simd");
    board.build.variables.push(("THUMBFORMER_BACKEND", "simd".into()));
    if matches!(setup::ensure(&board.target)?, Toolchain::Installed) {
        board.build.variables.push(("RUSTC_BOOTSTRAP", "thumbformer".into()));
    }
    Ok(board)
}

/// The tests in an ELF.
fn listed(elf: &[u8]) -> Result<Vec<Test>> {
    let file = object::File::parse(elf)?;
    let section = file.section_by_name(".embedded_test").context("no section .embedded_test")?;
    let data = section.data()?;
    let word = |address: u64| {
        let offset = usize::try_from(address.checked_sub(section.address())?).ok()?;
        data.get(offset..).and_then(<[u8]>::first_chunk).map(|bytes| u32::from_le_bytes(*bytes))
    };
    let version = file.symbol_by_name("EMBEDDED_TEST_VERSION").and_then(|symbol| word(symbol.address()));
    ensure!(version == Some(PROTOCOL), "embedded-test's protocol: expected version {PROTOCOL}, found {version:?}");
    let mut tests = Vec::new();
    for symbol in file.symbols().filter(|symbol| symbol.section_index() == Some(section.index())) {
        // The section also has the version, whose name is not a description.
        let Ok(test) = serde_json::from_str::<Test>(symbol.name()?) else { continue };
        let entry = word(symbol.address()).with_context(|| format!("{}: no entry", test.name))?;
        tests.push(Test { entry, ..test });
    }
    ensure!(!tests.is_empty(), "no tests");
    Ok(tests)
}

/// Runs a test on a machine that was just reset.
fn run(board: &Board, elf: &Path, test: &Test) -> Result<()> {
    let run = emulator::run(board, elf, &[test.entry.to_string()], |_| ())?;
    judge(test.should_panic, run.exit, &run.log)
}

/// Judges the end of a test. A panic is recognised by the log, as a fault ends with the same exit code.
fn judge(should_panic: bool, exit: i32, log: &[String]) -> Result<()> {
    let panicked = exit != 0 && log.iter().any(|line| line.contains("panicked at"));
    let sound = if should_panic { panicked } else { exit == 0 };
    let expected = if should_panic { "a panic" } else { "exit code 0" };
    ensure!(sound, "expected {expected}, found exit code {exit} and the log\n  {}", log.join("\n  "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn a_test_passes_by_its_end_and_its_log() {
        let (ended, panicked, fault) =
            ("Test exited with () or Ok(..)", "panicked at src/main.rs:9:5", "hard fault at 0x0");
        let table = [
            (false, 0, ended, true),
            (false, 134, panicked, false),
            (false, 134, fault, false),
            (true, 134, panicked, true),
            (true, 134, fault, false),
            (true, 0, ended, false),
        ];
        for (should_panic, exit, log, expected) in table {
            assert_eq!(judge(should_panic, exit, &[log.into()]).is_ok(), expected, "{should_panic} {exit} {log}");
        }
    }
}
