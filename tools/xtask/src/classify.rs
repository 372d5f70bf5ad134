//! Fixtures of the default encoders, classified on every emulated core and on the host: `cargo xtask classify`.
//!
//! ```text
//! samples ──┬─► firmware in QEMU ──► label, probability, instructions, CRC-32 ──┐
//!           └─► host ──────────────► label,                            CRC-32 ──┴─► the same, or an error
//! ```

use crate::bench::or_all;
use crate::boards::results;
use crate::cores::Core;
use crate::figures::{self, Figures};
use crate::firmware::{self, Board, Size};
use crate::given::Given;
use crate::keywords;
use crate::page;
use crate::parallel::each;
use crate::results::Results;
use crate::serial_port::on_serial_port;
use crate::setup;
use crate::shell::root;
use anyhow::{Context, Result, bail, ensure};
use board_manifest::{Application, Image, Kind, shown_by, signals};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::PathBuf;
use thumbformer_cli::classify::{Prediction, classify, read};
use thumbformer_cli::stdout::stdout;

/// Result of a recording on a core.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
pub struct Row {
    /// The core.
    #[serde(default)]
    pub core: String,
    /// Name of the recording.
    pub name: String,
    /// Predicted label; none of outputs that are numbers.
    #[serde(default)]
    pub label: String,
    /// Probability of the label, in thousandths.
    #[serde(default)]
    pub permille: u32,
    /// Instructions from samples to frames.
    #[serde(default)]
    pub front_end: u32,
    /// Instructions from frames to outputs, of all answers.
    pub network: u32,
    /// Number of answers: one for a clip, one for every frame of a stream.
    #[serde(default = "one")]
    pub answers: u32,
    /// Instructions for a stream's last answer, from all of its frames at once; 0 for a clip.
    #[serde(default)]
    pub whole: u32,
    /// CRC-32 of the outputs.
    pub crc32: String,
}

fn one() -> u32 {
    1
}

impl Row {
    /// True if the label is that of the recording's name: the label itself, or a digit's number.
    pub fn is_right(&self) -> bool {
        self.name.split('_').next() == Some(&self.label) || self.name.starts_with(&digit(&self.label))
    }
}

/// The host's predictions for the recordings in the firmware.
///
/// # Errors
/// When a file of a model is missing.
pub fn on_host() -> Result<Vec<Prediction>> {
    let mut heard = Vec::new();
    for shown in shown_by(Application::Classify, &root().join("models"))? {
        let image = shown.image()?;
        let model = image.model()?;
        for file in recordings(&image)? {
            heard.extend(classify(&model, &read(&model, &file)?)?.windows);
        }
    }
    Ok(heard)
}

fn recordings(image: &Image) -> Result<Vec<PathBuf>> {
    let folder = image.recordings.as_deref();
    thumbformer_recordings::in_folder(folder.with_context(|| format!("{}: no recordings", image.file.display()))?)
}

/// Classifies all recordings on one core's board and compares label and bits with the host's; built with additional environment
/// variables.
///
/// # Errors
/// When the firmware cannot be built or run, or its result differs from the host's.
pub fn on_core(core: Core, expected: &[Prediction], variables: &[(&'static str, &str)]) -> Result<Vec<Row>> {
    let mut board = Board::from(core.emulated()?);
    board.build.variables.extend(variables.iter().map(|(name, value)| (*name, value.to_string())));
    let elf = board.build_program(&setup::ensure(&board.target)?, "classify")?;
    as_on_host(core, results(&board, &elf, &[])?, expected)
}

/// Classifies the recordings of a user's image on one core's board and compares label and bits with the host's.
///
/// # Errors
/// As [`on_core`], and for an image that does not fit the board.
pub fn given_on_core(core: Core, given: &Given) -> Result<Vec<Row>> {
    let board = given.build_for(&core.emulated()?, Application::Classify)?;
    let elf = board.build_program(&setup::ensure(&board.target)?, Application::Classify.name())?;
    let image = Image::read(given.model.as_deref().context("no image is given")?)?;
    let image = image.with_recordings(given.recordings.as_deref());
    let model = image.model()?;
    let mut heard = Vec::new();
    for file in recordings(&image)? {
        heard.extend(classify(&model, &read(&model, &file)?)?.windows);
    }
    as_on_host(core, results(&board, &elf, &[])?, &heard)
}

/// A core's results, compared with the host's.
fn as_on_host(core: Core, mut rows: Vec<Row>, expected: &[Prediction]) -> Result<Vec<Row>> {
    ensure!(rows.len() == expected.len(), "{} heard {} of {} recordings", core.name(), rows.len(), expected.len());
    for (row, expected) in rows.iter_mut().zip(expected) {
        row.core = core.name();
        let crc32 = format!("{:08x}", expected.crc32);
        ensure!(
            (&row.name, &row.crc32) == (&expected.name, &crc32)
                && expected.said.class().is_none_or(|class| class == row.label),
            "{} on {}: {} with crc32 {}, on the host {} with {crc32}",
            row.name,
            row.core,
            row.label,
            row.crc32,
            expected.said,
        );
    }
    Ok(rows)
}

/// Prints the cores' results, a line for each recording.
///
/// # Errors
/// As [`on_core`].
pub fn print(cores: &[Core], json: bool) -> Result<()> {
    let expected = on_host()?;
    if !json {
        writeln!(stdout(), "core    recording      label       prob.   front end     network  outputs")?;
    }
    for core in or_all(cores) {
        let mut rows = on_core(core, &expected, &[])?;
        if keywords::CORES.contains(&core) {
            rows.extend(keywords::on_core(core)?);
        }
        for row in rows {
            if json {
                writeln!(stdout(), "{}", serde_json::to_string(&row)?)?;
                continue;
            }
            let stream = match row.answers {
                1 => String::new(),
                answers => format!(
                    "; {} for each of {answers} frames, {} for the last answer anew",
                    row.network / answers,
                    row.whole
                ),
            };
            writeln!(
                stdout(),
                "{:<7} {:<14} {:<10} {:>6.3} {:>11} {:>11}  {}, as on the host{stream}",
                row.core,
                row.name,
                row.label,
                f64::from(row.permille) / 1000.0,
                row.front_end,
                row.network,
                row.crc32
            )?;
        }
    }
    Ok(())
}

/// The model of docs/your-model.md with its recordings, each of which has the label of its name, one that is longer than a clip and a table
/// without a header; and as they arrive on the serial port.
fn own() -> Result<()> {
    let given = page::given(&Core::M4.emulated()?.name)?;
    let rows = given_on_core(Core::M4, &given)?;
    let [own, named @ .., last] = &rows[..] else { bail!("docs/your-model.md: {rows:?}") };
    ensure!(
        (&own.label, &own.crc32) == (&last.label, &last.crc32),
        "without its header, {} has other numbers",
        last.name
    );
    ensure!(named.iter().chain([last]).all(Row::is_right), "docs/your-model.md on the M4: {rows:?}");
    ensure!(named.iter().any(|row| row.name.ends_with("+100 rows")), "no second clip: {named:?}");
    on_serial_port(Core::M4, &given, |name| rows.iter().find(|row| row.name == name))?;
    Ok(())
}

/// Limit of instructions for a second of sound on the M4, from samples to outputs.
const DIGITS_INSTRUCTIONS: u32 = 12_000_000;
/// Limits of the memory of the M4's program, in bytes: of RAM, of which the stack may need a part; of flash for the code and the
/// digits' weights, built for size. Flash was held to 128 KiB until the image carried its front end, its columns and its source (1 KB) and
/// the program one front end for all (1 KB).
const RAM: u64 = 40 * 1024;
const FLASH: u64 = 130 * 1024;
/// Variables of a build for size, for a chip with little flash and 48 KiB of RAM, stack included.
const SMALL: &[(&str, &str)] = &[("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s"), ("THUMBFORMER_RAM", "49152")];

/// Runs the encoders on all cores and compares the M4's program with its budgets.
///
/// # Errors
/// As [`on_core`], and when a budget is exceeded.
pub fn check() -> Result<String> {
    let expected = on_host()?;
    let (mut most, mut streams) = ([0; 2], 0);
    let runs: Vec<(Core, &[(&str, &str)])> =
        or_all(&[]).into_iter().map(|core| (core, &[][..])).chain([(Core::M4, SMALL)]).collect();
    let measured = each(&runs, |(core, variables)| on_core(*core, &expected, variables))?;
    let recorded = Results::recorded()?;
    let incomparable = recorded.incomparable()?;
    for ((core, variables), rows) in runs.iter().zip(measured) {
        if variables.is_empty() && incomparable.is_none() {
            recorded.compare_recordings(*core, &rows)?;
        }
        for row in rows {
            ensure!(row.is_right(), "{} on {}: heard {}", row.name, row.core, row.label);
            if row.answers > 1 {
                // One answer of the stream against computing the whole window again.
                let one = row.network / row.answers;
                ensure!(3 * one <= row.whole, "{}: streaming saves too little: {row:?}", row.core);
                streams += 1;
            } else if *core == Core::M4 {
                let most = &mut most[usize::from(!variables.is_empty())];
                *most = (*most).max(row.front_end + row.network);
            }
        }
    }
    let sound = most.iter().all(|&most| most > 0 && most <= DIGITS_INSTRUCTIONS);
    ensure!(sound, "M4: a clip takes {most:?} instructions, at most {DIGITS_INSTRUCTIONS}");
    ensure!(streams > 0, "no stream among the recordings");
    own()?;
    let mut arriving = 0;
    let keywords = each(&keywords::CORES, |&core| keywords::on_core(core))?;
    for (&core, rows) in keywords::CORES.iter().zip(&keywords) {
        if incomparable.is_none() {
            recorded.compare_keywords(core, rows)?;
        }
        if core == Core::M4 {
            arriving = keywords::arriving(rows)?;
        }
    }
    let size = size()?;
    figures::compare(&figures(&size))?;
    ensure!(size.ram <= RAM && size.flash <= FLASH, "the M4's program takes {} and {} bytes", size.ram, size.flash);
    Ok(format!(
        "{} recordings on 6 cores as on the host, those of docs/your-model.md on the M4, {} of 16 kHz of keyword models on {} cores, {arriving} clips on a serial port; M4: a second of sound {} instructions, built for size {}, then {} bytes of flash \
         for code and the digits' weights, {} of the 48 KiB of RAM for both models and the rest for the stack",
        expected.len(),
        keywords[0].len(),
        keywords.len(),
        most[0],
        most[1],
        size.flash,
        size.ram
    ))
}

/// Figures of that program.
pub fn figures(size: &Size) -> Figures {
    figures::of([("digits flash", size.flash), ("digits ram", size.ram)])
}

/// Number of a digit, the beginning of its recordings' names.
fn digit(label: &str) -> String {
    const WORDS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    WORDS.iter().position(|word| *word == label).map_or("?".into(), |digit| format!("{digit}_"))
}

/// Memory of the M4's program, built for size, without its recordings and the other model's weights.
///
/// # Errors
/// When it cannot be built.
pub fn size() -> Result<Size> {
    let mut board = Board::from(Core::M4.emulated()?);
    board.build.variables.extend(SMALL.iter().map(|(name, value)| (*name, value.to_string())));
    let elf = board.build_program(&setup::ensure(&board.target)?, "classify")?;
    let mut size = firmware::size(&std::fs::read(&elf)?)?;
    for shown in shown_by(Application::Classify, &root().join("models"))? {
        let image = shown.image()?;
        let model = image.model()?;
        let inputs = signals(&image, &model)?;
        size.flash -= inputs.iter().map(|(_, signal)| signal.bytes() as u64).sum::<u64>();
        // The budget is the clip's alone.
        if Kind::of(&model) == Kind::Stream {
            size.flash -= image.bytes() as u64;
        }
    }
    Ok(size)
}
