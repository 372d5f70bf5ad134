//! Stack depths of programs, painted in emulation; the paint is in `boards/firmware/src/stack.rs`.
//!
//! ```text
//! program in QEMU ──► {"app":"stack","board":…,"bytes":…} ──► Depths, by core and program ──► stack that a board of that core needs
//! ```

use crate::emulator::Output;
use anyhow::{Context, Result};
use board_manifest::Application;
use serde_json::Value;
use std::collections::BTreeMap;

/// Beginning of the line with which a program reports its stack depth.
pub const LINE: &str = "{\"app\":\"stack\"";

/// Stack depth of a program, in bytes.
///
/// # Errors
/// When the program did not report it.
pub fn painted(board: &str, output: &Output) -> Result<u64> {
    let text = String::from_utf8_lossy(&output.uart);
    let line = text.lines().rfind(|line| line.starts_with(LINE));
    let line = line.with_context(|| format!("{board}: a program did not report its stack depth: {text:?}"))?;
    serde_json::from_str::<Value>(line)?["bytes"].as_u64().with_context(|| format!("{board} printed {line:?}"))
}

/// The largest depths, by core and program.
#[derive(Default)]
pub struct Depths(BTreeMap<(String, Application), u64>);

impl Depths {
    /// Adds the depth of a program on an emulated board.
    pub fn add(&mut self, board: &board_manifest::Board, application: Application, bytes: u64) {
        let worst = self.0.entry((board.cpu.clone(), application)).or_default();
        *worst = bytes.max(*worst);
    }

    /// The stack that a program needs on a board.
    ///
    /// # Errors
    /// When no emulated board has its core.
    pub fn of(&self, board: &board_manifest::Board, application: Application) -> Result<u64> {
        let depth = self.0.get(&(board.cpu.clone(), application)).copied();
        depth.with_context(|| format!("{}: no emulated board with a {} ran {application:?}", board.name, board.cpu))
    }
}

#[cfg(test)]
mod tests {
    use super::{Depths, Output, painted};
    use board_manifest::Application;

    #[test]
    fn the_deepest_stack_of_a_core_is_what_its_boards_need() {
        let board = |name: &str| board_manifest::find(&crate::shell::root().join("boards"), name).expect("a board");
        let mut depths = Depths::default();
        depths.add(&board("qemu-mps2-an386"), Application::Verify, 5000);
        depths.add(&board("stm32f405"), Application::Verify, 4900);
        assert_eq!(depths.of(&board("nrf52840-dk"), Application::Verify).expect("an M4F"), 5000);
        assert!(depths.of(&board("nrf52840-dk"), Application::Bench).is_err(), "was not run");
        assert!(depths.of(&board("microbit"), Application::Verify).is_err(), "another core");
    }

    #[test]
    fn a_program_that_says_nothing_of_its_stack_is_found() {
        let output = |uart: &str| Output { console: Vec::new(), uart: uart.into(), exit: 0 };
        let text = "Once\n{\"app\":\"verify\"}\n{\"app\":\"stack\",\"board\":\"b\",\"bytes\":5124}\n";
        assert_eq!(painted("b", &output(text)).expect("a depth"), 5124);
        assert!(painted("b", &output("Once\n{\"app\":\"verify\"}\n")).is_err());
    }
}
