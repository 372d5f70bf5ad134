//! Memory that programs of boards take, for `cargo xtask board size` and the checks.

use crate::figures::{self, Figures};
use crate::firmware::{self, Board};
use crate::setup;
use crate::shell::root;
use crate::stack;
use anyhow::{Context, Result};
use board_manifest::Application;
use std::path::PathBuf;

/// Memory that a program takes on a board.
pub struct Footprint {
    /// Flash, in bytes: code, constants, models and inputs.
    pub flash: u64,
    /// Static RAM, in bytes: variables.
    pub ram: u64,
    /// Region of the stack, in bytes.
    pub stack: u64,
    /// RAM that is neither, in bytes.
    pub free: u64,
}

/// Smallest board, of which docs/results.md has a program.
const SMALLEST: (&str, Application) = ("microbit", Application::Classify);

impl Footprint {
    /// Figures of the page; none of another board or program.
    pub fn figures(&self, board: &board_manifest::Board, application: Application) -> Figures {
        if (board.name.as_str(), application) != SMALLEST {
            return Figures::new();
        }
        let name = |what| format!("{} {} {what}", board.name, application.name());
        let [flash, ram, stack] = ["flash", "ram", "stack"].map(name);
        figures::of([(flash.as_str(), self.flash), (ram.as_str(), self.ram), (stack.as_str(), self.stack)])
    }
}

/// Figures of the smallest board.
///
/// # Errors
/// When its program cannot be built.
pub fn figures() -> Result<Figures> {
    let (name, application) = SMALLEST;
    let board = board_manifest::find(&root().join("boards"), name)?;
    let built = build(&board, &Board::from(board.clone()), &[application])?;
    Ok(built.iter().flat_map(|(application, _, taken)| taken.figures(&board, *application)).collect())
}

/// Builds some of a board's programs and measures them.
///
/// # Errors
/// With the compiler's output, or when a program takes more RAM than the board has.
pub fn build(
    board: &board_manifest::Board,
    buildable: &Board,
    applications: &[Application],
) -> Result<Vec<(Application, PathBuf, Footprint)>> {
    let names: Vec<&str> = applications.iter().map(|application| application.name()).collect();
    let elfs = buildable.build_programs(&setup::ensure(&buildable.target)?, &names)?;
    let measured = applications.iter().zip(elfs).map(|(&application, elf)| {
        let bytes = std::fs::read(&elf)?;
        firmware::holds_no_path(&bytes).with_context(|| format!("{}: {}", board.name, application.name()))?;
        let size = firmware::size(&bytes)?;
        let stack = stack::region(&bytes).with_context(|| format!("{}", elf.display()))?;
        let free = (board.ram.length as u64).checked_sub(size.ram + stack);
        let free = free.with_context(|| {
            format!(
                "{}: {} bytes of variables and {stack} of stack in {} of RAM",
                board.name, size.ram, board.ram.length
            )
        })?;
        Ok((application, elf, Footprint { flash: size.flash, ram: size.ram, stack, free }))
    });
    measured.collect()
}
