//! The subject of an estimate: a program, the machine that runs it, and the marks in it.
//!
//! Everything that an estimate needs to know of a program is here.

use super::Options;
use super::plugin::Mark;
use crate::bench::or_all;
use crate::cores;
use crate::firmware::Board;
use crate::setup;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use thumbformer_cycles::{Core, Program};

/// Number of the part that is the whole.
pub const WHOLE: u32 = 1;

/// Number of the empty part, two marks with nothing between them.
pub const EMPTY: u32 = 9;

/// Parts of the model, by the names of the marks in the benchmark's `cycles`.
const PARTS: [&str; 7] = ["embedding", "norm", "qkv", "attention", "projection", "mlp", "head"];

/// A program that is to be estimated.
pub struct Subject {
    /// Description of the subject.
    pub what: String,
    /// The machine.
    pub board: Board,
    /// The core whose costs are used.
    pub core: Core,
    /// The program's file.
    pub elf: PathBuf,
    /// The program's functions.
    pub program: Program,
    /// Its command line.
    pub arguments: Vec<String>,
    /// Parts beside [`WHOLE`], with their names.
    pub parts: Vec<(u32, &'static str)>,
    marks: Vec<Mark>,
}

impl Subject {
    /// Marks at the ends of its parts.
    pub fn marks(&self) -> Vec<Mark> {
        self.marks.clone()
    }
}

/// The subjects that the options name, each built when it is needed.
///
/// # Errors
/// When firmware cannot be built, or an ELF file cannot be read.
pub fn subjects(options: &Options) -> Result<Box<dyn Iterator<Item = Result<Subject>>>> {
    let Some(elf) = &options.elf else {
        let position = options.position;
        return Ok(Box::new(or_all(&options.cores).into_iter().map(move |core| model(core, position))));
    };
    let [core] = options.cores[..] else {
        bail!("an ELF file needs one --core, found {}: name the core that it is for", options.cores.len());
    };
    Ok(Box::new(std::iter::once(program(core, elf, options.start.as_deref(), options.stop.as_deref()))))
}

/// A subject for any program, or for its execution from the start of one function to the start of another.
///
/// # Errors
/// When it is not an ELF file, or has no such function.
pub fn program(core: cores::Core, elf: &Path, start: Option<&str>, stop: Option<&str>) -> Result<Subject> {
    let subject = subject(core, elf.to_path_buf())?;
    let marks = [(start, 0), (stop, WHOLE)].into_iter().filter_map(|(name, part)| Some((name?, part)));
    let marks: Result<_, thumbformer_cycles::Error> =
        marks.map(|(name, part)| Ok((subject.program.find(name)?, part))).collect();
    let marks = marks.with_context(|| format!("{}", elf.display()))?;
    let what = elf.file_name().unwrap_or_default().to_string_lossy().into();
    Ok(Subject { what, marks, ..subject })
}

/// A subject for the default language model's token at a position.
///
/// # Errors
/// When the firmware cannot be built.
pub fn model(core: cores::Core, position: u32) -> Result<Subject> {
    let board = core.board()?;
    let elf = board.build_program(&setup::ensure(&board.target)?, "cycles")?;
    let subject = subject(core, elf)?;
    let parts: Vec<(u32, &str)> = (WHOLE + 1..).zip(PARTS).collect();
    let names = [(0, "start"), (WHOLE, "token"), (EMPTY, "empty")].into_iter().chain(parts.iter().copied());
    let marks: Result<_, thumbformer_cycles::Error> =
        names.map(|(part, name)| Ok((subject.program.find(&format!("mark::{name}"))?, part))).collect();
    let what = format!("default language model, a token at position {position}");
    Ok(Subject { what, parts, arguments: vec![position.to_string()], marks: marks?, ..subject })
}

fn subject(core: cores::Core, elf: PathBuf) -> Result<Subject> {
    let bytes = std::fs::read(&elf).with_context(|| format!("{}", elf.display()))?;
    let program = Program::parse(&bytes).with_context(|| format!("{}", elf.display()))?;
    let name = core.name();
    let core_costs = Core::find(&name).with_context(|| format!("no table of costs for {name}"))?;
    Ok(Subject {
        what: String::new(),
        board: core.board()?,
        core: core_costs,
        elf,
        program,
        arguments: Vec::new(),
        parts: Vec::new(),
        marks: Vec::new(),
    })
}
