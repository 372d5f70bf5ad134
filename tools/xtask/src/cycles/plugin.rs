//! The QEMU plugin: builds it, loads it, and reads its text.
//!
//! ```text
//! tools/cycles-plugin ──► cargo build ──► QEMU -plugin …,mark=ADDRESS:PART ──► text ──► Trace
//! ```

use crate::emulator::{self, Extra, Output};
use crate::firmware::Board;
use crate::shell::{cargo, output, root};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use thumbformer_cycles::trace::Trace;

/// The oldest version of QEMU that was tried; the plugin's interface exists since 4.2.
const OLDEST_QEMU: u32 = 7;

/// An address, and the number of the part executed before it; 0 for code that is not counted.
pub type Mark = (u32, u32);

/// Builds the plugin and returns its path.
///
/// # Errors
/// With the compiler's output.
pub fn build() -> Result<PathBuf> {
    let target = root().join("target/cycles-plugin");
    let mut command = cargo();
    command.args(["build", "--release", "--manifest-path", "tools/cycles-plugin/Cargo.toml", "--target-dir"]);
    output(command.arg(&target)).context("the plugin that counts in QEMU")?;
    let name = format!("{}thumbformer_cycles_plugin{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    Ok(target.join("release").join(name))
}

/// Checks that a QEMU with support for plugins is installed.
///
/// # Errors
/// When QEMU is missing, too old, or built without plugins; with the next step.
pub fn check_qemu() -> Result<()> {
    let text = |argument: &str| -> Result<String> {
        let printed = Command::new("qemu-system-arm").arg(argument).output();
        let printed = printed.context("qemu-system-arm could not be started: run `cargo xtask setup`")?;
        Ok(String::from_utf8_lossy(&printed.stdout).into_owned())
    };
    check_version(&text("--version")?)?;
    ensure!(
        text("--help")?.contains("-plugin"),
        "this QEMU was built without plugins: install Debian's qemu-system-arm, or build QEMU with --enable-plugins"
    );
    Ok(())
}

/// Checks the version in `QEMU emulator version 7.2.22 (…)`.
fn check_version(text: &str) -> Result<()> {
    let version = text.split("version ").nth(1).and_then(|rest| rest.split([' ', '\n']).next());
    let version =
        version.with_context(|| format!("expected QEMU's version, found {text:?}: is qemu-system-arm QEMU?"))?;
    let major: u32 = version.split('.').next().unwrap_or("").parse().unwrap_or(0);
    if major < OLDEST_QEMU {
        bail!(
            "QEMU {version} is too old for the plugin, expected {OLDEST_QEMU} or later: install a newer qemu-system-arm"
        );
    }
    Ok(())
}

/// Runs a program until it ends; returns its executed instructions and its output.
///
/// # Errors
/// When QEMU cannot be started, refuses the plugin, or does not end.
pub fn run(board: &Board, elf: &Path, arguments: &[String], marks: &[Mark]) -> Result<(Trace, Output)> {
    check_qemu()?;
    let plugin = build()?;
    let text = root().join("target/cycles-plugin").join(format!("{}.trace", std::process::id()));
    let marks: String = marks.iter().map(|(address, part)| format!(",mark={address:x}:{part}")).collect();
    let option = format!("file={},out={}{marks}", commas(&plugin), commas(&text));
    let extra = Extra { options: &["-plugin".into(), option], serial: None };
    let output = emulator::emulate_with(board, elf, arguments, &extra, |_| ())?;
    let written = std::fs::read_to_string(&text);
    let _ = std::fs::remove_file(&text);
    let written = written.with_context(|| {
        let said = String::from_utf8_lossy(&output.uart).into_owned();
        format!("the plugin wrote nothing; QEMU (exit code {}) said: {}", output.exit, said.trim())
    })?;
    Ok((Trace::parse(&written)?, output))
}

/// A path for QEMU's options, in which a comma is written twice.
fn commas(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::check_version;

    #[test]
    fn old_versions_of_qemu_are_refused() {
        assert!(check_version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright").is_ok());
        assert!(check_version("QEMU emulator version 10.1.0\n").is_ok());
        let error = check_version("QEMU emulator version 4.1.1 (x)").expect_err("too old").to_string();
        assert!(error.contains("4.1.1") && error.contains("newer"), "{error}");
        assert!(check_version("").is_err());
    }
}
