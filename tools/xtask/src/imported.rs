//! Imported models on the emulated cores, `cargo xtask imported`: those of tests/golden that come from transformers and from ONNX.
//!
//! ```text
//! checkpoint ──► image packed for the core, an input ─┬─► host engine             ──► CRC-32 of all outputs ─┐
//!                                                     └─► boards/bench/imported, in QEMU ──► CRC-32 ─────────┴─► the same
//! ```

use crate::cores::Core;
use crate::emulator::emulate;
use crate::setup;
use crate::shell::root;
use anyhow::{Context, Result, ensure};
use std::io::Write;
use std::path::PathBuf;
use thumbformer::observe::NoObserver;
use thumbformer::{LogitsCrc, Model, Packing};
use thumbformer_checkpoint::{Checkpoint, Input};
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::stdout::stdout;
use thumbformer_cli::verify::Sequence;

/// Options of the command.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Core [default: m0plus, m4 and m55]
    #[arg(long)]
    core: Option<Core>,
}

/// Cores of the check: without an FPU, with SIMD, with Helium.
const CORES: [Core; 3] = [Core::M0Plus, Core::M4, Core::M55];

/// Positions of an input.
const POSITIONS: usize = 8;

/// Runs the models and prints a line for each core.
///
/// # Errors
/// A program that cannot be built or run, and a model that the core computes differently.
pub fn print(options: &Options) -> Result<()> {
    let models = models()?;
    for core in options.core.map_or(CORES.to_vec(), |core| vec![core]) {
        run(core, &models)?;
        writeln!(stdout(), "{}: {} imported models as on the host", core.name(), models.len())?;
    }
    Ok(())
}

/// Runs the models on all cores of the check.
///
/// # Errors
/// As [`print()`].
pub fn check() -> Result<String> {
    let models = models()?;
    CORES.iter().try_for_each(|core| run(*core, &models))?;
    let names = CORES.map(Core::name).join(", ");
    Ok(format!("{} imported models on {names} as on the host", models.len()))
}

/// The models, by their folders and files.
fn models() -> Result<Vec<(String, Checkpoint)>> {
    let golden = root().join("tests/golden");
    let mut paths: Vec<PathBuf> = Vec::new();
    for (folder, is_model) in [("families", None), ("onnx", Some("onnx"))] {
        let folder = golden.join(folder);
        let entries = std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if if is_model.is_none() {
                path.is_dir()
            } else {
                path.extension().and_then(|end| end.to_str()) == is_model
            } {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let load = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, Checkpoint::load(&path, None)?))
    };
    paths.into_iter().map(load).collect()
}

/// An input of a model: tokens of the whole vocabulary, or numbers from -1 to 1.
fn input(checkpoint: &Checkpoint) -> Sequence {
    let config = &checkpoint.config;
    let positions = POSITIONS.min(config.max_seq - config.n_class.min(config.max_seq - 1));
    match config.options.input {
        Input::Tokens => {
            Sequence::Tokens((0..positions).map(|index| ((index * 37 + 5) % config.vocab) as u16).collect())
        }
        _ => {
            let count = positions * config.n_features;
            Sequence::Frames((0..count).map(|index| ((index * 37 + 11) % 64) as f32 / 32.0 - 1.0).collect())
        }
    }
}

fn run(core: Core, models: &[(String, Checkpoint)]) -> Result<()> {
    let mut board = core.board()?;
    board.build.features.push("imported");
    let packing = Packing::ALL.into_iter().find(|packing| packing.name() == board.pack).context("no such packing")?;
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    for (name, checkpoint) in models {
        let settings = Settings { packing, ..Settings::default() };
        let words = convert(checkpoint, settings, &mut |_| ()).with_context(|| name.clone())?;
        let model = Model::parse(&words).with_context(|| name.clone())?;
        let input = input(checkpoint);
        let mut crc = LogitsCrc::new();
        for outputs in input.found(&model, &mut NoObserver).with_context(|| name.clone())? {
            crc.update(&outputs.iter().map(|&output| output as f32).collect::<Vec<f32>>());
        }
        expected.push((name, crc.total().to_string()));
        let input: Vec<u32> = match input {
            Sequence::Tokens(tokens) => tokens.into_iter().map(u32::from).collect(),
            Sequence::Frames(frames) => frames.into_iter().map(f32::to_bits).collect(),
        };
        let header = [words.len() as u32, input.len() as u32];
        bytes.extend(header.iter().chain(&words).chain(&input).flat_map(|word| word.to_le_bytes()));
    }
    let file = root().join("target").join(format!("imported-{}", core.name()));
    std::fs::write(&file, bytes).with_context(|| format!("{}", file.display()))?;
    let elf = board.build_program(&setup::ensure(&board.target)?, "imported")?;
    let output = emulate(&board, &elf, &[file.display().to_string()], |_| ())?;
    let printed = String::from_utf8_lossy(&output.console).into_owned();
    ensure!(output.exit == 0, "{}: exit code {}: {printed}", elf.display(), output.exit);
    let lines: Vec<&str> = printed.lines().collect();
    for ((name, expected), found) in expected.iter().zip(lines.iter().copied().chain(std::iter::repeat("nothing"))) {
        ensure!(
            found == expected,
            "{name} on {}: {found}, on the host {expected} (CRC-32 of the outputs)",
            core.name()
        );
    }
    ensure!(
        output.exit == 0 && lines.len() == expected.len(),
        "{}: exit code {}: {printed}",
        elf.display(),
        output.exit
    );
    Ok(())
}
