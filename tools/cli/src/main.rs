//! The `thumbformer` command.

mod int4;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use thumbformer::text::Sampling;
use thumbformer::{Model, Packing};
use thumbformer_checkpoint::{Checkpoint, Input};
use thumbformer_cli::explain::{self, Explain};
use thumbformer_cli::run::{End, Options, generate};
use thumbformer_cli::verify::{self, Bounds, Selection};
use thumbformer_cli::{accuracy, classify, convert, features, inspect, model, read_image};

/// Quantized transformers for Cortex-M: make, try, measure, verify and explain model images.
#[derive(Parser)]
#[command(name = "thumbformer", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes an image of a float checkpoint
    Convert(Convert),
    /// Generates text with an image, on this machine and with the engine of the chip
    Run(Run),
    /// Shows dimensions, sections, flash, RAM and multiply-accumulates of an image
    Inspect(Inspect),
    /// Writes the frames of recordings, computed as the chip does it, for training scripts
    Features(Features),
    /// Says what an image makes of recordings, on this machine and with the engine of the chip
    Classify(Classify),
    /// Measures how far an image is from its float checkpoint; fails where a bound is missed
    Verify(Verify),
    /// Shows what happens inside while the engine computes: stream, mix, heads
    Explain(Explain),
}

#[derive(Args)]
struct Convert {
    /// A folder of config.json and model.safetensors (thumbformer's own layout, Hugging Face's, PyTorch's), a .gguf, or a llama2.c .bin file
    checkpoint: PathBuf,
    /// The image to write
    #[arg(short, long)]
    output: PathBuf,
    /// tokenizer.json or llama2.c's tokenizer.bin; by default the one beside the checkpoint
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// Shortens the context, in tokens
    #[arg(long)]
    max_seq: Option<usize>,
    /// The cores that will run the image: host, m0, m4, m55, or a core's or board's name
    #[arg(long, default_value = "host", value_parser = parse_packing)]
    pack: Packing,
    /// Integers of the layers' matrices; embedding and head stay int8
    #[arg(long, value_enum, default_value_t = Quantization::Q8)]
    quant: Quantization,
    /// A text of the training text's kind, by which int4 keeps its accuracy; lines `<|end|>` separate documents
    #[arg(long, value_name = "FILE")]
    calibrate: Option<PathBuf>,
    /// Steps in which the int4 matrices of a decoder are trained together on the text; 0 quantizes layer by layer
    #[arg(long, value_name = "STEPS", default_value_t = int4::STEPS, requires = "calibrate")]
    distill: usize,
    /// Reads the text up to the document that reaches this many tokens; by default as many as are of use
    #[arg(long, requires = "calibrate")]
    calibrate_tokens: Option<usize>,
}

/// The integers of matrices.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Quantization {
    /// int8, a scale for each row
    Q8,
    /// int4, a scale for each 32 columns of a row
    Q4,
}

fn parse_packing(name: &str) -> Result<Packing> {
    convert::packing(name)
}

#[derive(Args)]
struct Run {
    /// The image
    image: PathBuf,
    /// How the text begins
    #[arg(long, default_value = "")]
    prompt: String,
    /// 0 takes the likeliest token always
    #[arg(long, default_value_t = 0.0, allow_hyphen_values = true)]
    temperature: f32,
    /// Draws among this many likeliest tokens; 0 among all
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Draws among the likeliest tokens that reach this probability together
    #[arg(long, default_value_t = 1.0)]
    top_p: f32,
    /// Another seed is another text
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Most tokens to generate
    #[arg(long, default_value_t = 256)]
    steps: usize,
    /// Context of the state, in tokens; by default the model's
    #[arg(long)]
    max_seq: Option<usize>,
    /// Goes on after the model has ended the text
    #[arg(long)]
    ignore_end: bool,
    /// Prints the CRC-32 of every step's logits after the text
    #[arg(long)]
    logits_crc: bool,
}

#[derive(Args)]
struct Classify {
    /// The image
    image: PathBuf,
    /// Recordings: WAV files (8000 Hz, one channel, 16 bits) or CSV files (a line for each sample, a column for each axis)
    #[arg(required = true)]
    recordings: Vec<PathBuf>,
    /// Prints JSON, a line for each recording
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Inspect {
    /// The image
    image: PathBuf,
    /// Context of the state, in tokens; by default the model's
    #[arg(long)]
    max_seq: Option<usize>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Features {
    /// WAV files: 8000 Hz, one channel, 16 bits
    #[arg(required = true)]
    recordings: Vec<PathBuf>,
    /// The file to write: 32-bit floats, little-endian, [recordings, frames, filters]
    #[arg(short, long)]
    output: PathBuf,
    /// Frames of each recording, which is cut off or filled up with silence; by default as many as it has
    #[arg(long)]
    frames: Option<NonZeroUsize>,
    /// Takes every so many samples of a file as a recording of their own
    #[arg(long, value_name = "SAMPLES")]
    cut: Option<NonZeroUsize>,
}

#[derive(Args)]
struct Verify {
    /// The image
    image: PathBuf,
    /// The float checkpoint that the image was made of
    #[arg(long)]
    reference: PathBuf,
    /// For a language model, a text that it was not trained on; lines `<|end|>` separate documents
    #[arg(long, required_unless_present = "recordings", conflicts_with = "recordings")]
    text: Option<PathBuf>,
    /// For a model of frames, recordings as `classify` reads them; a file's name up to its first `_` is the label or its number
    #[arg(long, num_args = 1.., value_name = "FILE")]
    recordings: Vec<PathBuf>,
    /// Uses only the last documents of the text
    #[arg(long)]
    last: Option<usize>,
    /// Stops after the document that reaches this many tokens
    #[arg(long)]
    max_tokens: Option<usize>,
    /// Least top-1 agreement, as a part; int8: 0.97, int4: 0.92
    #[arg(long)]
    min_top1: Option<f64>,
    /// Largest mean KL divergence, in nats; int8: 0.005, int4: 0.03
    #[arg(long)]
    max_kl: Option<f64>,
    /// Largest change of the perplexity, as a part; int8: 0.01, int4: 0.03
    #[arg(long)]
    max_perplexity_change: Option<f64>,
    /// Least SQNR of the logits, in decibels; int8: 30, int4: 21
    #[arg(long)]
    min_sqnr: Option<f64>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Convert(arguments) => run_convert(&arguments),
        Command::Run(arguments) => run_run(&arguments),
        Command::Inspect(arguments) => run_inspect(&arguments),
        Command::Features(arguments) => run_features(&arguments),
        Command::Classify(arguments) => run_classify(&arguments),
        Command::Verify(arguments) => run_verify(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A bar on standard error; indicatif hides it where that is no terminal.
fn bar(length: usize, unit: &str) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {unit} {{wide_msg}} {{eta}}"))?;
    Ok(ProgressBar::new(length as u64).with_style(style))
}

fn run_convert(arguments: &Convert) -> Result<()> {
    let checkpoint = Checkpoint::load(&arguments.checkpoint, arguments.tokenizer.as_deref())?;
    // Nine tensors a layer; embedding, final norm and head.
    let bar = bar(9 * checkpoint.layers.len() + 2 + usize::from(checkpoint.head.is_some()), "tensors")?;
    let settings = convert::Settings { max_seq: arguments.max_seq, packing: arguments.pack };
    let int4 = match arguments.quant {
        Quantization::Q8 => None,
        Quantization::Q4 => Some(int4::quantize(&checkpoint, arguments)?),
    };
    let int4_of = |layer, tensor| int4.as_ref().and_then(|int4| int4.get(layer, tensor));
    let words = convert::convert_with(&checkpoint, settings, &int4_of, &mut |name| {
        bar.set_message(name.to_string());
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    convert::write(&words, &arguments.output)?;
    let model = model(&words, &arguments.output)?;
    let bytes = 4 * words.len();
    println!(
        "{}: {} packed for {}, {} parameters in {bytes} bytes ({:.2} bytes each), state of {} bytes for {} tokens{}",
        arguments.output.display(),
        checkpoint.architecture,
        arguments.pack.name(),
        checkpoint.parameters(),
        bytes as f64 / checkpoint.parameters() as f64,
        inspect::ram(model.dims(), model.dims().max_seq).total,
        model.dims().max_seq,
        if checkpoint.tokenizer.is_some() || checkpoint.config.input != Input::Tokens {
            ""
        } else {
            ", NO TOKENIZER: `run` will refuse it"
        }
    );
    Ok(())
}

fn run_run(arguments: &Run) -> Result<()> {
    let words = read_image(&arguments.image)?;
    let model = model(&words, &arguments.image)?;
    let options = Options {
        prompt: arguments.prompt.clone(),
        sampling: Sampling { temperature: arguments.temperature, top_k: arguments.top_k, top_p: arguments.top_p },
        seed: arguments.seed,
        steps: arguments.steps,
        max_seq: arguments.max_seq.unwrap_or(model.dims().max_seq),
        ignore_end: arguments.ignore_end,
    };
    let mut steps = Vec::new();
    let mut written = Ok(());
    let begin = Instant::now();
    let summary = generate(
        &model,
        &options,
        &mut |piece| {
            let mut stdout = std::io::stdout().lock();
            if written.is_ok() {
                written = stdout.write_all(piece).and_then(|()| stdout.flush());
            }
        },
        &mut |step| steps.push(step),
    )
    .with_context(|| format!("{}", arguments.image.display()))?;
    let seconds = begin.elapsed().as_secs_f64();
    written.context("standard output")?;
    println!();
    if arguments.logits_crc {
        for step in &steps {
            println!("step {} token {} crc32 {:08x}", step.number, step.token, step.crc32);
        }
        println!("logits: crc32 {:08x}, {} steps", summary.crc32, summary.steps);
    }
    let end = match summary.end {
        End::EndToken => "the model ended the text".to_string(),
        End::Steps => "--steps reached".to_string(),
        End::ContextFull => format!("the context of {} tokens is full", options.max_seq),
    };
    // The first step is the last token of the prompt.
    let tokens = summary.prompt_tokens + steps.len().saturating_sub(1);
    eprintln!(
        "{} prompt tokens and {} steps, {:.0} tokens/s, backend {}; {end}",
        summary.prompt_tokens,
        summary.steps,
        tokens as f64 / seconds,
        thumbformer::BACKEND
    );
    Ok(())
}

fn run_inspect(arguments: &Inspect) -> Result<()> {
    let words = read_image(&arguments.image)?;
    let model = model(&words, &arguments.image)?;
    let longest = model.dims().max_seq;
    let max_seq = arguments.max_seq.unwrap_or(longest);
    if max_seq == 0 || max_seq > longest {
        bail!("--max-seq {max_seq}: the model's context is {longest}; give 1 to that many");
    }
    let report = inspect::inspect(&model, max_seq);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}

fn run_classify(arguments: &Classify) -> Result<()> {
    let words = read_image(&arguments.image)?;
    let model = model(&words, &arguments.image)?;
    for file in &arguments.recordings {
        let recording = classify::read(&model, file)?;
        let heard = classify::classify(&model, &recording).with_context(|| format!("{}", file.display()))?;
        if arguments.json {
            println!("{}", serde_json::to_string(&heard)?);
        } else {
            println!("{heard}");
        }
    }
    Ok(())
}

fn verify_recordings(arguments: &Verify, model: &Model<'_>, checkpoint: &Checkpoint) -> Result<()> {
    let recordings: Vec<_> =
        arguments.recordings.iter().map(|file| classify::read(model, file)).collect::<Result<_>>()?;
    let bar = bar(recordings.len(), "recordings")?;
    let report = accuracy::compare(model, checkpoint, &recordings, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let bounds = accuracy::Bounds::of(model);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{} outputs of {} recordings, backend {}", report.outputs, report.recordings, thumbformer::BACKEND);
        for line in report.lines(&bounds) {
            println!("{line}");
        }
    }
    if !report.lines(&bounds).iter().all(|line| line.ok) {
        bail!("{}: a bound is missed; see the lines above", arguments.image.display());
    }
    Ok(())
}

fn run_features(arguments: &Features) -> Result<()> {
    let file = File::create(&arguments.output);
    let mut out = BufWriter::new(file.with_context(|| format!("{}: cannot be written", arguments.output.display()))?);
    let (mut recordings, mut frames) = (0, 0);
    for file in &arguments.recordings {
        let samples = features::read_wav(file)?;
        let length = arguments.cut.map_or(samples.len().max(1), NonZeroUsize::get);
        // An empty file is a recording that is too short.
        let pieces = samples.chunks(length).chain(samples.is_empty().then_some(&[][..]));
        for piece in pieces {
            let features = features::features(piece, arguments.frames.map(NonZeroUsize::get));
            let features = features.with_context(|| format!("{}", file.display()))?;
            for value in &features {
                out.write_all(&value.to_le_bytes()).with_context(|| format!("{}", arguments.output.display()))?;
            }
            recordings += 1;
            frames += features.len() / features::MELS;
        }
    }
    out.flush().with_context(|| format!("{}", arguments.output.display()))?;
    println!("{recordings} recordings, {frames} frames of {} filters", features::MELS);
    Ok(())
}

fn run_verify(arguments: &Verify) -> Result<()> {
    let words = read_image(&arguments.image)?;
    let model = model(&words, &arguments.image)?;
    let checkpoint = Checkpoint::load(&arguments.reference, None)?;
    let Some(file) = &arguments.text else { return verify_recordings(arguments, &model, &checkpoint) };
    let text = read_text(file)?;
    let selection = Selection { last: arguments.last, max_tokens: arguments.max_tokens };
    let documents = verify::documents(&model, &text, selection).with_context(|| format!("{}", file.display()))?;
    let bar = bar(documents.iter().map(|document| document.len() - 1).sum(), "tokens")?;
    let report = verify::verify(&model, &checkpoint, &documents, &|tokens| bar.inc(tokens as u64))?;
    bar.finish_and_clear();
    let usual = Bounds::of(&model);
    let bounds = Bounds {
        top1: arguments.min_top1.unwrap_or(usual.top1),
        kl: arguments.max_kl.unwrap_or(usual.kl),
        perplexity: arguments.max_perplexity_change.unwrap_or(usual.perplexity),
        sqnr: arguments.min_sqnr.unwrap_or(usual.sqnr),
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{} tokens in {} documents, backend {}", report.tokens, report.documents, thumbformer::BACKEND);
        for line in report.lines(&bounds) {
            println!("{line}");
        }
    }
    if !report.keeps(&bounds) {
        bail!("{}: a bound is missed; see the lines above", arguments.image.display());
    }
    Ok(())
}

fn read_text(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("{}: cannot be read", file.display()))?;
    String::from_utf8(bytes).with_context(|| format!("{}: is not UTF-8 text", file.display()))
}
