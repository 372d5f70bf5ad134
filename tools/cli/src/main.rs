//! The `thumbformer` command.

#![deny(clippy::print_stdout)]

mod cmd;

use clap::Parser;
use std::process::ExitCode;
use thumbformer_cli::stdout::{exit, stdout};

/// Quantized transformers for Cortex-M: make, run, measure, verify and explain model images
#[derive(Parser)]
#[command(name = "thumbformer", version)]
struct Arguments {
    #[command(subcommand)]
    command: cmd::Command,
}

fn main() -> ExitCode {
    exit(Arguments::parse().command.run(&mut stdout()))
}
