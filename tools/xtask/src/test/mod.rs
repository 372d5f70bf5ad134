//! Checks, `cargo xtask test`: two at a time, each with its seconds; a check that cannot run here reports the reason.
//!
//! ```text
//! quick ⊂ default (what CI runs) ⊂ full
//! host lane:     compiler and host tests ──► what is left of the other lane ─┐
//! firmware lane: firmware, emulated machines ────────────────────────────────┴─► passed, FAILED, skipped
//! ```

mod commands;
mod emulated;
mod full;
mod host;
mod quality;

pub use quality::figures as quality_figures;

use crate::firmware::Board;
use crate::records::{self, Passed, Records};
use crate::{
    boards, checkasm, classify, codegen, cycles, example, faults, fuzz, host_bench, imported, lesson, measured,
    on_target, panics, results, size,
};
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Instant;
use thumbformer_cli::stdout::stdout;

/// Result of a check that did not fail.
pub enum Outcome {
    /// Figures of the check.
    Passed(String),
    /// The reason, and the step that would let it run.
    Skipped(String),
}

/// The runs that a check is part of, in addition to those that name it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Tier {
    /// All runs.
    Quick,
    /// CI's, and `full`.
    Default,
    /// `full`: slow, or compiles tools of others.
    Full,
}

/// A lane, whose checks begin in their order, as they share a target folder: builds wait for each other, emulated machines do not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lane {
    Host,
    Firmware,
}

/// Declares the checks; a new check is a new row.
macro_rules! checks {
    ($($(#[$doc:meta])* $check:ident: $tier:ident, $lane:ident => $run:expr;)*) => {
        /// A check.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
        enum Check {
            $($(#[$doc])* $check,)*
        }

        impl Check {
            fn tier(self) -> Tier {
                match self {
                    $(Check::$check => Tier::$tier,)*
                }
            }

            fn lane(self) -> Lane {
                match self {
                    $(Check::$check => Lane::$lane,)*
                }
            }

            fn run(self, board: &Board) -> Result<Outcome> {
                match self {
                    $(Check::$check => {
                        let run: fn(&Board) -> Result<Outcome> = $run;
                        run(board)
                    })*
                }
            }
        }
    };
}

checks! {
    /// `cargo fmt --check` of every workspace
    Fmt: Quick, Host => |_| host::fmt();
    /// `cargo clippy`, warnings are errors
    Clippy: Quick, Host => host::clippy;
    /// Tests of all crates on the host
    Host: Quick, Host => |_| host::tests();
    /// Backend chosen by the build script for every target, by the compiler in use, without a bootstrap flag
    Backend: Quick, Host => |_| host::backend();
    /// Tests with `portable-simd`, if a nightly is installed
    Nightly: Default, Host => |_| host::nightly();
    /// rustdoc, warnings are errors
    Docs: Default, Host => |_| host::docs();
    /// Tables of README and docs/results.md, rendered from the recorded measurements and compared
    Results: Quick, Host => |_| results::check().map(Outcome::Passed);
    /// Commands in the documentation: all parse, those of code blocks run
    Commands: Quick, Host => |_| commands::check();
    /// docs/lesson.md and its pictures, regenerated and compared byte for byte
    Lesson: Quick, Host => |_| lesson::check().map(Outcome::Passed);
    /// Int8 image of the default model against its float checkpoint, over held-out text
    Quality: Default, Host => quality::int8;
    /// Int4 image, distilled anew, against its float checkpoint, over held-out text
    QualityInt4: Full, Host => quality::int4;
    /// `bench host` computes the same model in every implementation; compiles candle
    HostBench: Full, Host => |_| host_bench::check().map(Outcome::Passed);
    /// Tests of tools/probe: firmware against the chips as probe-rs describes them; compiles probe-rs
    Probe: Full, Host => |_| host::probe();
    /// Every set of the core's features
    Powerset: Full, Host => |_| full::powerset();
    /// Every fuzz target under libFuzzer for two seconds; installs a nightly and cargo-fuzz
    Fuzz: Full, Host => |_| fuzz::check().map(Outcome::Passed);
    /// Inference on small images under Miri; installs it
    Miri: Full, Host => |_| full::miri();
    /// Tests of the core under the sanitizer of addresses; installs a nightly
    Asan: Full, Host => |_| full::asan();
    /// Oldest supported compiler, if it is installed
    Msrv: Full, Host => |_| full::msrv();
    /// Golden vectors, made anew by PyTorch and transformers and compared; installs these
    Goldens: Full, Host => |_| full::goldens();
    /// Licences and sources of all crates; installs cargo-deny
    Deny: Full, Host => |_| full::deny();
    /// Book of docs/; installs mdBook
    Book: Full, Host => |_| full::book();
    /// Package of the core as it would be published, and its tests, compiled
    Package: Full, Host => |_| full::package();
    /// A board's program built by cargo alone, from another folder and with RUSTFLAGS set: right, or refused
    Elsewhere: Full, Firmware => |_| full::elsewhere();
    /// Firmware in emulation, against the host, bit for bit
    Emulated: Quick, Firmware => emulated::check;
    /// Copy of examples/firmware in another folder, built for an M4 and an M0+ and run, against the host
    Example: Default, Firmware => |_| example::check().map(Outcome::Passed);
    /// Every program of every emulated board, run and compared; the first program of every real board, built
    Boards: Default, Firmware => |_| boards::check().map(Outcome::Passed);
    /// Every program of every real board, built, against its chip as probe-rs describes it; compiles probe-rs
    Chips: Full, Firmware => |_| boards::check_chips().map(Outcome::Passed);
    /// Tests of boards/on-target on every emulated core, each on a machine that was just reset
    OnTarget: Default, Firmware => |_| on_target::check().map(Outcome::Passed);
    /// Every kernel in assembly on every emulated core, through a wrapper: registers, stack, memory, and bits as `scalar`
    Checkasm: Default, Firmware => |_| checkasm::check().map(Outcome::Passed);
    /// The same with 16 other seeds
    CheckasmSeeds: Full, Firmware => |_| checkasm::check_seeds().map(Outcome::Passed);
    /// Bits of image, state and stack, flipped during inference
    Faults: Full, Firmware => |_| faults::check().map(Outcome::Passed);
    /// Models that come from transformers and from ONNX, on emulated cores, against the host
    Imported: Full, Firmware => |_| imported::check().map(Outcome::Passed);
    /// Packed integers in assembly, proved for all inputs from the machine code by bit vectors; installs z3 and capstone
    Proofs: Full, Firmware => |_| full::proofs();
    /// Kernels on every emulated core: exact, repeatable, within the limits
    Bench: Default, Firmware => |_| measured::check().map(Outcome::Passed);
    /// Minimal programs for three cores, for speed and for size: code, constants, state and painted stack within their limits
    Size: Default, Firmware => |_| size::check();
    /// Default encoders on every emulated core, from raw samples and sensors, within their budgets
    Encoders: Default, Firmware => |_| classify::check().map(Outcome::Passed);
    /// Cycle estimator: exact sequences, counts equal to SysTick's, two equal runs
    Cycles: Default, Firmware => |_| cycles::check().map(Outcome::Passed);
    /// Instructions that make the inner loops fast, in the machine code; and `opt-level = "s"`
    Codegen: Default, Firmware => |_| codegen::check().map(Outcome::Passed);
    /// No panic and no allocator in the release firmware's inference
    Panics: Default, Firmware => |board| panics::check_programs(board).map(Outcome::Passed);
}

impl Check {
    fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_string())
    }
}

/// Checks of one word of the command line: `quick`, `full` or a check's name.
#[derive(Clone, Debug)]
pub struct Wanted(Vec<Check>);

impl Wanted {
    fn up_to(tier: Tier) -> Wanted {
        Wanted(Check::value_variants().iter().copied().filter(|check| check.tier() <= tier).collect())
    }
}

impl FromStr for Wanted {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> Result<Wanted> {
        match word {
            "quick" => Ok(Wanted::up_to(Tier::Quick)),
            "full" => Ok(Wanted::up_to(Tier::Full)),
            name => match Check::from_str(name, false) {
                Ok(check) => Ok(Wanted(vec![check])),
                Err(_) => bail!("expected quick, full or a check: {}", names()),
            },
        }
    }
}

fn names() -> String {
    Check::value_variants().iter().map(|check| check.name()).collect::<Vec<_>>().join(", ")
}

/// Prints the checks, and the runs that they are part of.
///
/// # Errors
/// Standard output that cannot be written.
pub fn list() -> Result<()> {
    for check in Check::value_variants() {
        let value = check.to_possible_value();
        let help = value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default();
        writeln!(stdout(), "{:<13} {:<8} {help}", check.name(), check.tier().to_string())?;
    }
    Ok(())
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tier::Quick => "quick",
            Tier::Default => "default",
            Tier::Full => "full",
        })
    }
}

/// Records a check that has passed, at once: a run of an hour may be cut.
fn recorded(recording: &Mutex<()>, name: String, text: String, begin: Instant) -> Result<()> {
    let _one_at_a_time = recording.lock();
    let (at, mut records) = (records::now()?, Records::read()?);
    records.checks.insert(name, Passed { at, text, seconds: begin.elapsed().as_secs() });
    records.write()
}

/// Runs checks, those of CI by default, and reports on every one; with `record`, those of `full` alone into the record.
///
/// # Errors
/// When a check failed.
pub fn test(board: &Board, wanted: &[Wanted], record: bool) -> Result<()> {
    let checks = match wanted {
        [] => Wanted::up_to(Tier::Default).0,
        wanted => wanted.iter().flat_map(|wanted| wanted.0.iter().copied()).collect(),
    };
    let (begin, counts, recording) = (Instant::now(), Mutex::new([0; 3]), Mutex::default());
    let of =
        |lane: Lane| Mutex::new(checks.iter().copied().filter(|check| check.lane() == lane).collect::<VecDeque<_>>());
    let (host_lane, firmware_lane) = (of(Lane::Host), of(Lane::Firmware));
    let next = |lanes: &[&Mutex<VecDeque<Check>>]| lanes.iter().find_map(|lane| lane.lock().ok()?.pop_front());
    let run = |lanes: &[&Mutex<VecDeque<Check>>]| -> Result<()> {
        while let Some(check) = next(lanes) {
            let begin = Instant::now();
            let (index, word, text) = match check.run(board) {
                Ok(Outcome::Passed(text)) => (0, "passed", text),
                Ok(Outcome::Skipped(text)) => (2, "skipped", text),
                Err(error) => (1, "FAILED", format!("{error:#}")),
            };
            if let Ok(mut counts) = counts.lock() {
                counts[index] += 1;
            }
            if record && index == 0 && check.tier() == Tier::Full {
                recorded(&recording, check.name(), text.clone(), begin)?;
            }
            writeln!(stdout(), "{}: {word} in {:.0} s: {text}", check.name(), begin.elapsed().as_secs_f32())?;
        }
        Ok(())
    };
    writeln!(stdout(), "{} checks, each is reported when it ends", checks.len())?;
    let lanes = std::thread::scope(|scope| {
        let host = scope.spawn(|| run(&[&host_lane, &firmware_lane]));
        [run(&[&firmware_lane]), host.join().unwrap_or_else(|_| bail!("a check panicked; its message is above"))]
    });
    let [passed, failed, skipped] = counts.into_inner().ok().context("a check panicked")?;
    let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    let summary = format!("{passed} passed, {failed} failed{skipped}");
    writeln!(stdout(), "{summary}")?;
    // The whole run counts as one, too, if nothing is missing in it.
    if record && checks.len() == Check::value_variants().len() && failed == 0 {
        recorded(&Mutex::default(), "full".into(), summary, begin)?;
    }
    for lane in lanes {
        lane?;
    }
    ensure!(failed == 0, "{failed} of {} checks failed after {:.0} s", checks.len(), begin.elapsed().as_secs_f32());
    Ok(())
}
