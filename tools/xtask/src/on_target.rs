//! Tests of `boards/on-target` on every emulated core, as `probe-rs run` runs them on a board: `cargo xtask test on-target`.
//!
//! ```text
//! ELF ──► symbols of section .embedded_test: name, entry ──► QEMU, once for each: `run_addr ENTRY` ──► exit code, log ──► figures
//! ```

use crate::cores::Core;
use crate::emulator;
use crate::figures::{self, Figures};
use crate::firmware::Board;
use crate::parallel::each;
use crate::results::thousands;
use crate::setup::{self, Toolchain};
use crate::shell::{in_path, root};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use object::{Object, ObjectSection, ObjectSymbol};
use serde::Deserialize;
use std::collections::BTreeMap;
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

impl Test {
    /// True of a test whose stack overflows.
    fn overflows(&self) -> bool {
        self.name.contains("overflow_")
    }
}

/// Runs all tests on all cores; returns the number that passed, and the figures of the log.
///
/// # Errors
/// When one failed, with its log, or when a figure is not the recorded one.
pub fn check() -> Result<String> {
    let (text, figures) = run_all()?;
    figures::compare(&figures)?;
    let figures: Vec<String> = figures.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    Ok(format!("{text}; {}", figures.join(", ")))
}

/// Figures of all tests on all cores.
///
/// # Errors
/// When a test failed, with its log.
pub fn figures() -> Result<Figures> {
    Ok(run_all()?.1)
}

fn run_all() -> Result<(String, Figures)> {
    let cores = Core::value_variants();
    let mut results = each(cores, |&core| check_board(&core.name(), &board(core)?, |_| true))?;
    // After the others: its program has the M55's name.
    results.push(check_board("m55 by simd", &on_simd()?, |_| true)?);
    // The M0 has neither room for all tests nor an MPU.
    results.push(check_board("m0", &on_m0()?, Test::overflows)?);
    let passed: usize = results.iter().map(|result| result.passed).sum();
    let failures: Vec<&str> = results.iter().flat_map(|result| &result.failures).map(String::as_str).collect();
    ensure!(failures.is_empty(), "{passed} passed, {} failed:\n{}", failures.len(), failures.join("\n"));
    let mut sums = BTreeMap::<&str, u64>::new();
    for (name, value) in results.iter().flat_map(|result| &result.figures) {
        *sums.entry(name).or_default() += value;
    }
    let figures = sums.into_iter().map(|(name, sum)| (name.into(), thousands(sum as u32))).collect();
    Ok((
        format!("{passed} tests on {} cores, on the M55 by `simd`, and overflows of the stack on the M0", cores.len()),
        figures,
    ))
}

/// Results of all tests on one core.
#[derive(Default)]
struct OfCore {
    passed: usize,
    /// Messages of those that did not.
    failures: Vec<String>,
    /// Lines of the log that are figures.
    figures: Vec<(String, u64)>,
}

/// Runs these tests, built for one core.
fn check_board(name: &str, board: &Board, wanted: fn(&Test) -> bool) -> Result<OfCore> {
    let mut results = OfCore::default();
    let elf = board.build_program(&setup::ensure(&board.target)?, "on-target")?;
    let tests = listed(&std::fs::read(&elf)?).with_context(|| format!("{}", elf.display()))?;
    for test in tests.iter().filter(|test| !test.ignored && wanted(test)) {
        match run(board, &elf, test) {
            Ok(log) => {
                results.passed += 1;
                results.figures.extend(log.iter().filter_map(|line| figure(line)));
            }
            Err(error) => results.failures.push(format!("{} on {}: {error:#}", test.name, name)),
        }
    }
    Ok(results)
}

/// `figure preemptions: 2000`.
fn figure(line: &str) -> Option<(String, u64)> {
    let (name, value) = line.strip_prefix("figure ")?.split_once(": ")?;
    Some((name.into(), value.parse().ok()?))
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
        match result {
            Ok(log) => log.iter().try_for_each(|line| writeln!(stdout(), "  {line}"))?,
            Err(error) => {
                writeln!(stdout(), "  {error:#}")?;
                failed += 1;
            }
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

/// The tests as they are built for the emulated board with an M0.
fn on_m0() -> Result<Board> {
    let boards = board_manifest::all(&root().join("boards"))?;
    let m0 = boards.into_iter().find(|board| board.is_emulated() && board.cpu == "cortex-m0");
    let mut m0 = Board::from(m0.context("no emulated board has a cortex-m0: boards/README.md")?);
    m0.build.variables.push(("THUMBFORMER_BOARD", m0.name));
    Ok(Board { name: "run_addr".into(), folder: root().join("boards/on-target"), ..m0 })
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

/// Runs a test on a machine that was just reset; returns its log.
fn run(board: &Board, elf: &Path, test: &Test) -> Result<Vec<String>> {
    let run = emulator::run(board, elf, &[test.entry.to_string()], |_| ())?;
    match test.overflows() {
        true => judge_overflow(&board.target, run.exit, &run.log)?,
        false => judge(test.should_panic, run.exit, &run.log)?,
    }
    Ok(run.log)
}

/// Judges the end of a program whose stack overflows: it failed, said so by the sign that its core has, and changed no variable.
fn judge_overflow(target: &str, exit: i32, log: &[String]) -> Result<()> {
    let signs: &[&str] = match target {
        target if target.starts_with("thumbv8m.main") => &["it passed MSPLIM"],
        // The M0+ of the emulator is an M3, the M0 has no CFSR.
        target if target.starts_with("thumbv6m") => {
            &["no frame could be stored", "it is at or below the end of its region"]
        }
        _ => &["no frame could be stored"],
    };
    let said = log
        .iter()
        .any(|line| line.starts_with("the stack overflowed: ") && signs.iter().any(|sign| line.contains(sign)));
    let canaries: Vec<&String> = log.iter().filter(|line| line.starts_with("canary ")).collect();
    let kept = matches!(canaries[..], [before, after] if before == after);
    ensure!(
        exit != 0 && said && kept,
        "expected a failure, the message of an overflow ({}) and the canary as before, found exit code {exit} and the log\n  {}",
        signs.join(", or "),
        log.join("\n  ")
    );
    Ok(())
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
    use super::{figure, judge, judge_overflow};

    #[test]
    fn a_figure_is_a_line_of_its_own_kind() {
        assert_eq!(figure("figure preemptions: 2000"), Some(("preemptions".into(), 2000)));
        for line in ["preemptions: 2000", "figure preemptions", "figure preemptions: none"] {
            assert_eq!(figure(line), None, "{line}");
        }
    }

    #[test]
    fn an_overflow_passes_by_its_message_and_the_canary() {
        let message = "the stack overflowed: its pointer was 0x1fffff28, no frame could be stored; its region";
        let (canary, other, target) = ("canary crc32 01", "canary crc32 02", "thumbv7m-none-eabi");
        let table: [(&str, i32, &[&str], bool); 6] = [
            (target, 134, &[canary, message, canary], true),
            (target, 0, &[canary, message, canary], false),
            (target, 134, &[canary, "hard fault at 0x0", canary], false),
            (target, 134, &[canary, message, other], false),
            (target, 134, &[canary, message], false),
            ("thumbv8m.main-none-eabihf", 134, &[canary, message, canary], false),
        ];
        for (target, exit, log, expected) in table {
            let log: Vec<String> = log.iter().map(ToString::to_string).collect();
            assert_eq!(judge_overflow(target, exit, &log).is_ok(), expected, "{target} {exit} {log:?}");
        }
    }

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
