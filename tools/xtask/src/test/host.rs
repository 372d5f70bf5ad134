//! Checks by the compiler and the tests on the host.

use super::Outcome;
use crate::firmware::Board;
use crate::setup::{self, Toolchain};
use crate::shell::{cargo, output, root, text};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::process::Command;

/// The reason to skip a check that needs a missing subcommand of cargo; Debian's toolchain lacks some.
fn lacks(subcommand: &str, component: &str) -> Option<Outcome> {
    let found = text(cargo().args([subcommand, "--version"])).is_some();
    (!found).then(|| Outcome::Skipped(format!("no {component}: `rustup component add {component}`")))
}

pub fn fmt() -> Result<Outcome> {
    if let Some(skipped) = lacks("fmt", "rustfmt") {
        return Ok(skipped);
    }
    output(cargo().args(["fmt", "--all", "--check"]))?;
    output(cargo().args(["fmt", "--all", "--check", "--manifest-path", "boards/Cargo.toml"]))?;
    output(cargo().args(["fmt", "--all", "--check", "--manifest-path", "benches/host/Cargo.toml"]))?;
    output(cargo().args(["fmt", "--all", "--check", "--manifest-path", "fuzz/libfuzzer/Cargo.toml"]))?;
    output(cargo().args(["fmt", "--all", "--check", "--manifest-path", "tools/cycles-plugin/Cargo.toml"]))?;
    output(cargo().args(["fmt", "--all", "--check", "--manifest-path", PROBE]))?;
    output(cargo().args(["fmt", "--all", "--check", "--manifest-path", "examples/firmware/Cargo.toml"]))?;
    Ok(Outcome::Passed("all workspaces".into()))
}

pub fn clippy(board: &Board) -> Result<Outcome> {
    if let Some(skipped) = lacks("clippy", "clippy") {
        return Ok(skipped);
    }
    output(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    let toolchain = setup::ensure(&board.target)?;
    if let Toolchain::Debian { .. } = toolchain {
        return Ok(Outcome::Passed("without the boards, as Debian's toolchain has no clippy".into()));
    }
    output(board.cargo(&toolchain, "clippy")?.args(["--release", "--", "-D", "warnings"]))?;
    Ok(Outcome::Passed("both workspaces".into()))
}

/// Manifest of tools/probe, which links probe-rs.
const PROBE: &str = "tools/probe/Cargo.toml";

pub fn probe() -> Result<Outcome> {
    if lacks("clippy", "clippy").is_none() {
        output(cargo().args(["clippy", "--manifest-path", PROBE, "--all-targets", "--", "-D", "warnings"]))?;
    }
    output(cargo().args(["doc", "--no-deps", "--manifest-path", PROBE]).env("RUSTDOCFLAGS", "-D warnings"))?;
    run_tests(cargo().args(["test", "--manifest-path", PROBE]))
}

/// Runs `cargo test` and sums its results.
pub fn run_tests(command: &mut Command) -> Result<Outcome> {
    let printed = output(command)?.stdout;
    let mut passed = 0;
    for line in String::from_utf8_lossy(&printed).lines() {
        let count = line.strip_prefix("test result: ok. ").and_then(|rest| rest.split(' ').next());
        passed += count.map_or(Ok(0), str::parse::<u32>)?;
    }
    ensure!(passed > 0, "no test ran");
    Ok(Outcome::Passed(format!("{passed} tests")))
}

/// A line of `cargo --message-format=json`.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    cfgs: Vec<String>,
}

/// The backend that the build script chooses for a target. The target need not be installed: the compiler then fails at the
/// first crate, after the build scripts have run.
fn chosen(target: &str, rustflags: &str) -> Result<String> {
    let mut command = cargo();
    command
        .args([
            "check",
            "--lib",
            "--package",
            "thumbformer",
            "--keep-going",
            "--message-format=json",
            "--target",
            target,
        ])
        .args(["--target-dir", "target/backend"])
        .env_remove("RUSTC_BOOTSTRAP")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("THUMBFORMER_BACKEND")
        .env("RUSTFLAGS", rustflags);
    let printed = command.output().context("cargo could not be started")?;
    for line in String::from_utf8_lossy(&printed.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Message>(line) else { continue };
        if message.reason == "build-script-executed" && message.package_id.contains("thumbformer") {
            let choice = message.cfgs.iter().find_map(|cfg| cfg.strip_prefix("thumbformer_backend="));
            return Ok(choice.context("the build script chose nothing")?.trim_matches('"').to_string());
        }
    }
    bail!("the build script did not run for {target}:\n{}", String::from_utf8_lossy(&printed.stderr))
}

pub fn backend() -> Result<Outcome> {
    let table = [
        ("thumbv6m-none-eabi", "", "nosimd"),
        ("thumbv7m-none-eabi", "", "nosimd"),
        ("thumbv7em-none-eabi", "", "dsp"),
        ("thumbv7em-none-eabihf", "", "dsp"),
        ("thumbv8m.main-none-eabihf", "", "scalar"),
        ("thumbv8m.main-none-eabihf", "-Ctarget-cpu=cortex-m33", "dsp"),
        ("thumbv8m.main-none-eabihf", "-Ctarget-cpu=cortex-m55", "helium"),
    ];
    for (target, rustflags, expected) in table {
        let found = chosen(target, rustflags)?;
        ensure!(found == expected, "{target} {rustflags}: expected the backend {expected}, found {found}");
    }
    Ok(Outcome::Passed(format!("{} targets", table.len())))
}

pub fn nightly() -> Result<Outcome> {
    let Some(nightly) = setup::nightly() else {
        return Ok(Outcome::Skipped("no nightly toolchain: `rustup toolchain install nightly`".into()));
    };
    run_tests(on_nightly(nightly).args(["test", "--package", "thumbformer", "--features", "portable-simd"]))
}

/// Cargo of the nightly toolchain, with its own target folder, so that neither compiler rebuilds the other's work.
pub fn on_nightly(nightly: &str) -> Command {
    let mut command = Command::new("cargo");
    crate::shell::clean(&mut command);
    // Cargo sets these for the stable toolchain that runs xtask.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    command.current_dir(root()).env("CARGO_TARGET_DIR", root().join("target/nightly")).arg(nightly);
    command
}

pub fn docs() -> Result<Outcome> {
    let mut command = cargo();
    output(command.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Passed("no warning".into()))
}

/// Tests of all crates of the workspace.
pub fn tests() -> Result<Outcome> {
    run_tests(cargo().args(["test", "--workspace"]))
}
