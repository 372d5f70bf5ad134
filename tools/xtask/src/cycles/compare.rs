//! Estimates of the default language model on the boards, beside published figures of other programs.
//!
//! ```text
//! a board's core ──► its program, run once ──► cycles at the board's wait states ──► + waits for lines of weights ──► a row
//! ```

use super::subject::{self, Subject, WHOLE};
use super::{Options, plugin};
use crate::cores::Core;
use crate::flash;
use crate::setup;
use crate::shell::root;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write;
use thumbformer_cli::stdout::stdout;
use thumbformer_cycles::cores::Cost;
use thumbformer_cycles::trace::Trace;
use thumbformer_cycles::{Flash, Report, estimate};

/// Options for a board: its core's parameters and, if one is named, its program.
///
/// # Errors
/// When the board has no such program, or no emulator runs it.
pub fn as_options(board: &board_manifest::Board, options: &Options) -> Result<Options> {
    let mut elf = None;
    if let Some(name) = &options.app {
        let application = flash::application(board, Some(name))?;
        if !board.is_emulated() {
            bail!(
                "no emulator runs the programs of {}: without PROGRAM the model on its core is estimated",
                board.name
            );
        }
        let buildable = options.given.build_for(board, application)?;
        elf = Some(buildable.build_program(&setup::ensure(&buildable.target)?, name)?);
    }
    if options.given.model.is_some() && elf.is_none() {
        bail!("--model needs a program of the board: `cargo xtask cycles {} classify --model …`", board.name);
    }
    Ok(Options {
        cores: vec![Core::of(board)?],
        elf,
        wait_states: board.wait_states,
        line: board.line,
        clock_hz: Some(board.clock_hz.into()),
        ..options.clone()
    })
}

/// Parts of the model that are products with weights.
const MATRICES: [&str; 4] = ["qkv", "projection", "mlp", "head"];

/// A core's program and its executed instructions.
struct Run {
    subject: Subject,
    trace: Trace,
}

impl Run {
    fn of(core: Core, position: u32) -> Result<Run> {
        let subject = subject::model(core, position)?;
        let (trace, _) = plugin::run(&subject.board, &subject.elf, &subject.arguments, &subject.marks())?;
        Ok(Run { subject, trace })
    }

    /// Cycles of the parts with these names.
    fn cycles(&self, flash: Flash, names: &[&str]) -> Cost {
        let table = self.subject.core.table();
        let mut sum = Cost { low: 0, est: 0, high: 0 };
        let named = self.subject.parts.iter().filter(|(_, name)| names.contains(name)).map(|(number, _)| *number);
        let wanted: Vec<u32> = if names.is_empty() { vec![WHOLE] } else { named.collect() };
        for part in wanted.iter().filter_map(|number| self.trace.parts.get(number)) {
            let Cost { low, est, high } =
                Report::new(&estimate(part, table, flash), &self.subject.program, table).cycles;
            sum = Cost { low: sum.low + low, est: sum.est + est, high: sum.high + high };
        }
        sum
    }
}

/// Prints a Markdown table.
///
/// # Errors
/// When a program cannot be built or run.
pub fn print(position: u32) -> Result<()> {
    writeln!(
        stdout(),
        "| board | core, MHz | weights in | wait states | cache | est. cycles a token | est. tokens/s | est. cycles/MAC |"
    )?;
    writeln!(stdout(), "|---|---|---|---|---|---|---|---|")?;
    let language = crate::firmware::language_model()?;
    let mut runs: BTreeMap<String, Run> = BTreeMap::new();
    for board in board_manifest::all(&root().join("boards"))?.into_iter().filter(|board| board.chip.is_some()) {
        let image = language.image_for(&board.pack)?;
        if board_manifest::fit(&board, board_manifest::Application::Generate, &image).is_err() {
            continue;
        }
        let core = Core::of(&board)?;
        let run = match runs.entry(core.name()) {
            Entry::Occupied(run) => run.into_mut(),
            Entry::Vacant(place) => place.insert(Run::of(core, position)?),
        };
        writeln!(stdout(), "{}", row(&board, run, image.model()?.dims().weight_macs() as i64))?;
    }
    Ok(())
}

/// Row of a board; `macs` are multiply-accumulates with weights, each a byte.
fn row(board: &board_manifest::Board, run: &Run, macs: i64) -> String {
    let flash = Flash { wait_states: board.wait_states, line: board.line };
    let waiting = board.weight_line.map_or(0, |(bytes, cycles)| macs / i64::from(bytes.max(1)) * i64::from(cycles));
    let Cost { low, est, high } = run.cycles(flash, &[]);
    let matrices = run.cycles(flash, &MATRICES).est + waiting;
    let rate = |cycles: i64| f64::from(board.clock_hz) / cycles.max(1) as f64;
    let experimental = if run.subject.core.table().experimental { ", experimental" } else { "" };
    format!(
        "| {} | {}, {} | {} | {} | {} | {} ({} to {}){experimental} | {:.0} | {:.2} |",
        board.name,
        board.core(),
        f64::from(board.clock_hz) / 1e6,
        board.weights,
        board.wait_states,
        board.cache,
        thousands(est + waiting),
        thousands(low + waiting),
        thousands(high + waiting),
        rate(est + waiting),
        matrices as f64 / macs as f64
    )
}

fn thousands(cycles: i64) -> String {
    format!("{} K", (cycles + 500) / 1000)
}
