//! `cargo xtask` in the other workspaces: builds the main workspace's xtask and runs it.
//!
//! An alias of cargo cannot name another workspace from every folder; a package of this name in each of them can.

use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(root) = package.ancestors().find(|folder| folder.join("tools/xtask/Cargo.toml").is_file()) else {
        eprintln!("error: {}: no folder above it has tools/xtask; build it anew: `cargo clean`", package.display());
        return ExitCode::FAILURE;
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The target is the host, whatever the configuration of the user's folder sets.
    let built = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--quiet", "--package", "xtask", "--target-dir"])
        .arg(root.join("target"))
        .status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("error: {}: xtask could not be built", root.display());
        return ExitCode::FAILURE;
    }
    let program = root.join("target/debug/xtask").with_extension(std::env::consts::EXE_EXTENSION);
    match Command::new(&program).args(std::env::args_os().skip(1)).status() {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("error: {}: {error}", program.display());
            ExitCode::FAILURE
        }
    }
}
