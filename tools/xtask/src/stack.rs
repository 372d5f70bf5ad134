//! Stacks of programs: the region that the linker gave, and what is in use of it, painted in emulation and from the machine code; the
//! paint is in `boards/firmware/src/stack.rs`.
//!
//! ```text
//! program in QEMU ──► {"app":"stack","board":…,"bytes":…} ──► Depths, by core and program ──┬─► at most the region?
//! ELF ─┬─► does the program compute the float network too? ──────┘                          │
//!      ├─► worst case of inference ─────────────────────────────────────────────────────────┤
//!      └─► _stack_end.._stack_start: the region ────────────────────────────────────────────┘
//! ```

use crate::emulator::Output;
use anyhow::{Context, Result, ensure};
use board_manifest::Application;
use object::{Object, ObjectSymbol};
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

/// True if a program computes the float network, which goes deeper than the engine.
///
/// # Errors
/// When it is no ELF file.
pub fn has_float(elf: &[u8]) -> Result<bool> {
    let file = object::File::parse(elf)?;
    Ok(file.symbols().any(|symbol| symbol.name().is_ok_and(|name| name.contains("thumbformer_reference"))))
}

/// Bytes of the region that a program's stack has.
///
/// # Errors
/// When it is no ELF file, or its linker script does not tell.
pub fn region(elf: &[u8]) -> Result<u64> {
    let file = object::File::parse(elf)?;
    let symbol = |name: &str| file.symbols().find(|symbol| symbol.name() == Ok(name)).map(|symbol| symbol.address());
    let region = symbol("_stack_start").zip(symbol("_stack_end")).and_then(|(start, end)| start.checked_sub(end));
    region.context("no region of the stack: _stack_end and _stack_start of memory.x")
}

/// Holds a program's region to what is known of its stack, in bytes.
///
/// # Errors
/// When the region is smaller, with what to do.
pub fn holds(board: &str, application: Application, region: u64, worst: u64, painted: u64) -> Result<()> {
    ensure!(
        region >= worst.max(painted),
        "{}: the stack of {board} has a region of {region} bytes, expected at least {}: the worst case of inference in its machine code \
         is {worst}, painted in emulation are {painted}; next: raise `stack` in tools/board-manifest/src/memory.rs",
        application.name(),
        worst.max(painted)
    );
    Ok(())
}

/// A program: the application, and whether it computes the float network.
pub type Program = (Application, bool);

/// The largest depths, by target, core and program.
#[derive(Default)]
pub struct Depths(BTreeMap<(String, String, Program), u64>);

impl Depths {
    /// Adds the depth of a program on an emulated board.
    pub fn add(&mut self, board: &board_manifest::Board, program: Program, bytes: u64) {
        let worst = self.0.entry((board.target.clone(), board.cpu.clone(), program)).or_default();
        *worst = bytes.max(*worst);
    }

    /// The stack that a program needs on a board: the depth on its core, or where no emulated board with that core ran such a program,
    /// the largest on cores of its target, whose code differs in scheduling only.
    ///
    /// # Errors
    /// When no emulated board of its target ran such a program.
    pub fn of(&self, board: &board_manifest::Board, program: Program) -> Result<u64> {
        let of_target = || self.0.iter().filter(|((target, _, ran), _)| *target == board.target && *ran == program);
        let depth =
            of_target().find(|((_, cpu, _), _)| *cpu == board.cpu).or_else(|| of_target().max_by_key(|of| of.1));
        let depth = depth.map(|(_, &depth)| depth);
        depth.with_context(|| format!("{}: no emulated board of {} ran {program:?}", board.name, board.target))
    }
}

#[cfg(test)]
mod tests {
    use super::{Depths, Output, holds, painted};
    use board_manifest::Application;

    #[test]
    fn the_deepest_stack_of_a_core_is_what_its_boards_need() {
        let board = |name: &str| board_manifest::find(&crate::shell::root().join("boards"), name).expect("a board");
        let mut depths = Depths::default();
        let verify = (Application::Verify, false);
        depths.add(&board("qemu-mps2-an386"), verify, 5000);
        depths.add(&board("stm32f405"), verify, 4900);
        depths.add(&board("qemu-mps2-an500"), (Application::Verify, true), 9000);
        assert_eq!(depths.of(&board("nrf52840-dk"), verify).expect("an M4F"), 5000);
        assert_eq!(depths.of(&board("stm32-nucleo-h743zi"), verify).expect("an M7, by the M4's"), 5000);
        assert_eq!(depths.of(&board("stm32-nucleo-h743zi"), (Application::Verify, true)).expect("an M7"), 9000);
        assert!(depths.of(&board("nrf52840-dk"), (Application::Bench, false)).is_err(), "was not run");
        assert!(depths.of(&board("microbit"), verify).is_err(), "another target");
    }

    #[test]
    fn a_region_that_is_too_small_is_named_with_what_it_needs() {
        let holds = |worst, painted| holds("stm32f405", Application::Classify, 10_240, worst, painted);
        assert!(holds(10_240, 9000).is_ok());
        for (worst, painted) in [(11_068, 9000), (9000, 11_068)] {
            let error = holds(worst, painted).expect_err("too small").to_string();
            for part in ["classify", "stm32f405", "region of 10240 bytes", "at least 11068", "memory.rs"] {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
    }

    #[test]
    fn a_program_that_says_nothing_of_its_stack_is_found() {
        let output = |uart: &str| Output { console: Vec::new(), uart: uart.into(), exit: 0 };
        let text = "Once\n{\"app\":\"verify\"}\n{\"app\":\"stack\",\"board\":\"b\",\"bytes\":5124}\n";
        assert_eq!(painted("b", &output(text)).expect("a depth"), 5124);
        assert!(painted("b", &output("Once\n{\"app\":\"verify\"}\n")).is_err());
    }
}
