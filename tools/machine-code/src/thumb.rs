//! Machine code of Thumb cores, split into instructions.

use anyhow::{Context, Result};
use object::{Object, ObjectSection, ObjectSymbol};
use std::collections::BTreeMap;

/// An instruction of 16 or 32 bits.
#[derive(Clone, Copy)]
pub struct Instruction {
    /// Address of the instruction.
    pub address: u64,
    /// First halfword.
    pub first: u32,
    /// Second halfword; `None` for a 16-bit instruction.
    pub second: Option<u32>,
}

/// Instructions between two addresses, without the constants between the code (which `$d` and `$t` mark).
///
/// # Errors
/// When no section holds the addresses.
pub fn instructions(file: &object::File<'_>, start: u64, end: u64) -> Result<Vec<Instruction>> {
    marked(file, &marks(file), start, end)
}

/// The same, with the marks of the whole file.
pub(crate) fn marked(file: &object::File<'_>, marks: &Marks, start: u64, end: u64) -> Result<Vec<Instruction>> {
    let section = file
        .sections()
        .find(|section| (section.address()..section.address() + section.size()).contains(&start))
        .with_context(|| format!("no section at {start:#x}"))?;
    let code = section.data_range(start, end - start)?.with_context(|| format!("no code at {start:#x}"))?;
    let half = |at: usize| code.get(at..at + 2).map(|bytes| u32::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(first) = half(at) {
        let address = start + at as u64;
        let is_data = marks.range(start..=address).next_back().is_some_and(|(_, &is_data)| is_data);
        if is_data {
            at += 2;
            continue;
        }
        let second = if first >> 11 > 0b11100 { half(at + 2) } else { None };
        found.push(Instruction { address, first, second });
        at += if second.is_some() { 4 } else { 2 };
    }
    Ok(found)
}

/// Addresses at which code turns into data (true) and back.
pub(crate) type Marks = BTreeMap<u64, bool>;

/// The marks of a file.
pub(crate) fn marks(file: &object::File<'_>) -> Marks {
    let marks = file.symbols().filter_map(|symbol| match symbol.name().unwrap_or("").split('.').next() {
        Some("$d") => Some((symbol.address(), true)),
        Some("$t") => Some((symbol.address() & !1, false)),
        _ => None,
    });
    marks.collect()
}
