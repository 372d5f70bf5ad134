//! Checks of the data that the two Picos' boot ROMs require in flash before they run a program.
//!
//! ```text
//! RP2040: first 256 bytes ──► CRC-32 of 252 of them = the last word?
//! RP2350: first 4 KiB     ──► a block of items ──► an image type: executable, Arm, RP2350?
//! ```

use crc::{CRC_32_MPEG_2, Crc};

/// Length of the RP2040's second-stage boot loader, its checksum included (RP2040 datasheet, 2.8.1.3.1).
pub const BOOT2: usize = 256;

/// Bytes in which the RP2350's ROM searches for an image definition (RP2350 datasheet, 5.1.5.1).
pub const SEARCHED: usize = 4096;

/// First and last word of a block (RP2350 datasheet, 5.1.5.1).
const BLOCK_START: u32 = 0xffff_ded3;
const BLOCK_END: u32 = 0xab12_3579;

/// Checks an RP2040's boot loader.
///
/// # Errors
/// With what was found.
pub fn check_boot2(bytes: &[u8]) -> Result<(), String> {
    let Some((code, &stored)) = bytes.get(..BOOT2).and_then(<[u8]>::split_last_chunk) else {
        return Err(format!("only {} bytes", bytes.len()));
    };
    let (stored, computed) = (u32::from_le_bytes(stored), Crc::<u32>::new(&CRC_32_MPEG_2).checksum(code));
    if stored == computed { Ok(()) } else { Err(format!("CRC-32 {stored:#010x}, its bytes have {computed:#010x}")) }
}

/// Finds the definition of an image that an RP2350 runs on its Arm cores, at the beginning of its flash.
///
/// # Errors
/// With what was found.
pub fn check_image_definition(flash: &[u8]) -> Result<(), String> {
    let searched = flash.get(..SEARCHED).unwrap_or(flash);
    let words: Vec<u32> =
        searched.chunks_exact(4).filter_map(<[u8]>::first_chunk).map(|w| u32::from_le_bytes(*w)).collect();
    let mut result = Err(format!("no word {BLOCK_START:#010x}"));
    for (index, _) in words.iter().enumerate().filter(|&(_, &word)| word == BLOCK_START) {
        result =
            check_block(&words[index + 1..]).map_err(|found| format!("{found} in the block at byte {}", 4 * index));
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Checks the items of a block, whose first word was read.
fn check_block(words: &[u32]) -> Result<(), String> {
    /// Types of items (RP2350 datasheet, 5.1.5.1 and 5.9.3.1).
    const IMAGE_TYPE: u32 = 0x42;
    const LAST: u32 = 0xff;
    let mut rest = words;
    let mut image = None;
    while let Some((&word, after)) = rest.split_first() {
        if word & 0xff == LAST {
            // The distance to the next block stands between the last item and the end.
            return match (after.get(1), image) {
                (Some(&BLOCK_END), Some(flags)) => check_image_type(flags),
                (Some(&BLOCK_END), None) => Err("no image type".into()),
                (end, _) => Err(format!("{} instead of its end {BLOCK_END:#010x}", shown(end))),
            };
        }
        if word & 0xff == IMAGE_TYPE {
            image = Some(word >> 16);
        }
        // Types with bit 7 have a length of two bytes.
        let length = if word & 0x80 == 0 { word >> 8 & 0xff } else { word >> 8 & 0xffff };
        rest = rest.get(length.max(1) as usize..).unwrap_or(&[]);
    }
    Err("no last item".into())
}

/// Checks the flags of an image type item (RP2350 datasheet, 5.9.3.1).
fn check_image_type(flags: u32) -> Result<(), String> {
    let (executable, processor, chip) = (flags & 0xf == 1, flags >> 8 & 7, flags >> 12 & 7);
    match (executable, processor, chip) {
        (true, 0, 1) => Ok(()),
        (false, ..) => Err(format!("an image type {flags:#06x} that is not executable")),
        (true, 0, _) => Err(format!("an image type {flags:#06x} for another chip")),
        (true, ..) => Err(format!("an image type {flags:#06x} for another processor than Arm")),
    }
}

fn shown(word: Option<&u32>) -> String {
    word.map_or("nothing".into(), |word| format!("{word:#010x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The block of the RP2350 datasheet, 5.9.5.1: the smallest for an Arm image.
    const SMALLEST: [u32; 5] = [BLOCK_START, 0x1021_0142, 0x0000_01ff, 0, BLOCK_END];

    fn image(block: &[u32], before: usize) -> Vec<u8> {
        std::iter::repeat_n(0, before).chain(block.iter().flat_map(|word| word.to_le_bytes())).collect()
    }

    #[test]
    fn the_smallest_definition_is_found_wherever_it_may_stand() {
        for before in [0, 4, 276, SEARCHED - 20] {
            assert_eq!(check_image_definition(&image(&SMALLEST, before)), Ok(()), "{before} bytes before it");
        }
        assert!(check_image_definition(&image(&SMALLEST, SEARCHED - 16)).is_err(), "it ends behind what the ROM reads");
        assert!(check_image_definition(&image(&SMALLEST, 2)).is_err(), "it is not aligned");
    }

    #[test]
    fn a_definition_with_more_items_is_one() {
        // A vector table item (0x03) of two words after the image type.
        let block = [BLOCK_START, 0x1021_0142, 0x0000_0203, 0x1000_0000, 0x0000_03ff, 0, BLOCK_END];
        assert_eq!(check_image_definition(&image(&block, 256)), Ok(()));
    }

    #[test]
    fn what_the_rom_would_refuse_is_refused() {
        let table = [
            (1, 0x1121_0142, "another processor"), // RISC-V
            (1, 0x0021_0142, "another chip"),      // RP2040
            (1, 0x1020_0142, "not executable"),
            (1, 0x1021_0141, "no image type"),
            (4, 0, "instead of its end"),
            (0, 0, "no word"),
            (2, 0x0000_0100, "no last item"),
        ];
        for (index, word, expected) in table {
            let mut block = SMALLEST;
            block[index] = word;
            let found = check_image_definition(&image(&block, 8)).expect_err(expected);
            assert!(found.contains(expected), "{found} instead of {expected}");
        }
    }

    #[test]
    fn a_boot_loader_is_held_to_its_checksum() {
        let mut boot2 = vec![0x55; BOOT2 - 4];
        let checksum = Crc::<u32>::new(&CRC_32_MPEG_2).checksum(&boot2);
        boot2.extend(checksum.to_le_bytes());
        assert_eq!(check_boot2(&boot2), Ok(()));
        assert!(check_boot2(&boot2[..BOOT2 - 1]).is_err());
        boot2[7] ^= 1;
        assert!(check_boot2(&boot2).is_err());
    }
}
