//! Rules that a program must keep before a chip can run it.
//!
//! ```text
//! Chip, Program ──► load addresses, run addresses, boot, room for the stack ──► Report
//! ```

use crate::boot::{BOOT2, check_boot2, check_image_definition};
use crate::chip::{Boot, Chip, Kind, hex};
use crate::elf::{Program, Section};
use crate::report::{Report, Rule, Violation};
use std::ops::Range;

/// Checks a program against a chip; `stack` is the minimum room for its stack, in bytes.
pub fn check(chip: &Chip, program: &Program, stack: u64) -> Report {
    let mut violations = loads(chip, program);
    violations.extend(runs(chip, program));
    violations.extend(definition(chip, program));
    let mut room = None;
    match vectors(chip, program) {
        Err(violation) => violations.push(violation),
        Ok(vectors) => {
            violations.extend(stack_pointer(chip, &vectors));
            violations.extend(reset_handler(program, &vectors));
            match stack_room(chip, program, vectors.stack_pointer) {
                Ok(Some(bytes)) if bytes < stack => violations.push(small_stack(&vectors, bytes, stack)),
                Ok(bytes) => room = bytes,
                Err(violation) => violations.push(violation),
            }
        }
    }
    Report {
        file: program.file.clone(),
        chip: chip.name.clone(),
        flash: program.segments.iter().map(|segment| segment.bytes.len() as u64).sum(),
        static_ram: in_ram(chip, program).map(|section| section.runs.end - section.runs.start).sum(),
        stack: room,
        violations,
    }
}

/// The first two words of a vector table.
struct Vectors {
    /// Address of the table.
    address: u64,
    /// Section that contains the table.
    section: String,
    stack_pointer: u64,
    reset: u64,
}

/// Checks that all bytes written to the chip lie in memory that keeps them.
fn loads(chip: &Chip, program: &Program) -> Vec<Violation> {
    let kind = chip.program_kind();
    let outside = |range: &Range<u64>| !chip.holds(kind, range);
    let expected = || format!("{} in {}", named(kind), chip.describe(kind));
    let violation = |section: Option<&str>, range: &Range<u64>| Violation {
        rule: Rule::Load,
        section: section.map(str::to_string),
        address: range.start,
        found: format!("loaded to {}", hex(range)),
        expected: expected(),
        next: "correct the origin or length in the board's Cargo.toml, or choose a smaller model".into(),
    };
    let mut violations = Vec::new();
    for segment in &program.segments {
        let range = segment.address..segment.address + segment.bytes.len() as u64;
        if !outside(&range) {
            continue;
        }
        let sections = program.sections.iter().filter_map(|section| Some((section, section.loads.as_ref()?)));
        let inside = sections.filter(|(_, loads)| range.start <= loads.start && loads.end <= range.end);
        let named: Vec<Violation> = inside
            .filter(|(_, loads)| outside(loads))
            .map(|(section, loads)| violation(Some(&section.name), loads))
            .collect();
        // Bytes outside of every section, for example headers in a segment that is linked without `--nmagic`.
        let unnamed = named.is_empty().then(|| violation(None, &range));
        violations.extend(named.into_iter().chain(unnamed));
    }
    violations
}

/// Checks that memory which the program changes, or which is copied before it runs, lies in RAM.
fn runs(chip: &Chip, program: &Program) -> Vec<Violation> {
    let moved = |section: &Section| section.loads.as_ref().is_none_or(|loads| *loads != section.runs);
    let stray = program
        .sections
        .iter()
        .filter(|section| (section.writable || moved(section)) && !chip.holds(Kind::Ram, &section.runs));
    stray
        .map(|section| Violation {
            rule: Rule::Ram,
            section: Some(section.name.clone()),
            address: section.runs.start,
            found: format!("used at {}", hex(&section.runs)),
            expected: format!("RAM in {}", chip.describe(Kind::Ram)),
            next: "correct RAM in the board's Cargo.toml, or choose a smaller model or context".into(),
        })
        .collect()
}

/// Checks the data that the chip's ROM requires beside the vector table.
fn definition(chip: &Chip, program: &Program) -> Option<Violation> {
    let violation = |rule, address, found, expected: &str, next: &str| Violation {
        rule,
        section: program.section_loaded_at(address).map(|section| section.name.clone()),
        address,
        found,
        expected: expected.into(),
        next: next.into(),
    };
    match chip.boot {
        Boot::Boot2(address) => check_boot2(program.bytes_at(address).unwrap_or(&[])).err().map(|found| {
            violation(
                Rule::Boot2,
                address,
                found,
                "256 bytes of second-stage boot loader with the CRC-32 of the first 252 at their end",
                "link a loader of crate rp2040-boot2 as section .boot2 (see boards/raspberry-pi-pico)",
            )
        }),
        Boot::ImageDefinition(address) => check_image_definition(&image(program, address)).err().map(|found| {
            violation(
                Rule::ImageDefinition,
                address,
                found,
                "an image definition (0xffffded3 … 0xab123579) for Arm in the first 4 KiB",
                "place one as section .start_block behind the vector table (see boards/raspberry-pi-pico-2)",
            )
        }),
        Boot::Flash(_) | Boot::Loaded => None,
    }
}

/// Bytes from an address on; gaps between segments have the value of erased flash.
fn image(program: &Program, address: u64) -> Vec<u8> {
    let mut image = vec![0xff; crate::boot::SEARCHED];
    for (offset, byte) in image.iter_mut().enumerate() {
        let bytes = program.bytes_at(address + offset as u64);
        *byte = bytes.and_then(|bytes| bytes.first().copied()).unwrap_or(*byte);
    }
    image
}

/// Checks that the vector table is at the address where the chip reads it.
fn vectors(chip: &Chip, program: &Program) -> Result<Vectors, Violation> {
    let linked = program.sections.iter().find(|section| section.name == ".vector_table");
    let linked = linked.map(|section| section.runs.start).or_else(|| program.symbol("__vector_table"));
    let expected = match chip.boot {
        Boot::Flash(start) | Boot::ImageDefinition(start) => start,
        Boot::Boot2(start) => start + BOOT2 as u64,
        Boot::Loaded => linked.or(program.segments.first().map(|segment| segment.address)).unwrap_or(0),
    };
    let words = (program.word_at(expected), program.word_at(expected + 4));
    match words {
        (Some(stack_pointer), Some(reset)) if linked.is_none_or(|linked| linked == expected) => Ok(Vectors {
            address: expected,
            section: program.section_loaded_at(expected).map_or(String::new(), |section| section.name.clone()),
            stack_pointer: stack_pointer.into(),
            reset: reset.into(),
        }),
        _ => Err(Violation {
            rule: Rule::VectorTable,
            section: linked.map(|_| ".vector_table".into()),
            address: linked.unwrap_or(expected),
            found: linked.map_or("no vector table".into(), |linked| format!("the vector table at {linked:#010x}")),
            expected: format!("at {expected:#010x}, where the {} boots from", chip.name),
            next: "correct the origin of FLASH in the board's Cargo.toml".into(),
        }),
    }
}

fn stack_pointer(chip: &Chip, vectors: &Vectors) -> Option<Violation> {
    let pointer = vectors.stack_pointer;
    // The stack grows down from the pointer: the first byte that is used is before it.
    let inside = pointer > 0 && chip.region(Kind::Ram, pointer - 1).is_some();
    (!pointer.is_multiple_of(8) || !inside).then(|| Violation {
        rule: Rule::StackPointer,
        section: Some(vectors.section.clone()),
        address: vectors.address,
        found: format!("initial stack pointer {pointer:#010x}"),
        expected: format!("a multiple of 8 inside or at the end of {}", chip.describe(Kind::Ram)),
        next: "correct RAM in the board's Cargo.toml, or the stack in tools/board-manifest/src/memory.rs".into(),
    })
}

fn reset_handler(program: &Program, vectors: &Vectors) -> Option<Violation> {
    let reset = vectors.reset;
    let code = program.sections.iter().any(|section| section.executable && section.runs.contains(&(reset & !1)));
    (reset & 1 == 0 || !code).then(|| Violation {
        rule: Rule::ResetHandler,
        section: Some(vectors.section.clone()),
        address: vectors.address + 4,
        found: format!("reset handler {reset:#010x}"),
        expected: "an odd address (Thumb) in a section of code".into(),
        next: "link cortex-m-rt's link.x, and an #[entry]".into(),
    })
}

/// Bytes between the start of the stack and the section that it would overwrite; or the end of its region, or of RAM, where the stack lies
/// below all sections. `None` when the stack pointer is outside RAM.
fn stack_room(chip: &Chip, program: &Program, pointer: u64) -> Result<Option<u64>, Violation> {
    let Some(region) = pointer.checked_sub(1).and_then(|last| chip.region(Kind::Ram, last)) else { return Ok(None) };
    let below: Vec<&Section> = in_ram(chip, program)
        .filter(|section| region.range.contains(&section.runs.start) && section.runs.start < pointer)
        .collect();
    if let Some(section) = below.iter().find(|section| section.runs.end > pointer) {
        return Err(Violation {
            rule: Rule::StackRoom,
            section: Some(section.name.clone()),
            address: section.runs.start,
            found: format!("the stack starts at {pointer:#010x}, inside {}", hex(&section.runs)),
            expected: "a stack that starts outside of what is used otherwise".into(),
            next: "correct RAM in the board's Cargo.toml, or the stack in tools/board-manifest/src/memory.rs".into(),
        });
    }
    let heap = program.symbol("__sheap").filter(|heap| !below.is_empty() && *heap <= pointer);
    let region_end = program.symbol("_stack_end").filter(|end| *end <= pointer);
    let ends = below.iter().map(|section| section.runs.end).chain(heap).chain(region_end);
    Ok(Some(pointer - ends.max().unwrap_or(0).max(region.range.start)))
}

fn small_stack(vectors: &Vectors, found: u64, expected: u64) -> Violation {
    Violation {
        rule: Rule::StackRoom,
        section: Some(vectors.section.clone()),
        address: vectors.stack_pointer,
        found: format!("{found} bytes for the stack"),
        expected: format!("at least {expected}"),
        next: "choose a smaller model or context, or a board with more RAM".into(),
    }
}

/// Sections in RAM.
fn in_ram<'p>(chip: &'p Chip, program: &'p Program) -> impl Iterator<Item = &'p Section> {
    program.sections.iter().filter(|section| chip.region(Kind::Ram, section.runs.start).is_some())
}

fn named(kind: Kind) -> &'static str {
    match kind {
        Kind::Flash => "flash",
        Kind::Ram => "RAM",
    }
}
