//! The linker's view of a board, and how its programs are started: both from its manifest.
//!
//! ```text
//! flash, ram, regions ──┬─► memory.x: the stack at the bottom of RAM, variables above it
//! a program's stack   ──┤
//! sections.x, if any  ──┘
//! chip, or machine    ────► the runner of .cargo/config.toml
//! ```

use crate::manifest::{Board, Region};
use anyhow::{Context, Result, ensure};

impl Board {
    /// The linker script `memory.x` of a program with this stack: the manifest's regions, and the folder's `sections.x` where there is one.
    ///
    /// The stack grows down from its region to the beginning of RAM, so that one that overflows leaves RAM before it reaches a variable.
    ///
    /// # Errors
    /// When the stack leaves no RAM for variables, or `sections.x` is there and cannot be read.
    pub fn memory_x(&self, stack: usize) -> Result<String> {
        let Region { origin, length } = self.ram;
        ensure!(stack.is_multiple_of(8), "{}: a stack of {stack} bytes: expected a multiple of 8", self.name);
        ensure!(
            stack < length,
            "{}: a stack of {stack} bytes leaves nothing of {length} bytes of RAM for variables: give the program a smaller stack, \
             or take another board",
            self.name
        );
        let stack_region = Region { origin, length: stack };
        let ram = Region { origin: origin + stack as u32, length: length - stack };
        let named = [("FLASH", &self.flash), ("STACK", &stack_region), ("RAM", &ram)];
        let others = self.regions.iter().map(|(name, region)| (name.as_str(), region));
        let line = |(name, Region { origin, length }): (&str, &Region)| {
            format!("  {name} : ORIGIN = {origin:#010x}, LENGTH = {length}\n")
        };
        let lines: String = named.into_iter().chain(others).map(line).collect();
        let sections = self.folder.join("sections.x");
        let sections = match sections.is_file() {
            true => std::fs::read_to_string(&sections).with_context(|| format!("{}", sections.display()))?,
            false => String::new(),
        };
        Ok(format!(
            "/* Generated from the manifest of {}. */\nMEMORY\n{{\n{lines}}}\n\
             /* Below the stack there is no RAM: one that overflows faults, and overwrites nothing. */\n\
             _stack_start = ORIGIN(STACK) + LENGTH(STACK);\n_stack_end = ORIGIN(STACK);\n{sections}",
            self.name
        ))
    }

    /// The command that `cargo run` starts a program with.
    pub fn runner(&self) -> Option<String> {
        match (&self.chip, &self.machine) {
            (Some(chip), _) => Some(format!("probe-rs run --chip {chip}")),
            (None, Some(machine)) => Some(format!(
                "qemu-system-arm -M {machine} -display none -monitor none -serial file:/dev/stderr -icount shift=6 \
                 -semihosting-config enable=on,target=native -kernel"
            )),
            (None, None) => None,
        }
    }

    /// The compiler's flags: the core, without which M33 and M55 have neither DSP instructions nor Helium.
    pub fn rustflags(&self) -> [String; 2] {
        ["-C".into(), format!("target-cpu={}", self.cpu)]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Board, all};
    use std::path::Path;
    use toml::{Table, Value};

    fn boards() -> Vec<Board> {
        all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards")).expect("boards")
    }

    #[test]
    fn the_linker_gets_the_manifests_regions_and_the_folders_sections() {
        let boards = boards();
        let pico = boards.iter().find(|board| board.name == "raspberry-pi-pico").expect("the Pico");
        let memory = pico.memory_x(0x2800).expect("a script");
        for part in ["BOOT2 : ORIGIN = 0x10000000, LENGTH = 256", "KEEP(*(.boot2))"] {
            assert!(memory.contains(part), "{part}: {memory}");
        }
    }

    #[test]
    fn the_stack_is_below_the_variables_and_leaves_room_for_them() {
        let boards = boards();
        let micro = boards.iter().find(|board| board.name == "microbit").expect("the micro:bit");
        let memory = micro.memory_x(0x2400).expect("a script");
        for part in [
            "  STACK : ORIGIN = 0x20000000, LENGTH = 9216\n  RAM : ORIGIN = 0x20002400, LENGTH = 7168\n",
            "_stack_start = ORIGIN(STACK) + LENGTH(STACK);\n_stack_end = ORIGIN(STACK);\n",
        ] {
            assert!(memory.contains(part), "{part}: {memory}");
        }
        for (stack, part) in [(16_384, "leaves nothing of 16384 bytes"), (9220, "a multiple of 8")] {
            let error = micro.memory_x(stack).expect_err("no such stack").to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn regions_of_a_board_do_not_overlap() {
        for board in boards() {
            let mut regions: Vec<_> = board.regions.values().chain([&board.flash, &board.ram]).collect();
            regions.sort_by_key(|region| region.origin);
            for pair in regions.windows(2) {
                let end = u64::from(pair[0].origin) + pair[0].length as u64;
                assert!(end <= pair[1].origin.into(), "{}: {pair:?} overlap", board.name);
            }
        }
    }

    /// The guard of `boards/firmware/src/fault.rs` begins 64 KiB below RAM, as the MPU of ARMv7-M takes it.
    #[test]
    fn ram_begins_where_the_guard_below_it_can_end() {
        for board in boards() {
            assert!(board.ram.origin.is_multiple_of(0x1_0000), "{}: {:?}", board.name, board.ram);
        }
    }

    /// Cargo needs the file; it repeats what the manifest says.
    #[test]
    fn the_configuration_of_cargo_says_what_the_manifest_says() {
        for board in boards() {
            let file = board.folder.join(".cargo/config.toml");
            let text = std::fs::read_to_string(&file).expect("a configuration");
            let config: Table = text.parse().expect("a table");
            let expected: Table = format!(
                "[build]\ntarget = {:?}\n[target.'cfg(target_os = \"none\")']\nrunner = {:?}\nrustflags = {:?}\n",
                board.target,
                board.runner().expect("a chip or a machine"),
                board.rustflags()
            )
            .parse()
            .expect("a table");
            for key in ["build", "target"] {
                let found = config.get(key).unwrap_or(&Value::Boolean(false));
                assert_eq!(found, &expected[key], "{}: [{key}]", file.display());
            }
        }
    }
}
