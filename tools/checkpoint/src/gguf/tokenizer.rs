//! Tokenizer of a GGUF file: texts, scores and types of tokens, and the settings of what stands around a text, as llama.cpp obeys them.

use super::Keys;
use super::file::{List, Value};
use crate::huggingface::overlap;
use crate::llama2c::scored_tokenizer;
use crate::{AddedToken, Config, Error, Named, Tokenizer};

/// Keys of tokens at which llama.cpp ends a text.
const ENDS: [&str; 6] =
    ["eos_token_id", "eot_token_id", "eom_token_id", "fim_pad_token_id", "fim_rep_token_id", "fim_sep_token_id"];

/// Names of tokens at which llama.cpp ends a text, and which it takes for control tokens, whatever the keys say.
const END_NAMES: [&str; 33] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
];

/// Types of tokens in `token_type`.
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

fn key(name: &str) -> String {
    format!("tokenizer.ggml.{name}")
}

/// Reads a tokenizer of scores, if it is wanted, and begin and end of a text into `config`; another kind of tokenizer must be in a file of
/// its own.
pub(super) fn read(
    keys: &Keys<'_, '_>,
    wanted: bool,
    config: &mut Config,
    notes: &mut Vec<String>,
) -> Result<Option<Tokenizer>, Error> {
    let vocab = config.vocab;
    let token = |name: &str| keys.token(&key(name), vocab);
    config.bos = token("bos_token_id")?;
    for name in ENDS {
        config.eos.extend(token(name)?);
    }
    let scored = keys.get(&key("model")) == Some(Value::Text("llama"));
    let (Some(Value::List(tokens)), Some(Value::List(scores)), true) =
        (keys.get(&key("tokens")), keys.get(&key("scores")), scored)
    else {
        config.eos.dedup();
        notes.extend(left_out(keys));
        return Ok(None);
    };
    // llama.cpp's defaults for this kind.
    config.bos = config.bos.or((vocab > 1).then_some(1));
    if keys.get(&key(ENDS[0])).is_none() && vocab > 2 {
        config.eos.insert(0, 2);
    }
    if let Some(Value::List(suppressed)) = keys.get(&key("suppress_tokens"))
        && suppressed.len() > 0
    {
        let expected = "absent: every token can be drawn";
        return Err(keys.error(&key("suppress_tokens"), format!("{} tokens", suppressed.len()), expected));
    }
    if !wanted {
        config.eos.dedup();
        return Ok(None);
    }
    let entries: Option<Vec<(Vec<u8>, f32)>> = tokens
        .iter()
        .zip(scores.iter())
        .map(|pair| match pair {
            (Value::Text(text), Value::Float(score)) => Some((text.replace('▁', " ").into_bytes(), score as f32)),
            _ => None,
        })
        .collect();
    let wrong = |what: String, next: &str| Error::Tokenizer { path: keys.path.into(), what, next: next.into() };
    let entries =
        entries.filter(|entries| entries.len() == vocab && tokens.len() == scores.len()).ok_or_else(|| {
            let what = format!("{} tokens and {} scores for a vocabulary of {vocab}", tokens.len(), scores.len());
            wrong(what, "give another tokenizer with --tokenizer")
        })?;
    let mut tokenizer = scored_tokenizer(keys.path, &entries)?;
    tokenizer.prefix_space = keys.flag(&key("add_space_prefix"), true)?;
    types(keys, &tokens, &mut tokenizer)?;
    for (id, name) in names(&tokens).filter(|(_, name)| END_NAMES.contains(name)) {
        if !config.eos.contains(&id) {
            notes
                .push(format!("{}: token {id} `{name}` ends a text by its name, as in llama.cpp", keys.path.display()));
            config.eos.push(id);
        }
        tokenizer.added.retain(|token| token.id != id);
        tokenizer.added.push(AddedToken { id, name: name.into(), named: Named::Special });
        tokenizer.pieces[id as usize].clear();
    }
    overlaps(keys, &tokenizer)?;
    let mut seen = Vec::new();
    config.eos.retain(|id| {
        !seen.contains(id) && {
            seen.push(*id);
            true
        }
    });
    let around = |name: &str, default: bool, id: Option<u32>| match (keys.flag(&key(name), default)?, id) {
        (false, _) => Ok(Vec::new()),
        (true, Some(id)) => Ok(vec![id]),
        (true, None) => Err(keys.error(&key(name), true, "false: there is no such token")),
    };
    tokenizer.before = around("add_bos_token", true, config.bos)?;
    tokenizer.after = around("add_eos_token", false, token("eos_token_id")?.or(config.eos.first().copied()))?;
    Ok(Some(tokenizer))
}

/// Note on a tokenizer of another kind. Every `pre` of llama.cpp cuts a text by a pattern before it merges.
fn left_out(keys: &Keys<'_, '_>) -> Option<String> {
    let text = |name: &str| match keys.get(&key(name)) {
        Some(Value::Text(text)) => Some(format!("{} = `{text}`", key(name))),
        _ => None,
    };
    let kind = text("model").filter(|_| keys.get(&key("tokens")).is_some())?;
    let kind = text("pre").map_or_else(|| kind.clone(), |pre| format!("{kind} with {pre}"));
    let path = keys.path.display();
    Some(format!(
        "{path}: its tokenizer is left out, whose kind is not read: {kind}; give another file of it with --tokenizer"
    ))
}

/// Gives control tokens and those that a user defined their names; control tokens print nothing.
fn types(keys: &Keys<'_, '_>, tokens: &List<'_>, tokenizer: &mut Tokenizer) -> Result<(), Error> {
    let Some(found) = keys.get(&key("token_type")) else { return Ok(()) };
    let kinds: Option<Vec<u64>> = match found {
        Value::List(kinds) => kinds
            .iter()
            .map(|kind| match kind {
                Value::Unsigned(kind) => Some(kind),
                Value::Signed(kind) => u64::try_from(kind).ok(),
                _ => None,
            })
            .collect(),
        _ => None,
    };
    let Some(kinds) = kinds.filter(|kinds| kinds.len() == tokens.len()) else {
        return Err(keys.error(
            &key("token_type"),
            "another list",
            &format!("{} numbers, one for each token", tokens.len()),
        ));
    };
    for ((id, name), kind) in names(tokens).zip(kinds) {
        let named = match kind {
            UNKNOWN | CONTROL => Named::Special,
            USER_DEFINED => Named::Always,
            _ => continue,
        };
        if named == Named::Special {
            tokenizer.pieces[id as usize].clear();
        }
        tokenizer.added.retain(|token| token.id != id);
        tokenizer.added.push(AddedToken { id, name: name.into(), named });
    }
    Ok(())
}

/// Tokens and their names.
fn names<'a>(tokens: &List<'a>) -> impl Iterator<Item = (u32, &'a str)> + use<'a> {
    tokens.iter().zip(0..).map(|(token, id)| match token {
        Value::Text(name) => (id, name),
        _ => (id, ""),
    })
}

/// Refuses names that can overlap in a text: llama.cpp cuts the longest names out first, the tables the first ones.
fn overlaps(keys: &Keys<'_, '_>, tokenizer: &Tokenizer) -> Result<(), Error> {
    for first in &tokenizer.added {
        let others = tokenizer.added.iter().filter(|second| first.id != second.id);
        if let Some(second) = others.into_iter().find(|second| overlap(&first.name, &second.name)) {
            let found =
                format!("special for `{}` and `{}`, of which one begins as the other ends", first.name, second.name);
            return Err(keys.error(&key("token_type"), found, "names that cannot overlap in a text"));
        }
    }
    Ok(())
}
