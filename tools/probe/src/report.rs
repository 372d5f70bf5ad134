//! What a check found, as text for people and as JSON for `cargo xtask`.

use serde::Serialize;
use std::fmt;

/// What a program may violate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// What is written to the chip lies in its flash.
    Load,
    /// What the program changes lies in RAM.
    Ram,
    /// The vector table stands where the chip reads it.
    VectorTable,
    /// An RP2040 has its second-stage boot loader.
    Boot2,
    /// An RP2350 has its image definition.
    ImageDefinition,
    /// The stack starts in RAM, aligned.
    StackPointer,
    /// The program starts in code, in Thumb state.
    ResetHandler,
    /// The stack has room.
    StackRoom,
}

/// A rule that does not hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Violation {
    /// Which one.
    pub rule: Rule,
    /// The section at fault, where it has a name.
    pub section: Option<String>,
    /// Its address.
    pub address: u64,
    /// What is.
    pub found: String,
    /// What should be.
    pub expected: String,
    /// What to do.
    pub next: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(section) = &self.section {
            write!(f, "{section} ")?;
        }
        write!(f, "at {:#010x}: {}, expected {}; next: {}", self.address, self.found, self.expected, self.next)
    }
}

/// What a program takes on a chip, and what does not hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The ELF.
    pub file: String,
    /// The chip.
    pub chip: String,
    /// Bytes that are written to the chip.
    pub flash: u64,
    /// Bytes of RAM that variables take.
    pub static_ram: u64,
    /// Bytes that the stack can grow to; `None` when it cannot be said.
    pub stack: Option<u64>,
    /// What does not hold.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { file, chip, flash, static_ram, stack, violations } = self;
        let stack = stack.map_or("unknown".into(), |bytes| format!("{bytes} B"));
        write!(f, "{file} on {chip}: flash {flash} B, static RAM {static_ram} B, room for the stack {stack}")?;
        violations.iter().try_for_each(|violation| write!(f, "\nerror: {file}: {violation}"))
    }
}
