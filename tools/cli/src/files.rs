//! Output files: written whole or not at all, and never over an input.

use anyhow::{Result, anyhow, bail};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};
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
    written.map_err(|error| {
        let cause = cause(error.kind());
        anyhow!(error).context(format!("{}: cannot be written: {cause}", file.display()))
    })
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

/// Cause of an error of writing, and the next step.
fn cause(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "there is no such folder; make it, or give a file in another",
        ErrorKind::PermissionDenied => "the permissions of its folder do not allow it; give a file in another",
        ErrorKind::IsADirectory => "it is a folder; give a file",
        ErrorKind::NotADirectory => "a part of its path is a file, not a folder; check the path",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "the disk is full; make room, or give a file on another",
        ErrorKind::ReadOnlyFilesystem => "its disk is read-only; give a file on another",
        _ => "the system has refused it; its reason follows",
    }
}

/// Extension of a file that is made to learn the mode of new files.
const NEW: &str = "new";

/// Temporary files that are being written.
static PARTS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Has the signals that end a process remove temporary files before they do. One that is ignored, as in a shell's background or under
/// `nohup`, stays so.
#[cfg(unix)]
fn clean_up_when_interrupted() {
    use signal_hook::{consts, iterator::Signals};
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        let ends = [consts::SIGINT, consts::SIGTERM, consts::SIGHUP];
        let ends = ends.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
        // Without handlers a signal leaves the temporary file; the output is whole all the same.
        let Ok(mut signals) = Signals::new(ends) else { return };
        std::thread::spawn(move || signals.forever().for_each(end));
    });
}

#[cfg(not(unix))]
fn clean_up_when_interrupted() {}

/// Removes the temporary files and ends the process, which meanwhile makes no other: it would have to take the lock.
#[cfg(unix)]
fn end(signal: i32) {
    let mut parts = PARTS.lock().unwrap_or_else(PoisonError::into_inner);
    for part in parts.drain(..) {
        let _ = fs::remove_file(part.with_extension(NEW));
        let _ = fs::remove_file(part);
    }
    // As shells have it.
    std::process::exit(128 + signal);
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
    clean_up_when_interrupted();
    let part = {
        let mut parts = PARTS.lock().unwrap_or_else(PoisonError::into_inner);
        let part = tempfile::Builder::new().prefix(".thumbformer-").suffix(".part").tempfile_in(folder)?;
        parts.push(part.path().into());
        part
    };
    let path = part.path().to_path_buf();
    let written = fill(part, target, bytes);
    PARTS.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != path);
    written
}

/// Writes a temporary file, which then takes the target's place.
fn fill(mut part: NamedTempFile, target: &Path, bytes: &[u8]) -> std::io::Result<()> {
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
            let new = part.path().with_extension(NEW);
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
