//! Boards, the models that fit them and the sizes of their programs, `cargo xtask board`; and the check that builds every program
//! and runs every emulated one.
//!
//! ```text
//! boards/*/Cargo.toml ──► list: core, clock, flash, RAM, backend, models that fit
//! boards/apps/*.rs    ──► size: flash, static RAM, region of the stack
//!                     ──► run:  lines of JSON from the console of an emulated board
//! ```

use crate::emulator::{Extra, Output, RESULT, emulate, emulate_with};
use crate::figures::{self, Figures};
use crate::firmware::{self, Board};
use crate::flash;
use crate::footprint::{Footprint, build};
use crate::given::Given;
use crate::keywords;
use crate::page;
use crate::panics;
use crate::parallel::each;
use crate::setup;
use crate::shell::{output, root};
use crate::stack::{self, Depths};
use anyhow::{Context, Result, ensure};
use board_manifest::Application;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use thumbformer_cli::stdout::stdout;

/// All boards.
///
/// # Errors
/// When a manifest cannot be read.
pub fn all() -> Result<Vec<board_manifest::Board>> {
    board_manifest::all(&root().join("boards"))
}

/// Prints all boards, as a Markdown table or as one JSON object per line.
///
/// # Errors
/// When a manifest or an image cannot be read.
pub fn list(json: bool) -> Result<()> {
    write!(stdout(), "{}", if json { objects()? } else { table()? })?;
    Ok(())
}

/// A line of JSON for every board.
fn objects() -> Result<String> {
    let mut text = String::new();
    for board in all()? {
        let applications: Vec<&str> = board.applications.iter().map(|application| application.name()).collect();
        let line = serde_json::json!({
            "board": board.name, "core": board.core(), "clock_hz": board.clock_hz, "flash": board.flash.length, "ram": board.ram.length,
            "backend": board.backend, "pack": board.pack, "models": fits(&board)?, "applications": applications,
            "chip": board.chip, "machine": board.machine, "wait_states": board.wait_states, "cache": board.cache,
            "weights": board.weights,
        });
        text += &format!("{line}\n");
    }
    Ok(text)
}

/// The table of boards/README.md.
fn table() -> Result<String> {
    let mut text = String::from(
        "| board | core | clock, MHz | flash, KiB | RAM, KiB | backend, packing | default models (context) | chip, machine |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for board in all()? {
        let runs: Vec<String> = board
            .chip
            .clone()
            .into_iter()
            .chain(board.machine.iter().map(|machine| format!("QEMU {machine}")))
            .collect();
        text += &format!(
            "| {} | {} | {} | {} | {} | {}, {} | {} | {} |\n",
            board.name,
            board.core(),
            f64::from(board.clock_hz) / 1e6,
            board.flash.length / 1024,
            board.ram.length / 1024,
            board.backend,
            board.pack,
            fits(&board)?.join(", "),
            runs.join(", ")
        );
    }
    Ok(text)
}

/// Default models that fit a board, each by itself, a language model with its context.
fn fits(board: &board_manifest::Board) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for model in board_manifest::default_models(&root().join("models"))? {
        let (name, image) = (&model.name, model.image_for(&board.pack)?);
        let text = board_manifest::is_for(&image.model()?, Application::Generate);
        let application = if text { Application::Generate } else { Application::Classify };
        if let Ok(fit) = board_manifest::fit(board, application, &image) {
            found.push(if text { format!("{name} ({})", fit.max_seq) } else { name.clone() });
        }
    }
    Ok(found)
}

/// Programs that a board's manifest must name: those with a model that fits the board.
fn wanted(board: &board_manifest::Board) -> Result<Vec<Application>> {
    let models = root().join("models");
    let mut found = Vec::new();
    for application in Application::ALL {
        let some = match application {
            Application::Generate => {
                let language = firmware::language_model()?.image_for(&board.pack)?;
                board_manifest::fit(board, application, &language).is_ok()
            }
            _ => !board_manifest::models(board, application, &models)?.is_empty(),
        };
        found.extend(some.then_some(application));
    }
    Ok(found)
}

/// Prints the memory that all programs of these boards take, and their stack depths on emulated boards.
///
/// # Errors
/// When one cannot be built.
pub fn size(names: &[String], given: &Given) -> Result<()> {
    writeln!(
        stdout(),
        "| board | program | flash, bytes | static RAM, bytes | region of the stack, bytes | free RAM, bytes | stack of inference, worst case, bytes | stack, painted, bytes |"
    )?;
    writeln!(stdout(), "|---|---|---|---|---|---|---|---|")?;
    for board in named(names)? {
        let mut built = Vec::new();
        if given.model.is_none() {
            built = build(&board, &Board::from(board.clone()), &board.applications)?;
        } else {
            for &application in &board.applications {
                match given.build_for(&board, application) {
                    Ok(buildable) => built.extend(build(&board, &buildable, &[application])?),
                    Err(error) => {
                        writeln!(stdout(), "| {} | {} | {error:#} | | | | | |", board.name, application.name())?;
                    }
                }
            }
        }
        for (application, elf, Footprint { flash, ram, stack, free }) in built {
            let painted = if board.is_emulated() {
                let output = emulate(&Board::from(board.clone()), &elf, &[], |_| ())?;
                stack::painted(&board.name, &output)?.to_string()
            } else {
                "not emulated".into()
            };
            let (name, worst) = (application.name(), thumbformer_machine_code::worst(&elf)?.total());
            writeln!(
                stdout(),
                "| {} | {name} | {flash} | {ram} | {stack} | {free} | {worst} | {painted} |",
                board.name
            )?;
        }
    }
    Ok(())
}

/// The boards with these names, or all.
fn named(names: &[String]) -> Result<Vec<board_manifest::Board>> {
    match names {
        [] => all(),
        names => names.iter().map(|name| board_manifest::find(&root().join("boards"), name)).collect(),
    }
}

/// Runs a program of an emulated board and prints its output.
///
/// # Errors
/// When it cannot be built or run, or ends with a code other than 0.
pub fn run(name: &str, application: &str, given: &Given, arguments: &[String], serial: Option<&Path>) -> Result<()> {
    let board = board_manifest::find(&root().join("boards"), name)?;
    let wanted = flash::application(&board, Some(application))?;
    ensure!(board.is_emulated(), "{name} is not in the emulator: `cargo xtask flash {name} {application}`");
    let board = given.build_for(&board, wanted)?;
    let elf = board.build_program(&setup::ensure(&board.target)?, application)?;
    let mut written = Ok(());
    let Output { exit, .. } = emulate_with(&board, &elf, arguments, &Extra { serial, options: &[] }, |text| {
        if written.is_ok() {
            written = stdout().write_all(text).and_then(|()| stdout().flush());
        }
    })?;
    written?;
    ensure!(exit == 0, "{application} on {name} ended with exit code {exit}");
    Ok(())
}

/// Results on a program's console, without the text between them.
///
/// # Errors
/// When it cannot be run, ends with a code other than 0, or has no result.
pub fn results<T: for<'d> Deserialize<'d>>(board: &Board, elf: &Path, arguments: &[String]) -> Result<Vec<T>> {
    let output = emulate(board, elf, arguments, |_| ())?;
    parse(&board.name, elf, &output)
}

/// Results of a program that has run.
///
/// # Errors
/// When it ended with a code other than 0, or has no result.
pub fn parse<T: for<'d> Deserialize<'d>>(board: &str, elf: &Path, output: &Output) -> Result<Vec<T>> {
    let text = String::from_utf8_lossy(&output.uart);
    let program = elf.file_name().unwrap_or_default().to_string_lossy();
    ensure!(output.exit == 0, "{program} on {board} ended with exit code {}: {text}", output.exit);
    let lines = text.lines().filter(|line| line.starts_with(RESULT) && !line.starts_with(stack::LINE));
    let results: Vec<T> = lines
        .map(|line| serde_json::from_str(line).with_context(|| format!("{program} on {board} printed {line:?}")))
        .collect::<Result<_>>()?;
    ensure!(!results.is_empty(), "{program} on {board} had no result: {text:?}");
    Ok(results)
}

/// Builds every program of the emulated boards, runs it, and compares the results of all; of a real board its first program, as
/// [`check_chips`] builds the others.
///
/// # Errors
/// When a program cannot be built, does not fit, or computes a different result than the host.
pub fn check() -> Result<String> {
    let mut verified = Verified::new()?;
    let readme = std::fs::read_to_string(root().join("boards/README.md"))?;
    ensure!(
        readme.contains(&table()?),
        "boards/README.md: its table is old; replace it by that of `cargo xtask board list`"
    );
    let boards = all()?;
    let first = |board: &board_manifest::Board| match board.is_emulated() {
        true => board.applications.clone(),
        false => board.applications.iter().copied().take(1).collect(),
    };
    let (checked, depths) = check_all(&boards, first)?;
    for (board, Checked { results, programs }) in boards.iter().zip(&checked) {
        for result in results {
            verified.add(board, result)?;
        }
        // What emulated boards painted over, every board of their core must have room for; and the worst case of its own code.
        for &Program { program, region, worst, .. } in programs {
            stack::holds(&board.name, program.0, region, worst, depths.of(board, program)?)?;
        }
    }
    let programs = || checked.iter().flat_map(|checked| &checked.programs);
    figures::compare(&programs().flat_map(|program| program.figures.clone()).collect())?;
    let verified = verified.summary()?;
    Ok(format!(
        "{} boards, {} programs built, {} run in emulation, none of their {} calls of inference to a panic or an allocator; {verified}",
        boards.len(),
        programs().count(),
        programs().filter(|program| program.painted.is_some()).count(),
        programs().map(|program| program.calls).sum::<usize>()
    ))
}

/// Checks every program of every real board against its chip as probe-rs describes it, with the stack that was painted in emulation;
/// and prints the sizes, and what would be flashed, of the image of docs/your-model.md on one of them.
///
/// # Errors
/// When a program cannot be built or does not fit the chip.
pub fn check_chips() -> Result<String> {
    let boards = all()?;
    let (checked, depths) = check_all(&boards, |board| board.applications.clone())?;
    let mut chips = 0;
    for (board, Checked { programs, .. }) in boards.iter().zip(&checked) {
        let Some(chip) = &board.chip else { continue };
        chips += 1;
        for Program { program, elf, worst, .. } in programs {
            let stack = depths.of(board, *program)?.max(*worst).to_string();
            output(flash::probe().args(["check", "--chip", chip, "--stack", &stack]).arg(elf))
                .with_context(|| format!("{}: {:?} does not fit its chip", board.name, program.0))?;
        }
    }
    // The board of docs/your-model.md.
    let name = "stm32f405".to_string();
    let given = page::given(&name)?;
    size(std::slice::from_ref(&name), &given)?;
    flash::dry_run(&flash::Program {
        name: name.clone(),
        application: Some(Application::Classify.name().into()),
        given,
    })?;
    for name in KEYWORD_BOARDS {
        let pack = board_manifest::find(&root().join("boards"), name)?.pack;
        for (model, _) in keywords::MODELS {
            flash::dry_run(&flash::Program {
                name: name.into(),
                application: Some(Application::Classify.name().into()),
                given: keywords::given(model, &pack)?,
            })?;
        }
    }
    Ok(format!(
        "the programs of {chips} chips as probe-rs describes these; the image of docs/your-model.md on {name}, keyword models on {}",
        KEYWORD_BOARDS.join(", ")
    ))
}

/// Real boards that get the keyword models: an M4 and an M0+.
const KEYWORD_BOARDS: [&str; 2] = ["nrf52840-dk", "raspberry-pi-pico"];

/// Builds these programs of all boards, and runs those of emulated ones.
fn check_all(
    boards: &[board_manifest::Board],
    programs: impl Fn(&board_manifest::Board) -> Vec<Application> + Sync,
) -> Result<(Vec<Checked>, Depths)> {
    let checked = each(boards, |board| check_board(board, &programs(board)))?;
    let mut depths = Depths::default();
    for (board, Checked { programs, .. }) in boards.iter().zip(&checked) {
        for Program { program, painted, .. } in programs {
            painted.iter().for_each(|&bytes| depths.add(board, *program, bytes));
        }
    }
    Ok((checked, depths))
}

/// Programs of a board, and the results of `verify`.
struct Checked {
    results: Vec<Value>,
    programs: Vec<Program>,
}

/// A program that was built, and if its board is emulated, run.
struct Program {
    program: stack::Program,
    elf: PathBuf,
    /// Region of the stack, in bytes.
    region: u64,
    /// Figures of the pages.
    figures: Figures,
    /// Stack depth painted in emulation, in bytes.
    painted: Option<u64>,
    /// Worst case of the stack in inference, in bytes.
    worst: u64,
    /// Calls of inference, none of them to a panic or an allocator.
    calls: usize,
}

/// Builds a board's programs, and runs them if it is emulated.
fn check_board(board: &board_manifest::Board, applications: &[Application]) -> Result<Checked> {
    let wanted = wanted(board)?;
    ensure!(
        board.applications == wanted,
        "{}: its manifest has the programs {:?}, there is room for {wanted:?}",
        board.folder.display(),
        board.applications
    );
    let mut checked = Checked { results: Vec::new(), programs: Vec::new() };
    for (application, elf, taken) in build(board, &Board::from(board.clone()), applications)? {
        let calls = panics::check(&elf).with_context(|| format!("{}: {application:?}", board.name))?.calls;
        let worst = thumbformer_machine_code::worst(&elf)?.total();
        let program = (application, stack::has_float(&std::fs::read(&elf)?)?);
        stack::holds(&board.name, application, taken.stack, worst, 0)?;
        let mut painted = None;
        if board.is_emulated() {
            let output = emulate(&Board::from(board.clone()), &elf, &[], |_| ())?;
            let bytes = stack::painted(&board.name, &output)?;
            painted = Some(bytes);
            for result in parse::<Value>(&board.name, &elf, &output)? {
                ensure!(!is_wrong(&result), "{}: {application:?}: {result}", board.name);
                if application == Application::Verify {
                    checked.results.push(result);
                }
            }
        }
        let figures = taken.figures(board, application);
        checked.programs.push(Program { program, elf, region: taken.stack, figures, painted, worst, calls });
    }
    Ok(checked)
}

/// Results of `verify` on the boards.
struct Verified {
    cores: BTreeSet<String>,
    /// CRC of the outputs, by model and input.
    outputs: BTreeMap<(String, String), Value>,
    /// SQNR against the float network, computed on this machine, in hundredths of a decibel, by the input's name.
    on_host: BTreeMap<String, u32>,
    /// Boards that computed the float network themselves.
    floats: BTreeSet<String>,
}

impl Verified {
    fn new() -> Result<Verified> {
        let models = root().join("models");
        let on_host = board_build::Float::read(&models)?.on_host()?.into_iter().collect();
        Ok(Verified { cores: BTreeSet::new(), outputs: BTreeMap::new(), on_host, floats: BTreeSet::new() })
    }

    /// Compares a board's result with the other boards', and its float network with this machine's.
    fn add(&mut self, board: &board_manifest::Board, result: &Value) -> Result<()> {
        let (Some(model), Some(input)) = (result["model"].as_str(), result["input"].as_str()) else { return Ok(()) };
        self.cores.insert(board.core());
        let first = self.outputs.entry((model.into(), input.into())).or_insert_with(|| result["crc32"].clone());
        ensure!(*first == result["crc32"], "{}: {result} differs from another board's {first}", board.name);
        if let Some(found) = result["float_sqnr_db"].as_f64() {
            let host = self.on_host.get(input).with_context(|| format!("{}: {result}: no such input", board.name))?;
            let host = f64::from(*host);
            ensure!((found * 100.0).round() == host, "{}: {result}: here it is {} dB", board.name, host / 100.0);
            self.floats.insert(board.name.clone());
        }
        Ok(())
    }

    fn summary(self) -> Result<String> {
        let Verified { cores, floats, .. } = self;
        ensure!(cores.len() >= LEAST_CORES, "only {cores:?} verified a model");
        ensure!(floats.len() >= LEAST_FLOATS, "only {floats:?} computed the float network");
        let list = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
        Ok(format!(
            "the same outputs as on the host on {}; the same distance from the float network, computed on the board, on {}",
            list(cores),
            list(floats)
        ))
    }
}

/// Minimum number of kinds of cores that verify a model.
const LEAST_CORES: usize = 6;
/// Minimum number of boards that compute the float network themselves.
const LEAST_FLOATS: usize = 3;

/// True if a result reports that it is wrong.
fn is_wrong(result: &Value) -> bool {
    ["as_host", "heap_untouched", "exact"].iter().any(|key| result[key] == Value::Bool(false))
}

#[cfg(test)]
mod tests {
    use super::{Output, Verified, is_wrong, parse};
    use serde_json::{Value, json};
    use std::path::Path;

    #[test]
    fn results_are_found_between_the_text_of_a_console() {
        let output = |uart: &str, exit| Output { console: Vec::new(), uart: uart.into(), exit };
        let text = "Once upon\na time {\n{\"app\":\"verify\",\"as_host\":false}\nmore\n";
        let found: Vec<Value> = parse("board", Path::new("verify"), &output(text, 0)).expect("a result");
        assert_eq!(found, [json!({"app": "verify", "as_host": false})]);
        assert!(is_wrong(&found[0]) && !is_wrong(&json!({"as_host": true})));
        assert!(parse::<Value>("board", Path::new("verify"), &output(text, 2)).is_err(), "an exit code counts");
        assert!(parse::<Value>("board", Path::new("verify"), &output("no result", 0)).is_err());
    }

    #[test]
    fn a_board_whose_float_network_differs_from_the_hosts_is_found() {
        let board = |name: &str| board_manifest::find(&crate::shell::root().join("boards"), name).expect("a board");
        let on_host = [("wave".to_string(), 3071)].into();
        let mut verified =
            Verified { cores: Default::default(), outputs: Default::default(), on_host, floats: Default::default() };
        let line = |crc: &str, sqnr: f64| json!({"model": "m", "input": "wave", "crc32": crc, "float_sqnr_db": sqnr});
        verified.add(&board("qemu-mps2-an385"), &line("01", 30.71)).expect("the host's");
        assert!(verified.add(&board("qemu-mps2-an500"), &line("01", 30.72)).is_err(), "another distance");
        assert!(verified.add(&board("qemu-mps2-an500"), &line("02", 30.71)).is_err(), "other outputs");
        verified
            .add(&board("qemu-mps2-an386"), &json!({"model": "m", "input": "wave", "crc32": "01"}))
            .expect("no room");
        assert_eq!(verified.floats.into_iter().collect::<Vec<_>>(), ["qemu-mps2-an385"]);
    }
}
