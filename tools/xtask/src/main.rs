//! Project commands, `cargo xtask …`: demonstration, tests, benchmarks, boards, and their set-up.

#![deny(clippy::print_stdout)]

mod bench;
mod boards;
mod checkasm;
mod classify;
mod codegen;
mod cores;
mod cycles;
mod demo;
mod emulator;
mod example;
mod faults;
mod figures;
mod firmware;
mod flash;
mod footprint;
mod fuzz;
mod given;
mod host_bench;
mod imported;
mod keywords;
mod lesson;
mod measured;
mod on_target;
mod page;
mod panics;
mod parallel;
mod records;
mod remap;
mod results;
mod serial_port;
mod setup;
mod shell;
mod size;
mod stack;
mod test;

/// The computation of the minimal programs, on the board and on the host.
#[path = "../../../boards/bench/minimal.rs"]
mod minimal;

use anyhow::Result;
use clap::{Parser, Subcommand};
use cores::Core;
use firmware::Board;
use std::io::Write;
use std::process::ExitCode;
use thumbformer_cli::stdout::{exit, stdout};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "thumbformer's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generate a story on an emulated board and compare its logits with the host's, bit by bit
    Demo {
        /// Board: a folder of boards/ that the emulator has
        #[arg(value_name = "BOARD", default_value = DEMO_BOARD)]
        name: String,
        /// Prompt
        #[arg(long, default_value = "Once upon a time, there was")]
        prompt: String,
        /// Maximum number of tokens to generate
        #[arg(long, default_value_t = 250)]
        steps: usize,
        /// Seed of the sampler
        #[arg(long, default_value_t = 14)]
        seed: u64,
        /// Print every step's token, CRC-32 and instructions
        #[arg(long)]
        verbose: bool,
    },
    /// Run all checks, or the named ones
    Test {
        /// Checks by name, `quick` or `full` [default: all that CI runs]
        checks: Vec<test::Wanted>,
        /// List the checks
        #[arg(long, conflicts_with = "checks")]
        list: bool,
        /// Record the slow checks that pass, which are in `full` alone, for docs/trust.md
        #[arg(long)]
        record: bool,
    },
    /// Classify spoken digits and movements on the emulated cores and compare the outputs with the host's, bit by bit
    Classify(Cores),
    /// List boards, print the sizes of their programs, run a program in the emulator
    Board {
        #[command(subcommand)]
        what: OfBoards,
    },
    /// Build a program, check it against the board's chip, flash and run it by probe-rs
    Flash {
        #[command(flatten)]
        program: flash::Program,
        /// Probe, if several are attached: vendor:product:serial, or its serial number
        #[arg(long)]
        probe: Option<String>,
        /// Build and check only, and print what would be written
        #[arg(long, conflicts_with = "probe")]
        dry_run: bool,
    },
    /// Build a program for a Pico and write it as a UF2 file, to be copied to the board
    Uf2 {
        #[command(flatten)]
        program: flash::Program,
        /// File to write [default: beside the program]
        #[arg(short, long)]
        output: Option<std::path::PathBuf>,
    },
    /// Run the tests of boards/on-target on a board, in the emulator or by the debug probe
    OnTarget {
        /// Board: a folder of boards/
        #[arg(value_name = "BOARD")]
        name: String,
    },
    /// Measure instructions on emulated cores, and ratios on the host
    Bench {
        #[command(subcommand)]
        what: Measured,
    },
    /// Estimate cycles without hardware, from the instructions that QEMU executes; accuracy: docs/cycles.md
    Cycles(cycles::Options),
    /// Fuzz every reader of a user's files, and inference; print executions and edges; keep what fails in fuzz/cases
    Fuzz(fuzz::Options),
    /// Call every kernel in assembly on the emulated cores through a wrapper that checks registers, stack and memory; compare with `scalar`
    Checkasm(checkasm::Options),
    /// Flip bits of image, state and stack during inference in the emulator; count those that are found, harmless or silent
    Faults(faults::Options),
    /// Models that come from transformers and from ONNX on the emulated cores, against the host
    Imported(imported::Options),
    /// Measure all figures of README and docs and write them
    Results,
    /// Regenerate the outputs and pictures of docs/lesson.md from the commands in it
    Lesson,
    /// Find or install what the other commands need
    Setup {
        /// Board whose target is needed: a folder of boards/
        #[arg(value_name = "BOARD", default_value = DEMO_BOARD)]
        name: String,
        /// Report only, install nothing
        #[arg(long)]
        check: bool,
    },
}

#[derive(Subcommand)]
enum OfBoards {
    /// List all boards with core, clock, flash, RAM, backend and the default models that fit
    List {
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Print flash, static RAM, the stack's region, worst case and painted depth, for every program
    Size {
        /// Boards: folders of boards/ [default: all]
        #[arg(value_name = "BOARD")]
        names: Vec<String>,
        #[command(flatten)]
        given: given::Given,
    },
    /// Run a program in the emulator
    Run {
        /// Board: a folder of boards/
        #[arg(value_name = "BOARD")]
        name: String,
        /// generate, classify, bench or verify
        application: String,
        /// Words for the program, as `steps=20`
        arguments: Vec<String>,
        /// File whose bytes arrive on the serial port
        #[arg(long)]
        serial: Option<std::path::PathBuf>,
        #[command(flatten)]
        given: given::Given,
    },
}

#[derive(Subcommand)]
enum Measured {
    /// Every kernel by itself, compared with a plain loop
    Device(Cores),
    /// The default language model at positions 0, 64 and 255, by part
    Model(Cores),
    /// Three minimal programs, for speed and for size: code, constants, state and painted stack, without the image
    Size(Cores),
    /// The host's backends against plain float loops and candle, on the default language model
    Host(host_bench::Options),
}

#[derive(clap::Args)]
struct Cores {
    /// Core, may be repeated [default: all]
    #[arg(long = "core")]
    cores: Vec<Core>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// Board of the demonstration and of checks that need only one board.
const DEMO_BOARD: &str = "qemu-mps2-an386";

fn main() -> ExitCode {
    if let Some(code) = remap::as_compiler() {
        return code;
    }
    let arguments = Arguments::parse();
    exit(shell::this_program().and_then(|_| run(arguments.command)))
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo { name, prompt, steps, seed, verbose } => {
            demo::demo(&Board::find(&name)?, &demo::Story { prompt, steps, seed, ignore_end: false }, verbose)
        }
        Command::Test { list: true, .. } => test::list(),
        Command::Test { checks, record, .. } => test::test(&Board::find(DEMO_BOARD)?, &checks, record),
        Command::Classify(Cores { cores, json }) => classify::print(&cores, json),
        Command::Board { what: OfBoards::List { json } } => boards::list(json),
        Command::Board { what: OfBoards::Size { names, given } } => boards::size(&names, &given),
        Command::Board { what: OfBoards::Run { name, application, arguments, serial, given } } => {
            boards::run(&name, &application, &given, &arguments, serial.as_deref())
        }
        Command::Flash { program, dry_run: true, .. } => flash::dry_run(&program),
        Command::Flash { program, probe, .. } => flash::flash(&program, probe.as_deref()),
        Command::Uf2 { program, output } => flash::uf2(&program, output.as_deref()),
        Command::OnTarget { name } => on_target::on_board(&name),
        Command::Bench { what: Measured::Device(Cores { cores, json }) } => bench::device(&cores, json),
        Command::Bench { what: Measured::Model(Cores { cores, json }) } => bench::models(&cores, json),
        Command::Bench { what: Measured::Size(Cores { cores, json }) } => size::print(&cores, json),
        Command::Bench { what: Measured::Host(options) } => host_bench::host(options),
        Command::Cycles(options) => cycles::print(&options),
        Command::Faults(options) => faults::print(&options),
        Command::Imported(options) => imported::print(&options),
        Command::Fuzz(options) => fuzz::fuzz(&options),
        Command::Checkasm(options) => checkasm::print(&options),
        Command::Results => results::write(),
        Command::Lesson => lesson::write(),
        Command::Setup { name, check: true } => setup::check(&Board::find(&name)?.target),
        Command::Setup { name, check: false } => {
            let target = Board::find(&name)?.target;
            let toolchain = setup::ensure(&target)?;
            writeln!(stdout(), "ready: {}", toolchain.describe(&target))?;
            Ok(())
        }
    }
}
