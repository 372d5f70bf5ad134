//! Instruction counts of kernels and of the default language model on every emulated core: `cargo xtask bench`.
//!
//! ```text
//! core ──► benchmark firmware, built for it ──► QEMU -icount ──► lines of JSON ──► table, or JSON with the core's name
//! ```

use crate::cores::Core;
use crate::emulator::emulate;
use crate::setup;
use crate::shell::root;
use anyhow::{Context, Result, bail, ensure};
use board_manifest::{Kind, first};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::io::Write;
use thumbformer::audio::HostBuffers;
use thumbformer::bench::{ENCODER_TOKENS, encoder_streams};
use thumbformer::state::HostState;
use thumbformer::{LogitsCrc, Model, Packing};
use thumbformer_cli::stdout::stdout;

/// Measurement of a kernel on a core.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
pub struct Row {
    /// The core.
    #[serde(default)]
    pub core: String,
    /// The kernel.
    pub kernel: String,
    /// Integer type of the weights.
    pub quant: String,
    /// Number of outputs.
    pub rows: u32,
    /// Number of inputs.
    pub cols: u32,
    /// Number of vectors in the batch.
    pub batch: u32,
    /// Instructions of the whole call.
    pub instructions: u32,
    /// Multiply-accumulates; elements for a softmax.
    pub macs: u32,
    /// Instructions per multiply-accumulate, or per element.
    #[serde(default)]
    pub per_mac: f64,
    /// True if the result is that of a plain loop.
    pub exact: bool,
}

/// Measurement of a token of the default language model on a core.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
pub struct Token {
    /// The core.
    #[serde(default)]
    pub core: String,
    /// Position of the token.
    pub position: u32,
    /// Instructions of the whole token, without sampling and without an observer.
    pub instructions: u32,
    /// Instructions of the embedding. The sum of all parts is the whole without the code between them.
    pub embedding: u32,
    /// Instructions of products with weights, quantization of their inputs included.
    pub matrix: u32,
    /// Instructions of scores, softmax, weighted sums and the cache.
    pub attention: u32,
    /// Instructions of norms, activations and additions to the stream.
    pub norms_activations: u32,
    /// Instructions of a draw from the logits, temperature 0.7, top-p 0.9.
    pub sampling: u32,
}

/// Builds and runs one of the benchmark programs and returns its lines.
pub fn lines<T: for<'d> Deserialize<'d>>(
    core: Core,
    program: &str,
    variables: &[(&'static str, &str)],
) -> Result<Vec<T>> {
    let mut board = core.board()?;
    board.build.variables.extend(variables.iter().map(|(name, value)| (*name, value.to_string())));
    let toolchain = setup::ensure(&board.target)?;
    let elf = board.build_program(&toolchain, program)?;
    let output = emulate(&board, &elf, &[], |_| ())?;
    let printed = String::from_utf8_lossy(&output.console);
    ensure!(output.exit == 0, "{program} on {} ended with exit code {}: {printed}", core.name(), output.exit);
    let lines: Result<Vec<T>, _> = printed.lines().map(serde_json::from_str).collect();
    let lines = lines.with_context(|| format!("{program} on {} printed {printed:?}", core.name()))?;
    ensure!(!lines.is_empty(), "{program} on {} printed nothing", core.name());
    Ok(lines)
}

/// Measures the kernels on one core.
///
/// # Errors
/// When the firmware cannot be built or run.
pub fn kernels(core: Core) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = lines(core, "kernels", &[])?;
    for row in &mut rows {
        row.core = core.name();
        row.per_mac = (f64::from(row.instructions) / f64::from(row.macs) * 1000.0).round() / 1000.0;
    }
    Ok(rows)
}

/// Measures the default language model on one core.
///
/// # Errors
/// When the firmware cannot be built or run.
pub fn model(core: Core) -> Result<Vec<Token>> {
    model_with(core, &[])
}

/// [`model`], built with additional environment variables.
///
/// # Errors
/// As [`model`].
pub fn model_with(core: Core, variables: &[(&'static str, &str)]) -> Result<Vec<Token>> {
    let mut tokens: Vec<Token> = lines(core, "model", variables)?;
    tokens.iter_mut().for_each(|token| token.core = core.name());
    Ok(tokens)
}

/// Measurement of the encoder block, or of the audio front end, on a core.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
pub struct Encoder {
    /// The core.
    #[serde(default)]
    pub core: String,
    /// Name of the measurement.
    #[serde(default)]
    pub what: String,
    /// Instructions of the whole block, or of all frames.
    pub instructions: u32,
    /// CRC-32 of the result.
    pub crc32: u32,
    /// True if the host computes the same bits.
    #[serde(default)]
    pub exact: bool,
}

/// Image of the encoder block, as the benchmark firmware's build script makes it.
#[path = "../../../boards/bench/encoder.rs"]
mod image;

/// Name of the encoder block's measurement.
pub const ENCODER: &str = "encoder block";
/// Name of the front end's measurement.
pub const SOUND: &str = "audio, a second";
/// Name of the measurement of parsing the encoder block's image at run time.
pub const PARSE: &str = "parse";

/// CRC-32 of the encoder block's result on this machine.
fn encoder_crc32() -> Result<u32> {
    let words = image::image(Packing::Host);
    let model = Model::parse(&words)?;
    let mut state = HostState::new(model.dims(), ENCODER_TOKENS);
    let mut streams = vec![0.0; ENCODER_TOKENS * model.dims().d_model];
    encoder_streams(&mut streams);
    model.session(state.memory()).encode(&mut streams)?;
    Ok(LogitsCrc::new().update(&streams))
}

/// Bytes of the encoder block's image.
pub fn encoder_bytes() -> usize {
    4 * image::image(Packing::Host).len()
}

/// Measures the encoder block on one core, and the parsing of its image.
///
/// # Errors
/// When the firmware cannot be built or run.
fn encoder(core: Core) -> Result<[Encoder; 2]> {
    let lines: Vec<Encoder> = lines(core, "encoder", &[])?;
    let packing = core.board()?.pack;
    let packing = Packing::ALL.into_iter().find(|known| known.name() == packing).context("an unknown packing")?;
    let parsed = image::image(packing).last().copied();
    let [mut block, mut parse]: [Encoder; 2] = lines.try_into().ok().context("expected two lines of the encoder")?;
    (block.core, parse.core) = (core.name(), core.name());
    (block.exact, parse.exact) = (block.crc32 == encoder_crc32()?, Some(parse.crc32) == parsed);
    Ok([block, parse])
}

/// Measures a second of sound through the audio front end on one core.
///
/// # Errors
/// When the firmware cannot be built or run.
fn front_end(core: Core) -> Result<Encoder> {
    let mut lines: Vec<Encoder> = lines(core, "audio", &[])?;
    let mut sound = lines.pop().context("the front end printed nothing")?;
    let mut samples = [0; 8000];
    thumbformer::bench::sound(&mut samples);
    let mut crc = LogitsCrc::new();
    let image = first(Kind::Clip, &root().join("models"))?.image()?;
    let front_end = image.model()?.front_end().context("the image has no audio front end")?;
    front_end.extractor(HostBuffers::new(&front_end).memory())?.push(&samples, |frame| _ = crc.update(frame))?;
    (sound.core, sound.what) = (core.name(), SOUND.into());
    sound.exact = sound.crc32 == crc.total();
    Ok(sound)
}

/// Measures the encoder block, the parsing of its image, and the front end on one core.
///
/// # Errors
/// When the firmware cannot be built or run.
pub fn blocks(core: Core) -> Result<Vec<Encoder>> {
    let [block, parse] = encoder(core)?;
    Ok(vec![block, front_end(core)?, parse])
}

/// The named cores, or all where none is named.
pub fn or_all(cores: &[Core]) -> Vec<Core> {
    if cores.is_empty() { Core::value_variants().to_vec() } else { cores.to_vec() }
}

/// Prints the kernels on these cores, or on all.
///
/// # Errors
/// When a kernel is not exact, or a core cannot be measured.
pub fn device(cores: &[Core], json: bool) -> Result<()> {
    if !json {
        writeln!(stdout(), "core    kernel         quant      shape batch instructions     macs per mac exact")?;
    }
    let mut wrong = 0;
    for core in or_all(cores) {
        for row in kernels(core)? {
            wrong += u32::from(!row.exact);
            if json {
                writeln!(stdout(), "{}", serde_json::to_string(&row)?)?;
                continue;
            }
            let Row { core, kernel, quant, rows, cols, batch, instructions, macs, per_mac, exact } = row;
            let shape = format!("{rows}x{cols}");
            let exact = if exact { "yes" } else { "NO" };
            writeln!(
                stdout(),
                "{core:<7} {kernel:<14} {quant:<5} {shape:>10} {batch:>5} {instructions:>12} {macs:>8} {per_mac:>7.3} {exact}"
            )?;
        }
    }
    if wrong > 0 {
        bail!("{wrong} kernels are not exact");
    }
    Ok(())
}

/// Prints the model's tokens and the encoder block on these cores, or on all.
///
/// # Errors
/// When a core cannot be measured, or its bits differ from the host's.
pub fn models(cores: &[Core], json: bool) -> Result<()> {
    let cores = or_all(cores);
    tokens(&cores, json)?;
    let mut wrong = 0;
    if !json {
        writeln!(stdout(), "\ncore    what            instructions  as the host")?;
    }
    for &core in &cores {
        for measured in blocks(core)? {
            wrong += u32::from(!measured.exact);
            if json {
                writeln!(stdout(), "{}", serde_json::to_string(&measured)?)?;
            } else {
                let Encoder { core, what, instructions, exact, .. } = measured;
                writeln!(stdout(), "{core:<7} {what:<15} {instructions:>12}  {}", if exact { "yes" } else { "NO" })?;
            }
        }
    }
    ensure!(wrong == 0, "{wrong} cores compute other bits than the host");
    Ok(())
}

/// Prints the model's tokens.
fn tokens(cores: &[Core], json: bool) -> Result<()> {
    if !json {
        writeln!(stdout(), "core    position instructions embedding    matrix attention norms, activations  sampling")?;
    }
    for &core in cores {
        for token in model(core)? {
            if json {
                writeln!(stdout(), "{}", serde_json::to_string(&token)?)?;
                continue;
            }
            let Token { core, position, instructions, embedding, matrix, attention, norms_activations, sampling } =
                token;
            writeln!(
                stdout(),
                "{core:<7} {position:>8} {instructions:>12} {embedding:>9} {matrix:>9} {attention:>9} \
                 {norms_activations:>18} {sampling:>9}"
            )?;
        }
    }
    Ok(())
}
