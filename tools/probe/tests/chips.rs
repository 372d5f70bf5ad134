//! Names of chips: those of our boards, and those that nobody knows.

use thumbformer_probe::chip::{Boot, Chip, Kind};

#[test]
fn our_boards_chips_are_known_with_their_memory() {
    let table = [
        ("STM32F411RETx", Boot::Flash(0x0800_0000), 512, 128),
        ("STM32F405RGTx", Boot::Flash(0x0800_0000), 1024, 128 + 64),
        ("nRF52840_xxAA", Boot::Flash(0), 1024, 256),
        ("nRF51822_xxAA", Boot::Flash(0), 256, 16),
        ("RP2040", Boot::Boot2(0x1000_0000), 128 * 1024, 264),
        ("RP235x", Boot::ImageDefinition(0x1000_0000), 64 * 1024, 520),
    ];
    for (name, boot, flash, ram) in table {
        let chip = Chip::find(name).expect(name);
        assert_eq!((chip.name.as_str(), chip.boot), (name, boot));
        let kib = |kind, at| chip.region(kind, at).map(|region| (region.range.end - region.range.start) / 1024);
        let (Boot::Flash(start) | Boot::Boot2(start) | Boot::ImageDefinition(start)) = boot else { panic!("{name}") };
        assert_eq!(kib(Kind::Flash, start), Some(flash), "{name}");
        assert!(kib(Kind::Ram, 0x2000_0000).is_some_and(|found| found <= ram), "{name}");
    }
    assert_eq!(Chip::find("STM32N657").expect("a chip").boot, Boot::Loaded);
}

#[test]
fn an_unknown_name_lists_near_ones() {
    let table = [
        ("STM32F411QETx", "STM32F411RETx"),
        ("nRF52480_xxAA", "nRF52840_xxAA"),
        ("nrf51822", "nRF51822_xxAA"),
        ("RP2041", "RP2040"),
        ("RP2530", "RP235x"),
        ("STM32F4", "STM32F4"),
        ("STM32N657X0HxQ", "STM32N657"),
    ];
    for (name, expected) in table {
        let message = Chip::find(name).expect_err(name).to_string();
        assert!(message.contains(name) && message.contains(expected), "{message} lacks {expected}");
    }
}

#[test]
fn a_chip_that_is_no_cortex_m_is_refused() {
    let message = Chip::find("CH32V307RCT6").expect_err("a RISC-V").to_string();
    assert!(message.contains("no Cortex-M"), "{message}");
}
