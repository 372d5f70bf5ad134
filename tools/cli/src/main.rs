//! The `thumbformer` command.

use clap::Parser;
use std::process::ExitCode;
use thumbformer_cli::cmd::Arguments;
use thumbformer_cli::stdout::{exit, stdout};

fn main() -> ExitCode {
    exit(Arguments::parse().command.run(&mut stdout()))
}
