//! Set-up: finds or installs the programs that the commands need beside cargo.
//!
//! ```text
//! target in the toolchain ──┐
//! Debian's own toolchain  ──┼─► Toolchain ─► cargo for a target
//! rustup target add       ──┤
//! apt-get install         ──┘   (in this order: the first that works)
//! ```

use crate::shell::{self, in_path, output, text};
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use thumbformer_cli::stdout::stdout;

/// Debian's packages with a compiler and the sources of `core`, to build it for a target.
const DEBIAN_RUST: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
const DEBIAN_QEMU: [&str; 1] = ["qemu-system-arm"];
const DEBIAN_LINKER: [&str; 1] = ["lld"];
/// Minor version of the workspace's `rust-version`; an older compiler from Debian does not work.
const OLDEST_MINOR: u32 = 88;

/// The toolchain that compiles firmware on this machine.
pub enum Toolchain {
    /// The toolchain in use has the target.
    Installed,
    /// Debian's compiler builds `core` from Debian's sources.
    Debian {
        /// `rust-lld` or `ld.lld`.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// Description of the toolchain.
    pub fn describe(&self, target: &str) -> String {
        match self {
            Toolchain::Installed => format!("{target} of the toolchain in use"),
            Toolchain::Debian { linker } => {
                format!("{target} by Debian's rustc with core built from source, linker {}", linker.display())
            }
        }
    }

    /// Cargo for a target, with the linker and the libraries that this toolchain needs.
    pub fn cargo(&self, subcommand: &str, target: &str) -> Command {
        let mut command = match self {
            Toolchain::Installed => {
                let mut command = shell::cargo();
                command.arg(subcommand);
                command
            }
            Toolchain::Debian { linker } => {
                let mut command = Command::new("/usr/bin/cargo");
                shell::clean(&mut command);
                let path = std::env::var_os("PATH").unwrap_or_default();
                let paths = std::iter::once(PathBuf::from("/usr/bin")).chain(std::env::split_paths(&path));
                let linker_variable = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace(['-', '.'], "_"));
                command
                    .env_remove("RUSTUP_TOOLCHAIN")
                    .env("PATH", std::env::join_paths(paths).unwrap_or(path))
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env(linker_variable, linker)
                    .args([subcommand, "-Zbuild-std=core,alloc"]);
                command
            }
        };
        command.args(["--target", target]);
        command
    }
}

/// A needed program, and its location if it was found.
struct Need {
    name: &'static str,
    found: Option<String>,
    remedy: String,
}

/// Reports the programs that were found and those that are missing; installs nothing.
///
/// # Errors
/// When a program is missing.
pub fn check(target: &str) -> Result<()> {
    let rust = find_toolchain(target).map(|toolchain| toolchain.describe(target));
    let qemu = in_path("qemu-system-arm").map(|path| path.display().to_string());
    let nightly = nightly().map(|_| "nightly toolchain".to_string());
    let needs = [
        Need { name: "target", found: rust, remedy: format!("rustup target add {target}, or {}", apt(&DEBIAN_RUST)) },
        Need { name: "emulator", found: qemu, remedy: apt(&DEBIAN_QEMU) },
        Need { name: "nightly (optional)", found: nightly, remedy: "rustup toolchain install nightly".into() },
    ];
    for need in &needs {
        match &need.found {
            Some(found) => writeln!(stdout(), "{:<19} {found}", need.name)?,
            None => writeln!(stdout(), "{:<19} MISSING: {}", need.name, need.remedy)?,
        }
    }
    let missing = needs.iter().take(2).filter(|need| need.found.is_none()).count();
    if missing > 0 {
        bail!("{missing} missing: `cargo xtask setup` installs what it can");
    }
    Ok(())
}

/// Argument that selects the nightly compiler, if one is installed.
pub fn nightly() -> Option<&'static str> {
    let list = text(Command::new("rustup").args(["toolchain", "list"]))?;
    list.lines().any(|line| line.starts_with("nightly")).then_some("+nightly")
}

/// Finds or installs a nightly compiler, which counts edges and has sanitizers; returns the argument that selects it.
///
/// # Errors
/// With the command that failed.
pub fn installed_nightly() -> Result<&'static str> {
    if nightly().is_none() {
        eprintln!("setup: rustup toolchain install nightly (edges of fuzzing, sanitizers)");
        output(Command::new("rustup").args(["toolchain", "install", "nightly", "--profile", "minimal"]))?;
    }
    nightly().context("no nightly toolchain: run `rustup toolchain install nightly`")
}

/// Finds or installs a nightly compiler and cargo-fuzz; returns the argument that selects the compiler.
///
/// # Errors
/// With the command that failed.
pub fn fuzzer() -> Result<&'static str> {
    let nightly = installed_nightly()?;
    if text(cargo_of(nightly).args(["fuzz", "--version"])).is_none() {
        eprintln!("setup: cargo install cargo-fuzz --locked (runs libFuzzer)");
        output(shell::cargo().args(["install", "cargo-fuzz", "--locked"]))?;
    }
    Ok(nightly)
}

/// Finds or installs Miri; returns the argument that selects its compiler.
///
/// # Errors
/// With the command that failed.
pub fn miri() -> Result<&'static str> {
    let has_it = |nightly: &&str| text(cargo_of(nightly).args(["miri", "--version"])).is_some();
    if nightly().filter(has_it).is_none() {
        eprintln!("setup: rustup toolchain install nightly --component miri,rust-src (finds undefined behaviour)");
        let arguments = ["toolchain", "install", "nightly", "--profile", "minimal", "--component", "miri,rust-src"];
        output(Command::new("rustup").args(arguments))?;
    }
    nightly().context("no nightly toolchain: run `rustup toolchain install nightly --component miri,rust-src`")
}

/// Cargo of another toolchain, in the repository; `argument` is from [`nightly`].
pub fn cargo_of(argument: &str) -> Command {
    let mut command = Command::new("cargo");
    shell::clean(&mut command);
    // Cargo sets these for its own toolchain.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    command.current_dir(shell::root()).arg(argument);
    command
}

/// Finds or installs the toolchain and the emulator for firmware of a target.
///
/// # Errors
/// With the command for the user to run, where this program lacks the rights.
pub fn ensure(target: &str) -> Result<Toolchain> {
    if in_path("qemu-system-arm").is_none() {
        install(&DEBIAN_QEMU, "the emulator that runs the firmware")?;
    }
    if let Some(toolchain) = find_toolchain(target) {
        return Ok(toolchain);
    }
    if in_path("rustup").is_some() {
        eprintln!("setup: rustup target add {target} (the compiler's library for the board)");
        if text(Command::new("rustup").args(["target", "add", target])).is_some() {
            return find_toolchain(target).with_context(|| format!("rustup added {target}, but it cannot be found"));
        }
        eprintln!("setup: rustup cannot download it here; trying the system's packages");
    }
    if rust_lld().is_none() {
        install(&DEBIAN_LINKER, "a linker for the board")?;
    }
    install(&DEBIAN_RUST, "a compiler that can build core for the board from source").with_context(|| {
        format!("no compiler for {target}: run `rustup target add {target}` where there is a network")
    })?;
    find_toolchain(target).with_context(|| {
        format!(
            "the packages {} are installed, but there is no rustc 1.{OLDEST_MINOR} with sources",
            DEBIAN_RUST.join(" ")
        )
    })
}

fn find_toolchain(target: &str) -> Option<Toolchain> {
    if has_target(target) { Some(Toolchain::Installed) } else { debian_toolchain() }
}

/// True if the compiler in use has `core` for the target.
fn has_target(target: &str) -> bool {
    let directory = text(shell::rustc().args(["--print", "target-libdir", "--target", target]));
    let entries = directory.and_then(|directory| std::fs::read_dir(directory).ok());
    entries.is_some_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libcore-")))
    })
}

fn debian_toolchain() -> Option<Toolchain> {
    let rustc = || {
        let mut command = Command::new("/usr/bin/rustc");
        command.env_remove("RUSTUP_TOOLCHAIN");
        command
    };
    let version = text(rustc().arg("--version"))?;
    let minor: u32 = version.split(['.', ' ']).nth(2)?.parse().ok()?;
    let sysroot = text(rustc().args(["--print", "sysroot"]))?;
    let has_sources = Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file();
    let usable = minor >= OLDEST_MINOR && has_sources && Path::new("/usr/bin/cargo").is_file();
    usable.then(rust_lld).flatten().map(|linker| Toolchain::Debian { linker })
}

/// Linker of the toolchain in use, or LLVM's.
fn rust_lld() -> Option<PathBuf> {
    let sysroot = text(shell::rustc().args(["--print", "sysroot"])).map(PathBuf::from);
    let version = text(shell::rustc().arg("-vV")).unwrap_or_default();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("").to_string();
    let shipped = sysroot.map(|sysroot| sysroot.join("lib/rustlib").join(host).join("bin/rust-lld"));
    shipped.filter(|file| file.is_file()).or_else(|| in_path("rust-lld")).or_else(|| in_path("ld.lld"))
}

fn apt(packages: &[&str]) -> String {
    format!("apt-get install {}", packages.join(" "))
}

/// Installs Debian packages, as root or by a `sudo` that needs no password.
fn install(packages: &[&str], why: &str) -> Result<()> {
    let by_hand = format!("sudo {}", apt(packages));
    if in_path("apt-get").is_none() {
        bail!("needs {} ({why}): this system has no apt-get; install them by its own means", packages.join(", "));
    }
    let root = text(Command::new("id").arg("-u")).as_deref() == Some("0");
    let sudo = !root && text(Command::new("sudo").args(["-n", "true"])).is_some();
    if !root && !sudo {
        bail!("needs {} ({why}) and lacks the rights. Run: {by_hand}", packages.join(", "));
    }
    eprintln!("setup: {by_hand} ({why})");
    let apt_get = |arguments: &[&str]| {
        let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
        if sudo {
            command.args(["-n", "apt-get"]);
        }
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-y", "--no-install-recommends"]).args(arguments);
        output(&mut command)
    };
    let arguments = [&["install"], packages].concat();
    // The lists of a fresh machine or container are empty or old.
    if apt_get(&arguments).is_err() {
        apt_get(&["update"]).with_context(|| format!("run: sudo apt-get update && {by_hand}"))?;
        apt_get(&arguments).with_context(|| format!("run: {by_hand}"))?;
    }
    Ok(())
}
