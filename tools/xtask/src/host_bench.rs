//! Benchmark of thumbformer's host backends against plain float and candle, as ratios: `cargo xtask bench host`.
//!
//! ```text
//! stable  ──► benches/host (backend scalar)   ──┐
//!                                               ├──► agreement, then lines of JSON ──► table, or the lines
//! nightly ──► benches/host (backend simd)     ──┘
//! ```
//! Both sides of a ratio are measured by one program in turns; see `benches/host/src/measure.rs`.

use crate::setup;
use crate::shell::{self, output, root};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use thumbformer_cli::stdout::stdout;

/// Options of the benchmark.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    /// Compile all contenders for this machine's processor (`-Ctarget-cpu=native`)
    #[arg(long)]
    native: bool,
    /// Only check that all compute the same model, and run one round; without candle, which takes minutes to compile
    #[arg(long, conflicts_with_all = ["json", "native", "rounds"])]
    check: bool,
    /// Number of rounds
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
}

/// A contender over a range of positions, as the program prints it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Row {
    implementation: String,
    backend: String,
    compiler: String,
    flags: String,
    positions: String,
    rounds: usize,
    tokens_per_second: f64,
    gmacs: f64,
    ratio_to_plain_float: f64,
    ratio_quartiles: [f64; 2],
}

/// A build of the program.
#[derive(Clone, Copy)]
struct Build {
    /// Argument that selects the compiler; `None`: the one in use.
    nightly: Option<&'static str>,
    native: bool,
    candle: bool,
}

impl Build {
    fn backend(self) -> &'static str {
        if self.nightly.is_some() { "simd" } else { "scalar" }
    }

    /// Target folder of a combination of compiler and flags, so that none rebuilds another's work.
    fn target(self) -> PathBuf {
        let compiler = if self.nightly.is_some() { "nightly" } else { "stable" };
        root().join("benches/host/target").join(if self.native {
            format!("{compiler}-native")
        } else {
            compiler.into()
        })
    }

    fn command(self) -> Command {
        let mut command = match self.nightly {
            Some(nightly) => setup::cargo_of(nightly),
            None => shell::cargo(),
        };
        command
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("THUMBFORMER_BACKEND")
            .env("RUSTFLAGS", if self.native { "-Ctarget-cpu=native" } else { "" })
            .env("RAYON_NUM_THREADS", "1")
            .args(["run", "--release", "--quiet", "--manifest-path", "benches/host/Cargo.toml", "--target-dir"])
            .arg(self.target());
        let mut features = vec![];
        features.extend(self.candle.then_some("candle"));
        features.extend(self.nightly.map(|_| "portable-simd"));
        command.args(["--no-default-features", "--features", &features.join(",")]);
        command
    }

    /// Builds and runs the program; returns its messages and its rows.
    fn run(self, rounds: u16) -> Result<(String, Vec<Row>)> {
        let new = if self.target().is_dir() { "" } else { "; the first time takes minutes" };
        eprintln!("host: building and measuring the backend {}{new} …", self.backend());
        let printed = output(self.command().args(["--", "--rounds", &rounds.to_string()]))?;
        let lines = String::from_utf8_lossy(&printed.stdout);
        let rows: Result<Vec<Row>, _> = lines.lines().map(serde_json::from_str).collect();
        let rows = rows.with_context(|| format!("benches/host printed {lines:?}, which is not a row of its table"))?;
        let found = rows.iter().any(|row| row.implementation == "thumbformer" && row.backend == self.backend());
        ensure!(found, "benches/host did not measure the backend {}: see build/choice.rs", self.backend());
        Ok((String::from_utf8_lossy(&printed.stderr).trim_end().to_string(), rows))
    }
}

/// The builds that this machine can make, and the reason that others are missing.
fn builds(native: bool, candle: bool) -> (Vec<Build>, Option<&'static str>) {
    let stable = Build { nightly: None, native, candle };
    match setup::nightly() {
        Some(nightly) => (vec![stable, Build { nightly: Some(nightly), ..stable }], None),
        None => (
            vec![stable],
            Some("the backend simd was not measured: no nightly toolchain: `rustup toolchain install nightly`"),
        ),
    }
}

/// Measures and prints.
///
/// # Errors
/// When a contender cannot be built or computes a different model.
pub fn host(options: Options) -> Result<()> {
    let Options { json, native, check: false, rounds } = options else {
        writeln!(stdout(), "{}", check()?)?;
        return Ok(());
    };
    let (builds, missing) = builds(native, true);
    for (index, build) in builds.iter().enumerate() {
        let (found, rows) = build.run(rounds)?;
        eprintln!("{found}");
        if json {
            for row in &rows {
                writeln!(stdout(), "{}", serde_json::to_string(row)?)?;
            }
            continue;
        }
        if index == 0 {
            writeln!(
                stdout(),
                "implementation          compiler                              positions  tokens/s  GMAC/s  / plain float (half of the rounds)"
            )?;
        }
        rows.iter().try_for_each(print)?;
    }
    if let Some(missing) = missing {
        eprintln!("{missing}");
    }
    if !json {
        writeln!(
            stdout(),
            "One thread, {rounds} rounds in turns, medians. Times are of this machine at this moment, which is noise; the \
             ratios to plain float, each within a round of one program, are what counts."
        )?;
    }
    Ok(())
}

fn print(row: &Row) -> Result<()> {
    let Row { implementation, backend, compiler, positions, tokens_per_second, gmacs, .. } = row;
    let name = format!("{implementation} {backend}");
    let native = if row.flags.contains("native") { ", native" } else { "" };
    let (ratio, [low, high]) = (row.ratio_to_plain_float, row.ratio_quartiles);
    writeln!(
        stdout(),
        "{name:<22}  {:<36}  {positions:>9}  {tokens_per_second:>8.0}  {gmacs:>6.2}  {ratio:>6.2} ({low:.2} to {high:.2})",
        format!("{compiler}{native}")
    )?;
    Ok(())
}

/// Checks that plain float, the float reference and every host backend compute the same model, and times one round.
///
/// # Errors
/// When they do not, or cannot be built.
pub fn check() -> Result<String> {
    let (builds, missing) = builds(false, false);
    let mut verdicts = Vec::new();
    for build in builds {
        let (found, rows) = build.run(1)?;
        let found = found.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        verdicts.extend(found.filter(|line| !verdicts.contains(line)).collect::<Vec<_>>());
        ensure!(
            rows.iter().all(|row| row.tokens_per_second > 0.0 && row.ratio_to_plain_float > 0.0),
            "benches/host measured nothing: {rows:?}"
        );
    }
    verdicts.extend(missing.map(String::from));
    Ok(verdicts.join("; "))
}
