//! Flashing of a board's program, built and checked against its chip first: `cargo xtask flash` and `cargo xtask uf2`.
//!
//! ```text
//! board, application, image ──► fits? ──► program ──► tools/probe: chip's memory map, probes ──► probe-rs run, or a file for Picos
//! ```
//! tools/probe, which knows chips and probes, is a program of its own, as it takes minutes to compile.

use crate::firmware::Board;
use crate::given::Given;
use crate::setup;
use crate::shell::{cargo, root};
use crate::stack;
use anyhow::{Context, Result, bail, ensure};
use board_manifest::Application;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use thumbformer_cli::stdout::stdout;

/// A program for a board.
#[derive(Clone, Debug, clap::Args)]
pub struct Program {
    /// Board: a folder of boards/
    #[arg(value_name = "BOARD")]
    pub name: String,
    /// Program: generate, classify, bench or verify [default: the board's first]
    pub application: Option<String>,
    #[command(flatten)]
    pub given: Given,
}

/// A program that fits its board by the manifest and the image; nothing is compiled yet.
struct Planned {
    board: Board,
    chip: String,
    application: Application,
}

impl Program {
    /// Checks everything that is known before compiling.
    fn plan(&self) -> Result<Planned> {
        let board = board_manifest::find(&root().join("boards"), &self.name)?;
        let Some(chip) = board.chip.clone() else {
            bail!("{} exists in the emulator only: `cargo xtask board run {}`", board.name, board.name)
        };
        let application = application(&board, self.application.as_deref())?;
        Ok(Planned { chip, application, board: self.given.build_for(&board, application)? })
    }

    /// [`Program::plan`] for a file that a Pico takes.
    fn plan_uf2(&self) -> Result<Planned> {
        let board = board_manifest::find(&root().join("boards"), &self.name)?;
        if board.chip.is_some() && !board.uf2 {
            let others = board_manifest::all(&root().join("boards"))?;
            let others: Vec<String> = others.into_iter().filter(|other| other.uf2).map(|other| other.name).collect();
            bail!(
                "{} takes no UF2 file, {} do: `cargo xtask flash {}` writes it by a debug probe",
                board.name,
                others.join(" and "),
                board.name
            );
        }
        self.plan()
    }
}

/// A board's program of this name, or its first.
///
/// # Errors
/// When it has no such program.
pub fn application(board: &board_manifest::Board, name: Option<&str>) -> Result<Application> {
    let names: Vec<&str> = board.applications.iter().map(|application| application.name()).collect();
    let wanted = name.or(names.first().copied()).unwrap_or_default();
    let found = board.applications.iter().copied().find(|application| application.name() == wanted);
    found.with_context(|| format!("{} has no program {wanted:?}: it has {}", board.name, names.join(", ")))
}

impl Planned {
    /// The program, whose stack has room for the worst case of its model.
    fn build(&self) -> Result<PathBuf> {
        let elf = self.board.build_program(&setup::ensure(&self.board.target)?, self.application.name())?;
        let (region, worst) = (stack::region(&std::fs::read(&elf)?)?, thumbformer_machine_code::worst(&elf)?.total());
        stack::holds(&self.board.name, self.application, region, worst, 0)?;
        Ok(elf)
    }
}

/// Command of tools/probe; the caller adds the subcommand.
pub fn probe() -> Command {
    let mut command = cargo();
    command.env_remove("CARGO_TARGET_DIR");
    command.args(["run", "--quiet", "--manifest-path", "tools/probe/Cargo.toml", "--"]);
    command
}

/// Builds, checks, flashes and runs.
///
/// # Errors
/// When the program does not fit, the chip or the probe is the wrong one, or the program fails. Nothing is written before all checks
/// have passed.
pub fn flash(program: &Program, selector: Option<&str>) -> Result<()> {
    let planned = program.plan()?;
    let elf = planned.build()?;
    let mut command = probe();
    command
        .args(["flash", "--chip", &planned.chip])
        .args(selector.iter().flat_map(|selector| ["--probe", selector]))
        .arg(&elf);
    run(command)
}

/// Builds and checks, and prints what [`flash`] would write.
///
/// # Errors
/// As [`flash`], without a probe.
pub fn dry_run(program: &Program) -> Result<()> {
    let planned = program.plan()?;
    let elf = planned.build()?;
    let mut command = probe();
    command.args(["check", "--chip", &planned.chip]).arg(&elf);
    run(command)?;
    writeln!(stdout(), "nothing is written; {} is what `flash` would write", elf.display())?;
    Ok(())
}

/// Builds, checks, and writes a file that a Pico takes without a probe.
///
/// # Errors
/// As [`flash`], and for a chip that takes no such file.
pub fn uf2(program: &Program, output: Option<&Path>) -> Result<()> {
    let planned = program.plan_uf2()?;
    let elf = planned.build()?;
    let output = output.map_or_else(|| elf.with_extension("uf2"), Path::to_path_buf);
    let mut command = probe();
    command.args(["uf2", "--chip", &planned.chip, "--output"]).arg(std::path::absolute(output)?).arg(&elf);
    run(command)
}

fn run(mut command: Command) -> Result<()> {
    let status = command.status().context("cargo could not be started")?;
    ensure!(status.success(), "thumbformer-probe failed ({status}), its output is above");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Given, Program};
    use crate::shell::root;

    /// Nothing is compiled here: the manifest and the image are enough for a refusal.
    #[test]
    fn what_the_manifest_knows_is_refused_before_anything_is_compiled() {
        let foreign = root().join("models/motion/motion-m0.tbf");
        let program = |name: &str, application: Option<&str>, model: bool| Program {
            name: name.into(),
            application: application.map(String::from),
            given: Given { model: model.then(|| foreign.clone()), recordings: None },
        };
        let table = [
            (program("stm32f40", None, false), "no board \"stm32f40\": similar names: stm32f405"),
            (program("qemu-mps2-an386", None, false), "`cargo xtask board run qemu-mps2-an386`"),
            (
                program("raspberry-pi-pico", Some("sing"), false),
                "no program \"sing\": it has generate, classify, bench, verify",
            ),
            (program("raspberry-pi-pico-2", Some("classify"), true), "convert it with `--pack m4`"),
            (program("raspberry-pi-pico", Some("generate"), true), "`generate` is for other models"),
            (program("raspberry-pi-pico", Some("classify"), true), "give a folder of them by --recordings"),
        ];
        for (program, expected) in &table {
            for planned in [program.plan(), program.plan_uf2()] {
                let error = planned.err().map(|error| format!("{error:#}")).unwrap_or_default();
                assert!(error.contains(expected), "{program:?}: {error:?} lacks {expected:?}");
            }
        }
        let nucleo = program("stm32-nucleo-f411re", None, false);
        let error = nucleo.plan_uf2().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("takes no UF2 file, raspberry-pi-pico and raspberry-pi-pico-2 do"), "{error}");
        assert!(nucleo.plan().is_ok() && program("raspberry-pi-pico", None, false).plan_uf2().is_ok());
    }
}
