//! Texts, and files of ids, as tokens.
//!
//! ```text
//! text ──► cut where no piece of the vocabulary crosses ──► Tokenizer::encode, part by part ──► tokens
//! file of ids ──► JSON or words, a document each between lines `<|end|>` ──────────────────────► tokens
//! ```
//! The tokenizer's time grows with the square of the text; a cut changes no token where no piece of the vocabulary holds the two bytes
//! beside it, as every merge makes a piece.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::Path;
use thumbformer::text::Tokenizer;
use thumbformer::{Error, Input, Model};

/// The line that ends a document.
pub const SEPARATOR: &str = "<|end|>";

/// The mark that some vocabularies take for a space.
const MARK: char = '\u{2581}';

/// The tokenizer of a model, for texts of any length.
pub struct Encoder<'a> {
    tokenizer: Tokenizer<'a>,
    /// True for each pair of bytes that stands inside a piece, `[256, 256]`.
    inside: Vec<bool>,
}

impl<'a> Encoder<'a> {
    /// The encoder of a model.
    ///
    /// # Errors
    /// For a model that reads no text, and for one without a tokenizer.
    pub fn new(model: &Model<'a>) -> Result<Encoder<'a>> {
        reads_text(model)?;
        let tokenizer = model.tokenizer().ok_or(Error::NoTokenizer)?;
        let mut inside = vec![false; 256 * 256];
        for token in (0..model.dims().vocab).map_while(|token| u16::try_from(token).ok()) {
            for pair in tokenizer.piece(token, token).windows(2) {
                inside[place(pair[0], pair[1])] = true;
            }
        }
        Ok(Encoder { tokenizer, inside })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer<'a> {
        &self.tokenizer
    }

    /// Tokens of a text, BOS first where the model has one; names of special tokens in the text are those tokens.
    ///
    /// # Errors
    /// When the vocabulary has no token for a byte of the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u16>, Error> {
        let mut tokens = Vec::from_iter(self.tokenizer.bos());
        let mut rest = text;
        loop {
            let (nameless, found) = self.tokenizer.cut_named(rest);
            self.encode_nameless(nameless, &mut tokens)?;
            let Some((token, after)) = found else { return Ok(tokens) };
            tokens.push(token);
            rest = after;
        }
    }

    /// Appends the tokens of a text without names, part by part.
    fn encode_nameless(&self, text: &str, tokens: &mut Vec<u16>) -> Result<(), Error> {
        let prefixed = self.puts_a_space_before(text);
        let mut start = 0;
        for (end, _) in text.char_indices().skip(1).chain([(text.len(), ' ')]) {
            if end == text.len() || self.may_cut(text, end, prefixed) {
                // The space that the tokenizer puts before every text stands for the one at the cut.
                let skipped = usize::from(prefixed && start > 0);
                part(&self.tokenizer, &text[start + skipped..end], tokens)?;
                start = end;
            }
        }
        Ok(())
    }

    fn may_cut(&self, text: &str, at: usize, prefixed: bool) -> bool {
        let (before, after, bytes) = (&text[..at], &text[at..], text.as_bytes());
        let spaces = after.starts_with(' ') && bytes.get(at + 1).is_some_and(|&next| next != b' ');
        !(self.inside[place(bytes[at - 1], bytes[at])] || before.ends_with(MARK) || after.starts_with(MARK))
            && (spaces || !prefixed)
    }

    /// True if the pieces of a character are longer than the character; of a text without one, true does no harm.
    fn puts_a_space_before(&self, text: &str) -> bool {
        let Some(first) = text.chars().find(|&first| first != MARK) else { return true };
        let (mut tokens, mut bytes) = (Vec::new(), [0; 4]);
        let first = first.encode_utf8(&mut bytes);
        let encoded = part(&self.tokenizer, first, &mut tokens);
        let length: usize = tokens.iter().map(|&token| self.tokenizer.piece(token, token).len()).sum();
        encoded.is_ok() && length > first.len()
    }
}

fn place(first: u8, second: u8) -> usize {
    256 * usize::from(first) + usize::from(second)
}

/// Appends the tokens of a part of a text.
fn part(tokenizer: &Tokenizer<'_>, text: &str, tokens: &mut Vec<u16>) -> Result<(), Error> {
    let before = tokens.len();
    // Before merging there is at most one symbol for each byte, and the space before the text.
    tokens.resize(before + text.len() + 1, 0);
    let length = tokenizer.encode(text, false, &mut tokens[before..])?;
    tokens.truncate(before + length);
    Ok(())
}

/// Documents of a text as tokens: BOS, text, end token. Documents of fewer than two tokens are left out.
pub fn documents<'t>(
    encoder: &'t Encoder<'_>,
    text: &'t str,
) -> impl DoubleEndedIterator<Item = Result<Vec<u16>>> + 't {
    let texts: Vec<&str> = text.split(SEPARATOR).map(str::trim).filter(|text| !text.is_empty()).collect();
    let tokens = |text| {
        let mut tokens = encoder.encode(text)?;
        // The model predicts the end of a document, too.
        tokens.extend(encoder.tokenizer.end());
        Ok(tokens)
    };
    texts
        .into_iter()
        .map(tokens)
        .filter(|document| document.as_ref().map_or(true, |tokens: &Vec<u16>| tokens.len() > 1))
}

/// Documents of a file of ids for a model: a JSON list of ids, or of lists of ids; or words, with lines `<|end|>` between documents. No
/// token is added to them.
///
/// # Errors
/// With the file and the place of an id that is no token of the model.
pub fn read_ids(model: &Model<'_>, file: &Path) -> Result<Vec<Vec<u16>>> {
    reads_text(model)?;
    let text = std::fs::read_to_string(file).with_context(|| format!("{}: cannot be read as text", file.display()))?;
    ids(&text, model.dims().vocab).with_context(|| format!("{}", file.display()))
}

fn ids(text: &str, vocab: usize) -> Result<Vec<Vec<u16>>> {
    let id = |index: usize, word: &str| {
        let id = word.parse().ok().filter(|&id: &u16| usize::from(id) < vocab);
        id.with_context(|| format!("id {}: {word}, expected a whole number below the vocabulary of {vocab}", index + 1))
    };
    let list = |values: &[Value]| -> Result<Vec<u16>> {
        values.iter().enumerate().map(|(index, value)| id(index, &value.to_string())).collect()
    };
    let documents: Vec<Vec<u16>> = if text.trim_start().starts_with('[') {
        match serde_json::from_str::<Vec<Value>>(text).context("not a JSON list of ids")? {
            lists if lists.iter().any(Value::is_array) => {
                let list = |(number, value): (usize, &Value)| match value {
                    Value::Array(values) => list(values).with_context(|| format!("list {}", number + 1)),
                    other => bail!("entry {}: {other}, expected a list as the others", number + 1),
                };
                lists.iter().enumerate().map(list).collect::<Result<_>>()?
            }
            values => vec![list(&values)?],
        }
    } else {
        let words = |text: &str| text.split_whitespace().enumerate().map(|(index, word)| id(index, word)).collect();
        text.split(SEPARATOR).map(words).collect::<Result<_>>()?
    };
    let documents: Vec<Vec<u16>> = documents.into_iter().filter(|ids| !ids.is_empty()).collect();
    ensure!(!documents.is_empty(), "no id: give numbers between spaces, or a JSON list");
    Ok(documents)
}

/// Refuses a model that reads no text.
///
/// # Errors
/// For a model of frames or streams; the error names the commands for it.
pub fn reads_text(model: &Model<'_>) -> Result<()> {
    let input = model.dims().options.input;
    ensure!(
        input == Input::Tokens,
        "the model reads {input:?}, not text: use `classify` or `verify --recordings`, and int4 without --calibrate"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ids;

    #[test]
    fn ids_are_read_from_words_and_from_json() {
        for (text, expected) in [
            ("1 2\n3\n", vec![vec![1, 2, 3]]),
            ("[1, 2, 3]", vec![vec![1, 2, 3]]),
            ("[[1], [2, 3]]", vec![vec![1], vec![2, 3]]),
            ("1\n<|end|>\n2 3\n<|end|>\n", vec![vec![1], vec![2, 3]]),
        ] {
            assert_eq!(ids(text, 4).unwrap_or_else(|error| panic!("{text}: {error:#}")), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_id_is_named_with_its_place() {
        for (text, expected) in [
            ("1 4", "id 2: 4, expected a whole number below the vocabulary of 4"),
            ("1 x", "id 2: x"),
            ("-1", "id 1: -1"),
            ("[1, 2.5]", "id 2: 2.5"),
            ("[[1], [9]]", "list 2: id 1: 9"),
            ("[[1], 2]", "entry 2: 2"),
            ("[1", "not a JSON list"),
            (" \n", "no id"),
            ("[[]]", "no id"),
        ] {
            let error = format!("{:#}", ids(text, 4).expect_err(text));
            assert!(error.contains(expected), "{text}: {expected:?} is not in {error:?}");
        }
    }
}
