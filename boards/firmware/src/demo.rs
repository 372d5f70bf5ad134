//! The demonstration: tells a story, measures every token, and logs what proves it.

use crate::Board;
use heapless::Vec;
use thumbformer::cycles::CycleCounter;
use thumbformer::text::{Sampler, Sampling};
use thumbformer::{Error, LogitsCrc, Memory, Model};

/// Most tokens of a prompt before merging: its characters.
const MAX_PROMPT: usize = 128;
/// Most steps whose counts are kept for the median.
const MAX_STEPS: usize = 512;

/// What to tell, and how.
pub struct Demo<'a> {
    /// How the story begins.
    pub prompt: &'a str,
    /// Most steps; the story may end before.
    pub steps: usize,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// What determines the draws.
    pub seed: u64,
    /// Whether to go on after the end token, so that the number of steps is exact.
    pub ignore_end: bool,
}

/// Tells a story.
///
/// Prints prompt and story, logs `step N token T crc32 X UNIT C` for every step (the logits that token T was drawn from, and
/// what their computation took) and at the end the minimum, median and maximum, and the CRC of all.
///
/// # Errors
/// What the engine returns; a context that fills up is no error but the story's end.
pub fn demo<B: Board>(board: &mut B, model: &Model<'_>, memory: Memory<'_>, demo: &Demo<'_>) -> Result<(), Error> {
    let tokenizer = model.tokenizer().ok_or(Error::NoTokenizer)?;
    let mut prompt = [0; MAX_PROMPT];
    let length = tokenizer.encode(demo.prompt, true, &mut prompt)?;
    let prompt = prompt.get(..length).unwrap_or(&[]);
    let mut sampler = Sampler::new(demo.sampling, demo.seed)?;
    let mut session = model.session(memory);
    let mut crc = LogitsCrc::new();
    let mut counts: Vec<u32, MAX_STEPS> = Vec::new();

    defmt::info!("{=str}: backend {=str}, {=usize} prompt tokens", B::NAME, thumbformer::BACKEND, length);
    let mut previous = prompt.first().copied().unwrap_or(0);
    for &token in prompt.iter().skip(1) {
        board.print(tokenizer.piece(previous, token));
        previous = token;
    }
    // The prompt but for its last token, whose logits are the first step's.
    if let Some((&last, [.., _])) = prompt.split_last() {
        session.prefill(prompt.get(..length - 1).unwrap_or(&[]))?;
        previous = last;
    }
    for _ in 0..demo.steps.min(MAX_STEPS) {
        let start = board.counter().now();
        let logits = match session.decode(previous) {
            Ok(logits) => logits,
            Err(Error::CacheFull { max_seq }) => {
                defmt::info!("the context of {=usize} tokens is full", max_seq);
                break;
            }
            Err(error) => return Err(error),
        };
        let count = board.counter().since(start);
        let crc32 = crc.update(logits);
        let token = sampler.sample(logits);
        defmt::info!(
            "step {=u32} token {=u16} crc32 {=u32:08x} {=str} {=u32}",
            crc.steps(),
            token,
            crc32,
            B::UNIT,
            count
        );
        let _ = counts.push(count);
        if tokenizer.is_end(token) && !demo.ignore_end {
            break;
        }
        board.print(tokenizer.piece(previous, token));
        previous = token;
    }
    board.print(b"\n");
    counts.sort_unstable();
    let at = |index: usize| counts.get(index).copied().unwrap_or(0);
    defmt::info!(
        "{=str} per token: minimum {=u32}, median {=u32}, maximum {=u32}",
        B::UNIT,
        at(0),
        at(counts.len() / 2),
        at(counts.len().saturating_sub(1))
    );
    defmt::info!("logits: crc32 {=u32:08x}, {=u32} steps", crc.total(), crc.steps());
    Ok(())
}
