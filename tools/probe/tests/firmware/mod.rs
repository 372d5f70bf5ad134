//! Firmware made for the tests: sections at chosen addresses, linked into a real ELF file.

// Each file of tests compiles this for itself and uses what it needs.
#![allow(dead_code)]

use object::build::ByteString;
use object::build::elf::{Builder, SectionData, Sections};
use object::elf::{EM_ARM, ET_EXEC, PF_R, PT_LOAD, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, SHT_PROGBITS};
use object::elf::{SHT_STRTAB, SHT_SYMTAB, STB_GLOBAL, STT_NOTYPE, SectionFlags};
use thumbformer_probe::elf::Program;

/// A section.
#[derive(Clone, Debug)]
pub struct Part {
    pub name: &'static str,
    pub runs: u64,
    pub loads: u64,
    /// `Err` has the length of a section without bytes.
    pub contents: Result<Vec<u8>, u64>,
    pub flags: SectionFlags,
}

/// Contents of a file, in place of a linker's.
#[derive(Clone, Debug)]
pub struct Firmware {
    pub parts: Vec<Part>,
    pub symbols: Vec<(&'static str, u64)>,
}

/// Addresses of a chip that the firmware needs.
#[derive(Clone, Copy, Debug)]
pub struct Map {
    pub chip: &'static str,
    pub flash: u64,
    pub flash_end: u64,
    pub ram: u64,
    pub ram_end: u64,
}

pub const MAPS: [Map; 8] = [
    Map { chip: "STM32F411RETx", flash: 0x0800_0000, flash_end: 0x0808_0000, ram: 0x2000_0000, ram_end: 0x2002_0000 },
    Map { chip: "STM32F405RGTx", flash: 0x0800_0000, flash_end: 0x0810_0000, ram: 0x2000_0000, ram_end: 0x2002_0000 },
    Map { chip: "STM32H743ZITx", flash: 0x0800_0000, flash_end: 0x0820_0000, ram: 0x2400_0000, ram_end: 0x2408_0000 },
    Map { chip: "nRF52840_xxAA", flash: 0x0000_0000, flash_end: 0x0010_0000, ram: 0x2000_0000, ram_end: 0x2004_0000 },
    Map { chip: "nRF51822_xxAA", flash: 0x0000_0000, flash_end: 0x0004_0000, ram: 0x2000_0000, ram_end: 0x2000_4000 },
    Map { chip: "RP2040", flash: 0x1000_0000, flash_end: 0x1800_0000, ram: 0x2000_0000, ram_end: 0x2004_2000 },
    Map { chip: "RP235x", flash: 0x1000_0000, flash_end: 0x1400_0000, ram: 0x2000_0000, ram_end: 0x2008_2000 },
    // Loaded to RAM, as secure code sees it.
    Map { chip: "STM32N657", flash: 0x3400_0000, flash_end: 0x3410_0000, ram: 0x3410_0000, ram_end: 0x343c_0000 },
];

/// The map of a chip.
pub fn map(chip: &str) -> Map {
    *MAPS.iter().find(|map| map.chip == chip).expect("a chip of the table")
}

pub const TABLE: usize = 0x100;
pub const CODE: usize = 0x1000;
pub const DATA: u64 = 0x80;
pub const BSS: u64 = 0x1000;

/// The smallest image definition (RP2350 datasheet, 5.9.5.1).
const DEFINITION: [u32; 5] = [0xffff_ded3, 0x1021_0142, 0x0000_01ff, 0, 0xab12_3579];

/// Bytes and their CRC-32/MPEG-2, computed bit by bit.
fn boot2() -> Vec<u8> {
    let code: Vec<u8> = (0..252).map(|i| i as u8).collect();
    let crc = code.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    });
    [code, crc.to_le_bytes().to_vec()].concat()
}

/// Firmware that runs on a chip: vector table, code, variables with and without initial values.
pub fn sound(map: Map) -> Firmware {
    let boot2_length = if map.chip == "RP2040" { 0x100 } else { 0 };
    let table = map.flash + boot2_length;
    let code = table + TABLE as u64;
    let mut vectors = vec![0; TABLE];
    vectors[..4].copy_from_slice(&(map.ram_end as u32).to_le_bytes());
    vectors[4..8].copy_from_slice(&(code as u32 + 0x41).to_le_bytes());
    let mut text: Vec<u8> = (0..CODE).map(|i| (i * 7) as u8).collect();
    if map.chip == "RP235x" {
        let definition: Vec<u8> = DEFINITION.iter().flat_map(|word| word.to_le_bytes()).collect();
        text[..definition.len()].copy_from_slice(&definition);
    }
    let part = |name, runs, loads, contents, flags| Part { name, runs, loads, contents, flags: SHF_ALLOC | flags };
    let mut parts = vec![
        part(".vector_table", table, table, Ok(vectors), SectionFlags(0)),
        part(".text", code, code, Ok(text), SHF_EXECINSTR),
        part(".data", map.ram, code + CODE as u64, Ok(vec![0xd5; DATA as usize]), SHF_WRITE),
        part(".bss", map.ram + DATA, 0, Err(BSS), SHF_WRITE),
    ];
    if boot2_length > 0 {
        parts.push(part(".boot2", map.flash, map.flash, Ok(boot2()), SectionFlags(0)));
    }
    Firmware { parts, symbols: vec![("__sheap", map.ram + DATA + BSS)] }
}

impl Firmware {
    /// A section by name.
    pub fn part(&mut self, name: &str) -> &mut Part {
        self.parts.iter_mut().find(|part| part.name == name).expect("a section of this name")
    }

    /// Changes a word of a section.
    pub fn set(&mut self, section: &str, offset: usize, value: u64) {
        let bytes = self.part(section).contents.as_mut().expect("a section with bytes");
        bytes[offset..offset + 4].copy_from_slice(&(value as u32).to_le_bytes());
    }

    /// Links the firmware into a file.
    pub fn link(&self) -> Vec<u8> {
        let mut builder = Builder::new(object::Endianness::Little, false);
        builder.header.e_type = ET_EXEC;
        builder.header.e_machine = EM_ARM;
        builder.header.e_phoff = builder.file_header_size();
        let mut offset = 0x1000;
        for part in &self.parts {
            let size = part.contents.as_ref().map_or_else(|&length| length, |bytes| bytes.len() as u64);
            let stored = part.contents.is_ok();
            let section = builder.sections.add();
            section.name = part.name.as_bytes().into();
            section.sh_type = if stored { SHT_PROGBITS } else { SHT_NOBITS };
            section.sh_flags = part.flags;
            (section.sh_addr, section.sh_size, section.sh_offset, section.sh_addralign) = (part.runs, size, offset, 4);
            section.data = match &part.contents {
                Ok(bytes) => SectionData::Data(bytes.as_slice().into()),
                Err(length) => SectionData::UninitializedData(*length),
            };
            let (id, flags) = (section.id(), section.p_flags());
            let segment = builder.segments.add();
            segment.p_type = PT_LOAD;
            segment.p_flags = flags | PF_R;
            (segment.p_offset, segment.p_vaddr, segment.p_paddr) = (offset, part.runs, part.loads);
            (segment.p_filesz, segment.p_memsz, segment.p_align) = (if stored { size } else { 0 }, size, 4);
            segment.sections.push(id);
            offset += if stored { size.next_multiple_of(4) } else { 0 };
        }
        for &(name, address) in &self.symbols {
            let symbol = builder.symbols.add();
            symbol.name = name.as_bytes().into();
            symbol.set_st_info(STB_GLOBAL, STT_NOTYPE);
            symbol.st_shndx = object::elf::SHN_ABS;
            symbol.st_value = address;
        }
        tables(&mut builder.sections);
        builder.set_section_sizes();
        let mut file = Vec::new();
        builder.write(&mut file).expect("a file that the writer takes");
        file
    }

    /// The firmware, linked and read back.
    pub fn program(&self) -> Program {
        Program::parse("test.elf", &self.link()).expect("a file that the reader takes")
    }
}

/// Names and symbols.
fn tables(sections: &mut Sections<'_>) {
    for (name, kind, data) in [
        (".shstrtab", SHT_STRTAB, SectionData::SectionString),
        (".symtab", SHT_SYMTAB, SectionData::Symbol),
        (".strtab", SHT_STRTAB, SectionData::String),
    ] {
        let section = sections.add();
        section.name = ByteString::from(name);
        section.sh_type = kind;
        section.sh_addralign = 4;
        section.data = data;
    }
}
