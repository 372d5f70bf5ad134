//! Demonstration, `cargo xtask demo`: a story from the emulated board, then a comparison of its logits with the host's, bit for bit.

use crate::emulator::{self, RESULT, Run, Step};
use crate::firmware::{self, Board};
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::io::Write;
use thumbformer::text::Sampling;
use thumbformer_cli::run::{Options, Prompt, generate};
use thumbformer_cli::stdout::stdout;

/// Settings of a story.
#[derive(Clone, Debug)]
pub struct Story {
    /// The beginning of the story.
    pub prompt: String,
    /// Maximum number of steps.
    pub steps: usize,
    /// Seed of the sampler.
    pub seed: u64,
    /// True to continue after the end token.
    pub ignore_end: bool,
}

impl Story {
    /// Command line of the firmware.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![format!("steps={}", self.steps), format!("seed={}", self.seed)];
        arguments.extend(self.ignore_end.then(|| "ignore-end".to_string()));
        arguments.push(format!("prompt={}", self.prompt));
        arguments
    }

    /// Sampling parameters of the firmware: the constant in its `main`.
    pub const SAMPLING: Sampling = Sampling { temperature: 0.7, top_k: 0, top_p: 0.9 };
    /// Context of the firmware's state.
    pub const MAX_SEQ: usize = 256;
}

/// Steps and text of a story, computed on the host with the board's image.
///
/// # Errors
/// When the image cannot be read or the engine refuses the prompt.
pub fn on_host(board: &Board, story: &Story) -> Result<(Vec<Step>, Vec<u8>)> {
    let file = board.image()?;
    let words = thumbformer_cli::read_image(&file)?;
    let model = thumbformer_cli::model(&words, &file)?;
    let options = Options {
        prompt: Prompt::Text(story.prompt.clone()),
        sampling: Story::SAMPLING,
        seed: story.seed,
        steps: story.steps,
        max_seq: Story::MAX_SEQ,
        ignore_end: story.ignore_end,
    };
    let (mut steps, mut text) = (Vec::new(), Vec::new());
    generate(&model, &options, &mut |piece| text.extend(piece), &mut |step, _| {
        steps.push(Step { token: step.token, crc32: step.crc32 });
    })?;
    Ok((steps, text))
}

/// Compares two computations of the same steps; returns the verdict as a line.
///
/// # Errors
/// With the first step that differs.
pub fn compare(board: &[Step], other: &[Step], name: &str) -> Result<String> {
    ensure!(!board.is_empty(), "the board logged no step");
    for (index, (on_board, elsewhere)) in board.iter().zip(other).enumerate() {
        ensure!(
            on_board == elsewhere,
            "step {}: the board has token {} and crc32 {:08x}, {name} has token {} and crc32 {:08x}",
            index + 1,
            on_board.token,
            on_board.crc32,
            elsewhere.token,
            elsewhere.crc32
        );
    }
    ensure!(board.len() == other.len(), "the board made {} steps, {name} made {}", board.len(), other.len());
    Ok(format!("identical to {name}"))
}

/// The firmware's report on a whole story.
#[derive(Debug, Deserialize)]
pub struct Total {
    steps: usize,
    /// CRC-32 of all logits.
    pub crc32: String,
    unit: String,
    minimum: u64,
    median: u64,
    maximum: u64,
}

/// Reads the report of a run.
///
/// # Errors
/// When there is no report, or its number of steps is wrong.
pub fn total(run: &Run) -> Result<Total> {
    let line = run.log.iter().find(|line| line.starts_with(RESULT)).context("the board reported no result")?;
    let total: Total = serde_json::from_str(line).with_context(|| line.clone())?;
    ensure!(total.steps == run.steps.len(), "{line}: the log has {} steps", run.steps.len());
    Ok(total)
}

/// Runs the demonstration; `verbose` prints every step.
///
/// # Errors
/// When the firmware cannot be built or run, or the bits differ.
pub fn demo(board: &Board, story: &Story, verbose: bool) -> Result<()> {
    ensure!(story.steps > 0, "--steps 0 tells nothing: give at least 1");
    let toolchain = setup::ensure(&board.target)?;
    // The host refuses the same input as the board, and earlier.
    let expected = on_host(board, story)?.0;
    writeln!(
        stdout(),
        "building {} ({}); the first time takes minutes",
        board.name,
        toolchain.describe(&board.target)
    )?;
    let elf = board.build_program(&toolchain, "generate")?;
    writeln!(stdout())?;
    let run = emulator::run(board, &elf, &story.arguments(), |text| {
        // A closed pipe is no reason to stop the measurement; the next line reports it.
        _ = stdout().write_all(text).and_then(|()| stdout().flush());
    })?;
    writeln!(stdout())?;
    if verbose {
        for (number, (step, instructions)) in (1..).zip(run.steps.iter().zip(&run.instructions)) {
            writeln!(
                stdout(),
                "step {number} token {} crc32 {:08x} instructions {instructions}",
                step.token,
                step.crc32
            )?;
        }
    }
    for line in run.log.iter().filter(|line| !line.starts_with(RESULT)) {
        writeln!(stdout(), "{line}")?;
    }
    if run.exit != 0 {
        bail!("the firmware ended with exit code {}: {}", run.exit, run.log.last().map_or("", String::as_str));
    }
    let size = firmware::size(&std::fs::read(&elf)?)?;
    writeln!(
        stdout(),
        "program: {} bytes of flash with the model, {} bytes of RAM with the state",
        size.flash,
        size.ram
    )?;
    let verdict = compare(&run.steps, &expected, "the host")?;
    let Total { steps, crc32, unit, minimum, median, maximum } = total(&run)?;
    writeln!(stdout(), "{unit} per token: minimum {minimum}, median {median}, maximum {maximum}")?;
    writeln!(stdout(), "logits: {verdict} (crc32 {crc32}, {steps} steps)")?;
    Ok(())
}
