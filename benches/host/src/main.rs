//! thumbformer on the host, against plain float loops and candle: `cargo xtask bench host` builds and runs this.
//!
//! ```text
//! models/stories: checkpoint ─┬─► plain float ─► tokens ─► agreement of all ─► rounds of passes ─► rows (JSON) on stdout
//!                             └─► candle             ▲                              what was found on the way: stderr
//!                 stories.tbf ──► thumbformer ───────┘
//! ```
//! A build has one backend of thumbformer: `scalar`, or with the feature `portable-simd` on nightly `simd`. Both
//! builds measure plain float and candle as well, so that every ratio has both its sides from one compiler and one run.
//! All run on one thread. Everything is compiled as a user's `cargo build --release` would; candle's matrix kernels
//! choose their instructions at run time nevertheless (`gemm`), the others get SSE2 on x86-64 unless told otherwise.

mod agreement;
#[cfg(feature = "candle")]
mod candle;
mod decoder;
mod float;
mod measure;

use agreement::Expected;
use anyhow::{Context, Result, ensure};
use clap::Parser;
use decoder::{Contender, Kind};
use float::Float;
use std::path::Path;
use std::process::ExitCode;
use thumbformer::Model;
use thumbformer::state::HostState;
use thumbformer_checkpoint::Checkpoint;

/// The beginning of the decoded text.
const PROMPT: &str = "Once upon a time, there was";

/// Ends of the measured ranges of positions; the last one is the context.
const ENDS: [usize; 2] = [64, 256];

#[derive(Parser)]
#[command(about = "thumbformer on the host against plain float and candle; JSON on stdout")]
struct Arguments {
    /// Number of rounds
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match on_one_thread(|| run(usize::from(arguments.rounds))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs everything in the only thread of candle's pool, as candle advises, so that its parallel loops wake nobody else.
#[cfg(feature = "candle")]
fn on_one_thread(run: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    // candle asks this variable in every multiplication.
    let threads = std::env::var("RAYON_NUM_THREADS").unwrap_or_default();
    ensure!(
        threads == "1",
        "RAYON_NUM_THREADS is `{threads}`, so that candle would use several threads: set it to 1, or run `cargo xtask bench host`"
    );
    candle_core::Device::Cpu.with_context(run)
}

#[cfg(not(feature = "candle"))]
fn on_one_thread(run: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    run()
}

fn run(rounds: usize) -> Result<()> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("benches/host is not in a repository")?;
    let folder = root.join("models/stories");
    let checkpoint = Checkpoint::load(&folder.join("checkpoint"), None)?;
    let image = folder.join("stories.tbf");
    let words = read_image(&image)?;
    let model = Model::parse(&words).with_context(|| image.display().to_string())?;
    let context = ENDS[ENDS.len() - 1];
    let mut state = HostState::new(model.dims(), context);

    let float = |backend, decoder| Contender { implementation: "float", backend, kind: Kind::Float, decoder };
    let mut contenders = vec![
        float("plain", Box::new(Float::<1>::new(&checkpoint, context)?)),
        float("8 sums", Box::new(Float::<8>::new(&checkpoint, context)?)),
        Contender {
            implementation: "thumbformer",
            backend: thumbformer::BACKEND,
            kind: Kind::Quantized,
            decoder: Box::new(model.session(state.memory())),
        },
    ];
    #[cfg(feature = "candle")]
    contenders.push(Contender {
        implementation: "candle",
        backend: env!("HOST_BENCH_CANDLE"),
        kind: Kind::Float,
        decoder: Box::new(candle::Candle::load(&folder.join("checkpoint"))?),
    });

    let expected = Expected::generate(&mut *contenders[0].decoder, &prompt(&model)?, context)?;
    eprintln!("{}", expected.check_reference(&checkpoint)?);
    for contender in &mut contenders[1..] {
        eprintln!("{}", expected.check(contender)?);
    }
    for row in measure::measure(&mut contenders, &expected.tokens, &ENDS, rounds, model.dims())? {
        println!("{}", serde_json::to_string(&row)?);
    }
    Ok(())
}

/// The words of an image.
fn read_image(file: &Path) -> Result<Vec<u32>> {
    let bytes = std::fs::read(file)
        .with_context(|| format!("{}: cannot be read; make it as models/stories/README.md says", file.display()))?;
    let (words, rest) = bytes.as_chunks::<4>();
    ensure!(rest.is_empty(), "{}: was cut; make it as models/stories/README.md says", file.display());
    Ok(words.iter().map(|&word| u32::from_le_bytes(word)).collect())
}

fn prompt(model: &Model<'_>) -> Result<Vec<u16>> {
    let tokenizer = model.tokenizer().context("models/stories/stories.tbf: has no tokenizer; convert it again")?;
    let mut tokens = vec![0; PROMPT.len() + 2];
    let length = tokenizer.encode(PROMPT, true, &mut tokens)?;
    tokens.truncate(length);
    Ok(tokens)
}
