//! Text generation from an image, with the on-device engine and in the same steps as the firmware's demonstration.

use crate::text::{reads_text, tokenizer};
use anyhow::{Context, Result, bail};
use thumbformer::state::HostState;
use thumbformer::text::{Sampler, Sampling};
use thumbformer::{Error, LogitsCrc, Model};

/// The beginning of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Prompt {
    /// A text for the image's tokenizer.
    Text(String),
    /// Token ids, taken as they are.
    Ids(Vec<u16>),
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Prompt {
        Prompt::Text(text.into())
    }
}

impl Prompt {
    /// Its tokens.
    ///
    /// # Errors
    /// For a text that the image has no tokenizer for, or no token.
    pub fn tokens(&self, model: &Model<'_>) -> Result<Vec<u16>> {
        match self {
            Prompt::Text(text) => tokenizer(model)?.encode_long(text).context("the prompt"),
            Prompt::Ids(ids) => Ok(ids.clone()),
        }
    }
}

/// Settings of a generation.
#[derive(Clone, Debug)]
pub struct Options {
    /// The beginning of the text.
    pub prompt: Prompt,
    /// Sampling parameters.
    pub sampling: Sampling,
    /// Seed of the sampler.
    pub seed: u64,
    /// Maximum number of tokens to draw.
    pub steps: usize,
    /// Context of the state; no more than the model's.
    pub max_seq: usize,
    /// True to continue after an end token.
    pub ignore_end: bool,
}

/// One step: a vector of logits, and the token drawn from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Number of the step, from 1.
    pub number: u32,
    /// The token.
    pub token: u16,
    /// CRC-32 of the logits.
    pub crc32: u32,
}

/// The reason that a text ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The model drew an end token.
    EndToken,
    /// The requested number of steps was reached.
    Steps,
    /// The context is full.
    ContextFull,
}

/// The result of a generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Number of tokens of the prompt, with BOS where the model has one.
    pub prompt_tokens: usize,
    /// CRC-32 of the logits of all steps.
    pub crc32: u32,
    /// Number of steps.
    pub steps: u32,
    /// The reason that the text ended.
    pub end: End,
}

/// Generates text; `on_piece` is called with the bytes of prompt and text as they come (without a tokenizer, with the ids), `on_step` with
/// every step and its logits.
///
/// # Errors
/// When the image has no tokenizer for the prompt, the prompt does not fit the context, or the engine returns an error.
pub fn generate(
    model: &Model<'_>,
    options: &Options,
    on_piece: &mut dyn FnMut(&[u8]),
    on_step: &mut dyn FnMut(Step, &[f32]),
) -> Result<Summary> {
    reads_text(model)?;
    let tokenizer = model.tokenizer();
    let max_seq = options.max_seq;
    if max_seq == 0 || max_seq > model.dims().max_seq {
        bail!("--max-seq {max_seq}: the model's context is {} tokens; give 1 to that many", model.dims().max_seq);
    }
    let prompt = options.prompt.tokens(model)?;
    let length = prompt.len();
    let Some((&last, before)) = prompt.split_last() else { return Err(Error::EmptyPrompt.into()) };
    if length > max_seq {
        let largest = model.dims().max_seq;
        let larger =
            if max_seq < largest { format!(", or give a --max-seq of up to {largest}") } else { String::new() };
        bail!("the prompt has {length} tokens, but the context holds {max_seq}: shorten the prompt{larger}");
    }
    let mut sampler = Sampler::new(options.sampling, options.seed)?;
    let mut state = HostState::new(model.dims(), max_seq);
    let mut session = model.session(state.memory());
    let mut crc = LogitsCrc::new();
    match (&tokenizer, prompt.first()) {
        (Some(tokenizer), Some(&first)) if tokenizer.bos() != Some(first) => on_piece(tokenizer.first_piece(first)),
        (None, Some(&first)) => on_piece(format!("{first} ").as_bytes()),
        _ => {}
    }
    let mut print = |previous, token| match &tokenizer {
        Some(tokenizer) => on_piece(tokenizer.piece(previous, token)),
        None => on_piece(format!("{token} ").as_bytes()),
    };
    prompt.windows(2).for_each(|pair| print(pair[0], pair[1]));
    if !before.is_empty() {
        session.prefill(before)?;
    }
    let mut previous = last;
    let mut end = End::Steps;
    for _ in 0..options.steps {
        let logits = match session.decode(previous) {
            Ok(logits) => logits,
            Err(Error::CacheFull { .. }) => {
                end = End::ContextFull;
                break;
            }
            Err(error) => return Err(error.into()),
        };
        let crc32 = crc.update(logits);
        // The sampler works in place.
        let before = logits.to_vec();
        let token = sampler.sample(logits);
        on_step(Step { number: crc.steps(), token, crc32 }, &before);
        if tokenizer.is_some_and(|tokenizer| tokenizer.is_end(token)) && !options.ignore_end {
            end = End::EndToken;
            break;
        }
        print(previous, token);
        previous = token;
    }
    Ok(Summary { prompt_tokens: length, crc32: crc.total(), steps: crc.steps(), end })
}
