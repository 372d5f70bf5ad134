//! Machine code of Thumb cores, split into instructions, for the checks of panics and of inner loops.

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
    let section = file
        .sections()
        .find(|section| (section.address()..section.address() + section.size()).contains(&start))
        .with_context(|| format!("no section at {start:#x}"))?;
    let code = section.data_range(start, end - start)?.with_context(|| format!("no code at {start:#x}"))?;
    let marks = marks(file, start, end);
    let half = |at: usize| code.get(at..at + 2).map(|bytes| u32::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(first) = half(at) {
        let address = start + at as u64;
        let is_data = marks.range(..=address).next_back().is_some_and(|(_, &is_data)| is_data);
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

/// Addresses at which code turns into data and back, between two addresses.
fn marks(file: &object::File<'_>, start: u64, end: u64) -> BTreeMap<u64, bool> {
    let mut marks = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| (start..end).contains(&(symbol.address() & !1))) {
        match symbol.name().unwrap_or("").split('.').next() {
            Some("$d") => marks.insert(symbol.address(), true),
            Some("$t") => marks.insert(symbol.address() & !1, false),
            _ => None,
        };
    }
    marks
}
