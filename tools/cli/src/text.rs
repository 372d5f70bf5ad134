//! Texts, and files of ids, as tokens.
//!
//! ```text
//! text ──► Tokenizer::encode_long ───────────────────────────────────────► tokens
//! file of ids ──► JSON or words, a document each between lines `<|end|>` ──► tokens
//! ```

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::Path;
use thumbformer::text::Tokenizer;
use thumbformer::{Error, Input, Model};

/// The line that ends a document.
pub const SEPARATOR: &str = "<|end|>";

/// The tokenizer of a model that reads text.
///
/// # Errors
/// For a model that reads no text, and for one without a tokenizer.
pub fn tokenizer<'a>(model: &Model<'a>) -> Result<Tokenizer<'a>> {
    reads_text(model)?;
    Ok(model.tokenizer().ok_or(Error::NoTokenizer)?)
}

/// Documents of a text as tokens: BOS, text, end token. Documents of fewer than two tokens are left out.
pub fn documents<'t>(
    tokenizer: &'t Tokenizer<'_>,
    text: &'t str,
) -> impl DoubleEndedIterator<Item = Result<Vec<u16>>> + 't {
    let texts: Vec<&str> = text.split(SEPARATOR).map(str::trim).filter(|text| !text.is_empty()).collect();
    let tokens = |text| {
        let mut tokens = tokenizer.encode_long(text)?;
        // The model predicts the end of a document, too.
        tokens.extend(tokenizer.end());
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
