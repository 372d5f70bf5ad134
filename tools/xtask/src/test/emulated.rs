//! Check of one emulated board's firmware against the host.

use super::Outcome;
use super::host::on_nightly;
use crate::demo::{Story, compare, on_host, total};
use crate::emulator;
use crate::figures;
use crate::firmware::Board;
use crate::setup;
use crate::shell::output;
use anyhow::{Context, Result, ensure};
use thumbformer::LogitsCrc;

#[path = "../../../../examples/block/block.rs"]
mod block;

/// CRC-32 of all logits by `core::simd`, computed by the core's own example, built with a nightly compiler.
fn on_simd(board: &Board, nightly: &str, story: &Story) -> Result<String> {
    let printed = output(
        on_nightly(nightly)
            .args([
                "run",
                "--quiet",
                "--package",
                "thumbformer",
                "--features",
                "portable-simd",
                "--example",
                "generate",
                "--",
            ])
            .arg(board.image()?)
            .args([&story.prompt, &story.steps.to_string(), &story.seed.to_string()]),
    )?;
    let text = String::from_utf8_lossy(&printed.stdout);
    let line = text.lines().last().and_then(|line| line.strip_prefix("logits: crc32 ")).context("no CRC")?;
    let (crc32, rest) = line.split_once(',').context("no steps")?;
    ensure!(rest == format!(" {} steps, backend simd", story.steps), "the example ran another way: {line}");
    Ok(crc32.to_string())
}

/// Runs the demonstration's program and the board's examples.
pub fn check(board: &Board) -> Result<Outcome> {
    let toolchain = setup::ensure(&board.target)?;
    let elf = board.build_program(&toolchain, "generate")?;
    figures::compare(&figures::of_demo(&elf)?)?;
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
    let total = total(&first)?;
    match setup::nightly() {
        Some(nightly) => {
            let simd = on_simd(board, nightly, &story)?;
            ensure!(total.crc32 == simd, "host simd: crc32 {simd}, the board has {}", total.crc32);
            verdicts.push("identical to host simd".into());
        }
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

    // Too many tokens, as of letters that merge with no other, and too many bytes for the board's command line.
    for (word, count, reason) in [("qxzj ", 40, "PromptTooLong"), ("word ", 70, "the command line has more than")] {
        let long = run(&Story { prompt: word.repeat(count).trim_end().into(), ..story.clone() })?;
        let said = long.log.iter().any(|line| line.contains(reason));
        ensure!(long.exit == 1 && said, "a prompt of {count} words must be refused by {reason:?}, not: {:?}", long.log);
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
