//! The project's own commands, `cargo xtask …`: a demonstration, the tests, the set-up of both.

mod bench;
mod boards;
mod ceilings;
mod classify;
mod codegen;
mod cores;
mod cycles;
mod demo;
mod emulator;
mod example;
mod firmware;
mod flash;
mod host_bench;
mod lesson;
mod on_target;
mod panics;
mod setup;
mod shell;
mod test;
mod thumb;

use clap::{Parser, Subcommand};
use cores::Core;
use firmware::Board;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "thumbformer's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// A folder of boards/
    #[arg(long, global = true, default_value = "qemu-mps2-an386")]
    board: String,
}

#[derive(Subcommand)]
enum Command {
    /// Tells a story on the emulated board and compares every bit of its logits with the host's
    Demo {
        /// How the story begins
        #[arg(long, default_value = "Once upon a time, there was")]
        prompt: String,
        /// Most tokens to generate
        #[arg(long, default_value_t = 250)]
        steps: usize,
        /// Another seed is another story
        #[arg(long, default_value_t = 14)]
        seed: u64,
        /// Shows every step's token, CRC-32 and instructions
        #[arg(long)]
        verbose: bool,
    },
    /// Runs all tests, or the named legs
    Test {
        /// Which legs
        legs: Vec<test::Leg>,
    },
    /// Hears spoken digits on the emulated cores, from raw samples, and compares every bit with the host's
    Classify(Cores),
    /// Boards: what there is, what fits, what programs take; runs those that the emulator has
    Board {
        #[command(subcommand)]
        what: OfBoards,
    },
    /// Builds a program, checks it against the board's chip, and flashes and runs it by probe-rs
    Flash {
        #[command(flatten)]
        program: flash::Program,
        /// Which probe, where several are attached: vendor:product:serial, or its serial number
        #[arg(long)]
        probe: Option<String>,
    },
    /// Builds a program for a Pico and writes it as a UF2 file, to be copied to the board
    Uf2 {
        #[command(flatten)]
        program: flash::Program,
        /// The file to write; by default beside the program
        #[arg(short, long)]
        output: Option<std::path::PathBuf>,
    },
    /// Runs the tests of boards/on-target on a board: in the emulator, or on the desk by the debug probe
    OnTarget {
        /// A folder of boards/
        #[arg(value_name = "BOARD")]
        name: String,
    },
    /// Measures: instructions on emulated cores, ratios on the host
    Bench {
        #[command(subcommand)]
        what: Measured,
    },
    /// Estimates cycles without hardware, from what QEMU executes: docs/cycles.md says how well
    Cycles(cycles::Options),
    /// Writes the outputs and pictures of docs/lesson.md anew, from the commands in it
    Lesson,
    /// Finds or installs what the other commands need
    Setup {
        /// Only report
        #[arg(long)]
        check: bool,
    },
}

#[derive(Subcommand)]
enum OfBoards {
    /// All boards with core, clock, flash, RAM, backend and the default models that fit
    List {
        /// One object a line
        #[arg(long)]
        json: bool,
    },
    /// Flash, static RAM and what is left for the stack, of every program
    Size {
        /// Folders of boards/; all by default
        #[arg(value_name = "BOARD")]
        names: Vec<String>,
    },
    /// Runs a program in the emulator
    Run {
        /// A folder of boards/
        #[arg(value_name = "BOARD")]
        name: String,
        /// generate, classify, bench or verify
        application: String,
        /// Words for the program, as `steps=20`
        arguments: Vec<String>,
        /// A file whose bytes arrive on the serial port
        #[arg(long)]
        serial: Option<std::path::PathBuf>,
    },
}

#[derive(Subcommand)]
enum Measured {
    /// Every kernel by itself, against a plain loop
    Device(Cores),
    /// The default language model at positions 0, 64 and 255, by part
    Model(Cores),
    /// The host's backends against plain float loops and candle, on the default language model
    Host(host_bench::Options),
}

#[derive(clap::Args)]
struct Cores {
    /// Which cores; all by default
    #[arg(long = "core")]
    cores: Vec<Core>,
    /// One object a line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = Board::find(&arguments.board).and_then(|board| match arguments.command {
        Command::Demo { prompt, steps, seed, verbose } => {
            demo::demo(&board, &demo::Story { prompt, steps, seed, ignore_end: false }, verbose)
        }
        Command::Test { legs } => test::test(&board, &legs),
        Command::Classify(Cores { cores, json }) => classify::print(&cores, json),
        Command::Board { what: OfBoards::List { json } } => boards::list(json),
        Command::Board { what: OfBoards::Size { names } } => boards::size(&names),
        Command::Board { what: OfBoards::Run { name, application, arguments, serial } } => {
            boards::run(&name, &application, &arguments, serial.as_deref())
        }
        Command::Flash { program, probe } => flash::flash(&program, probe.as_deref()),
        Command::Uf2 { program, output } => flash::uf2(&program, output.as_deref()),
        Command::OnTarget { name } => on_target::on_board(&name),
        Command::Bench { what: Measured::Device(Cores { cores, json }) } => bench::device(&cores, json),
        Command::Bench { what: Measured::Model(Cores { cores, json }) } => bench::models(&cores, json),
        Command::Bench { what: Measured::Host(options) } => host_bench::host(options),
        Command::Cycles(options) => cycles::print(&options),
        Command::Lesson => lesson::write(),
        Command::Setup { check: true } => setup::check(&board.target),
        Command::Setup { check: false } => setup::ensure(&board.target).map(|toolchain| {
            println!("ready: {}", toolchain.describe(&board.target));
        }),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
