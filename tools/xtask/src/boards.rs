//! `cargo xtask board`: what boards there are, what fits them, what their programs take; every program built, every emulated one run.
//!
//! ```text
//! boards/*/Cargo.toml ──► list: core, clock, flash, RAM, backend, models that fit
//! boards/apps/*.rs    ──► size: flash, static RAM, what is left for the stack
//!                     ──► run:  lines of JSON from the console of an emulated board
//! ```

use crate::emulator::{Extra, Output, RESULT, emulate, emulate_with};
use crate::firmware::{self, Board};
use crate::flash;
use crate::setup;
use crate::shell::{output, root};
use anyhow::{Context, Result, bail, ensure};
use plan::Application;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// All boards.
///
/// # Errors
/// When a manifest cannot be read.
pub fn all() -> Result<Vec<plan::Board>> {
    plan::all(&root().join("boards"))
}

/// Prints all boards, as a table of Markdown or as one object a line.
///
/// # Errors
/// When a manifest or an image cannot be read.
pub fn list(json: bool) -> Result<()> {
    if !json {
        println!(
            "| board | core | clock, MHz | flash, KiB | RAM, KiB | backend, packing | default models (context) | runs |"
        );
        println!("|---|---|---|---|---|---|---|---|");
    }
    for board in all()? {
        let fits = fits(&board)?;
        let runs = match (&board.machine, &board.chip) {
            (Some(machine), None) => format!("QEMU {machine}"),
            (Some(machine), Some(chip)) => format!("{chip}, QEMU {machine}"),
            (None, chip) => chip.clone().unwrap_or_default(),
        };
        let (flash, ram) = (board.flash / 1024, board.ram / 1024);
        if json {
            let applications: Vec<&str> = board.applications.iter().map(|application| application.name()).collect();
            let line = serde_json::json!({
                "board": board.name, "core": board.core(), "clock_hz": board.clock_hz, "flash": board.flash, "ram": board.ram,
                "backend": board.backend, "pack": board.pack, "models": fits, "applications": applications,
                "chip": board.chip, "machine": board.machine, "wait_states": board.wait_states, "cache": board.cache,
                "weights": board.weights,
            });
            println!("{line}");
        } else {
            let clock = f64::from(board.clock_hz) / 1e6;
            println!(
                "| {} | {} | {clock} | {flash} | {ram} | {}, {} | {} | {runs} |",
                board.name,
                board.core(),
                board.backend,
                board.pack,
                fits.join(", ")
            );
        }
    }
    Ok(())
}

/// The default models that fit a board by themselves, a language model with its context.
fn fits(board: &plan::Board) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for name in plan::DEFAULTS {
        let image = plan::Image::of_default(&root().join("models"), name, &board.pack)?;
        let text = plan::is_for(&image.model()?, Application::Generate);
        let application = if text { Application::Generate } else { Application::Classify };
        if let Ok(fit) = plan::fit(board, application, &image) {
            found.push(if text { format!("{name} ({})", fit.max_seq) } else { name.into() });
        }
    }
    Ok(found)
}

/// The programs that a board's manifest has to name: those that have a model to run there.
fn wanted(board: &plan::Board) -> Result<Vec<Application>> {
    let models = root().join("models");
    let mut found = Vec::new();
    for application in Application::ALL {
        let some = match application {
            Application::Generate => {
                let stories = plan::Image::of_default(&models, "stories", &board.pack)?;
                plan::fit(board, application, &stories).is_ok()
            }
            _ => !plan::models(board, application, &models)?.is_empty(),
        };
        found.extend(some.then_some(application));
    }
    Ok(found)
}

/// What a program takes on a board.
pub struct Taken {
    /// Code, constants, models and inputs.
    pub flash: u64,
    /// Variables.
    pub ram: u64,
    /// RAM that is left for the stack.
    pub stack: u64,
}

/// Builds a program and measures it.
///
/// # Errors
/// What the compiler says, or that more RAM is taken than the board has.
pub fn build(board: &plan::Board, application: Application) -> Result<(std::path::PathBuf, Taken)> {
    let buildable = Board::from(board.clone());
    let elf = buildable.build_program(&setup::ensure(&buildable)?, application.name())?;
    let size = firmware::size(&std::fs::read(&elf)?)?;
    let stack = (board.ram as u64).checked_sub(size.ram);
    let stack =
        stack.with_context(|| format!("{}: {} bytes of variables in {} of RAM", board.name, size.ram, board.ram))?;
    Ok((elf, Taken { flash: size.flash, ram: size.ram, stack }))
}

/// Prints what all programs of these boards take.
///
/// # Errors
/// When one cannot be built.
pub fn size(names: &[String]) -> Result<()> {
    println!("| board | program | flash, bytes | static RAM, bytes | left for the stack, bytes |");
    println!("|---|---|---|---|---|");
    for board in named(names)? {
        for &application in &board.applications {
            let (_, Taken { flash, ram, stack }) = build(&board, application)?;
            println!("| {} | {} | {flash} | {ram} | {stack} |", board.name, application.name());
        }
    }
    Ok(())
}

/// The boards of these names, or all.
fn named(names: &[String]) -> Result<Vec<plan::Board>> {
    match names {
        [] => all(),
        names => names.iter().map(|name| plan::find(&root().join("boards"), name)).collect(),
    }
}

/// Runs a program of an emulated board and prints what it says.
///
/// # Errors
/// When it cannot be built or run, or ends with a code other than 0.
pub fn run(name: &str, application: &str, arguments: &[String], serial: Option<&Path>) -> Result<()> {
    let board = Board::from(plan::find(&root().join("boards"), name)?);
    let elf = board.build_program(&setup::ensure(&board)?, application)?;
    let Output { exit, .. } = emulate_with(&board, &elf, arguments, &Extra { serial, options: &[] }, |text| {
        print!("{}", String::from_utf8_lossy(text));
    })?;
    ensure!(exit == 0, "{application} on {name} ended with exit code {exit}");
    Ok(())
}

/// The results that a program put on its console, without the text between them.
///
/// # Errors
/// When it cannot be run, ends with a code other than 0, or has no result.
pub fn results<T: for<'d> Deserialize<'d>>(board: &Board, elf: &Path, arguments: &[String]) -> Result<Vec<T>> {
    let output = emulate(board, elf, arguments, |_| ())?;
    parse(&board.name, elf, &output)
}

fn parse<T: for<'d> Deserialize<'d>>(board: &str, elf: &Path, output: &Output) -> Result<Vec<T>> {
    let text = String::from_utf8_lossy(&output.uart);
    let program = elf.file_name().unwrap_or_default().to_string_lossy();
    ensure!(output.exit == 0, "{program} on {board} ended with exit code {}: {text}", output.exit);
    let lines = text.lines().filter(|line| line.starts_with(RESULT));
    let results: Vec<T> = lines
        .map(|line| serde_json::from_str(line).with_context(|| format!("{program} on {board} printed {line:?}")))
        .collect::<Result<_>>()?;
    ensure!(!results.is_empty(), "{program} on {board} had no result: {text:?}");
    Ok(results)
}

/// Builds every program of every board, runs every emulated one, and compares the results of all.
///
/// # Errors
/// When something cannot be built, does not fit, or computes anything else than the host.
pub fn check() -> Result<String> {
    let (mut built, mut ran, mut chips, mut cores) = (0, 0, 0, std::collections::BTreeSet::new());
    let mut outputs: std::collections::BTreeMap<String, Value> = std::collections::BTreeMap::new();
    let boards = all()?;
    for board in &boards {
        let wanted = wanted(board)?;
        ensure!(
            board.applications == wanted,
            "{}: its manifest has the programs {:?}, there is room for {wanted:?}",
            board.folder.display(),
            board.applications
        );
        let mut elfs = Vec::new();
        for &application in &board.applications {
            let (elf, taken) = build(board, application)?;
            elfs.push(elf.clone());
            built += 1;
            ensure!(
                taken.stack >= LEAST_STACK,
                "{}: {} bytes for the stack of {application:?}",
                board.name,
                taken.stack
            );
            if !board.is_emulated() {
                continue;
            }
            let results: Vec<Value> = results(&Board::from(board.clone()), &elf, &[])?;
            ran += 1;
            for result in &results {
                ensure!(!is_wrong(result), "{}: {application:?}: {result}", board.name);
                if let (Some(model), "verify") = (result["model"].as_str(), application.name()) {
                    cores.insert(board.core());
                    let first = outputs.entry(model.into()).or_insert_with(|| result["crc32"].clone());
                    ensure!(*first == result["crc32"], "{}: {result} differs from another board's {first}", board.name);
                }
            }
        }
        chips += usize::from(on_its_chip(board, &elfs)?);
    }
    if cores.len() < 6 {
        bail!("only {cores:?} verified a model");
    }
    Ok(format!(
        "{} boards, {built} programs built, those of {chips} chips as probe-rs describes these, {ran} run in emulation; the same outputs \
         as on the host on {}",
        boards.len(),
        cores.into_iter().collect::<Vec<_>>().join(", ")
    ))
}

/// Checks programs against the memory map and the boot of a board's chip, if it has one.
fn on_its_chip(board: &plan::Board, elfs: &[std::path::PathBuf]) -> Result<bool> {
    let Some(chip) = &board.chip else { return Ok(false) };
    let stack = LEAST_STACK.to_string();
    let mut command = flash::probe();
    command.args(["check", "--chip", chip, "--stack", &stack]).args(elfs);
    output(&mut command).with_context(|| format!("{}: its programs do not fit its chip", board.name))?;
    Ok(true)
}

/// What every program must leave for the stack.
const LEAST_STACK: u64 = 4 * 1024;

/// Whether a result says of itself that it is not right.
fn is_wrong(result: &Value) -> bool {
    ["as_host", "heap_untouched", "exact"].iter().any(|key| result[key] == Value::Bool(false))
}

#[cfg(test)]
mod tests {
    use super::{Output, is_wrong, parse};
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
}
