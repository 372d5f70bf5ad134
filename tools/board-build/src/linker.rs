//! The linker's arguments, and whether a build is for its board at all.
//!
//! Emitted here, as cargo reads `.cargo/config.toml` only in the board's folder and its `rustflags` only when `RUSTFLAGS` is unset:
//! without them the linker leaves an empty program, and no error.

use anyhow::{Context, Result, ensure};
use board_manifest::Board;
use std::path::{Path, PathBuf};

/// Checks that the build in progress is for the board.
///
/// # Errors
/// When its target is another, or a core that has no backend without its name is not named.
pub fn is_for(board: &Board) -> Result<()> {
    let target = std::env::var("TARGET").context("no TARGET: to be run by cargo")?;
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    fits(board, &target, &flags)
}

fn fits(board: &Board, target: &str, flags: &str) -> Result<()> {
    let Board { name, target: wanted, cpu, .. } = board;
    ensure!(
        target == wanted,
        "{name}: expected the target {wanted}, found {target}: build it in boards/{name}, or with \
         `--target {wanted} --config boards/{name}/.cargo/config.toml`"
    );
    let named = flags.split('\x1f').any(|flag| flag.trim_start_matches("-C") == format!("target-cpu={cpu}"));
    ensure!(
        named || !wanted.starts_with("thumbv8m"),
        "{name}: expected `-C target-cpu={cpu}` among the compiler's flags, without which it would not have the backend {}: \
         add it to RUSTFLAGS, or leave RUSTFLAGS unset and build in boards/{name}",
        board.backend
    );
    Ok(())
}

/// Links programs, examples and tests by these scripts, each program with a `memory.x` of its own, and hands the crate
/// `BOARD_BACKEND`, `BOARD_CLOCK_HZ` and `BOARD_WAIT_STATES`.
///
/// # Errors
/// When a script cannot be made or written.
pub fn arguments(board: &Board, scripts: &[&str], stacks: &[(Linked, usize)]) -> Result<()> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("no OUT_DIR: to be run by cargo")?);
    for (linked, stack) in stacks {
        let (folder, argument) = match linked {
            Linked::All => (out.join("all"), "rustc-link-arg".to_string()),
            Linked::Program(name) => (out.join(name), format!("rustc-link-arg-bin={name}")),
            Linked::Examples => (out.join("examples"), "rustc-link-arg-examples".into()),
        };
        std::fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
        std::fs::write(folder.join("memory.x"), board.memory_x(*stack)?)?;
        println!("cargo:{argument}=-L{}", folder.display());
    }
    // A file that is not there would have the script run at every build.
    for file in ["Cargo.toml", "sections.x"].map(|file| board.folder.join(file)).iter().filter(|file| file.is_file()) {
        println!("cargo:rerun-if-changed={}", file.display());
    }
    for script in scripts {
        println!("cargo:rustc-link-arg=-T{script}");
    }
    println!("cargo:rustc-link-arg=--nmagic");
    let (clock_hz, wait_states) = (board.clock_hz.to_string(), board.wait_states.to_string());
    for (name, value) in [("BACKEND", &board.backend), ("CLOCK_HZ", &clock_hz), ("WAIT_STATES", &wait_states)] {
        println!("cargo:rustc-env=BOARD_{name}={value}");
    }
    Ok(())
}

/// Parts of a crate that one `memory.x` is for.
pub enum Linked {
    /// Everything that the crate links.
    All,
    /// The program of this name.
    Program(&'static str),
    /// The examples.
    Examples,
}

/// The board that `THUMBFORMER_BOARD` names, a `memory.x` with as many bytes of stack as `stack` says, and the linker's arguments: for
/// programs that are built for any board.
///
/// Ends the build with a sentence when there is no such board, or the build is not for it.
pub fn link_as(boards: &Path, scripts: &[&str], stack: impl Fn(&Board) -> usize) -> Board {
    or_end(named(boards, scripts, stack))
}

/// A result, or the end of the build with what to do.
pub(crate) fn or_end<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| {
        println!("cargo:warning={error:#}");
        eprintln!("error: {error:#}");
        std::process::exit(1)
    })
}

fn named(boards: &Path, scripts: &[&str], stack: impl Fn(&Board) -> usize) -> Result<Board> {
    println!("cargo:rerun-if-env-changed=THUMBFORMER_BOARD");
    let name = std::env::var("THUMBFORMER_BOARD")
        .context("THUMBFORMER_BOARD: a folder of boards/ whose core and memory the program is for")?;
    let board = board_manifest::find(boards, &name)?;
    is_for(&board)?;
    arguments(&board, scripts, &[(Linked::All, stack(&board))])?;
    Ok(board)
}

#[cfg(test)]
mod tests {
    use super::fits;
    use std::path::Path;

    #[test]
    fn a_build_for_another_target_or_core_is_refused_with_what_to_do() {
        let boards = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards");
        let board = |name| board_manifest::find(&boards, name).expect("a board");
        let (m4, m33) = (board("qemu-mps2-an386"), board("qemu-mps2-an505"));
        let table = [
            (&m4, "thumbv7em-none-eabihf", "", None),
            (&m4, "thumbv7em-none-eabihf", "-Dwarnings", None),
            (&m4, "x86_64-unknown-linux-gnu", "", Some("--target thumbv7em-none-eabihf")),
            (&m33, "thumbv8m.main-none-eabihf", "-C\x1ftarget-cpu=cortex-m33", None),
            (&m33, "thumbv8m.main-none-eabihf", "-Ctarget-cpu=cortex-m33", None),
            (&m33, "thumbv8m.main-none-eabihf", "-Dwarnings", Some("`-C target-cpu=cortex-m33`")),
            (&m33, "thumbv8m.main-none-eabihf", "-Ctarget-cpu=cortex-m35p", Some("`-C target-cpu=cortex-m33`")),
        ];
        for (board, target, flags, expected) in table {
            match (fits(board, target, flags), expected) {
                (Ok(()), None) => {}
                (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
                (found, _) => panic!("{target} {flags:?}: {found:?}"),
            }
        }
    }
}
