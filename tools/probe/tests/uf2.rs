//! UF2 files, read back: by the few lines below and by a reader that others wrote.

mod firmware;

use firmware::{map, sound};
use std::collections::BTreeMap;
use thumbformer_probe::chip::Chip;
use thumbformer_probe::elf::Program;
use thumbformer_probe::uf2;

/// The flash of a Pico after its boot ROM took a file: byte by byte, as the format's description says.
fn flashed(file: &[u8], family: u32) -> BTreeMap<u64, u8> {
    assert_eq!(file.len() % 512, 0);
    let count = file.len() / 512;
    let mut flash = BTreeMap::new();
    for (number, block) in file.chunks_exact(512).enumerate() {
        let word = |at: usize| u32::from_le_bytes(*block[at..].first_chunk().expect("four bytes"));
        assert_eq!((word(0), word(4), word(508)), (0x0a32_4655, 0x9e5d_5157, 0x0ab1_6f30), "block {number}");
        assert_eq!((word(8), word(28)), (0x2000, family), "block {number}: flags and family");
        assert_eq!((word(20), word(24)), (number as u32, count as u32), "block {number}: number and count");
        assert_eq!((word(12) % 256, word(16)), (0, 256), "block {number}: whole pages");
        assert_eq!(block[288..508], [0; 220], "block {number}: padding");
        for (offset, &byte) in (0..).zip(&block[32..288]) {
            assert_eq!(flash.insert(u64::from(word(12)) + offset, byte), None, "written twice");
        }
    }
    flash
}

fn expected(program: &Program) -> BTreeMap<u64, u8> {
    let bytes = program.segments.iter().flat_map(|segment| (segment.address..).zip(segment.bytes.iter().copied()));
    bytes.collect()
}

#[test]
fn every_byte_of_the_firmware_is_where_it_belongs_and_nothing_else() {
    for (name, family) in [("RP2040", 0xe48b_ff56), ("RP235x", 0xe48b_ff59)] {
        let mut firmware = sound(map(name));
        // A page is then shared by two sections, and the last one is not full.
        firmware.part(".data").loads += 0x14;
        let program = firmware.program();
        let file = uf2::write(&Chip::find(name).expect("a chip"), &program).expect("a Pico");
        let (mut flash, expected) = (flashed(&file, family), expected(&program));
        for (address, byte) in expected {
            assert_eq!(flash.remove(&address), Some(byte), "{name} at {address:#010x}");
        }
        assert!(flash.values().all(|&byte| byte == 0), "{name}: the rest of the pages is padding");
        assert!(flash.len() < 512, "{name}: less than a page of it at each end of a gap");
    }
}

#[test]
fn another_reader_reads_the_same() {
    let program = sound(map("RP2040")).program();
    let file = uf2::write(&Chip::find("RP2040").expect("a chip"), &program).expect("a Pico");
    let (bytes, families) = uf2_decode::convert_from_uf2(&file).expect("a UF2 file");
    assert_eq!(families.into_iter().collect::<Vec<_>>(), [(0xe48b_ff56, 0x1000_0000)]);
    for (address, byte) in expected(&program) {
        assert_eq!(bytes[(address - 0x1000_0000) as usize], byte, "{address:#010x}");
    }
}

#[test]
fn what_is_no_pico_is_refused_by_name() {
    for name in ["STM32F411RETx", "nRF52840_xxAA", "STM32N657"] {
        let message = uf2::write(&Chip::find(name).expect("a chip"), &sound(map(name)).program())
            .expect_err("no Pico")
            .to_string();
        assert!(message.contains(name) && message.contains("RP2040 or RP235x"), "{message}");
    }
}
