//! Contents of a firmware file, with their addresses.
//!
//! ```text
//! ELF ──► sections: where they run, where they are loaded, how long; bytes by load address; symbols
//! ```

use anyhow::{Context, Result, ensure};
use object::elf::{EM_ARM, PF_X, PT_LOAD, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS};
use object::read::elf::{ElfFile32, FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol};
use std::ops::Range;
use std::path::Path;

/// A section that takes memory of the chip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    /// Name of the section.
    pub name: String,
    /// Addresses at which the program uses it.
    pub runs: Range<u64>,
    /// Addresses that its bytes are written to, by the physical address of its segment; `None` when it has no bytes, as `.bss`.
    pub loads: Option<Range<u64>>,
    /// True if it holds code.
    pub executable: bool,
    /// True if the program writes to it.
    pub writable: bool,
}

/// Bytes for the chip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Address that they are written to.
    pub address: u64,
    /// Address at which the program uses them.
    pub runs_at: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// True if they hold code.
    pub executable: bool,
}

/// A firmware file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// The file's name, for messages.
    pub file: String,
    /// Sections that take memory of the chip, by address.
    pub sections: Vec<Section>,
    /// Bytes that are written to the chip.
    pub segments: Vec<Segment>,
    /// Named addresses.
    symbols: Vec<(String, u64)>,
}

impl Program {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is not a 32-bit Arm ELF with something to load.
    pub fn open(path: &Path) -> Result<Program> {
        let file = path.display().to_string();
        let bytes = std::fs::read(path).with_context(|| format!("{file}: cannot be read; build the firmware first"))?;
        Program::parse(&file, &bytes)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// When they are not a 32-bit Arm ELF with something to load.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Program> {
        let expected = || format!("{file}: no firmware: expected a 32-bit Arm ELF, the file that cargo links");
        let elf = Elf::parse(bytes).with_context(expected)?;
        let machine = elf.elf_header().e_machine(elf.endian());
        ensure!(machine == EM_ARM, "{}, found machine {}", expected(), machine.0);
        let segments = segments(&elf, bytes).with_context(expected)?;
        ensure!(
            !segments.is_empty(),
            "{file}: nothing to load: is the linker script missing (`-C link-arg=-Tlink.x`)?"
        );
        let sections = sections(&elf, &segments).with_context(expected)?;
        Ok(Program { file: file.into(), sections, segments, symbols: symbols(&elf) })
    }

    /// The address of a symbol.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        self.symbols.iter().find(|(known, _)| known == name).map(|&(_, address)| address)
    }

    /// The bytes that are written from an address on, up to the end of their segment.
    pub fn bytes_at(&self, address: u64) -> Option<&[u8]> {
        self.segments.iter().find_map(|segment| {
            let offset = usize::try_from(address.checked_sub(segment.address)?).ok()?;
            segment.bytes.get(offset..).filter(|bytes| !bytes.is_empty())
        })
    }

    /// A word that is written to an address.
    pub fn word_at(&self, address: u64) -> Option<u32> {
        self.bytes_at(address).and_then(<[u8]>::first_chunk).map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// The section whose bytes are written to an address.
    pub fn section_loaded_at(&self, address: u64) -> Option<&Section> {
        self.sections.iter().find(|section| section.loads.as_ref().is_some_and(|range| range.contains(&address)))
    }
}

type Elf<'data> = ElfFile32<'data, Endianness>;

fn segments(elf: &Elf<'_>, bytes: &[u8]) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let endian = elf.endian();
    for segment in elf.elf_program_headers() {
        if segment.p_type(endian) != PT_LOAD || segment.p_filesz(endian) == 0 {
            continue;
        }
        let data = segment.data(endian, bytes).ok().context("a segment that lies outside the file")?;
        segments.push(Segment {
            address: segment.p_paddr(endian).into(),
            runs_at: segment.p_vaddr(endian).into(),
            bytes: data.to_vec(),
            executable: segment.p_flags(endian).contains(PF_X),
        });
    }
    segments.sort_by_key(|segment| segment.address);
    Ok(segments)
}

fn sections(elf: &Elf<'_>, segments: &[Segment]) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    for section in elf.sections() {
        let header = section.elf_section_header();
        let flags = header.sh_flags(elf.endian());
        if !flags.contains(SHF_ALLOC) || section.size() == 0 {
            continue;
        }
        let runs = section.address()..section.address() + section.size();
        let stored = header.sh_type(elf.endian()) != SHT_NOBITS;
        sections.push(Section {
            name: section.name()?.into(),
            loads: segments.iter().filter(|_| stored).find_map(|segment| load_range(segment, &runs)),
            runs,
            executable: flags.contains(SHF_EXECINSTR),
            writable: flags.contains(SHF_WRITE),
        });
    }
    sections.sort_by_key(|section| section.runs.start);
    Ok(sections)
}

/// Load addresses of the part of a segment that runs at these addresses.
fn load_range(segment: &Segment, runs: &Range<u64>) -> Option<Range<u64>> {
    let offset = runs.start.checked_sub(segment.runs_at)?;
    let inside = runs.end - segment.runs_at <= segment.bytes.len() as u64;
    inside.then(|| segment.address + offset..segment.address + offset + (runs.end - runs.start))
}

fn symbols(elf: &Elf<'_>) -> Vec<(String, u64)> {
    let named = elf.symbols().filter_map(|symbol| Some((symbol.name().ok()?.to_string(), symbol.address())));
    named.filter(|(name, _)| !name.is_empty()).collect()
}
