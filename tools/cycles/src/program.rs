//! The functions of a program, from its ELF file.
//!
//! ```text
//! ELF ──► symbols ──► name of an address, address of a name
//! ```

use crate::error::Error;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::collections::BTreeMap;

/// A function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Function {
    /// Demangled name, without the hash.
    pub name: String,
    /// Address after its last byte.
    pub end: u32,
}

/// The functions of a program, by address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    functions: BTreeMap<u32, Function>,
}

impl Program {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// [`Error::Elf`] when it is not an ELF file, [`Error::NoSymbols`] when it names no function.
    pub fn parse(elf: &[u8]) -> Result<Program, Error> {
        let file = object::File::parse(elf)?;
        let mut functions = BTreeMap::new();
        let mut labels = Vec::new();
        for symbol in file.symbols() {
            let (Ok(name), address) = (symbol.name(), symbol.address() as u32 & !1) else { continue };
            let is_code = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
            let is_code = is_code.is_some_and(|section| section.kind() == object::SectionKind::Text);
            if !is_code || name.is_empty() || name.starts_with('$') {
                continue;
            }
            let name = format!("{:#}", rustc_demangle::demangle(name));
            match symbol.kind() {
                SymbolKind::Text if symbol.size() > 0 => {
                    functions.insert(address, Function { name, end: address + symbol.size() as u32 });
                }
                SymbolKind::Text => labels.push((address, name)),
                _ => {}
            }
        }
        // A function in assembly may have no size: it extends to the next one.
        for (address, name) in labels {
            let next = functions.range(address + 1..).next().map(|(next, _)| *next);
            let covered = functions.range(..=address).next_back().is_some_and(|(_, function)| function.end > address);
            if !covered {
                functions.insert(address, Function { name, end: next.unwrap_or(u32::MAX) });
            }
        }
        if functions.is_empty() { Err(Error::NoSymbols) } else { Ok(Program { functions }) }
    }

    /// The function that contains an address.
    pub fn function(&self, address: u32) -> Option<&Function> {
        let (_, function) = self.functions.range(..=address).next_back()?;
        (address < function.end).then_some(function)
    }

    /// Start address of a function, by its name or the last parts of it (`module::name`).
    ///
    /// # Errors
    /// [`Error::NoSymbol`] with similar names.
    pub fn find(&self, name: &str) -> Result<u32, Error> {
        let suffix = format!("::{name}");
        let found = self.functions.iter().find(|(_, function)| function.name == name);
        let found = found.or_else(|| self.functions.iter().find(|(_, function)| function.name.ends_with(&suffix)));
        if let Some((&address, _)) = found {
            return Ok(address);
        }
        let last = name.rsplit("::").next().unwrap_or(name).to_lowercase();
        let near = self.functions.values().filter(|function| function.name.to_lowercase().contains(&last));
        Err(Error::NoSymbol { name: name.into(), near: near.take(5).map(|function| function.name.clone()).collect() })
    }
}
