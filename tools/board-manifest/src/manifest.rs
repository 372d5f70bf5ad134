//! A board's folder, read.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A program that boards run; its name is that of a file of `boards/apps/`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Application {
    /// A story by a language model.
    Generate,
    /// Labels of recordings.
    Classify,
    /// Cost of kernels and models.
    Bench,
    /// The host's bits, on the board.
    Verify,
}

impl Application {
    /// All of them.
    pub const ALL: [Application; 4] =
        [Application::Generate, Application::Classify, Application::Bench, Application::Verify];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Application::Generate => "generate",
            Application::Classify => "classify",
            Application::Bench => "bench",
            Application::Verify => "verify",
        }
    }
}

/// A board, as the table `[package.metadata.board]` of its folder says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// The chip, as probe-rs spells it; none of a machine that only exists in an emulator.
    pub chip: Option<String>,
    /// The emulator's name of a machine that runs the very same program.
    pub machine: Option<String>,
    /// The compiler's target.
    pub target: String,
    /// The core, as the compiler spells it.
    pub cpu: String,
    /// The backend that its firmware has.
    pub backend: String,
    /// Packing of its images.
    pub pack: String,
    /// Hertz of the core.
    pub clock_hz: u32,
    /// Memory for the program: `FLASH` to the linker.
    pub flash: Region,
    /// Memory for variables and stack: `RAM` to the linker.
    pub ram: Region,
    /// More memory, by the linker's names.
    #[serde(default)]
    pub regions: BTreeMap<String, Region>,
    /// UF2 files: whether the chip's boot ROM takes them.
    #[serde(default)]
    pub uf2: bool,
    /// Wait states of the memory that the program lies in, at this clock.
    #[serde(default)]
    pub wait_states: u32,
    /// Bytes that this memory hands over at once.
    #[serde(default = "line")]
    pub line: u32,
    /// Cache between core and memory.
    #[serde(default)]
    pub cache: String,
    /// Place of the weights while they are used; `"RAM"` has them copied there from flash.
    #[serde(default)]
    pub weights: String,
    /// Bytes of weights that come at once, and cycles that the core waits for them, beyond those of the load; none where weights are as
    /// near as the core's own memory.
    pub weight_line: Option<(u32, u32)>,
    /// Its folder's name.
    #[serde(skip)]
    pub name: String,
    /// Description.
    #[serde(skip)]
    pub description: String,
    /// Its folder.
    #[serde(skip)]
    pub folder: PathBuf,
    /// Its programs.
    #[serde(skip)]
    pub applications: Vec<Application>,
}

/// A part of the address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// First address.
    pub origin: u32,
    /// Bytes.
    pub length: usize,
}

/// Bytes that most flash memories read at once.
const fn line() -> u32 {
    16
}

/// A manifest, as far as it is read here.
#[derive(Deserialize)]
struct Manifest {
    package: Package,
    #[serde(default)]
    bin: Vec<Program>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    board: Option<Board>,
}

#[derive(Deserialize)]
struct Program {
    name: String,
}

impl Board {
    /// Reads a folder; `None` when it is no board's.
    ///
    /// # Errors
    /// When its manifest cannot be read or has a faulty table.
    pub fn read(folder: &Path) -> Result<Option<Board>> {
        let file = folder.join("Cargo.toml");
        if !file.is_file() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
        let manifest: Manifest = toml::from_str(&text)
            .with_context(|| format!("{}: [package.metadata.board]: see boards/README.md", file.display()))?;
        let Some(board) = manifest.package.metadata.board else { return Ok(None) };
        let programs = manifest.bin.iter().map(|program| {
            let known = Application::ALL.into_iter().find(|application| application.name() == program.name);
            known.with_context(|| format!("{}: no file {}.rs in boards/apps", file.display(), program.name))
        });
        let mut applications: Vec<Application> = programs.collect::<Result<_>>()?;
        applications.sort();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ensure!(
            manifest.package.name == name,
            "{}: expected the folder's name {name}, found name = {:?}; next: rename one of them",
            file.display(),
            manifest.package.name
        );
        let description = manifest.package.description;
        Ok(Some(Board { name, description, folder: folder.into(), applications, ..board }))
    }

    /// The core, as people spell it.
    pub fn core(&self) -> String {
        let core = self.cpu.replace("cortex-m", "Cortex-M").replace("plus", "+");
        if self.target.ends_with("hf") && core.ends_with("M4") { core + "F" } else { core }
    }

    /// True if images are copied from flash to RAM before they are used.
    pub fn weights_in_ram(&self) -> bool {
        self.weights == "RAM"
    }

    /// True if the programs run in the emulator.
    pub fn is_emulated(&self) -> bool {
        self.machine.is_some()
    }
}

/// All boards of a folder, by name.
///
/// # Errors
/// When a board's manifest cannot be read.
pub fn all(boards: &Path) -> Result<Vec<Board>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(boards).with_context(|| format!("{}", boards.display()))? {
        found.extend(Board::read(&entry?.path())?);
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The board of this name.
///
/// # Errors
/// When there is none, with those whose names are near.
pub fn find(boards: &Path, name: &str) -> Result<Board> {
    let mut all = all(boards)?;
    if let Some(index) = all.iter().position(|board| board.name == name) {
        return Ok(all.swap_remove(index));
    }
    let names: Vec<&str> = all.iter().map(|board| board.name.as_str()).collect();
    bail!("no board {name:?}: {}", near(&names, name))
}

/// Names that may have been meant.
fn near(names: &[&str], wanted: &str) -> String {
    let wanted = wanted.to_lowercase();
    let likeness = |name: &str| -> f64 {
        let part = wanted.len() > 2 && name.contains(&wanted);
        strsim::jaro_winkler(name, &wanted).max(if part { 0.9 } else { 0.0 })
    };
    let mut near: Vec<&str> = names.iter().copied().filter(|name| likeness(name) > 0.75).collect();
    near.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    if near.is_empty() {
        return format!("there are {}; boards/README.md says how to add one", names.join(", "));
    }
    near.truncate(4);
    format!("similar names: {}; all: `cargo xtask board list`", near.join(", "))
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn a_name_that_is_mistyped_or_a_part_finds_its_board() {
        let names = ["microbit", "nrf52840-dk", "qemu-mps2-an386", "qemu-mps2-an385", "raspberry-pi-pico"];
        for (wanted, expected) in [
            ("microbti", "microbit"),
            ("nrf52840", "nrf52840-dk"),
            ("pico", "raspberry-pi-pico"),
            ("AN386", "qemu-mps2-an386"),
        ] {
            let found = near(&names, wanted);
            assert!(found.starts_with(&format!("similar names: {expected}")), "{wanted}: {found}");
        }
        assert!(near(&names, "zzz").contains("microbit, nrf52840-dk"));
    }
}
