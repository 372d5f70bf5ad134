//! The program `thumbformer-probe`: checks firmware against real chips, and flashes it.

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use thumbformer_probe::chip::Chip;
use thumbformer_probe::elf::Program;
use thumbformer_probe::report::Report;
use thumbformer_probe::rules::check;
use thumbformer_probe::{flash, probes, uf2};

#[derive(Parser)]
#[command(name = "thumbformer-probe", about = "Firmware against real chips, as probe-rs describes them")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check firmware against a chip's memory map and boot, and print its sizes
    Check {
        #[command(flatten)]
        target: Target,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
        /// The firmware
        #[arg(required = true)]
        elfs: Vec<PathBuf>,
    },
    /// List the attached probes
    Probes,
    /// Check firmware, then flash and run it by `probe-rs run`
    Flash {
        #[command(flatten)]
        target: Target,
        /// Probe: vendor:product:serial, or its serial number
        #[arg(long)]
        probe: Option<String>,
        /// The firmware
        elf: PathBuf,
    },
    /// Check firmware for a Pico and write it as UF2
    Uf2 {
        #[command(flatten)]
        target: Target,
        /// File to write
        #[arg(short, long)]
        output: PathBuf,
        /// The firmware
        elf: PathBuf,
    },
}

#[derive(clap::Args)]
struct Target {
    /// Chip, as probe-rs spells it
    #[arg(long)]
    chip: String,
    /// Minimum room for the stack, in bytes
    #[arg(long, default_value_t = 1)]
    stack: u64,
}

impl Target {
    fn check(&self, elf: &Path) -> Result<(Chip, Program, Report)> {
        let chip = Chip::find(&self.chip)?;
        let program = Program::open(elf)?;
        let report = check(&chip, &program, self.stack);
        Ok((chip, program, report))
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Check { target, json, elfs } => print_checks(&target, &elfs, json),
        Command::Probes => print_probes(),
        Command::Flash { target, probe, elf } => {
            let (chip, _, report) = target.check(&elf)?;
            let status = flash::flash(&chip, &report, &elf, probe.as_deref())?;
            Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
        }
        Command::Uf2 { target, output, elf } => write_uf2(&target, &elf, &output),
    }
}

fn print_checks(target: &Target, elfs: &[PathBuf], json: bool) -> Result<ExitCode> {
    let mut sound = true;
    for elf in elfs {
        let (_, _, report) = target.check(elf)?;
        sound &= report.violations.is_empty();
        if json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            println!("{report}");
        }
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_probes() -> Result<ExitCode> {
    let probes = probes::attached();
    probes.iter().for_each(|probe| println!("{probe}"));
    if probes.is_empty() {
        println!("no probe is attached");
    }
    Ok(ExitCode::SUCCESS)
}

fn write_uf2(target: &Target, elf: &Path, output: &Path) -> Result<ExitCode> {
    let (chip, program, report) = target.check(elf)?;
    uf2::family(&chip)?;
    ensure!(report.violations.is_empty(), "{report}\nnothing was written");
    let bytes = uf2::write(&chip, &program)?;
    let blocks = bytes.len() / uf2::BLOCK;
    std::fs::write(output, bytes).with_context(|| format!("{}: cannot be written", output.display()))?;
    println!(
        "{}: {blocks} blocks for {}; next: hold BOOTSEL while connecting the board and copy it there",
        output.display(),
        chip.name
    );
    Ok(ExitCode::SUCCESS)
}
