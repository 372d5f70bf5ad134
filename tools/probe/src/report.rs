//! Report of a check, as text for people and as JSON for `cargo xtask`.

use serde::Serialize;
use std::fmt;

/// A rule for programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Bytes that are written to the chip lie in its flash.
    Load,
    /// Memory that the program changes lies in RAM.
    Ram,
    /// The vector table is at the address where the chip reads it.
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

/// A violation of a rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Violation {
    /// The violated rule.
    pub rule: Rule,
    /// The section at fault, if it has a name.
    pub section: Option<String>,
    /// Address of the violation.
    pub address: u64,
    /// The value found.
    pub found: String,
    /// The expected value.
    pub expected: String,
    /// Next step.
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

/// Memory that a program takes on a chip, and its violations.
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
    /// Bytes that the stack can grow to; `None` when unknown.
    pub stack: Option<u64>,
    /// Violated rules.
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
