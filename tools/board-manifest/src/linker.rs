//! The linker's view of a board, and how its programs are started: both from its manifest.
//!
//! ```text
//! flash, ram, regions ──┬─► memory.x
//! sections.x, if any  ──┘
//! chip, or machine    ────► the runner of .cargo/config.toml
//! ```

use crate::manifest::{Board, Region};
use anyhow::{Context, Result};

impl Board {
    /// The linker script `memory.x`: the manifest's regions, and the folder's `sections.x` where there is one.
    ///
    /// # Errors
    /// When `sections.x` is there and cannot be read.
    pub fn memory_x(&self) -> Result<String> {
        let named = [("FLASH", &self.flash), ("RAM", &self.ram)];
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
        Ok(format!("/* Generated from the manifest of {}. */\nMEMORY\n{{\n{lines}}}\n{sections}", self.name))
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
        let memory = pico.memory_x().expect("a script");
        for part in ["BOOT2 : ORIGIN = 0x10000000, LENGTH = 256", "RAM : ORIGIN = 0x20000000", "KEEP(*(.boot2))"] {
            assert!(memory.contains(part), "{part}: {memory}");
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
