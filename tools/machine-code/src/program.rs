//! Functions of a program, their code, and what was inlined into them.

use crate::branch::{Branch, target};
use crate::thumb::{self, Instruction, Marks};
use anyhow::{Context, Result};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use std::collections::BTreeMap;
use std::path::Path;

/// A function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Demangled name, without the hash.
    pub name: String,
    /// Address after its last byte.
    pub end: u64,
}

/// A program.
pub struct Program<'d> {
    file: object::File<'d>,
    debug: addr2line::Loader,
    marks: Marks,
    /// Functions by address.
    pub functions: BTreeMap<u64, Function>,
}

impl<'d> Program<'d> {
    /// Reads an ELF file, given as its path and its bytes.
    ///
    /// # Errors
    /// When it is no ELF file.
    pub fn parse(path: &Path, elf: &'d [u8]) -> Result<Program<'d>> {
        let file = object::File::parse(elf).with_context(|| format!("{}", path.display()))?;
        let debug = addr2line::Loader::new(path).map_err(|error| anyhow::anyhow!("{error}"));
        let debug = debug.with_context(|| format!("{}: debug information", path.display()))?;
        let (functions, marks) = (functions(&file), thumb::marks(&file));
        Ok(Program { file, debug, marks, functions })
    }

    /// Start of the function that an address belongs to.
    pub fn owner(&self, address: u64) -> Option<u64> {
        let (&start, function) = self.functions.range(..=address).next_back()?;
        (address < function.end).then_some(start)
    }

    /// Name of the function that begins at an address.
    pub fn name(&self, start: u64) -> &str {
        self.functions.get(&start).map_or("?", |function| &function.name)
    }

    /// Instructions of the function that begins at an address.
    ///
    /// # Errors
    /// When there is none.
    pub fn code(&self, start: u64) -> Result<Vec<Instruction>> {
        let function = self.functions.get(&start).with_context(|| format!("no function at {start:#x}"))?;
        thumb::marked(&self.file, &self.marks, start, function.end)
    }

    /// Direct branches that leave the function that begins at an address.
    ///
    /// # Errors
    /// When there is none.
    pub fn branches(&self, start: u64) -> Result<Vec<Branch>> {
        let inside = |to: u64| self.functions.get(&start).is_some_and(|function| (start..function.end).contains(&to));
        let code = self.code(start)?;
        let found = code.iter().filter_map(|code| Some(Branch { from: code.address, to: target(code)? }));
        Ok(found.filter(|branch| !inside(branch.to)).collect())
    }

    /// A word of the program's constants.
    pub(crate) fn word(&self, address: u64) -> Option<u32> {
        let is_constant = |section: &object::Section<'_, '_>| {
            matches!(section.kind(), SectionKind::Text | SectionKind::ReadOnlyData)
                && (section.address()..section.address() + section.size()).contains(&address)
        };
        let section = self.file.sections().find(is_constant)?;
        let bytes = section.data_range(address, 4).ok()??;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// The functions that an address belongs to, innermost first, the inlined ones without their paths; and whose each is.
    pub fn inlined(&self, address: u64) -> Vec<(String, Origin)> {
        let mut found = Vec::new();
        if let Ok(mut frames) = self.debug.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let name = frame.function.as_ref().and_then(|function| function.demangle().ok());
                let name = name.map_or("?".into(), |name| name.into_owned());
                let file = frame.location.and_then(|location| location.file).unwrap_or_default();
                let origin = if is_logged(&name) { Origin::Other } else { origin(file) };
                found.push((name, origin));
            }
        }
        found
    }

    /// True if a function has code of a source file whose path has this part, its own or inlined.
    pub(crate) fn has_code_of(&self, start: u64, part: &str) -> bool {
        let is_of = |address: u64| {
            let Ok(mut frames) = self.debug.find_frames(address) else { return false };
            while let Ok(Some(frame)) = frames.next() {
                if frame.location.and_then(|location| location.file).is_some_and(|found| found.contains(part)) {
                    return true;
                }
            }
            false
        };
        self.code(start).is_ok_and(|code| code.iter().any(|code| is_of(code.address)))
    }

    /// True if code is inference: of a function of the core, or of a piece of one that was inlined, and not of the program's code that such
    /// a function calls (its counter, its closures).
    pub fn is_inference(&self, function: u64, address: u64) -> bool {
        let inlined = self.inlined(address);
        match inlined.iter().find(|(_, origin)| *origin != Origin::Library) {
            Some((_, origin)) => *origin == Origin::Core,
            None => is_ours(self.name(function)),
        }
    }
}

/// Crate of a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// `thumbformer`.
    Core,
    /// One that the core uses: Rust's libraries, and its dependencies.
    Library,
    /// Another.
    Other,
}

/// True for a demangled name of the core crate, also as a method: `<thumbformer::…>::…`.
pub fn is_ours(name: &str) -> bool {
    name.trim_start_matches(['<', '&']).starts_with("thumbformer::") && !is_logged(name)
}

/// True for what `defmt` derives to log an error: its own code, which firmware calls and inference does not.
fn is_logged(name: &str) -> bool {
    name.contains(" as defmt::") || name == "_format_data"
}

/// Crate of a source file: line tables name inlined functions without their crates. The folder before `src` is the repository, or the
/// package as cargo unpacks it: `thumbformer-0.1.0`.
fn origin(file: &str) -> Origin {
    let folders: Vec<&str> = file.split(['/', '\\']).collect();
    if folders.contains(&"rustc") || folders.contains(&"rustlib") {
        return Origin::Library;
    }
    let package = folders.iter().rposition(|folder| *folder == "src").and_then(|at| folders.get(at.checked_sub(1)?));
    let is_version = |version: &str| version.starts_with(|first: char| first.is_ascii_digit());
    let is = |name: &str| {
        let rest = package.and_then(|package| package.strip_prefix(name));
        rest.is_some_and(|rest| rest.strip_prefix('-').map_or(rest.is_empty(), is_version))
    };
    match is("thumbformer") {
        true => Origin::Core,
        false if ["libm", "microfft", "crc", "crc-catalog"].into_iter().any(is) => Origin::Library,
        false => Origin::Other,
    }
}

/// Functions by address. One in assembly may have no size: it extends to the next.
fn functions(file: &object::File<'_>) -> BTreeMap<u64, Function> {
    let (mut functions, mut labels) = (BTreeMap::new(), Vec::new());
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
        // The lowest bit marks Thumb code.
        let (start, name) = (symbol.address() & !1, symbol.name().unwrap_or("?"));
        let name = format!("{:#}", rustc_demangle::demangle(name));
        if symbol.size() > 0 {
            functions.insert(start, Function { name, end: start + symbol.size() });
        } else if !name.starts_with('$') && symbol.section_index().is_some() {
            labels.push((start, name, symbol.section_index()));
        }
    }
    for (start, name, section) in labels {
        let before = functions.range(..=start).next_back();
        if before.is_some_and(|(_, function)| start < function.end) {
            continue;
        }
        let section = section.and_then(|index| file.section_by_index(index).ok());
        let end = section.map_or(start, |section| section.address() + section.size());
        let next = functions.range(start + 1..).next().map_or(end, |(&next, _)| next.min(end));
        if next > start {
            functions.insert(start, Function { name, end: next });
        }
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::{Origin, is_ours, origin};

    #[test]
    fn inference_is_the_core_s_own_code() {
        assert!(is_ours("thumbformer::session::Session::decode"));
        assert!(is_ours("<thumbformer::error::Error as core::fmt::Display>::fmt"));
        assert!(!is_ours("<thumbformer::error::Error as defmt::traits::Format>::_format_data"));
        assert!(!is_ours("firmware::generate"));
    }

    #[test]
    fn an_inlined_function_is_of_the_crate_of_its_file() {
        let table = [
            ("/thumbformer/src/session.rs", Origin::Core),
            ("/home/me/.cargo/registry/src/index/thumbformer-0.1.0/src/audio/frame.rs", Origin::Core),
            ("/rustc/59807616/library/core/src/slice/mod.rs", Origin::Library),
            ("/home/me/.cargo/registry/src/index/libm-0.2.15/src/math/exp.rs", Origin::Library),
            ("/thumbformer/boards/firmware/src/lib.rs", Origin::Other),
            ("/thumbformer/tools/reference/src/lib.rs", Origin::Other),
            ("thumbformer-cli-1/src/lib.rs", Origin::Other),
            ("", Origin::Other),
        ];
        for (file, expected) in table {
            assert_eq!(origin(file), expected, "{file}");
        }
    }
}
