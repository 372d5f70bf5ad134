//! Output files: written whole or not at all, and never over an input.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Writes a file under a temporary name first, so that a failure leaves the old file in place.
///
/// `inputs`: the files that the bytes were made from.
///
/// # Errors
/// For a file that cannot be written, and for one that is an input.
pub fn write_file(file: &Path, bytes: &[u8], inputs: &[&Path]) -> Result<()> {
    // A link stays, its target is replaced. A device or a pipe is written to: a new file in its place would destroy it.
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.into());
    if inputs.iter().any(|input| fs::canonicalize(input).is_ok_and(|input| input == target)) {
        bail!("{}: this file is an input of the command; give another output file", file.display());
    }
    let is_special = fs::metadata(&target).is_ok_and(|found| !found.is_file());
    let written = if is_special { fs::write(&target, bytes) } else { replace(&target, bytes) };
    written.with_context(|| format!("{}: cannot be written; give a file in a folder that exists", file.display()))
}

fn replace(target: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = target.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part: PathBuf = target.with_file_name(name);
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, target));
    if written.is_err() {
        // The file may not exist.
        _ = fs::remove_file(&part);
    }
    written
}
