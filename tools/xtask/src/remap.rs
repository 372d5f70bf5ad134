//! Paths left out of firmware: a clone anywhere gives the same bytes.
//!
//! ```text
//! cargo ──RUSTC_WRAPPER──► xtask: rustc's arguments and `--remap-path-prefix` ──► rustc
//! ```
//! Not in `RUSTFLAGS`: with that flag among them, cargo keeps only the last build of a target folder and compiles everything anew
//! whenever the board, and with it `target-cpu`, changes.

use crate::shell::{root, this_program};
use anyhow::Result;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Variable that makes this program the compiler's wrapper.
const VARIABLE: &str = "THUMBFORMER_WRAPS_RUSTC";

/// Has cargo call the compiler through this program, in place of a wrapper that the user may have.
///
/// # Errors
/// When the path of this program is unknown.
pub fn wrap(command: &mut Command) -> Result<()> {
    command.env("RUSTC_WRAPPER", this_program()?).env(VARIABLE, "1");
    Ok(())
}

/// The compiler's exit code, where cargo called this program as its wrapper.
pub fn as_compiler() -> Option<ExitCode> {
    std::env::var_os(VARIABLE)?;
    let mut arguments = std::env::args_os().skip(1);
    let mut compiler = Command::new(arguments.next()?);
    compiler.args(arguments).args(flags()).env_remove(VARIABLE);
    match compiler.status() {
        Ok(status) => Some(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1).into()),
        Err(error) => {
            eprintln!("error: {compiler:?}: {error}");
            Some(ExitCode::FAILURE)
        }
    }
}

/// Flags for this clone and cargo's folder of sources.
fn flags() -> [String; 2] {
    let home = std::env::home_dir().unwrap_or_default().join(".cargo");
    let cargo = std::env::var_os("CARGO_HOME").map_or(home, PathBuf::from);
    [(root(), "/thumbformer"), (cargo.join("registry/src"), "/registry")]
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
}
