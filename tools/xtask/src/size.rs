//! `cargo xtask bench size`: what the least takes that a firmware needs, for those who use none of the rest.
//!
//! ```text
//! boards/bench: size-decoder, size-stream, size-digits ──► built for speed and for size ──► ELF  ──► code, constants, state
//!                                                                                      └──► QEMU ──► painted stack, CRC-32 as the host's
//! ```

use crate::bench::or_all;
use crate::cores::Core;
use crate::emulator::emulate;
use crate::firmware;
use crate::minimal;
use crate::setup;
use crate::shell::root;
use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection, SectionFlags, SectionKind};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use thumbformer::audio::{LogMel, LogMelConfig, MelBank};
use thumbformer::state::HostState;
use thumbformer_cli::stdout::stdout;

/// The cores that are measured: one for each kind of kernels that people choose by size.
pub const CORES: [Core; 3] = [Core::M0Plus, Core::M4, Core::M55];
/// `opt-level`.
pub const PROFILES: [&str; 2] = ["3", "s"];
/// The programs and their models.
pub const PROGRAMS: [(&str, &str); 3] = [("decoder", "stories"), ("stream", "motion"), ("digits", "digits")];

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
    /// Bytes of variables: the session's memory and what the program keeps beside.
    pub state: u64,
    /// Most bytes of stack that inference had in use.
    pub stack: u64,
}

/// All programs on one core, measured once in a run of xtask.
///
/// # Errors
/// When one cannot be built or run, or computes anything else than the host.
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
    let rows = PROGRAMS.iter().zip(elfs).map(|(&(program, model), elf)| {
        let (code, constants, state) = sections(&std::fs::read(&elf)?)?;
        let image = image(model, &board.pack);
        let bytes = std::fs::metadata(&image).with_context(|| format!("{}", image.display()))?.len();
        let constants = constants.checked_sub(bytes).context("the image is no constant of the program")?;
        let output = emulate(&board, &elf, &[], |_| ())?;
        let printed = String::from_utf8_lossy(&output.console).trim().to_string();
        let where_ = || format!("size-{program} on {}, opt-level {profile}", core.name());
        ensure!(output.exit == 0, "{} ended with exit code {}: {printed}", where_(), output.exit);
        let number = |text: &str| u32::from_str_radix(text, 16).with_context(|| format!("{}: {printed:?}", where_()));
        let (stack, crc32) = printed.split_once(' ').with_context(|| format!("{}: {printed:?}", where_()))?;
        let expected = on_host(program, model)?;
        ensure!(number(crc32)? == expected, "{}: CRC-32 {crc32}, on the host {expected:08x}", where_());
        let stack = number(stack)?.into();
        Ok(Row { core: core.name(), profile: profile.into(), program: program.into(), code, constants, state, stack })
    });
    rows.collect()
}

fn image(model: &str, pack: &str) -> PathBuf {
    root().join(format!("models/{model}/{model}-{pack}.tbf"))
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

/// CRC-32 of what a program computes, on this machine.
fn on_host(program: &str, model: &str) -> Result<u32> {
    static SPEECH: MelBank<256, 20> = thumbformer::mel_bank!(LogMelConfig::SPEECH_8K);
    let file = image(model, "host").with_file_name(format!("{model}.tbf"));
    let words = thumbformer_cli::read_image(&file)?;
    let model = thumbformer_cli::model(&words, &file)?;
    let dims = model.dims();
    let mut state = HostState::new(dims, dims.max_seq.min(256));
    let mut session = model.session(state.memory());
    Ok(match program {
        "decoder" => minimal::decoder(&mut session)?,
        "stream" => minimal::stream(&mut session, &mut vec![0.0; dims.n_features])?,
        _ => {
            let mut frames = vec![0.0; dims.max_seq * dims.n_features];
            minimal::digits(&mut session, &mut LogMel::new(&SPEECH), &mut frames)?
        }
    })
}

/// Prints the programs on these cores, or on all that are measured.
///
/// # Errors
/// As [`on_core`].
pub fn print(cores: &[Core], json: bool) -> Result<()> {
    if !json {
        writeln!(stdout(), "core    opt-level program     code constants   state   stack")?;
    }
    for core in or_all(cores).into_iter().filter(|core| CORES.contains(core)) {
        for row in on_core(core)? {
            if json {
                writeln!(stdout(), "{}", serde_json::to_string(&row)?)?;
                continue;
            }
            let Row { core, profile, program, code, constants, state, stack } = row;
            writeln!(stdout(), "{core:<7} {profile:<9} {program:<8} {code:>7} {constants:>9} {state:>7} {stack:>7}")?;
        }
    }
    Ok(())
}
