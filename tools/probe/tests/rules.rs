//! Firmware that is sound passes on every chip, and every rule is violated once, on real chips of probe-rs' registry.

mod firmware;

use firmware::{BSS, CODE, DATA, Firmware, MAPS, Map, TABLE, map, sound};
use thumbformer_probe::chip::Chip;
use thumbformer_probe::report::{Report, Rule};
use thumbformer_probe::rules::check;

fn checked(chip: &str, firmware: &Firmware) -> Report {
    check(&Chip::find(chip).expect("a chip that probe-rs knows"), &firmware.program(), 1)
}

#[test]
fn sound_firmware_passes_on_every_chip_with_its_sizes() {
    for Map { chip, ram, ram_end, .. } in MAPS {
        let report = checked(chip, &sound(map(chip)));
        assert_eq!(report.violations, [], "{chip}");
        let boot2 = if chip == "RP2040" { 256 } else { 0 };
        assert_eq!(report.flash, (TABLE + CODE) as u64 + DATA + boot2, "{chip}");
        let loaded_to_ram = if chip.starts_with("STM32N6") { (TABLE + CODE) as u64 } else { 0 };
        assert_eq!(report.static_ram, DATA + BSS + loaded_to_ram, "{chip}");
        assert_eq!(report.stack, Some(ram_end - ram - DATA - BSS), "{chip}");
    }
}

struct Case {
    name: &'static str,
    chip: &'static str,
    spoil: fn(&mut Firmware, Map),
    rule: Rule,
    /// Words that the message must contain.
    names: &'static [&'static str],
}

const F411: &str = "STM32F411RETx";

const CASES: [Case; 23] = [
    Case {
        name: "linked for another chip's flash",
        chip: F411,
        spoil: |firmware, _| *firmware = sound(map("nRF52840_xxAA")),
        rule: Rule::Load,
        names: &[".vector_table", "0x00000000", "0x08000000..0x08080000", "Cargo.toml"],
    },
    Case {
        name: "code beyond the end of flash",
        chip: F411,
        spoil: |firmware, map| move_to(firmware, ".text", map.flash_end - 0x800),
        rule: Rule::Load,
        names: &[".text", "0x0807f800", "0x08000000..0x08080000"],
    },
    Case {
        name: "initial values that are loaded to RAM",
        chip: F411,
        spoil: |firmware, map| firmware.part(".data").loads = map.ram,
        rule: Rule::Load,
        names: &[".data", "0x20000000"],
    },
    Case {
        name: "variables beyond the end of RAM",
        chip: "nRF51822_xxAA",
        spoil: |firmware, _| firmware.part(".bss").contents = Err(0x4000),
        rule: Rule::Ram,
        names: &[".bss", "0x20000080", "0x20000000..0x20004000"],
    },
    Case {
        name: "variables in flash",
        chip: "nRF52840_xxAA",
        spoil: |firmware, map| firmware.part(".data").runs = map.flash + 0x8000,
        rule: Rule::Ram,
        names: &[".data", "0x00008000"],
    },
    Case {
        name: "variables that stay in flash",
        chip: "nRF52840_xxAA",
        spoil: |firmware, map| move_to(firmware, ".data", map.flash + 0x8000),
        rule: Rule::Ram,
        names: &[".data", "0x00008000"],
    },
    Case {
        name: "code that is copied to where there is no RAM",
        chip: "STM32H743ZITx",
        spoil: |firmware, _| firmware.part(".text").runs = 0x1500_0000,
        rule: Rule::Ram,
        names: &[".text", "0x15000000"],
    },
    Case {
        name: "room left for a boot loader that is not there",
        chip: F411,
        spoil: |firmware, map| move_to(firmware, ".vector_table", map.flash + 0x4000),
        rule: Rule::VectorTable,
        names: &[".vector_table", "0x08004000", "at 0x08000000"],
    },
    Case {
        name: "code where the vector table belongs",
        chip: F411,
        spoil: |firmware, map| {
            move_to(firmware, ".vector_table", map.flash + 0x4000);
            move_to(firmware, ".text", map.flash);
        },
        rule: Rule::VectorTable,
        names: &[".vector_table", "0x08004000", "at 0x08000000"],
    },
    Case {
        name: "no vector table",
        chip: F411,
        spoil: |firmware, _| firmware.parts.retain(|part| part.name != ".vector_table"),
        rule: Rule::VectorTable,
        names: &["no vector table", "0x08000000"],
    },
    Case {
        name: "a Pico's vector table where its boot loader should be",
        chip: "RP2040",
        spoil: |firmware, map| {
            firmware.parts.retain(|part| part.name != ".boot2");
            move_to(firmware, ".vector_table", map.flash);
        },
        rule: Rule::VectorTable,
        names: &[".vector_table", "0x10000000", "at 0x10000100"],
    },
    Case {
        name: "a Pico's boot loader with a wrong checksum",
        chip: "RP2040",
        spoil: |firmware, _| firmware.set(".boot2", 16, 0),
        rule: Rule::Boot2,
        names: &[".boot2", "0x10000000", "CRC-32", "rp2040-boot2"],
    },
    Case {
        name: "no boot loader on a Pico",
        chip: "RP2040",
        spoil: |firmware, _| firmware.parts.retain(|part| part.name != ".boot2"),
        rule: Rule::Boot2,
        names: &["0x10000000", "rp2040-boot2"],
    },
    Case {
        name: "no image definition on a Pico 2",
        chip: "RP235x",
        spoil: |firmware, _| firmware.set(".text", 0, 0),
        rule: Rule::ImageDefinition,
        names: &["0xffffded3", "first 4 KiB", ".start_block"],
    },
    Case {
        name: "an image definition for RISC-V",
        chip: "RP235x",
        spoil: |firmware, _| firmware.set(".text", 4, 0x1121_0142),
        rule: Rule::ImageDefinition,
        names: &["another processor"],
    },
    Case {
        name: "a stack pointer that is not aligned",
        chip: F411,
        spoil: |firmware, map| firmware.set(".vector_table", 0, map.ram_end - 4),
        rule: Rule::StackPointer,
        names: &[".vector_table", "0x2001fffc", "multiple of 8"],
    },
    Case {
        name: "a stack pointer behind RAM",
        chip: "STM32F405RGTx",
        spoil: |firmware, map| firmware.set(".vector_table", 0, map.ram_end + 8),
        rule: Rule::StackPointer,
        names: &["0x20020008", "0x20000000..0x20020000"],
    },
    Case {
        name: "a stack pointer at the start of RAM",
        chip: F411,
        spoil: |firmware, map| firmware.set(".vector_table", 0, map.ram),
        rule: Rule::StackPointer,
        names: &["0x20000000"],
    },
    Case {
        name: "a reset handler without the Thumb bit",
        chip: F411,
        spoil: |firmware, map| firmware.set(".vector_table", 4, map.flash + 0x140),
        rule: Rule::ResetHandler,
        names: &["0x08000140", "Thumb"],
    },
    Case {
        name: "a reset handler outside of code",
        chip: "nRF52840_xxAA",
        spoil: |firmware, map| firmware.set(".vector_table", 4, map.flash + 0x11),
        rule: Rule::ResetHandler,
        names: &["0x00000011", "code"],
    },
    Case {
        name: "a stack that starts inside variables",
        chip: F411,
        spoil: |firmware, map| firmware.set(".vector_table", 0, map.ram + 0x800),
        rule: Rule::StackRoom,
        names: &[".bss", "0x20000800"],
    },
    Case {
        name: "no room for the stack",
        chip: "nRF51822_xxAA",
        spoil: |firmware, map| {
            firmware.part(".bss").contents = Err(map.ram_end - map.ram - DATA);
            firmware.symbols.clear();
        },
        rule: Rule::StackRoom,
        names: &["0 bytes for the stack", "smaller model"],
    },
    Case {
        name: "a program for flash that a chip without flash cannot take",
        chip: "STM32N657",
        spoil: |firmware, _| *firmware = sound(map(F411)),
        rule: Rule::Load,
        names: &[".vector_table", "0x08000000", "RAM in"],
    },
];

/// Moves a section that runs where it is loaded.
fn move_to(firmware: &mut Firmware, name: &str, address: u64) {
    let part = firmware.part(name);
    (part.runs, part.loads) = (address, address);
}

#[test]
fn every_violation_is_found_and_named() {
    let mut wrong = Vec::new();
    for case in &CASES {
        let mut firmware = sound(map(case.chip));
        (case.spoil)(&mut firmware, map(case.chip));
        let violations = checked(case.chip, &firmware).violations;
        let named = violations.iter().filter(|violation| violation.rule == case.rule).any(|violation| {
            let text = violation.to_string();
            case.names.iter().all(|name| text.contains(name)) && text.contains("next: ")
        });
        if !named {
            wrong.push(format!("{}: expected {:?} with {:?}, found {violations:#?}", case.name, case.rule, case.names));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_stack_below_the_variables_has_the_ram_below_them() {
    // An overflow then leaves RAM and faults.
    let map = map(F411);
    let mut firmware = sound(map);
    let start = map.ram_end - DATA - BSS;
    firmware.part(".data").runs = start;
    firmware.part(".bss").runs = start + DATA;
    firmware.symbols = vec![("__sheap", map.ram_end)];
    firmware.set(".vector_table", 0, start);
    let report = checked(F411, &firmware);
    assert_eq!(report.violations, []);
    assert_eq!(report.stack, Some(start - map.ram));
    firmware.symbols.push(("_stack_end", map.ram + 0x100));
    assert_eq!(checked(F411, &firmware).stack, Some(start - map.ram - 0x100));
}

#[test]
fn a_heap_behind_the_variables_is_none_of_the_stack() {
    let map = map(F411);
    let mut firmware = sound(map);
    firmware.symbols = vec![("__sheap", map.ram + 0x8000)];
    assert_eq!(checked(F411, &firmware).stack, Some(map.ram_end - map.ram - 0x8000));
}

#[test]
fn a_heap_above_the_stack_is_none_of_its_room() {
    let map = map(F411);
    let mut firmware = sound(map);
    firmware.set(".vector_table", 0, map.ram + 0x8000);
    firmware.symbols = vec![("__sheap", map.ram + 0x8000 + 8)];
    assert_eq!(checked(F411, &firmware).stack, Some(0x8000 - DATA - BSS));
}

#[test]
fn secure_code_of_an_stm32n6_may_have_its_variables_in_the_tightly_coupled_memory() {
    let mut firmware = sound(map("STM32N657"));
    firmware.part(".bss").runs = 0x3000_0000;
    assert_eq!(checked("STM32N657", &firmware).violations, []);
}

#[test]
fn less_stack_than_demanded_is_a_violation() {
    let chip = Chip::find(F411).expect("a chip that probe-rs knows");
    let program = sound(map(F411)).program();
    let room = check(&chip, &program, 1).stack.expect("a stack");
    assert_eq!(check(&chip, &program, room).violations, []);
    let violations = check(&chip, &program, room + 1).violations;
    assert_eq!(violations.iter().map(|violation| violation.rule).collect::<Vec<_>>(), [Rule::StackRoom]);
}

#[test]
fn a_file_that_is_no_firmware_is_refused_by_name() {
    use thumbformer_probe::elf::Program;
    let mut other = sound(map(F411)).link();
    // The machine of the ELF header: RISC-V.
    other[18] = 243;
    let empty = Firmware { parts: Vec::new(), symbols: Vec::new() }.link();
    for (bytes, expected) in [(&b"TBF1"[..], "32-bit Arm ELF"), (&other, "machine 243"), (&empty, "nothing to load")] {
        let message = format!("{:#}", Program::parse("model.elf", bytes).expect_err(expected));
        assert!(message.contains("model.elf") && message.contains(expected), "{message}");
    }
}

#[test]
fn the_json_has_every_figure_and_violation() {
    let mut firmware = sound(map(F411));
    firmware.set(".vector_table", 4, 0x0800_0140);
    let json = serde_json::to_value(checked(F411, &firmware)).expect("a report is JSON");
    assert_eq!(json["chip"], F411);
    assert_eq!(json["flash"], (TABLE + CODE) as u64 + DATA);
    assert_eq!(json["static_ram"], DATA + BSS);
    assert_eq!(json["violations"][0]["rule"], "reset-handler");
    assert_eq!(json["violations"][0]["address"], 0x0800_0004);
}
