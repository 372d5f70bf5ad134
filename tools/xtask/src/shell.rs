//! Runs other programs; their output goes to the terminal, or is kept and shown when they fail.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Path of the repository.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}

/// A command as the user would type it.
pub fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The cargo that runs this, in the repository.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    clean(&mut command);
    command
}

/// This program, under a name that stays where cargo links a new one in its place: somebody may build while it runs.
///
/// # Errors
/// When the name cannot be given.
pub fn this_program() -> Result<PathBuf> {
    static HELD: OnceLock<PathBuf> = OnceLock::new();
    if let Some(held) = HELD.get() {
        return Ok(held.clone());
    }
    let here = std::env::current_exe().context("the path of xtask")?;
    // Beside it, where its siblings are found from both.
    let held = here.with_file_name("xtask-held").with_extension(std::env::consts::EXE_EXTENSION);
    if here != held {
        let part = here.with_file_name(format!("xtask-part-{}", std::process::id()));
        std::fs::hard_link(&here, &part)
            .or_else(|_| std::fs::copy(&here, &part).map(|_| ()))
            .and_then(|()| std::fs::rename(&part, &held))
            .with_context(|| format!("{} as {}", here.display(), held.display()))?;
        // Two names of one file are not renamed.
        _ = std::fs::remove_file(&part);
    }
    Ok(HELD.get_or_init(|| held).clone())
}

/// The command line tool, built as this program was: together with it, or cargo would compile all of it for other features.
///
/// # Errors
/// With the compiler's output.
pub fn thumbformer() -> Result<PathBuf> {
    output(cargo().args(["build", "--quiet", "--package", "thumbformer-cli", "--package", "xtask"]))?;
    Ok(this_program()?.with_file_name("thumbformer").with_extension(std::env::consts::EXE_EXTENSION))
}

/// The compiler that goes with [`cargo`].
pub fn rustc() -> Command {
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(root());
    command
}

/// Removes the variables that cargo sets for the programs it runs, and those that would silently change a build.
pub fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "RUSTC_BOOTSTRAP" {
            command.env_remove(name);
        }
    }
}

/// Runs a command and keeps its output.
///
/// # Errors
/// When it cannot be started or fails; the message has the end of its output.
pub fn output(command: &mut Command) -> Result<Output> {
    let typed = typed(command);
    let output = command.output().with_context(|| format!("`{typed}` could not be started"))?;
    if !output.status.success() {
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        let lines: Vec<&str> = printed.lines().collect();
        let end = lines.get(lines.len().saturating_sub(60)..).unwrap_or(&[]).join("\n");
        bail!("`{typed}` failed ({}):\n{end}", output.status);
    }
    Ok(output)
}

/// Standard output of a command, if it succeeds.
pub fn text(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// The first file with this name in the directories of `PATH`.
pub fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}
