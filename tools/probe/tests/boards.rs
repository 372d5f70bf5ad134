//! The boards' manifests against the chips as probe-rs knows them: names, memory, UF2.

use board_manifest::{Board, Region, all};
use std::path::Path;
use thumbformer_probe::chip::{Chip, Kind};
use thumbformer_probe::uf2;

fn boards() -> Vec<Board> {
    all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards")).expect("boards")
}

/// The first region of a manifest that its chip does not have.
fn outside<'b>(board: &'b Board, chip: &Chip) -> Option<(&'b str, &'b Region)> {
    let program = board.regions.iter().map(|(name, region)| (name.as_str(), region)).chain([("flash", &board.flash)]);
    let placed = program.map(|named| (named, chip.program_kind())).chain([(("ram", &board.ram), Kind::Ram)]);
    let outside = placed.into_iter().find(|((_, region), kind)| {
        let start = u64::from(region.origin);
        !chip.holds(*kind, &(start..start + region.length as u64))
    });
    outside.map(|(named, _)| named)
}

#[test]
fn the_memory_of_every_board_is_its_chips_and_uf2_is_what_its_boot_rom_takes() {
    let mut found = 0;
    for board in boards() {
        let Some(name) = &board.chip else { continue };
        let chip = Chip::find(name).unwrap_or_else(|error| panic!("{}: {error}", board.name));
        found += 1;
        let flash = chip.describe(chip.program_kind());
        assert_eq!(outside(&board, &chip), None, "{}: {flash}, {}", board.name, chip.describe(Kind::Ram));
        assert_eq!(board.uf2, uf2::family(&chip).is_ok(), "{}: uf2", board.name);
    }
    assert!(found >= 8, "{found} boards with a chip");
}

#[test]
fn a_flash_that_the_chip_has_not_got_is_found() {
    let mut board = boards().into_iter().find(|board| board.name == "stm32-nucleo-f411re").expect("the Nucleo");
    let chip = Chip::find("STM32F411RE").expect("a chip");
    board.flash.length = 2 << 20;
    assert_eq!(outside(&board, &chip).map(|(name, _)| name), Some("flash"), "2 MiB in a chip of 512 KiB");
    board.flash.length = 512 << 10;
    board.ram.length += 4;
    assert_eq!(outside(&board, &chip).map(|(name, _)| name), Some("ram"));
}
