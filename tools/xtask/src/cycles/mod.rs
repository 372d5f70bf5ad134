//! Instructions, exact, and cycles, estimated, of the default language model or of any ELF file: `cargo xtask cycles`.
//!
//! ```text
//! core or ELF ──► Subject ──► QEMU with the plugin ──► Trace ──► Estimate by part ──► table, or JSON
//! ```

mod check;
mod compare;
mod plugin;
mod sequences;
mod subject;
mod validate;

pub use check::check;
pub use compare::{estimates, table};

use crate::cores::Core;
use crate::given::Given;
use crate::shell::root;
use anyhow::{Result, bail};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use subject::{Subject, WHOLE};
use thumbformer_cli::stdout::stdout;
use thumbformer_cycles::cores::Cost;
use thumbformer_cycles::trace::Part;
use thumbformer_cycles::{Flash, Report, Share, estimate};

/// Position of the token in the documentation.
pub const POSITION: u32 = 64;

/// Options of an estimate.
#[derive(Clone, Default, clap::Args)]
pub struct Options {
    /// Core, may be repeated [default: all]
    #[arg(long = "core")]
    cores: Vec<Core>,
    /// Board, a folder of boards/: its core, wait states and clock
    #[arg(value_name = "BOARD", conflicts_with_all = ["cores", "elf", "wait_states", "line", "clock_hz"])]
    board: Option<String>,
    /// Program of a board that the emulator has, in place of the model: generate, classify, bench or verify
    #[arg(value_name = "PROGRAM", requires = "board")]
    app: Option<String>,
    #[command(flatten)]
    given: Given,
    /// The default language model on every real board, beside published measurements of other programs
    #[arg(long, conflicts_with = "board")]
    compare: bool,
    /// Position of the model's token
    #[arg(long, default_value_t = POSITION)]
    position: u32,
    /// ELF file of a program that ends by semihosting, in place of the model; needs one --core
    #[arg(long)]
    elf: Option<PathBuf>,
    /// Function of the ELF file at which counting starts
    #[arg(long, requires = "elf")]
    start: Option<String>,
    /// Function of the ELF file at which counting stops
    #[arg(long, requires = "elf")]
    stop: Option<String>,
    /// Wait states of the instruction memory
    #[arg(long, default_value_t = 0)]
    wait_states: u32,
    /// Bytes that the instruction memory's accelerator reads at once
    #[arg(long, default_value_t = 16)]
    line: u32,
    /// Clock of the core, for tokens per second
    #[arg(long)]
    clock_hz: Option<u64>,
    /// Number of symbols and kinds of instructions to list
    #[arg(long, default_value_t = 12)]
    symbols: usize,
    /// Compare sequences of instructions with the cycles in the manuals, in place of the model
    #[arg(long)]
    sequences: bool,
    /// Compare the programs of a folder with published measurements of them, in place of the model
    #[arg(long)]
    validate: Option<PathBuf>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// A line of the JSON output.
#[derive(Serialize)]
struct Line<'a> {
    core: &'a str,
    what: &'a str,
    kind: &'a str,
    name: &'a str,
    instructions: u64,
    est_cycles: i64,
    est_low: i64,
    est_high: i64,
    experimental: bool,
    wait_states: u32,
}

/// Prints the requested estimates.
///
/// # Errors
/// When a program cannot be built, run or read.
pub fn print(options: &Options) -> Result<()> {
    if options.sequences {
        return sequences::print();
    }
    if let Some(folder) = &options.validate {
        return validate::print(folder);
    }
    if options.compare {
        write!(stdout(), "{}", table(&estimates(options.position)?))?;
        return Ok(());
    }
    if options.given.model.is_some() && options.board.is_none() {
        bail!("--model needs a board and its program: `cargo xtask cycles BOARD classify --model …`");
    }
    let of_board;
    let options = match &options.board {
        None => options,
        Some(name) => {
            let board = board_manifest::find(&root().join("boards"), name)?;
            of_board = compare::as_options(&board, options)?;
            &of_board
        }
    };
    for subject in subject::subjects(options)? {
        write!(stdout(), "{}", text(&subject?, options)?)?;
    }
    Ok(())
}

/// Text output for a subject.
fn text(subject: &Subject, options: &Options) -> Result<String> {
    let (trace, output) = plugin::run(&subject.board, &subject.elf, &subject.arguments, &subject.marks())?;
    let Some(whole) = trace.parts.get(&WHOLE) else {
        let printed = String::from_utf8_lossy(&output.console).into_owned() + &String::from_utf8_lossy(&output.uart);
        bail!(
            "{}: nothing was executed from one mark to the other; it ended with exit code {} and printed: {}",
            subject.elf.display(),
            output.exit,
            printed.trim()
        );
    };
    let parts: Vec<(&str, &Part)> =
        subject.parts.iter().filter_map(|(number, name)| Some((*name, trace.parts.get(number)?))).collect();
    Ok(describe(subject, options, whole, &parts))
}

fn describe(subject: &Subject, options: &Options, whole: &Part, parts: &[(&str, &Part)]) -> String {
    let flash = Flash { wait_states: options.wait_states, line: options.line.max(4).next_power_of_two() };
    let table = subject.core.table();
    let report = |part: &Part| Report::new(&estimate(part, table, flash), &subject.program, table);
    let all = report(whole);
    let unknown = estimate(whole, table, flash).without_row(table);
    let parts: Vec<Share> = parts
        .iter()
        .map(|(name, part)| (name, report(part)))
        .map(|(name, report)| Share {
            name: name.to_string(),
            instructions: report.instructions,
            cycles: report.cycles,
        })
        .collect();
    let whole = Share { name: subject.what.clone(), instructions: all.instructions, cycles: all.cycles };
    let groups = [
        ("whole", &[whole][..]),
        ("part", &parts),
        ("symbol", first(&all.symbols, options)),
        ("kind", first(&all.classes, options)),
    ];
    if options.json { json(subject, options, &groups) } else { table_of(subject, options, &groups, unknown) }
}

fn first<'a>(shares: &'a [Share], options: &Options) -> &'a [Share] {
    shares.get(..options.symbols).unwrap_or(shares)
}

fn json(subject: &Subject, options: &Options, groups: &[(&str, &[Share])]) -> String {
    let lines = groups.iter().flat_map(|(kind, shares)| shares.iter().map(move |share| (*kind, share)));
    let lines = lines.map(|(kind, share)| Line {
        core: subject.core.name(),
        what: &subject.what,
        kind,
        name: &share.name,
        instructions: share.instructions,
        est_cycles: share.cycles.est,
        est_low: share.cycles.low,
        est_high: share.cycles.high,
        experimental: subject.core.table().experimental,
        wait_states: options.wait_states,
    });
    // Serializing numbers and strings does not fail.
    lines.map(|line| serde_json::to_string(&line).unwrap_or_default() + "\n").collect()
}

fn table_of(subject: &Subject, options: &Options, groups: &[(&str, &[Share])], unknown: u64) -> String {
    let table = subject.core.table();
    let experimental = if table.experimental { ", EXPERIMENTAL" } else { "" };
    let (error, validated) = table.error;
    let mut text = format!(
        "{}: {}; {} wait states\nest.: estimated, not measured{experimental}; {}; band at least {error:.0} % ({validated})\n",
        table.name, subject.what, options.wait_states, table.source
    );
    for (kind, shares) in groups.iter().filter(|(_, shares)| !shares.is_empty()) {
        text.push_str(&format!("\n{kind:<52} instructions  est. cycles    est. low   est. high\n"));
        for Share { name, instructions, cycles: Cost { low, est, high } } in *shares {
            text.push_str(&format!("{:<52} {instructions:>12} {est:>12} {low:>11} {high:>11}\n", short(name)));
        }
    }
    if unknown > 0 {
        text.push_str(&format!("\n{unknown} instructions have no row in the core's table: taken as one cycle each\n"));
    }
    if let (Some(clock), Some(("whole", [whole, ..]))) = (options.clock_hz, groups.first()) {
        let rate = |cycles: i64| clock as f64 / cycles.max(1) as f64;
        let Cost { low, est, high } = whole.cycles;
        text.push_str(&format!(
            "\n{:.1} a second est. at {:.1} MHz ({:.1} to {:.1})\n",
            rate(est),
            clock as f64 / 1e6,
            rate(high),
            rate(low)
        ));
    }
    text + "\n"
}

/// A name, cut to its column.
fn short(name: &str) -> String {
    let length = name.chars().count();
    if length <= 52 { name.into() } else { format!("…{}", name.chars().skip(length - 51).collect::<String>()) }
}
