//! Estimates of the default language model on the boards, beside published figures of other programs.
//!
//! ```text
//! a board's core ──► its program, run once ──► cycles at the board's wait states ──► + waits for lines of weights ──► a row
//! ```

use super::subject::{self, Subject, WHOLE};
use super::{Options, plugin};
use crate::cores::Core;
use crate::figures::Figures;
use crate::flash;
use crate::setup;
use crate::shell::root;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
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

/// Begin of the names of the table's rows.
const ROW: &str = "row ";

/// Markdown table of estimates.
pub fn table(estimates: &Figures) -> String {
    let mut text = "| board | core, MHz | weights in | wait states | cache | est. cycles a token | est. tokens/s | est. cycles/MAC |\n\
                    |---|---|---|---|---|---|---|---|\n"
        .to_string();
    let rows = estimates.iter().filter(|(name, _)| name.starts_with(ROW));
    rows.for_each(|(_, row)| text += &format!("{row}\n"));
    text
}

/// Cycles of a token and tokens per second on every real board that the model fits, a row of the table for each, and the M4's cycles without
/// wait states.
///
/// # Errors
/// When a program cannot be built or run.
pub fn estimates(position: u32) -> Result<Figures> {
    let mut estimates = Figures::new();
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
        estimates.extend(of_board(&board, run, image.model()?.dims().weight_macs() as i64));
    }
    let m4 = runs.get(&Core::M4.name()).context("no board with an M4")?;
    let without = m4.cycles(Flash { wait_states: 0, line: 16 }, &[]);
    estimates.insert(format!("cycles {}", Core::M4.name()), thousands(without.est));
    Ok(estimates)
}

/// Estimates of a board; `macs` are multiply-accumulates with weights, each a byte.
fn of_board(board: &board_manifest::Board, run: &Run, macs: i64) -> [(String, String); 3] {
    let flash = Flash { wait_states: board.wait_states, line: board.line };
    let waiting = board.weight_line.map_or(0, |(bytes, cycles)| macs / i64::from(bytes.max(1)) * i64::from(cycles));
    let Cost { low, est, high } = run.cycles(flash, &[]);
    let matrices = run.cycles(flash, &MATRICES).est + waiting;
    let rate = |cycles: i64| f64::from(board.clock_hz) / cycles.max(1) as f64;
    let experimental = if run.subject.core.table().experimental { ", experimental" } else { "" };
    let (cycles, rate) = (thousands(est + waiting), format!("{:.0}", rate(est + waiting)));
    let row = format!(
        "| {} | {}, {} | {} | {} | {} | {} ({} to {}){experimental} | {rate} | {:.2} |",
        board.name,
        board.core(),
        f64::from(board.clock_hz) / 1e6,
        board.weights,
        board.wait_states,
        board.cache,
        cycles,
        thousands(low + waiting),
        thousands(high + waiting),
        matrices as f64 / macs as f64
    );
    let name = |kind: &str| format!("{kind}{}", board.name);
    [(name(ROW), row), (name("cycles "), cycles), (name("rate "), rate)]
}

fn thousands(cycles: i64) -> String {
    format!("{} K", (cycles + 500) / 1000)
}
