//! Output files: written whole or not at all, and never over an input.

use anyhow::{Context, Result, bail};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Writes a file under another name first, so that a failure leaves the old file in place.
///
/// `inputs`: the files that the bytes were made from.
///
/// # Errors
/// For a file that cannot be written, for a read-only one, and for one that is an input.
pub fn write_file(file: &Path, bytes: &[u8], inputs: &[&Path]) -> Result<()> {
    let target = target(file);
    if inputs.iter().any(|input| fs::canonicalize(input).is_ok_and(|input| input == target)) {
        bail!("{}: this file is an input of the command; give another output file", file.display());
    }
    is_replaceable(&target)?;
    // A device or a pipe is written to: a new file in its place would destroy it.
    let is_special = fs::metadata(&target).is_ok_and(|found| !found.is_file());
    let written = if is_special { fs::write(&target, bytes) } else { replace(&target, bytes) };
    written.with_context(|| format!("{}: cannot be written; give a file in a folder that exists", file.display()))
}

/// Refuses a file that its owner made read-only: a new file in its place would be a way around that.
///
/// # Errors
/// For such a file, by name.
pub fn is_replaceable(file: &Path) -> Result<()> {
    if fs::metadata(file).is_ok_and(|found| found.permissions().readonly()) {
        bail!("{}: is read-only, and stays as it is; make it writable or give another file", file.display());
    }
    Ok(())
}

/// The file behind a link, which stays, and whose target is replaced or made.
fn target(file: &Path) -> PathBuf {
    let mut file = file.to_path_buf();
    // As many links as the system follows.
    for _ in 0..40 {
        let Ok(next) = fs::read_link(&file) else { break };
        file = file.parent().unwrap_or(Path::new("")).join(next);
    }
    fs::canonicalize(&file).unwrap_or_else(|_| target_of_missing(&file))
}

/// A file that does not exist yet, by the true path of its folder.
fn target_of_missing(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (fs::canonicalize(folder), file.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => file.into(),
    }
}

/// Another process that writes the same file has a temporary file of its own; the last one's is there in the end, whole.
fn replace(target: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut part = tempfile::Builder::new().prefix(".thumbformer-").suffix(".part").tempfile_in(folder)?;
    part.write_all(bytes)?;
    set_mode(&part, target)?;
    part.as_file().sync_all()?;
    part.persist(target).map_err(|error| error.error)?;
    Ok(())
}

/// The mode of the file that is replaced, or that of a new file: a temporary one is for its owner alone.
#[cfg(unix)]
fn set_mode(part: &NamedTempFile, target: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mode = match fs::metadata(target) {
        Ok(found) => found.permissions().mode(),
        Err(_) => {
            // What the process gives to new files, which no safe call tells but making one.
            let new = part.path().with_extension("new");
            let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o666).open(&new)?;
            let mode = file.metadata().map(|found| found.permissions().mode());
            fs::remove_file(&new)?;
            mode?
        }
    };
    part.as_file().set_permissions(fs::Permissions::from_mode(mode & 0o7777))
}

#[cfg(not(unix))]
fn set_mode(_: &NamedTempFile, _: &Path) -> std::io::Result<()> {
    Ok(())
}
