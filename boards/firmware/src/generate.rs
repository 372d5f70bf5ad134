//! Tells a story, measures every token, and logs what proves it.

use crate::{Board, LINE, Line, begin, code, end, report};
use heapless::Vec;
use thumbformer::cycles::CycleCounter;
use thumbformer::text::{Sampler, Sampling};
use thumbformer::{Error, LogitsCrc, Memory, Model};

/// Most tokens of a prompt, and the characters of its last word beside them.
const MAX_PROMPT: usize = 128;
/// Most steps whose counts are kept for the median.
const MAX_STEPS: usize = 512;
/// Sampling parameters.
const SAMPLING: Sampling = Sampling { temperature: 0.7, top_k: 0, top_p: 0.9 };

/// Story to tell: `steps=N seed=N ignore-end prompt=TEXT TO THE END OF THE LINE`.
struct Settings<'line> {
    /// Most steps; the story may end before.
    steps: usize,
    /// Seed of the sampler.
    seed: u64,
    /// True to continue after the end token, so that the number of steps is exact.
    ignore_end: bool,
    /// Beginning of the story.
    prompt: &'line str,
}

impl Settings<'_> {
    fn parse(line: &str) -> Settings<'_> {
        let mut settings = Settings { steps: 250, seed: 14, ignore_end: false, prompt: "Once upon a time, there was" };
        let (words, prompt) = line.split_once(" prompt=").unwrap_or((line, settings.prompt));
        settings.prompt = prompt;
        for word in words.split(' ') {
            match word.split_once('=') {
                Some(("steps", value)) => settings.steps = value.parse().unwrap_or(settings.steps),
                Some(("seed", value)) => settings.seed = value.parse().unwrap_or(settings.seed),
                _ => settings.ignore_end |= word == "ignore-end",
            }
        }
        settings
    }
}

/// The application `generate`: a story by a language model.
///
/// Prints the story, logs `step N token T crc32 X UNIT C` for every step (the logits that token T was drawn from, and what their
/// computation took), and at the end reports the minimum, median and maximum, and the CRC of all. A context that fills up is no
/// error but the story's end.
pub fn generate<B: Board>(mut board: B, model: &Model<'_>, memory: Memory<'_>) -> ! {
    let meter = begin(&mut board, "generate");
    let mut line = [0; LINE];
    let Some(line) = board.arguments(&mut line) else {
        defmt::error!("the command line has more than {=usize} bytes, or is not UTF-8: shorten the prompt", LINE);
        board.exit(code::FAILED);
    };
    let result = tell(&mut board, meter, model, memory, &Settings::parse(line));
    end(board, result.map(|()| true))
}

fn tell<B: Board>(
    board: &mut B,
    meter: crate::counter::Meter,
    model: &Model<'_>,
    memory: Memory<'_>,
    settings: &Settings<'_>,
) -> Result<(), Error> {
    let tokenizer = model.tokenizer().ok_or(Error::NoTokenizer)?;
    let mut prompt = [0; MAX_PROMPT];
    let length = tokenizer.encode_named(settings.prompt, true, &mut prompt)?;
    let prompt = prompt.get(..length).unwrap_or(&[]);
    let mut sampler = Sampler::new(SAMPLING, settings.seed)?;
    let mut session = model.session(memory);
    let mut crc = LogitsCrc::new();
    let mut counts: Vec<u32, MAX_STEPS> = Vec::new();

    defmt::info!("flash: {=usize} bytes of model; {=usize} prompt tokens", model.image().bytes(), length);
    let &[mut previous, ..] = prompt else { return Err(Error::EmptyPrompt) };
    if tokenizer.bos() != Some(previous) {
        board.print(tokenizer.first_piece(previous));
    }
    for &token in prompt.iter().skip(1) {
        board.print(tokenizer.piece(previous, token));
        previous = token;
    }
    // The prompt but for its last token, whose logits are the first step's.
    if let Some((&last, [.., _])) = prompt.split_last() {
        session.prefill(prompt.get(..length - 1).unwrap_or(&[]))?;
        previous = last;
    }
    for _ in 0..settings.steps.min(MAX_STEPS) {
        let start = board.counter().now();
        let logits = match session.decode(previous) {
            Ok(logits) => logits,
            Err(Error::CacheFull { max_seq }) => {
                defmt::info!("the context of {=usize} tokens is full", max_seq);
                break;
            }
            Err(error) => return Err(error),
        };
        let count = board.counter().since(start) as u32;
        let crc32 = crc.update(logits);
        let token = sampler.sample(logits);
        let (steps, unit) = (crc.steps(), meter.unit());
        match meter.trusted(count.into()) {
            Some(_) => defmt::info!(
                "step {=u32} token {=u16} crc32 {=u32:08x} {=str} {=u32}",
                steps,
                token,
                crc32,
                unit,
                count
            ),
            None => defmt::info!("step {=u32} token {=u16} crc32 {=u32:08x}", steps, token, crc32),
        }
        let _ = counts.push(count);
        if tokenizer.is_end(token) && !settings.ignore_end {
            break;
        }
        board.print(tokenizer.piece(previous, token));
        previous = token;
    }
    board.print(b"\n");
    counts.sort_unstable();
    let at = |index: usize| meter.trusted(counts.get(index).copied().unwrap_or(0).into());
    let line =
        Line::new("generate").text("board", B::NAME).text("backend", thumbformer::BACKEND).text("unit", meter.unit());
    let line = line.number("steps", crc.steps().into()).hex("crc32", crc.total());
    let line = line.count("minimum", at(0)).count("median", at(counts.len() / 2));
    let line = line.count("maximum", at(counts.len().saturating_sub(1))).number("clock_hz", board.clock_hz().into());
    report(board, &line.end());
    Ok(())
}
