//! Firmware of the boards, built as ELF files.

use crate::remap;
use crate::setup::Toolchain;
use crate::shell::{output, root};
use anyhow::{Context, Result, bail};
use board_manifest::{DefaultModel, Kind, first};
use object::{Object, ObjectSection, SectionFlags, SectionKind};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Settings of a build in addition to those of the folder.
#[derive(Clone, Debug, Default)]
pub struct Build {
    /// Features, for `--features`.
    pub features: Vec<&'static str>,
    /// Compiler flags, for `RUSTFLAGS`.
    pub rustflags: Vec<String>,
    /// Environment variables.
    pub variables: Vec<(&'static str, String)>,
}

/// A folder of programs, with the settings to build and run them.
#[derive(Clone, Debug)]
pub struct Board {
    /// Name of the machine in the emulator.
    pub machine: Option<String>,
    /// Target of the compiler.
    pub target: String,
    /// Backend that the firmware must have.
    pub backend: String,
    /// Packing of the images.
    pub pack: String,
    /// Arguments of cargo and variables, in addition to the folder's own configuration.
    pub build: Build,
    /// Name of the folder.
    pub name: String,
    /// Path of the folder.
    pub folder: PathBuf,
}

impl From<board_manifest::Board> for Board {
    fn from(board: board_manifest::Board) -> Board {
        let build = Build { rustflags: board.rustflags().into(), ..Build::default() };
        let board_manifest::Board { machine, target, backend, pack, name, folder, .. } = board;
        Board { machine, target, backend, pack, build, name, folder }
    }
}

/// The default language model.
///
/// # Errors
/// When there is none.
pub fn language_model() -> Result<DefaultModel> {
    first(Kind::Language, &root().join("models"))
}

/// Lock from the build of a program to its copy, as builds run side by side and boards of one target share a folder.
static BUILDING: Mutex<()> = Mutex::new(());

impl Board {
    /// Finds the board of a folder.
    ///
    /// # Errors
    /// When there is no such board, or its manifest has no usable table.
    pub fn find(name: &str) -> Result<Board> {
        Ok(board_manifest::find(&root().join("boards"), name)?.into())
    }

    /// Path of the default language model in this board's packing.
    ///
    /// # Errors
    /// When there is none.
    pub fn image(&self) -> Result<PathBuf> {
        Ok(language_model()?.packed(&self.pack))
    }

    /// Builds an example of the board's folder and returns its path.
    ///
    /// # Errors
    /// With the compiler's output.
    pub fn build_example(&self, toolchain: &Toolchain, name: &str) -> Result<PathBuf> {
        let _guard = BUILDING.lock();
        self.compile(toolchain, &["--example", name])?;
        self.kept(&self.programs().join("examples").join(name))
    }

    /// Builds one of the programs of a folder and returns its path.
    ///
    /// # Errors
    /// With the compiler's output.
    pub fn build_program(&self, toolchain: &Toolchain, name: &str) -> Result<PathBuf> {
        let mut built = self.build_programs(toolchain, &[name])?;
        built.pop().with_context(|| format!("{}: no program {name}", self.name))
    }

    /// Builds several programs of a folder at once, as linking one keeps only one core busy, and returns their paths.
    ///
    /// # Errors
    /// With the compiler's output.
    pub fn build_programs(&self, toolchain: &Toolchain, names: &[&str]) -> Result<Vec<PathBuf>> {
        let _guard = BUILDING.lock();
        // A failed build must not leave an older program that would be measured in its place.
        names.iter().for_each(|name| _ = std::fs::remove_file(self.programs().join(name)));
        let arguments: Vec<&str> = names.iter().flat_map(|name| ["--bin", name]).collect();
        self.compile(toolchain, &arguments)?;
        names.iter().map(|name| self.kept(&self.programs().join(name))).collect()
    }

    fn programs(&self) -> PathBuf {
        root().join("boards/target").join(&self.target).join("release")
    }

    /// Copies a program into a folder of this board and build: programs of boards with one target have the same names.
    fn kept(&self, elf: &Path) -> Result<PathBuf> {
        let mut name = self.name.clone();
        if !self.build.variables.is_empty() {
            let mut hasher = DefaultHasher::new();
            (&self.target, &self.machine, &self.build.variables).hash(&mut hasher);
            name += &format!("-{:016x}", hasher.finish());
        }
        let folder = root().join("boards/target/boards").join(name);
        let kept = folder.join(elf.file_name().unwrap_or_default());
        std::fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
        std::fs::copy(elf, &kept).with_context(|| format!("{} to {}", elf.display(), kept.display()))?;
        Ok(kept)
    }

    /// Cargo in the board's folder, for its target; the caller adds the arguments of the subcommand.
    ///
    /// # Errors
    /// When the path of this program, which wraps the compiler, is unknown.
    pub fn cargo(&self, toolchain: &Toolchain, subcommand: &str) -> Result<Command> {
        let mut command = toolchain.cargo(subcommand, &self.target);
        remap::wrap(&mut command)?;
        if !self.build.rustflags.is_empty() {
            command.env("CARGO_ENCODED_RUSTFLAGS", self.build.rustflags.join("\x1f"));
        }
        command.envs(self.build.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(&self.folder).arg("--target-dir").arg(root().join("boards/target"));
        Ok(command)
    }

    fn compile(&self, toolchain: &Toolchain, arguments: &[&str]) -> Result<()> {
        let mut command = self.cargo(toolchain, "build")?;
        command.arg("--release").args(arguments).args(self.build.features.iter().flat_map(|f| ["--features", f]));
        let built = output(&mut command)?;
        let printed = String::from_utf8_lossy(&built.stderr);
        // Warnings are errors, as nobody reads them on a server.
        if printed.lines().any(|line| line.starts_with("warning")) {
            bail!("the firmware of {} builds with warnings:\n{printed}", self.name);
        }
        Ok(())
    }
}

/// Holds a program to what [`remap`] promises.
///
/// # Errors
/// When what is loaded on the board holds the path of this clone.
pub fn holds_no_path(elf: &[u8]) -> Result<()> {
    let (file, folder) = (object::File::parse(elf)?, root().display().to_string());
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
        let loaded = sh_flags.0 & object::elf::SHF_ALLOC.0 != 0;
        if loaded && section.data()?.windows(folder.len()).any(|bytes| bytes == folder.as_bytes()) {
            bail!("{} of the program holds the path {folder}: see `remap`", section.name()?);
        }
    }
    Ok(())
}

/// Memory that a program takes on the board, in bytes.
pub struct Size {
    /// Flash: code, constants (the model included) and the initial values of variables.
    pub flash: u64,
    /// Static RAM: variables.
    pub ram: u64,
}

/// Measures an ELF file.
///
/// # Errors
/// When it is not an ELF file.
pub fn size(elf: &[u8]) -> Result<Size> {
    let file = object::File::parse(elf)?;
    let mut size = Size { flash: 0, ram: 0 };
    for section in file.sections() {
        // SHF_ALLOC: the other sections (names, debug information, the log's strings) stay on the host.
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
        if sh_flags.0 & object::elf::SHF_ALLOC.0 == 0 {
            continue;
        }
        let writable = sh_flags.0 & object::elf::SHF_WRITE.0 != 0;
        size.ram += if writable { section.size() } else { 0 };
        size.flash += if section.kind() == SectionKind::UninitializedData { 0 } else { section.size() };
    }
    Ok(size)
}
