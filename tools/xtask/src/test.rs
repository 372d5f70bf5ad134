//! `cargo xtask test`: all that must hold, one leg after the other; a leg that cannot run here says why.

use crate::boards;
use crate::ceilings;
use crate::classify;
use crate::codegen;
use crate::cores::Core;
use crate::cycles;
use crate::demo::{Story, compare, on_host, total};
use crate::emulator::{self, Step};
use crate::example;
use crate::firmware::Board;
use crate::host_bench;
use crate::lesson;
use crate::on_target;
use crate::panics;
use crate::setup::{self, Toolchain};
use crate::shell::{cargo, output, root, text};
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde::Deserialize;
use std::path::Path;
use std::process::Command;
use std::time::Instant;
use thumbformer::LogitsCrc;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::verify::{Bounds, Selection, documents, verify};

#[path = "../../../examples/block/block.rs"]
mod block;

/// A part of the tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Leg {
    /// `cargo fmt --check`
    Fmt,
    /// `cargo clippy`, warnings are errors
    Clippy,
    /// The tests of all crates on the host
    Host,
    /// The build script's choice, for every target, by the compiler in use and without any bootstrap flag
    Backend,
    /// The tests with `portable-simd`, where a nightly is installed
    Nightly,
    /// The documentation, warnings are errors
    Docs,
    /// Firmware in emulation, against the host bit for bit
    Emulated,
    /// A copy of examples/firmware elsewhere, built for an M4 and an M0+ and run, against the host
    Example,
    /// Every program of every board is built, every emulated one run and compared
    Boards,
    /// tools/probe, which has a workspace of its own: firmware against the chips as probe-rs knows them
    Probe,
    /// The tests of boards/on-target on every emulated core, each on a machine that was just reset
    OnTarget,
    /// The kernels on every emulated core: exact, repeatable, and no slower than what was reached
    Bench,
    /// What `bench host` compares computes the same model
    HostBench,
    /// The default encoders on every emulated core, from raw samples and sensors, within their budgets
    Encoders,
    /// The estimator of cycles: the plugin builds and counts as SysTick does, sequences are exact, two runs print the same
    Cycles,
    /// The instructions that the inner loops are fast by, in the machine code; and `opt-level = "s"`
    Codegen,
    /// No panic and no allocator in the release firmware's inference
    Panics,
    /// docs/lesson.md and its pictures against what its commands print and draw, byte for byte
    Lesson,
    /// The default model against its float checkpoint, over text that it never saw
    Quality,
}

/// What came out of a leg that did not fail.
enum Outcome {
    Passed(String),
    Skipped(String),
}

/// Runs legs, all of them by default, and reports on every one.
///
/// # Errors
/// When one failed.
pub fn test(board: &Board, legs: &[Leg]) -> Result<()> {
    let legs = if legs.is_empty() { Leg::value_variants() } else { legs };
    let mut counts = [0; 3];
    for &leg in legs {
        let begin = Instant::now();
        let name = leg.to_possible_value().map_or(String::new(), |value| value.get_name().to_string());
        println!("{name}: …");
        let (index, word, text) = match run(board, leg) {
            Ok(Outcome::Passed(text)) => (0, "passed", text),
            Ok(Outcome::Skipped(text)) => (2, "skipped", text),
            Err(error) => (1, "FAILED", format!("{error:#}")),
        };
        counts[index] += 1;
        println!("{name}: {word} in {:.0} s: {text}", begin.elapsed().as_secs_f32());
    }
    let [passed, failed, skipped] = counts;
    let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    println!("{passed} passed, {failed} failed{skipped}");
    ensure!(failed == 0, "{failed} failed");
    Ok(())
}

fn run(board: &Board, leg: Leg) -> Result<Outcome> {
    match leg {
        Leg::Fmt => fmt(),
        Leg::Clippy => clippy(board),
        Leg::Host => tests(cargo().args(["test", "--workspace"])),
        Leg::Backend => backend(),
        Leg::Nightly => nightly(),
        Leg::Docs => docs(),
        Leg::Emulated => emulated(board),
        Leg::Example => example::check().map(Outcome::Passed),
        Leg::Boards => boards::check().map(Outcome::Passed),
        Leg::Probe => probe(),
        Leg::OnTarget => on_target::check().map(Outcome::Passed),
        Leg::Bench => ceilings::check().map(Outcome::Passed),
        Leg::HostBench => host_bench::check().map(Outcome::Passed),
        Leg::Encoders => classify::check().map(Outcome::Passed),
        Leg::Cycles => cycles::check().map(Outcome::Passed),
        Leg::Codegen => codegen::check().map(Outcome::Passed),
        Leg::Panics => without_panics(board),
        Leg::Lesson => lesson::check().map(Outcome::Passed),
        Leg::Quality => quality(board),
    }
}

/// Why a leg cannot run that needs this subcommand of cargo; Debian's toolchain, for one, comes without some.
fn lacks(subcommand: &str, component: &str) -> Option<Outcome> {
    let found = text(cargo().args([subcommand, "--version"])).is_some();
    (!found).then(|| Outcome::Skipped(format!("no {component}: `rustup component add {component}`")))
}

fn fmt() -> Result<Outcome> {
    if let Some(skipped) = lacks("fmt", "rustfmt") {
        return Ok(skipped);
    }
    output(cargo().args(["fmt", "--all", "--check"]))?;
    output(cargo().args(["fmt", "--all", "--check", "--manifest-path", "boards/Cargo.toml"]))?;
    output(cargo().args(["fmt", "--all", "--check", "--manifest-path", "benches/host/Cargo.toml"]))?;
    output(cargo().args(["fmt", "--all", "--check", "--manifest-path", "tools/cycles-plugin/Cargo.toml"]))?;
    output(cargo().args(["fmt", "--all", "--check", "--manifest-path", PROBE]))?;
    output(cargo().args(["fmt", "--all", "--check", "--manifest-path", "examples/firmware/Cargo.toml"]))?;
    Ok(Outcome::Passed("all workspaces".into()))
}

fn clippy(board: &Board) -> Result<Outcome> {
    if let Some(skipped) = lacks("clippy", "clippy") {
        return Ok(skipped);
    }
    output(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    let toolchain = setup::ensure(&board.target)?;
    if let Toolchain::Debian { .. } = toolchain {
        return Ok(Outcome::Passed("without the boards, as Debian's toolchain has no clippy".into()));
    }
    output(board.cargo(&toolchain, "clippy").args(["--release", "--", "-D", "warnings"]))?;
    Ok(Outcome::Passed("both workspaces".into()))
}

/// The manifest of the tool that knows probe-rs.
const PROBE: &str = "tools/probe/Cargo.toml";

fn probe() -> Result<Outcome> {
    if lacks("clippy", "clippy").is_none() {
        output(cargo().args(["clippy", "--manifest-path", PROBE, "--all-targets", "--", "-D", "warnings"]))?;
    }
    output(cargo().args(["doc", "--no-deps", "--manifest-path", PROBE]).env("RUSTDOCFLAGS", "-D warnings"))?;
    tests(cargo().args(["test", "--manifest-path", PROBE]))
}

/// Runs `cargo test` and adds its results up.
fn tests(command: &mut Command) -> Result<Outcome> {
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

/// The backend that the build script chooses for a target. Works without the target being installed: the compiler then
/// fails at the first crate, after the build scripts ran.
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

fn backend() -> Result<Outcome> {
    let table = [
        ("thumbv6m-none-eabi", "", "scalar"),
        ("thumbv7m-none-eabi", "", "scalar"),
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

fn nightly() -> Result<Outcome> {
    let Some(nightly) = setup::nightly() else {
        return Ok(Outcome::Skipped("no nightly toolchain: `rustup toolchain install nightly`".into()));
    };
    tests(on_nightly(nightly).args(["test", "--package", "thumbformer", "--features", "portable-simd"]))
}

/// Cargo of the nightly toolchain, with its own folder so that neither compiler undoes the other's work.
fn on_nightly(nightly: &str) -> Command {
    let mut command = Command::new("cargo");
    crate::shell::clean(&mut command);
    // Cargo sets these for the stable toolchain that runs us.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    command.current_dir(root()).env("CARGO_TARGET_DIR", root().join("target/nightly")).arg(nightly);
    command
}

fn docs() -> Result<Outcome> {
    let mut command = cargo();
    output(command.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Passed("no warning".into()))
}

/// The same steps by `core::simd`, computed by the command line tool, built by a nightly compiler.
fn on_simd(board: &Board, nightly: &str, story: &Story) -> Result<Vec<Step>> {
    let sampling = Story::SAMPLING;
    let printed = output(
        on_nightly(nightly)
            .args(["run", "--quiet", "--package", "thumbformer-cli", "--features", "portable-simd", "--", "run"])
            .arg(board.image())
            .args(["--logits-crc", "--ignore-end", "--prompt", &story.prompt])
            .args(["--steps", &story.steps.to_string(), "--seed", &story.seed.to_string()])
            .args(["--temperature", &sampling.temperature.to_string(), "--top-p", &sampling.top_p.to_string()])
            .args(["--max-seq", &Story::MAX_SEQ.to_string()]),
    )?;
    ensure!(String::from_utf8_lossy(&printed.stderr).contains("simd"), "the tool was not built with `simd`");
    let mut steps = Vec::new();
    for line in String::from_utf8_lossy(&printed.stdout).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["step", _, "token", token, "crc32", crc32] = words[..] {
            steps.push(Step { token: token.parse()?, crc32: u32::from_str_radix(crc32, 16)? });
        }
    }
    Ok(steps)
}

fn emulated(board: &Board) -> Result<Outcome> {
    let toolchain = setup::ensure(&board.target)?;
    let elf = board.build_program(&toolchain, "generate")?;
    let run = |story: &Story| emulator::run(board, &elf, &story.arguments(), |_| ());
    let story = Story { prompt: "Once upon a time, there was".into(), steps: 64, seed: 1, ignore_end: true };

    let first = run(&story)?;
    ensure!(
        first.exit == 0 && first.steps.len() == 64,
        "expected 64 steps, found {}: {:?}",
        first.steps.len(),
        first.log
    );
    let backend = format!("backend {}", board.backend);
    ensure!(first.log.iter().any(|line| line.contains(&backend)), "expected the {backend}: {:?}", first.log);
    ensure!(thumbformer::BACKEND == "scalar", "the host is to compute with `scalar`, not {}", thumbformer::BACKEND);
    let (steps, text) = on_host(board, &story)?;
    let mut verdicts = vec![format!("64 steps {}", compare(&first.steps, &steps, "host scalar")?)];
    ensure!(first.story.trim_ascii_end() == text.trim_ascii_end(), "the UART's text is not the host's");
    total(&first)?;
    match setup::nightly() {
        Some(nightly) => verdicts.push(compare(&first.steps, &on_simd(board, nightly, &story)?, "host simd")?),
        None => verdicts.push("not compared to host simd: no nightly toolchain".into()),
    }

    let second = run(&story)?;
    ensure!(first.instructions == second.instructions, "two runs took different numbers of instructions");
    verdicts.push("instruction counts repeatable".into());

    // More steps than the context holds.
    let full = run(&Story { steps: 500, ..story.clone() })?;
    let said = full.log.iter().any(|line| line == "the context of 256 tokens is full");
    ensure!(full.exit == 0 && said && full.steps.len() < 256, "a full context must end the story: {:?}", full.log);
    compare(&full.steps, &on_host(board, &Story { steps: 500, ..story.clone() })?.0, "host scalar")?;
    verdicts.push(format!("full context ends cleanly after {} steps", full.steps.len()));

    // Too many tokens, and too many bytes for the board's command line.
    for words in [40, 70] {
        let long = run(&Story { prompt: "word ".repeat(words).trim_end().into(), ..story.clone() })?;
        ensure!(long.exit == 1, "a prompt of {words} words must be refused, not: {:?}", long.log);
    }
    verdicts.push("too long a prompt is refused".into());
    let runtime = emulator::emulate(board, &board.build_example(&toolchain, "runtime")?, &[], |_| ())?;
    ensure!(runtime.exit == 0, "parsing on the device: exit code {} (1: a sound image, 2: a cut one)", runtime.exit);
    verdicts.push("an image is parsed on the device, a cut one refused".into());
    let alone = emulator::emulate(board, &board.build_example(&toolchain, "block")?, &[], |_| ())?;
    let mut x = block::X;
    block::run(&mut x)?;
    let expected = format!("crc32 {:08x}", LogitsCrc::new().update(&x));
    let printed = String::from_utf8_lossy(&alone.console);
    ensure!(alone.exit == 0 && printed.trim() == expected, "one block: expected {expected}, found {printed}");
    verdicts.push("one block of constants as on the host".into());
    Ok(Outcome::Passed(verdicts.join("; ")))
}

fn without_panics(board: &Board) -> Result<Outcome> {
    let toolchain = setup::ensure(&board.target)?;
    let mut verdicts = Vec::new();
    // The compiler checked the demonstration's model; the example parses one on the device.
    // The encoder block has paths that no language model takes.
    let bench = Core::M4.board()?;
    let encoder = bench.build_program(&setup::ensure(&bench.target)?, "encoder")?;
    for (what, elf) in [
        ("demo", board.build_program(&toolchain, "generate")?),
        ("parsing at run time", board.build_example(&toolchain, "runtime")?),
        ("encoder block", encoder),
        ("audio front end", bench.build_program(&setup::ensure(&bench.target)?, "audio")?),
    ] {
        let report = panics::check(&elf).with_context(|| format!("{}", elf.display()))?;
        verdicts.push(format!(
            "{what}: {} functions of inference make {} calls, none of them to a panic ({} functions of other crates can)",
            report.functions, report.calls, report.bad_elsewhere
        ));
    }
    Ok(Outcome::Passed(verdicts.join("; ")))
}

fn quality(board: &Board) -> Result<Outcome> {
    let text_file = root().join("../shared/data/stories.txt");
    if !text_file.is_file() {
        return Ok(Outcome::Skipped(
            "no ../shared/data/stories.txt, whose last 600 stories the model never saw".into(),
        ));
    }
    let checkpoint_folder = root().join("models/stories/checkpoint");
    let checkpoint = Checkpoint::load(&checkpoint_folder, None)?;
    let text = std::fs::read_to_string(&text_file).with_context(|| format!("{}", text_file.display()))?;
    let int8 = keeps_its_bounds(&board.image(), &checkpoint, &text)?;

    // int4, trained on the first of the stories that the model was trained on.
    let int4_file = root().join("target/stories-q4.tbf");
    output(
        cargo()
            .args(["run", "--quiet", "--release", "--package", "thumbformer-cli", "--", "convert"])
            .arg(checkpoint_folder)
            .args(["--quant", "q4", "--calibrate"])
            .arg(&text_file)
            .arg("--output")
            .arg(&int4_file),
    )?;
    let size =
        |file: &Path| std::fs::metadata(file).map(|data| data.len()).with_context(|| format!("{}", file.display()));
    let part = size(&int4_file)? as f64 / size(&board.image())? as f64;
    ensure!(part <= 0.6, "the int4 image has {:.1} % of the int8 one's bytes, at most 60 % are allowed", 100.0 * part);
    let int4 = keeps_its_bounds(&int4_file, &checkpoint, &text)?;
    Ok(Outcome::Passed(format!("int8: {int8}; int4, {:.1} % of its bytes: {int4}", 100.0 * part)))
}

/// Holds an image to the bounds of its integers, over the beginning of the stories that the model never saw.
fn keeps_its_bounds(file: &Path, checkpoint: &Checkpoint, text: &str) -> Result<String> {
    let words = thumbformer_cli::read_image(file)?;
    let model = thumbformer_cli::model(&words, file)?;
    let selection = Selection { last: Some(600), max_tokens: Some(5000) };
    let report = verify(&model, checkpoint, &documents(&model, text, selection)?, &|_| ())?;
    ensure!(report.tokens >= 2000, "only {} tokens to compare", report.tokens);
    let bounds = Bounds::of(&model);
    let lines: Vec<String> = report.lines(&bounds).iter().map(ToString::to_string).collect();
    ensure!(report.keeps(&bounds), "{}: {} tokens\n{}", file.display(), report.tokens, lines.join("\n"));
    Ok(format!("{} tokens; {}", report.tokens, lines.join("; ")))
}
