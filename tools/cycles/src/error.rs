//! Errors in a program's file or in the plugin's.

use std::fmt;

/// The reason that there is no estimate.
#[derive(Debug)]
pub enum Error {
    /// The plugin's text has another version, or is something else.
    Header {
        /// The first line that this version reads.
        expected: &'static str,
        /// The first line of the file.
        found: String,
    },
    /// A line of the plugin's text is invalid.
    Line {
        /// Number of the line, from 1.
        number: usize,
        /// The line.
        line: String,
    },
    /// The program is not a readable ELF file.
    Elf(object::Error),
    /// The ELF file has no symbols of functions.
    NoSymbols,
    /// The ELF file has no symbol of this name.
    NoSymbol {
        /// The name.
        name: String,
        /// Similar names.
        near: Vec<String>,
    },
}

impl From<object::Error> for Error {
    fn from(error: object::Error) -> Error {
        Error::Elf(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Header { expected, found } => write!(
                f,
                "the plugin's first line is {found:?}, expected {expected:?}: build the plugin of this version"
            ),
            Error::Line { number, line } => write!(
                f,
                "line {number} of the plugin's output is {line:?}, expected an instruction or a jump: was QEMU stopped while it \
                 wrote? Run it again"
            ),
            Error::Elf(error) => write!(f, "not an ELF file of a program: {error}"),
            Error::NoSymbols => f.write_str(
                "the ELF file has no symbols, expected functions: build it without `strip` (`strip = false`)",
            ),
            Error::NoSymbol { name, near } if near.is_empty() => {
                write!(f, "no function {name:?} in the ELF file: mark it `#[inline(never)]`, or name another")
            }
            Error::NoSymbol { name, near } => {
                write!(f, "no function {name:?} in the ELF file: name one; similar names are {}", near.join(", "))
            }
        }
    }
}

impl std::error::Error for Error {}
