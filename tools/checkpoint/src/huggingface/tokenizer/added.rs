//! Added tokens: their names are cut out of a text before the merges.

use std::collections::HashMap;

use super::{Added, Failure, Raw};
use crate::{AddedToken, Error, Named};

/// Next step after a token that cannot be cut out as the library does it.
const NEXT: &str = "add the token as AddedToken(text, lstrip=False, rstrip=False, single_word=False, normalized=False), and save \
                    the tokenizer again";

/// Reads the added tokens; one whose name the tables cannot find as the library does is refused, or noted if it is special.
pub(super) fn read(
    fail: &Failure<'_>,
    raw: &Raw,
    ids: &HashMap<String, u32>,
    notes: &mut Vec<String>,
) -> Result<Vec<AddedToken>, Error> {
    let mut added: Vec<AddedToken> = Vec::new();
    for token in &raw.added_tokens {
        let Added { id, content, special, .. } = token;
        if let Some(other) = ids.get(content).filter(|other| *other != id) {
            let what = format!("added token {id} `{content}` is token {other} of the vocabulary");
            return Err(fail.with(what, "save the tokenizer again, so that both have one id"));
        }
        let named = match (obstacle(raw, token), special) {
            (None, true) => Named::Special,
            (None, false) => Named::Always,
            (Some(obstacle), true) => {
                notes.push(format!(
                    "{}: special token {id} `{content}` has {obstacle}: its name in a text stays plain text",
                    fail.path.display()
                ));
                Named::Never
            }
            (Some(obstacle), false) => {
                let what = format!("added token {id} `{content}` has {obstacle}, which the tables cannot express");
                return Err(fail.with(what, NEXT));
            }
        };
        // The library counts on from the vocabulary, whatever the file says.
        let next = added.iter().map(|token| token.id as usize + 1).max().unwrap_or(0).max(ids.len());
        if !ids.contains_key(content) && *id as usize != next {
            let what = format!(
                "added token {id} `{content}` is token {next} for the library, which counts on from the vocabulary"
            );
            return Err(fail.with(what, "save the tokenizer again with the library"));
        }
        added.push(AddedToken { id: *id, name: content.clone(), named });
    }
    mixed(fail, raw)?;
    Ok(added)
}

/// The setting by which the library finds a name otherwise than by its bytes.
fn obstacle(raw: &Raw, token: &Added) -> Option<&'static str> {
    let has_normalizer = raw.normalizer.as_ref().is_some_and(|normalizer| !normalizer.is_null());
    let settings = [
        ("single_word = true", token.single_word),
        ("lstrip = true", token.lstrip),
        ("rstrip = true", token.rstrip),
        ("normalized = true beside a normalizer", token.normalized && has_normalizer),
        ("no text", token.content.is_empty()),
    ];
    settings.into_iter().find(|(_, is_set)| *is_set).map(|(name, _)| name)
}

/// Refuses names of two kinds that share text: the library cuts all that are not normalized first, the tables go by place and length.
fn mixed(fail: &Failure<'_>, raw: &Raw) -> Result<(), Error> {
    let of = |normalized| raw.added_tokens.iter().filter(move |token| token.normalized == normalized);
    for first in of(false) {
        if let Some(second) = of(true).find(|second| share(&first.content, &second.content)) {
            let what = format!(
                "added tokens `{}` and `{}` share text, and only one of them is normalized",
                first.content, second.content
            );
            return Err(fail.with(what, NEXT));
        }
    }
    Ok(())
}

/// True if places of two names in a text can have a character in common.
pub(crate) fn share(one: &str, other: &str) -> bool {
    one.contains(other) || other.contains(one) || overlap(one, other) || overlap(other, one)
}

/// True if an end of `first` is a beginning of `second`.
pub(crate) fn overlap(first: &str, second: &str) -> bool {
    first.char_indices().skip(1).any(|(place, _)| second.starts_with(&first[place..]))
}
