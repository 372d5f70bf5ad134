//! Input files: read whole, JSON up to a size, since its values take up to 50 times the memory of its text.

use std::io::ErrorKind;
use std::path::Path;

use crate::Error;

/// Bytes of the largest JSON that is read: several times what a vocabulary of 65,535 tokens takes.
pub(crate) const MOST_JSON: u64 = 16 << 20;

/// A file's bytes, or the error that names it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })
}

/// A JSON file's text, or the error that names it.
pub(crate) fn read_json(path: &Path) -> Result<String, Error> {
    if let Ok(found) = std::fs::metadata(path) {
        check_json(path, found.len(), "the file")?;
    }
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })
}

/// Refuses JSON that is too large to be what it is named.
pub(crate) fn check_json(path: &Path, bytes: u64, what: &str) -> Result<(), Error> {
    if bytes <= MOST_JSON {
        return Ok(());
    }
    let found = format!("{what} has {bytes} bytes of JSON, expected at most {MOST_JSON}");
    Err(Error::UnknownFormat { path: path.into(), found, next: "check that it is the right file".into() })
}

/// Cause of an error of reading, and the next step.
pub(crate) fn cause(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "there is no such file; check the path",
        ErrorKind::PermissionDenied => "its permissions do not allow it; change them",
        ErrorKind::IsADirectory => "it is a folder; give a file",
        ErrorKind::NotADirectory => "a part of its path is a file, not a folder; check the path",
        ErrorKind::InvalidData => "it is not text in UTF-8; save it as such",
        ErrorKind::OutOfMemory => "it does not fit the memory of this machine; give a smaller one",
        _ => "the system has refused it; its reason follows",
    }
}
