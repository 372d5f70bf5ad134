//! Sizes of minimal programs, for firmware that uses nothing else: `cargo xtask bench size`.
//!
//! ```text
//! boards/bench: size-decoder, size-stream, size-digits ──► built for speed and for size ──► ELF  ──► code, constants, state, worst stack
//!                                                                                      └──► QEMU ──► painted stack, CRC-32 as the host's
//! ```

use crate::bench::or_all;
use crate::cores::Core;
use crate::emulator::emulate;
use crate::firmware;
use crate::minimal;
use crate::panics;
use crate::results::Results;
use crate::setup::{self, Toolchain};
use crate::shell::{root, rustc, text};
use crate::test::Outcome;
use anyhow::{Context, Result, ensure};
use board_manifest::{DefaultModel, Kind, first};
use object::{Object, ObjectSection, SectionFlags, SectionKind};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::sync::Mutex;
use thumbformer::audio::HostBuffers;
use thumbformer::state::HostState;
use thumbformer_cli::stdout::stdout;

/// The measured cores: one for each kind of kernels that people choose by size.
pub const CORES: [Core; 3] = [Core::M0Plus, Core::M4, Core::M55];
/// `opt-level`.
pub const PROFILES: [&str; 2] = ["3", "s"];
/// The programs and the kinds of their models.
pub const PROGRAMS: [(&str, Kind); 3] = [("decoder", Kind::Language), ("stream", Kind::Stream), ("digits", Kind::Clip)];

/// A program on a core.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
pub struct Row {
    /// The core.
    pub core: String,
    /// `opt-level`.
    pub profile: String,
    /// The program.
    pub program: String,
    /// Bytes of instructions, the constants between them included.
    pub code: u64,
    /// Bytes of constants without the image.
    pub constants: u64,
    /// Bytes of variables: the session's memory and the program's own.
    pub state: u64,
    /// Painted stack depth of inference, in bytes.
    pub stack: u64,
    /// Worst case of the same, from the machine code.
    #[serde(default)]
    pub worst: u64,
}

/// All programs on one core, measured once in a run of xtask.
///
/// # Errors
/// When one cannot be built or run, or its result differs from the host's.
pub fn on_core(core: Core) -> Result<Vec<Row>> {
    static MEASURED: Mutex<Vec<(Core, Vec<Row>)>> = Mutex::new(Vec::new());
    let mut measured = MEASURED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, rows)) = measured.iter().find(|(of, _)| *of == core) {
        return Ok(rows.clone());
    }
    let mut rows = Vec::new();
    for profile in PROFILES {
        rows.extend(measure(core, profile)?);
    }
    measured.push((core, rows.clone()));
    Ok(rows)
}

fn measure(core: Core, profile: &str) -> Result<Vec<Row>> {
    let mut board = core.board()?;
    board.build.variables.push(("CARGO_PROFILE_RELEASE_OPT_LEVEL", profile.into()));
    board.name = format!("bench-{profile}-{}", core.name());
    let names = PROGRAMS.map(|(program, _)| format!("size-{program}"));
    let elfs = board.build_programs(&setup::ensure(&board.target)?, &names.each_ref().map(String::as_str))?;
    let rows = PROGRAMS.iter().zip(elfs).map(|(&(program, kind), elf)| {
        let (code, constants, state) = sections(&std::fs::read(&elf)?)?;
        let model = first(kind, &root().join("models"))?;
        let bytes = model.image_for(&board.pack)?.bytes() as u64;
        let constants = constants.checked_sub(bytes).context("the image is no constant of the program")?;
        let output = emulate(&board, &elf, &[], |_| ())?;
        let printed = String::from_utf8_lossy(&output.console).trim().to_string();
        let where_ = || format!("size-{program} on {}, opt-level {profile}", core.name());
        ensure!(output.exit == 0, "{} ended with exit code {}: {printed}", where_(), output.exit);
        let number = |text: &str| u32::from_str_radix(text, 16).with_context(|| format!("{}: {printed:?}", where_()));
        let (stack, crc32) = printed.split_once(' ').with_context(|| format!("{}: {printed:?}", where_()))?;
        let expected = on_host(program, &model)?;
        ensure!(number(crc32)? == expected, "{}: CRC-32 {crc32}, on the host {expected:08x}", where_());
        let stack = number(stack)?.into();
        // At `s` the compiler keeps checks in functions of `core` that it does not inline, which their arguments here never fail.
        if profile == "3" {
            panics::check(&elf).with_context(where_)?;
        }
        let worst = thumbformer_machine_code::worst(&elf)?.of(&format!("::minimal::{program}")).with_context(where_)?;
        ensure!(stack <= worst, "{}: {stack} bytes of stack are painted over, the worst case is {worst}", where_());
        let (core, profile, program) = (core.name(), profile.into(), program.into());
        Ok(Row { core, profile, program, code, constants, state, stack, worst })
    });
    rows.collect()
}

/// Bytes of code, of constants and of variables.
fn sections(elf: &[u8]) -> Result<(u64, u64, u64)> {
    let file = object::File::parse(elf)?;
    let (mut code, mut constants, mut state) = (0, 0, 0);
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
        if sh_flags.0 & object::elf::SHF_ALLOC.0 == 0 {
            continue;
        }
        let writable = sh_flags.0 & object::elf::SHF_WRITE.0 != 0;
        match section.kind() {
            SectionKind::Text => code += section.size(),
            _ if writable => state += section.size(),
            _ => constants += section.size(),
        }
    }
    let size = firmware::size(elf)?;
    ensure!(code + constants <= size.flash && state == size.ram, "{code} + {constants} bytes of flash, {state} of RAM");
    Ok((code, constants, state))
}

/// CRC-32 of a program's result, computed on this machine.
fn on_host(program: &str, model: &DefaultModel) -> Result<u32> {
    let image = model.image()?;
    let model = image.model()?;
    let dims = model.dims();
    let mut state = HostState::new(dims, dims.max_seq.min(256));
    let mut session = model.session(state.memory());
    Ok(match program {
        "decoder" => minimal::decoder(&mut session)?,
        "stream" => minimal::stream(&mut session, &mut vec![0.0; dims.n_features])?,
        _ => {
            let mut frames = vec![0.0; dims.max_seq * dims.n_features];
            let front_end = model.front_end().context("the image has no audio front end")?;
            let mut buffers = HostBuffers::new(&front_end);
            minimal::digits(&mut session, &mut front_end.extractor(buffers.memory())?, &mut frames)?
        }
    })
}

/// Compiler of the figures below; another compiler makes programs of other sizes.
const COMPILER: &str = "rustc 1.95.0";

/// Core, `opt-level`, program, and bytes of code, constants, state and stack at the time that the limit was set. A program may take 1 %
/// more. The code of `digits` at `s` was raised by 650 bytes when the front end became data of the image: its tables left the constants.
const LIMITS: [(&str, &str, &str, [u64; 4]); 18] = [
    ("m0plus", "3", "decoder", [65_872, 6_174, 113_172, 3_976]),
    ("m0plus", "3", "stream", [64_220, 6_142, 7_724, 3_720]),
    ("m0plus", "3", "digits", [106_080, 7_246, 16_720, 4_880]),
    ("m0plus", "s", "decoder", [35_600, 6_430, 113_172, 4_064]),
    ("m0plus", "s", "stream", [35_328, 6_422, 7_724, 4_016]),
    ("m0plus", "s", "digits", [41_500, 7_530, 16_720, 4_816]),
    ("m4", "3", "decoder", [63_468, 6_366, 113_172, 4_864]),
    ("m4", "3", "stream", [61_976, 6_334, 7_724, 2_716]),
    ("m4", "3", "digits", [97_736, 7_438, 16_720, 5_872]),
    ("m4", "s", "decoder", [37_060, 7_246, 113_172, 4_836]),
    ("m4", "s", "stream", [36_948, 7_238, 7_724, 4_804]),
    ("m4", "s", "digits", [43_700, 8_346, 16_720, 5_688]),
    ("m55", "3", "decoder", [57_412, 7_206, 113_172, 2_648]),
    ("m55", "3", "stream", [55_996, 7_174, 7_724, 2_800]),
    ("m55", "3", "digits", [85_912, 8_294, 16_720, 3_828]),
    ("m55", "s", "decoder", [33_164, 7_530, 113_172, 2_668]),
    ("m55", "s", "stream", [33_036, 7_522, 7_724, 2_852]),
    ("m55", "s", "digits", [39_650, 8_630, 16_720, 3_460]),
];

/// Most that a worst case of the stack may be of the painted one.
const MOST_ABOVE_PAINT: f64 = 2.5;

/// Compares the programs with their limits; skipped under another compiler.
///
/// # Errors
/// As [`on_core`], and with the first figure above its limit.
pub fn check() -> Result<Outcome> {
    let compiler = text(rustc().arg("--version")).unwrap_or_default();
    if !compiler.starts_with(&format!("{COMPILER} ")) {
        return Ok(Outcome::Skipped(format!("sizes are those of {COMPILER}, this is {compiler}")));
    }
    let recorded = Results::recorded()?;
    for core in CORES {
        if let Toolchain::Debian { .. } = setup::ensure(&core.board()?.target)? {
            return Ok(Outcome::Skipped(format!("sizes are those of {COMPILER}, Debian's builds the firmware here")));
        }
        let rows = on_core(core)?;
        rows.iter().try_for_each(within)?;
        recorded.compare_sizes(core, &rows)?;
    }
    let all: Vec<Row> = CORES.into_iter().map(on_core).collect::<Result<Vec<_>>>()?.concat();
    // int4 matrices, which these models do not have, take the deepest path of their code.
    let ratio = all.iter().map(|row| row.worst as f64 / row.stack as f64).fold(0.0, f64::max);
    ensure!(ratio <= MOST_ABOVE_PAINT, "a worst case of the stack is {ratio:.2} of the painted one: is it so deep?");
    Ok(Outcome::Passed(format!(
        "{} programs within 1 % of their sizes and stacks, their outputs the host's; none of their calls of inference to a panic or an \
         allocator; the worst case of the stack at most {ratio:.2} of the painted one",
        LIMITS.len()
    )))
}

fn within(row: &Row) -> Result<()> {
    let limit = LIMITS.iter().find(|limit| (limit.0, limit.1, limit.2) == (&row.core, &row.profile, &row.program));
    let (.., limits) = limit.with_context(|| format!("{row:?}: no limit"))?;
    let found = [("code", row.code), ("constants", row.constants), ("state", row.state), ("stack", row.stack)];
    for ((what, found), reached) in found.into_iter().zip(limits) {
        let Row { core, profile, program, .. } = row;
        let most = reached * 101 / 100;
        ensure!(
            found <= most,
            "{program} on {core}, opt-level {profile}: {found} bytes of {what}, at most {most}: put what is new behind a \
             feature, or raise the limit in tools/xtask/src/size.rs and say why"
        );
    }
    Ok(())
}

/// Prints the programs on these cores, or on all measured cores.
///
/// # Errors
/// As [`on_core`].
pub fn print(cores: &[Core], json: bool) -> Result<()> {
    if !json {
        writeln!(stdout(), "core    opt-level program     code constants   state   stack   worst")?;
    }
    for core in or_all(cores).into_iter().filter(|core| CORES.contains(core)) {
        for row in on_core(core)? {
            if json {
                writeln!(stdout(), "{}", serde_json::to_string(&row)?)?;
                continue;
            }
            let Row { core, profile, program, code, constants, state, stack, worst } = row;
            let bytes = [state, stack, worst].map(|bytes| format!("{bytes:>7}")).join(" ");
            writeln!(stdout(), "{core:<7} {profile:<9} {program:<8} {code:>7} {constants:>9} {bytes}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{CORES, LIMITS, PROFILES, PROGRAMS, Row, within};

    #[test]
    fn every_program_has_a_limit_and_more_than_a_hundredth_above_it_is_found() {
        assert_eq!(LIMITS.len(), CORES.len() * PROFILES.len() * PROGRAMS.len());
        for core in CORES {
            for profile in PROFILES {
                for (program, _) in PROGRAMS {
                    let row = |code| {
                        let (core, profile, program) = (core.name(), profile.into(), program.into());
                        Row { core, profile, program, code, constants: 0, state: 0, stack: 0, worst: 0 }
                    };
                    assert!(within(&row(30_000)).is_ok(), "{core:?} {profile} {program}");
                    assert!(within(&row(200_000)).is_err(), "{core:?} {profile} {program}");
                }
            }
        }
        let (core, profile, program, [code, constants, state, stack]) = LIMITS[0];
        let (core, profile, program) = (core.into(), profile.into(), program.into());
        let row = Row { core, profile, program, code, constants, state, stack, worst: stack };
        assert!(within(&row).is_ok());
        assert!(within(&Row { stack: stack * 102 / 100, ..row }).is_err());
    }
}
