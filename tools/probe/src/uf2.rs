//! UF2, the format that the Picos' boot ROM takes by drag and drop (<https://github.com/microsoft/uf2>).
//!
//! ```text
//! segments ──► pages of 256 bytes by address ──► blocks of 512 bytes, numbered, with the chip's family
//! ```

use crate::chip::{Boot, Chip};
use crate::elf::Program;
use anyhow::{Result, bail};
use std::collections::BTreeMap;

/// Bytes of flash in a block: a page of the Picos' flash, which is what their ROMs write.
pub const PAGE: usize = 256;

/// Length of a block.
pub const BLOCK: usize = 512;

const MAGIC: [u32; 2] = [0x0a32_4655, 0x9e5d_5157];
const MAGIC_END: u32 = 0x0ab1_6f30;
/// Flag of a block that names its family.
const FAMILY_PRESENT: u32 = 0x2000;

/// The family of a chip (RP2350 datasheet, 5.5.3).
///
/// # Errors
/// When the chip is not a Pico's.
pub fn family(chip: &Chip) -> Result<u32> {
    match chip.boot {
        Boot::Boot2(_) => Ok(0xe48b_ff56),
        // Secure code on the Arm cores.
        Boot::ImageDefinition(_) => Ok(0xe48b_ff59),
        Boot::Flash(_) | Boot::Loaded => {
            bail!("chip {}: takes no UF2, expected RP2040 or RP235x; next: `cargo xtask flash` with a probe", chip.name)
        }
    }
}

/// A program as UF2; pages that it fills in part are padded with zeros.
///
/// # Errors
/// When the chip is not a Pico's, or an address has more than 32 bits.
pub fn write(chip: &Chip, program: &Program) -> Result<Vec<u8>> {
    let family = family(chip)?;
    let pages = pages(program)?;
    let count = u32::try_from(pages.len())?;
    let blocks =
        (0..count).zip(&pages).flat_map(|(number, (&address, page))| block(address, page, number, count, family));
    Ok(blocks.collect())
}

fn pages(program: &Program) -> Result<BTreeMap<u32, [u8; PAGE]>> {
    let mut pages = BTreeMap::new();
    for segment in &program.segments {
        for (address, &byte) in (segment.address..).zip(&segment.bytes) {
            let address = u32::try_from(address)?;
            let offset = address as usize % PAGE;
            pages.entry(address - offset as u32).or_insert([0; PAGE])[offset] = byte;
        }
    }
    Ok(pages)
}

fn block(address: u32, page: &[u8; PAGE], number: u32, count: u32, family: u32) -> [u8; BLOCK] {
    let header = [MAGIC[0], MAGIC[1], FAMILY_PRESENT, address, PAGE as u32, number, count, family];
    let mut block = [0; BLOCK];
    for (bytes, word) in block.chunks_exact_mut(4).zip(header) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    block[32..32 + PAGE].copy_from_slice(page);
    block[BLOCK - 4..].copy_from_slice(&MAGIC_END.to_le_bytes());
    block
}
