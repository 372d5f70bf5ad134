//! A recording of all values that an observer sees while a sequence goes through the engine.

use crate::classify;
use crate::explain::SENTENCE;
use crate::explain::networks::streams;
use crate::text;
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::path::Path;
use thumbformer::observe::{AttentionRow, Observer, Point, Vector};
use thumbformer::state::HostState;
use thumbformer::{ClassPlace, Dims, Input, Mask, Model, NormPlace};

/// The input that a user names; by default none.
#[derive(Clone, Copy, Default, Debug)]
pub struct Given<'a> {
    /// A text.
    pub text: Option<&'a str>,
    /// A file of token ids.
    pub tokens: Option<&'a Path>,
    /// A recording.
    pub recording: Option<&'a Path>,
}

/// Input sequence of a model.
#[derive(Clone, Debug)]
pub enum Sequence {
    /// Tokens, and the text of each token.
    Tokens(Vec<u16>, Vec<String>),
    /// Streams, `[seq][d_model]`.
    Streams(Vec<Vec<f32>>),
    /// Frames, `[seq][n_features]`, and the class tokens around them.
    Frames(Vec<Vec<f32>>, ClassTokens),
}

/// Number of class tokens before and after a sequence.
#[derive(Clone, Copy, Debug)]
pub struct ClassTokens {
    before: usize,
    after: usize,
}

impl ClassTokens {
    fn of(dims: &Dims) -> ClassTokens {
        match dims.options.class_place {
            ClassPlace::Last => ClassTokens { before: 0, after: dims.n_class },
            _ => ClassTokens { before: dims.n_class, after: 0 },
        }
    }

    /// The frame at a position, which may be beyond the last one; `None` for a class token before them.
    fn frame(self, position: usize) -> Option<usize> {
        position.checked_sub(self.before)
    }
}

/// Length of a random sequence, if the context has room for it.
const LENGTH: usize = 12;

impl Sequence {
    /// A sequence for a model: for a language model a text, by default [`SENTENCE`], or ids; for a model of streams random numbers; for a
    /// model of frames a recording.
    ///
    /// # Errors
    /// When the text is empty or does not fit the context, or the model reads another kind of input.
    pub fn of(model: &Model<'_>, given: &Given<'_>) -> Result<Sequence> {
        let dims = model.dims();
        let is_text = given.text.is_some() || given.tokens.is_some();
        match dims.options.input {
            Input::Tokens | Input::Stream if given.recording.is_some() => {
                bail!("the model reads no frames; leave out --recording")
            }
            Input::Tokens => tokens(model, given),
            Input::Stream if is_text => bail!("the model reads streams, not tokens; leave out --text and --tokens"),
            Input::Stream => Ok(Sequence::Streams(streams(dims.d_model, LENGTH.min(dims.max_seq)))),
            _ if is_text => bail!("the model reads frames, not tokens; give a --recording"),
            _ => {
                let file = given.recording.context("the model reads frames; give a --recording")?;
                let mut recording = classify::read(model, file)?;
                let (windows, file) = (recording.windows.len(), file.display());
                ensure!(windows == 1, "{file}: {windows} windows of the model's clip: give a recording of one of them");
                recording.note.iter().for_each(|note| eprintln!("note: {note}"));
                let frames = recording.windows.remove(0).frames;
                let frames: Vec<Vec<f32>> = frames.chunks(dims.n_features).map(<[f32]>::to_vec).collect();
                Ok(Sequence::Frames(frames, ClassTokens::of(dims)))
            }
        }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        match self {
            Sequence::Tokens(tokens, _) => tokens.len(),
            Sequence::Streams(streams) => streams.len(),
            Sequence::Frames(frames, class) => class.before + frames.len() + class.after,
        }
    }

    /// True if the sequence has no tokens, which [`of`](Sequence::of) rules out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name of a token: its text with its number, or the number alone.
    pub fn name(&self, token: usize) -> String {
        match self {
            Sequence::Tokens(_, pieces) => pieces.get(token).map_or(String::new(), String::clone),
            Sequence::Frames(frames, class) if class.frame(token).is_none_or(|frame| frame >= frames.len()) => {
                "<class>".into()
            }
            Sequence::Streams(_) | Sequence::Frames(..) => token.to_string(),
        }
    }

    /// Finds a token by its number or its text; the last of several.
    ///
    /// # Errors
    /// When there is no such token.
    pub fn find(&self, wanted: &str) -> Result<usize> {
        let last = self.len() - 1;
        if let Ok(number) = wanted.parse::<usize>() {
            ensure!(number <= last, "--token {number}: the sequence has tokens 0 to {last}");
            return Ok(number);
        }
        let same = |&token: &usize| self.name(token).trim_start_matches('▁') == wanted;
        let names: Vec<String> = (0..=last).map(|token| self.name(token)).collect();
        let found = (0..=last).rev().find(same);
        found.with_context(|| format!("--token {wanted:?}: the tokens are {}, or 0 to {last}", names.join(" ")))
    }

    /// The same sequence with one token changed: to the next one of the vocabulary; a frame or stream is negated.
    pub fn changed(&self, token: usize, vocab: usize) -> Sequence {
        let mut changed = self.clone();
        match &mut changed {
            Sequence::Tokens(tokens, _) => {
                if let Some(token) = tokens.get_mut(token) {
                    *token = ((usize::from(*token) + 1) % vocab.max(1)) as u16;
                }
            }
            Sequence::Streams(streams) => negate(streams, Some(token)),
            Sequence::Frames(frames, class) => negate(frames, class.frame(token)),
        }
        changed
    }
}

/// The tokens of a text or of a file of ids.
fn tokens(model: &Model<'_>, given: &Given<'_>) -> Result<Sequence> {
    let option = if given.tokens.is_some() { "--tokens" } else { "--text" };
    let tokens = match given.tokens {
        Some(file) => {
            let mut lists = text::read_ids(model, file)?;
            ensure!(lists.len() == 1, "--tokens has {} lists of ids, expected one sequence", lists.len());
            lists.remove(0)
        }
        None => {
            let text = given.text.unwrap_or(SENTENCE);
            ensure!(!text.trim().is_empty(), "--text is empty; give a sentence");
            text::tokenizer(model)?.encode_long(text).context("--text")?
        }
    };
    let (length, max_seq) = (tokens.len(), model.dims().max_seq);
    ensure!(length <= max_seq, "{option} has {length} tokens, but the context holds {max_seq}; give a shorter text");
    let tokenizer = model.tokenizer();
    // Without the token before, which would remove the first word's space.
    let shown = |&token: &u16| match &tokenizer {
        None => token.to_string(),
        Some(tokenizer) if tokenizer.bos() == Some(token) => "<bos>".into(),
        Some(tokenizer) => shown(tokenizer.piece(token, token)),
    };
    let pieces = tokens.iter().map(shown).collect();
    Ok(Sequence::Tokens(tokens, pieces))
}

/// Negates one vector.
fn negate(vectors: &mut [Vec<f32>], which: Option<usize>) {
    if let Some(vector) = which.and_then(|which| vectors.get_mut(which)) {
        vector.iter_mut().for_each(|x| *x = -*x);
    }
}

/// Text of a token as one word; `▁` stands for a space.
fn shown(piece: &[u8]) -> String {
    let text = String::from_utf8_lossy(piece).replace(' ', "▁");
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() }).collect()
}

/// All values that an observer saw of a sequence.
#[derive(Default)]
pub struct Recording {
    input: Vec<Vec<f32>>,
    vectors: HashMap<(Point, usize), Vec<Vec<f32>>>,
    attention: HashMap<(usize, usize), Vec<Vec<f32>>>,
}

impl Observer for Recording {
    fn vector(&mut self, point: Point, layer: usize, vector: &Vector<'_>) {
        // A point sees the tokens in order, also when several go through the network at a time.
        self.vectors.entry((point, layer)).or_default().push(vector.values().collect());
    }

    fn attention(&mut self, layer: usize, head: usize, row: &AttentionRow<'_>) {
        let rows = self.attention.entry((layer, head)).or_default();
        rows.push(by_position(row.probabilities().collect(), rows.len()));
    }
}

/// A row of probabilities in the order of positions: a sliding window's cache is a ring, and tokens that have left it are not seen.
fn by_position(row: Vec<f32>, token: usize) -> Vec<f32> {
    let window = row.len();
    if window > token {
        return row;
    }
    (0..=token).map(|seen| if seen + window > token { row[seen % window] } else { 0.0 }).collect()
}

impl Recording {
    /// Records a sequence on its way through a model; the only place that depends on the kind of input.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn of(model: &Model<'_>, sequence: &Sequence) -> Result<Recording> {
        let mut recording = Recording::default();
        let mut state = HostState::new(model.dims(), sequence.len());
        let mut session = model.session(state.memory());
        let causal = model.dims().options.mask == Mask::Causal;
        match sequence {
            Sequence::Tokens(tokens, _) if causal => {
                for &token in tokens {
                    session.observe(&mut recording).decode(token)?;
                }
            }
            Sequence::Tokens(tokens, _) => {
                session.observe(&mut recording).infer(&tokens[..])?;
            }
            Sequence::Frames(frames, _) if causal => {
                for frame in frames {
                    session.observe(&mut recording).push(frame)?;
                }
            }
            Sequence::Frames(frames, _) => {
                session.observe(&mut recording).infer(&frames.concat()[..])?;
            }
            Sequence::Streams(streams) => {
                session.observe(&mut recording).encode(&mut streams.concat())?;
                recording.input = streams.clone();
                return Ok(recording);
            }
        }
        let norm = recording.at(Point::EmbeddingNorm, 0);
        let input = if norm.is_empty() { recording.at(Point::Embedding, 0) } else { norm };
        recording.input = input.to_vec();
        Ok(recording)
    }

    /// Vectors of all tokens at a point, `[seq]`; empty where the model has no such point.
    pub fn at(&self, point: Point, layer: usize) -> &[Vec<f32>] {
        self.vectors.get(&(point, layer)).map_or(&[], Vec::as_slice)
    }

    /// The residual stream before a layer, `[seq][d_model]`; for `n_layers`, the stream after the last one.
    pub fn stream(&self, layer: usize) -> &[Vec<f32>] {
        match layer.checked_sub(1) {
            None => &self.input,
            Some(before) => self.at(Point::Output, before),
        }
    }

    /// The stream before the MLP, `[seq][d_model]`.
    pub fn between(&self, layer: usize, place: NormPlace) -> Vec<Vec<f32>> {
        match place {
            NormPlace::Post => self.at(Point::AttentionNorm, layer).to_vec(),
            _ => added(self.stream(layer), self.at(Point::AttentionOutput, layer)),
        }
    }

    /// Attention of a head: for each token the probabilities of those that it sees, from the first of the sequence on.
    pub fn attention(&self, layer: usize, head: usize) -> &[Vec<f32>] {
        self.attention.get(&(layer, head)).map_or(&[], Vec::as_slice)
    }
}

/// `x + y` in `f32`, as the engine adds a branch to the stream.
pub fn added(x: &[Vec<f32>], y: &[Vec<f32>]) -> Vec<Vec<f32>> {
    x.iter().zip(y).map(|(x, y)| x.iter().zip(y).map(|(x, y)| x + y).collect()).collect()
}
