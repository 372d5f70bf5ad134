//! The measured cores, each with its emulated board, found by the boards' manifests.

use crate::firmware::{Board, Build};
use crate::shell::root;
use anyhow::{Context, Result};
use clap::ValueEnum;

/// A core.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Core {
    /// Cortex-M0+: its code, on an emulated M3
    #[value(name = "m0plus")]
    M0Plus,
    /// Cortex-M3
    M3,
    /// Cortex-M4F
    M4,
    /// Cortex-M7
    M7,
    /// Cortex-M33
    M33,
    /// Cortex-M55 with Helium
    M55,
}

impl Core {
    /// Name of the core for `--core`.
    pub fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_string())
    }

    /// The emulator's own board with this core.
    ///
    /// # Errors
    /// When a manifest cannot be read, or no board has the core.
    pub fn emulated(self) -> Result<board_manifest::Board> {
        let cpu = format!("cortex-{}", self.name());
        let boards = board_manifest::all(&root().join("boards"))?;
        let mut boards = boards.into_iter().filter(|board| board.is_emulated() && board.chip.is_none());
        boards
            .find(|board| board.cpu == cpu)
            .with_context(|| format!("no emulated board has a {cpu}: boards/README.md"))
    }

    /// The core that runs a board's code as the board's own core does: the same, or one of its target.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(board: &board_manifest::Board) -> Result<Core> {
        let emulated: Vec<(Core, board_manifest::Board)> =
            Core::value_variants().iter().map(|&core| Ok((core, core.emulated()?))).collect::<Result<_>>()?;
        let same = emulated.iter().find(|(_, emulated)| emulated.cpu == board.cpu);
        let found = same.or_else(|| emulated.iter().find(|(_, emulated)| emulated.target == board.target));
        found.map(|&(core, _)| core).with_context(|| format!("{}: no core here is like {}", board.name, board.cpu))
    }

    /// The benchmark firmware as it is built for this core.
    ///
    /// # Errors
    /// As [`Core::emulated`].
    pub fn board(self) -> Result<Board> {
        let board = Board::from(self.emulated()?);
        let build = Build { variables: vec![("THUMBFORMER_BOARD", board.name.clone())], ..board.build };
        Ok(Board { build, name: "bench".into(), folder: root().join("boards/bench"), ..board })
    }
}

#[cfg(test)]
mod tests {
    use super::Core;
    use clap::ValueEnum;

    #[test]
    fn every_core_has_an_emulated_board_and_every_board_a_core() {
        for core in Core::value_variants() {
            let board = core.emulated().expect("a board");
            assert_eq!(board.cpu, format!("cortex-{}", core.name()));
            assert_eq!(Core::of(&board).ok(), Some(*core));
        }
        for board in crate::boards::all().expect("boards") {
            let core = Core::of(&board).expect("a core");
            assert_eq!(core.emulated().expect("a board").pack, board.pack, "{}", board.name);
        }
    }
}
