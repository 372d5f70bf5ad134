//! `cargo xtask flash` and `cargo xtask uf2`: a board's program, built, checked against its chip, and only then written to it.
//!
//! ```text
//! board, application, image ──► fits? ──► program ──► tools/probe: chip's memory map, probes ──► probe-rs run, or a file for Picos
//! ```
//! What knows chips and probes is a program of its own, as it takes minutes to compile.

use crate::firmware::Board;
use crate::setup;
use crate::shell::{cargo, root};
use anyhow::{Context, Result, bail, ensure};
use plan::Application;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What to put on which board.
#[derive(Clone, Debug, clap::Args)]
pub struct Program {
    /// A folder of boards/
    #[arg(value_name = "BOARD")]
    pub name: String,
    /// generate, classify, bench or verify; by default the first that the board has
    pub application: Option<String>,
    /// Another image than the default models'
    #[arg(long)]
    pub model: Option<PathBuf>,
}

/// The program's ELF file, and the chip that it is for.
struct Built {
    chip: String,
    elf: PathBuf,
}

impl Program {
    fn build(&self) -> Result<Built> {
        let board = plan::find(&root().join("boards"), &self.name)?;
        let Some(chip) = board.chip.clone() else {
            bail!("{} exists in the emulator only: `cargo xtask board run {}`", board.name, board.name)
        };
        let application = self.application(&board)?;
        let mut buildable = Board::from(board.clone());
        if let Some(model) = &self.model {
            let file = std::path::absolute(model).with_context(|| format!("{}", model.display()))?;
            let image = plan::Image::read(&file)?;
            plan::fit(&board, application, &image)?;
            buildable.build.variables.push(("THUMBFORMER_MODEL", file.display().to_string()));
        }
        let elf = buildable.build_program(&setup::ensure(&buildable.target)?, application.name())?;
        Ok(Built { chip, elf })
    }

    fn application(&self, board: &plan::Board) -> Result<Application> {
        let names: Vec<&str> = board.applications.iter().map(|application| application.name()).collect();
        let wanted = self.application.as_deref().or(names.first().copied()).unwrap_or_default();
        let found = board.applications.iter().copied().find(|application| application.name() == wanted);
        found.with_context(|| format!("{} has no program {wanted:?}: it has {}", board.name, names.join(", ")))
    }
}

/// The program that knows chips and probes; the subcommand is still to be given.
pub fn probe() -> Command {
    let mut command = cargo();
    command.env_remove("CARGO_TARGET_DIR");
    command.args(["run", "--quiet", "--manifest-path", "tools/probe/Cargo.toml", "--"]);
    command
}

/// Builds, checks, flashes and runs.
///
/// # Errors
/// When the program does not fit, the chip or the probe is not what it has to be, or the program fails; nothing is written before all
/// that can be known is known.
pub fn flash(program: &Program, selector: Option<&str>) -> Result<()> {
    let Built { chip, elf } = program.build()?;
    let mut command = probe();
    command.args(["flash", "--chip", &chip]).args(selector.iter().flat_map(|selector| ["--probe", selector])).arg(&elf);
    run(command)
}

/// Builds, checks, and writes a file that a Pico takes without a probe.
///
/// # Errors
/// As [`flash`], and for a chip that takes no such file.
pub fn uf2(program: &Program, output: Option<&Path>) -> Result<()> {
    let Built { chip, elf } = program.build()?;
    let output = output.map_or_else(|| elf.with_extension("uf2"), Path::to_path_buf);
    let mut command = probe();
    command.args(["uf2", "--chip", &chip, "--output"]).arg(std::path::absolute(output)?).arg(&elf);
    run(command)
}

fn run(mut command: Command) -> Result<()> {
    let status = command.status().context("cargo could not be started")?;
    ensure!(status.success(), "see above");
    Ok(())
}
