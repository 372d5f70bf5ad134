//! Check of the kernels in assembly, `cargo xtask checkasm`: each on every emulated core, called by its address through a wrapper.
//!
//! ```text
//! boards/checkasm ──► QEMU, a seed ──► address of each kernel, calls, errors ─┐
//! its ELF ──► symbols ──► addresses to names ─────────────────────────────────┼─► errors by name; kernels that nothing has called
//! src/arch ──► names of all `unsafe(naked)` functions ────────────────────────┘
//! ```

use crate::cores::Core;
use crate::emulator::emulate;
use crate::figures::{self, Figures};
use crate::firmware::Board;
use crate::parallel::each;
use crate::results::thousands;
use crate::setup;
use crate::shell::root;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use object::{Object, ObjectSymbol};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use thumbformer_cli::stdout::stdout;

/// Options of the command.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Core, may be repeated [default: all]
    #[arg(long = "core")]
    cores: Vec<Core>,
    /// Seconds for each core, with one seed after the other [default: one seed]
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// First seed [default: 1, with --seconds the clock's]
    #[arg(long)]
    seed: Option<u32>,
}

/// Seeds of one run of the emulator.
const ROUNDS: u32 = 8;

/// A line that the program prints.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    address: Option<u64>,
    text: Option<String>,
    calls: u64,
    toys: u64,
    missed: u64,
    methods: u64,
    lengths: u64,
    cases: u64,
}

/// Extent of a core's check.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Report {
    /// Calls of each kernel, by its name.
    kernels: BTreeMap<String, u64>,
    toys: u64,
    methods: u64,
    lengths: u64,
    cases: u64,
}

impl Report {
    fn add(&mut self, other: Report) {
        for (name, calls) in other.kernels {
            *self.kernels.entry(name).or_default() += calls;
        }
        let Report { toys, methods, lengths, cases, .. } = other;
        *self =
            Report { kernels: std::mem::take(&mut self.kernels), toys, methods, lengths, cases: self.cases + cases };
    }

    fn calls(&self) -> u64 {
        self.kernels.values().sum()
    }

    fn line(&self, core: &str) -> String {
        let number = |number: u64| thousands(u32::try_from(number).unwrap_or(u32::MAX));
        format!(
            "{core:<8} {:>2} kernels in {} calls, {} cases of {} methods and {} lengths; {} broken kernels found",
            self.kernels.len(),
            number(self.calls()),
            number(self.cases),
            self.methods,
            self.lengths,
            self.toys
        )
    }
}

/// Runs the check and prints a line for each core.
///
/// # Errors
/// Errors, by the name of the kernel.
pub fn print(options: &Options) -> Result<()> {
    let all = Core::value_variants();
    let cores = if options.cores.is_empty() { all } else { &options.cores };
    let clock = || SystemTime::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_secs() as u32);
    let seed = options.seed.unwrap_or_else(|| if options.seconds > 0 { clock() } else { 1 });
    writeln!(stdout(), "seeds from {seed} on")?;
    let reports = each(cores, |&core| {
        let report = Program::build(core)?.run_for(seed, Duration::from_secs(options.seconds))?;
        writeln!(stdout(), "{}", report.line(&core.name()))?;
        Ok(report)
    })?;
    if cores.len() == all.len() {
        ensure_complete(&reports)?;
    }
    Ok(())
}

/// Runs one seed on all cores.
///
/// # Errors
/// As [`print()`], and when the figures are not the recorded ones.
pub fn check() -> Result<String> {
    let figures = figures()?;
    figures::compare(&figures)?;
    let figure = |name: &str| figures.get(name).map_or("", String::as_str);
    Ok(format!(
        "{} kernels × cores, {} lengths, {} calls; all broken kernels found",
        figure("checkasm kernels"),
        figure("checkasm lengths"),
        figure("checkasm calls")
    ))
}

/// Runs sixteen other seeds on all cores.
///
/// # Errors
/// As [`print()`].
pub fn check_seeds() -> Result<String> {
    let reports = each(Core::value_variants(), |&core| Program::build(core)?.run(2, 2 * ROUNDS))?;
    let cases: u64 = reports.iter().map(|report| report.cases).sum();
    Ok(format!("{cases} cases on {} cores", reports.len()))
}

/// Figures of one seed on all cores.
///
/// # Errors
/// As [`print()`].
pub fn figures() -> Result<Figures> {
    let reports = each(Core::value_variants(), |&core| Program::build(core)?.run(1, 1))?;
    ensure_complete(&reports)?;
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum();
    Ok(figures::of([
        ("checkasm kernels", sum(|report| report.kernels.len() as u64)),
        ("checkasm lengths", reports.first().map_or(0, |report| report.lengths)),
        ("checkasm calls", sum(Report::calls)),
    ]))
}

/// Kernels of the sources that no core has called.
fn ensure_complete(reports: &[Report]) -> Result<()> {
    let called: BTreeSet<&String> = reports.iter().flat_map(|report| report.kernels.keys()).collect();
    let missing: Vec<String> = sources()?.into_iter().filter(|name| !called.contains(name)).collect();
    ensure!(missing.is_empty(), "no case of src/arch/checkasm calls {} by `call!`", missing.join(", "));
    Ok(())
}

/// The program for a core.
struct Program {
    core: Core,
    board: Board,
    elf: PathBuf,
    /// Kernels by their addresses.
    kernels: BTreeMap<u64, String>,
}

/// Builds the program for a core.
///
/// # Errors
/// With the compiler's output.
pub fn build(core: Core) -> Result<(Board, PathBuf)> {
    let board = Board { name: "checkasm".into(), folder: root().join("boards/checkasm"), ..core.board()? };
    let elf = board.build_program(&setup::ensure(&board.target)?, "checkasm")?;
    Ok((board, elf))
}

impl Program {
    fn build(core: Core) -> Result<Program> {
        let (board, elf) = build(core)?;
        let sources = sources()?;
        let bytes = std::fs::read(&elf)?;
        let file = object::File::parse(&*bytes)?;
        let mut kernels = BTreeMap::new();
        for symbol in file.symbols() {
            let name = format!("{:#}", rustc_demangle::demangle(symbol.name().unwrap_or_default()));
            if sources.contains(&name) {
                kernels.insert(symbol.address() & !1, name);
            }
        }
        Ok(Program { core, board, elf, kernels })
    }

    /// Runs seeds until the time is over, at least one.
    fn run_for(&self, mut seed: u32, time: Duration) -> Result<Report> {
        let (begin, mut all) = (Instant::now(), Report::default());
        loop {
            let rounds = if time.is_zero() { 1 } else { ROUNDS };
            all.add(self.run(seed, rounds)?);
            seed = seed.wrapping_add(rounds);
            if begin.elapsed() >= time {
                return Ok(all);
            }
        }
    }

    /// Runs some seeds.
    fn run(&self, seed: u32, rounds: u32) -> Result<Report> {
        let output = emulate(&self.board, &self.elf, &[seed.to_string(), rounds.to_string()], |_| ())?;
        let printed = String::from_utf8_lossy(&output.console);
        self.judge(&printed, output.exit).with_context(|| format!("{} on {}", self.elf.display(), self.core.name()))
    }

    fn judge(&self, printed: &str, exit: i32) -> Result<Report> {
        let (mut report, mut errors) = (Report::default(), Vec::new());
        for line in printed.lines() {
            let line: Line = serde_json::from_str(line).with_context(|| format!("it printed {line:?}"))?;
            let name = line.address.and_then(|address| self.kernels.get(&address));
            match (line.text, name) {
                (Some(text), name) => errors.push(format!("{}: {text}", name.map_or("no kernel", String::as_str))),
                (None, Some(name)) => _ = report.kernels.insert(name.clone(), line.calls),
                (None, None) => {}
            }
            report.toys += line.toys - line.missed.min(line.toys);
            (report.methods, report.lengths) = (line.methods.max(report.methods), line.lengths.max(report.lengths));
            report.cases += line.cases;
        }
        errors.extend(self.kernels.values().filter(|name| !report.kernels.contains_key(*name)).map(|name| {
            format!("{name}: no case of src/arch/checkasm calls it, or the backend calls it without `call!`")
        }));
        if exit != 0 || report.cases == 0 {
            errors.push(format!("it ended with exit code {exit} after {} cases", report.cases));
        }
        if !errors.is_empty() {
            bail!("{}", errors.join("\n"));
        }
        Ok(report)
    }
}

/// Paths of all kernels, as the compiler names them: naked functions of src/arch, those of a macro by its uses.
fn sources() -> Result<BTreeSet<String>> {
    let (arch, mut found) = (root().join("src/arch"), BTreeSet::new());
    let mut folders = vec![arch.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() && path != arch.join("checkasm") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = module(path.strip_prefix(&arch)?);
                found.extend(
                    kernels(&std::fs::read_to_string(&path)?).into_iter().map(|name| format!("{module}::{name}")),
                );
            }
        }
    }
    Ok(found)
}

/// The module of a file of src/arch.
fn module(file: &Path) -> String {
    let parts = file.with_extension("");
    let parts = parts.iter().map(|part| part.to_string_lossy().into_owned()).filter(|part| part != "mod");
    ["thumbformer".to_string(), "arch".to_string()].into_iter().chain(parts).collect::<Vec<_>>().join("::")
}

/// Names of the naked functions of a source file.
fn kernels(source: &str) -> Vec<String> {
    let (mut names, mut makro, mut is_naked) = (Vec::new(), String::new(), false);
    for line in source.lines().map(str::trim) {
        let word =
            |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || "_$".contains(*c)).collect::<String>();
        if let Some(rest) = line.strip_prefix("macro_rules! ") {
            makro = word(rest);
        }
        is_naked |= line.starts_with("#[unsafe(naked)]");
        let Some((_, rest)) = line.split_once("extern \"C\" fn ").filter(|_| is_naked) else { continue };
        is_naked = false;
        match word(rest) {
            name if name.starts_with('$') => {
                let call = format!("\n{makro}!(");
                let uses = source.split(&call).skip(1);
                // After the documentation.
                let first = uses.filter_map(|text| {
                    text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("///"))
                });
                names.extend(first.map(word));
            }
            name => names.push(name),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{Program, kernels, module, sources};
    use crate::cores::Core;
    use std::collections::BTreeMap;
    use std::path::Path;

    #[test]
    fn kernels_are_found_in_the_sources_those_of_macros_too() {
        let text = "#[unsafe(naked)]\nunsafe extern \"C\" fn one(x: u32) {\n}\nextern \"C\" fn other() {}\nmacro_rules! more {\n\
                    ($name:ident) => {\n#[unsafe(naked)]\npub unsafe extern \"C\" fn $name() {}\n};\n}\n\
                    more!(two, 2);\nmore!(\n    /// Words.\n    three, 3\n);\n";
        assert_eq!(kernels(text), ["one", "two", "three"]);
        assert_eq!(module(Path::new("dsp/mod.rs")), "thumbformer::arch::dsp");
        let all = sources().expect("sources");
        for name in
            ["shared::thumb2::sum_chunks", "helium::matrix::one_vector_with_bias", "dsp::scores::four_tokens_32"]
        {
            assert!(all.contains(&format!("thumbformer::arch::{name}")), "{name}: {all:?}");
        }
    }

    #[test]
    fn an_error_a_kernel_without_calls_and_a_bad_end_are_reported() {
        let program = Program {
            core: Core::M4,
            board: Core::M4.board().expect("a board"),
            elf: "checkasm".into(),
            kernels: BTreeMap::from([(16, "first".to_string()), (32, "second".to_string())]),
        };
        let (toys, first, second) =
            (r#"{"toys":3,"missed":0}"#, r#"{"address":16,"calls":5}"#, r#"{"address":32,"calls":6}"#);
        let (end, error) = (r#"{"methods":2,"lengths":3,"cases":4}"#, r#"{"address":32,"text":"r7 is not restored"}"#);
        let report = program.judge(&[toys, first, second, end].join("\n"), 0).expect("nothing is wrong");
        assert_eq!((report.kernels.len(), report.calls(), report.toys, report.cases), (2, 11, 3, 4));
        for (lines, exit, expected) in [
            (&[toys, first, second, end, error][..], 0, "second: r7 is not restored"),
            (&[toys, first, end], 0, "second: no case"),
            (&[toys, first, second], 0, "after 0 cases"),
            (&[toys, first, second, end], 1, "exit code 1"),
            (&[r#"{"text":"clobbers_r4 was missed"}"#, first, second, end], 0, "clobbers_r4 was missed"),
        ] {
            let error = program.judge(&lines.join("\n"), exit).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
