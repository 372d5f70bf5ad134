//! Normalizer and pre-tokenizer, from text to initial symbols: accepted if the tables can do the same.

use serde_json::Value;

use super::{Failure, RETRAIN, Raw};
use crate::{Error, TokenizerKind};

/// Steps from text to initial symbols.
pub(super) struct Pipeline {
    pub(super) kind: TokenizerKind,
    pub(super) prefix_space: bool,
    /// True if spaces are written as [`SPACE_MARK`].
    pub(super) marked_spaces: bool,
    /// True if text is split before every space mark, so that no merge crosses one.
    pub(super) split_at_spaces: bool,
}

/// Steps of a normalizer or pre-tokenizer, with sequences flattened.
fn steps(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(step) if type_of(step) == "Sequence" => {
            let inner = step.get("normalizers").or_else(|| step.get("pretokenizers"));
            inner.and_then(Value::as_array).into_iter().flatten().flat_map(|step| steps(Some(step))).collect()
        }
        Some(step) => vec![step],
    }
}

pub(super) fn type_of(step: &Value) -> &str {
    step.get("type").and_then(Value::as_str).unwrap_or("of unknown type")
}

/// Reads normalizer and pre-tokenizer; refuses steps that the tables cannot reproduce exactly.
pub(super) fn read(fail: &Failure<'_>, raw: &Raw) -> Result<Pipeline, Error> {
    let before = steps(raw.pre_tokenizer.as_ref());
    if let Some(split) = before.iter().find(|step| uses_regex(step)) {
        let what = format!(
            "the pre-tokenizer {} cuts text by a regular expression over Unicode classes, which cannot be reproduced exactly on a device without Unicode tables",
            type_of(split)
        );
        return Err(fail.with(what, RETRAIN));
    }
    let mut pipeline = match before.as_slice() {
        [] => Pipeline {
            kind: TokenizerKind::Characters,
            prefix_space: false,
            marked_spaces: false,
            split_at_spaces: false,
        },
        [step] if type_of(step) == "ByteLevel" => byte_level(fail, step)?,
        [step] if type_of(step) == "Metaspace" => metaspace(fail, step)?,
        [step, ..] => {
            let what = format!("the pre-tokenizer {} cannot be reproduced by tables", type_of(step));
            return Err(fail.with(what, RETRAIN));
        }
    };
    normalizer(fail, raw.normalizer.as_ref(), &mut pipeline)?;
    if pipeline.kind == TokenizerKind::Characters && !raw.model.byte_fallback {
        return Err(fail.with("byte_fallback is false, so characters without a token would be lost", RETRAIN));
    }
    Ok(pipeline)
}

fn uses_regex(step: &Value) -> bool {
    match type_of(step) {
        "ByteLevel" => step.get("use_regex").and_then(Value::as_bool).unwrap_or(true),
        kind => kind == "Split",
    }
}

fn byte_level(fail: &Failure<'_>, step: &Value) -> Result<Pipeline, Error> {
    if step.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(true) {
        // The library adds a space only where the text does not begin with one; the tables always add it.
        return Err(fail.with("the pre-tokenizer ByteLevel has add_prefix_space = true, expected false", RETRAIN));
    }
    Ok(Pipeline { kind: TokenizerKind::ByteLevel, prefix_space: false, marked_spaces: false, split_at_spaces: false })
}

fn metaspace(fail: &Failure<'_>, step: &Value) -> Result<Pipeline, Error> {
    if step.get("replacement").and_then(Value::as_str) != Some("\u{2581}") {
        return Err(fail.with("the pre-tokenizer Metaspace writes spaces as something else than U+2581", RETRAIN));
    }
    let adds = step.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(true);
    let scheme = step.get("prepend_scheme").and_then(Value::as_str);
    let scheme = scheme.unwrap_or(if adds { "always" } else { "never" });
    if scheme != "never" {
        // As with ByteLevel: a text that begins with a space would get two from the tables, one from the library.
        return Err(fail.with(
            format!("the pre-tokenizer Metaspace has prepend_scheme = {scheme}, expected never"),
            "retrain with prepend_scheme = never, or with the normalizers Prepend and Replace instead, as Llama 2 has it",
        ));
    }
    let split = step.get("split").and_then(Value::as_bool).unwrap_or(true);
    Ok(Pipeline { kind: TokenizerKind::Characters, prefix_space: false, marked_spaces: true, split_at_spaces: split })
}

/// Reads Llama's normalizers, `Prepend` and `Replace` of spaces, and no others.
fn normalizer(fail: &Failure<'_>, value: Option<&Value>, pipeline: &mut Pipeline) -> Result<(), Error> {
    let mark = |value: Option<&Value>| value.and_then(Value::as_str) == Some("\u{2581}");
    for step in steps(value) {
        let characters = pipeline.kind == TokenizerKind::Characters && !pipeline.split_at_spaces;
        let kind = type_of(step);
        let space = step.pointer("/pattern/String").and_then(Value::as_str) == Some(" ");
        if characters && kind == "Prepend" && mark(step.get("prepend")) {
            pipeline.prefix_space = true;
        } else if characters && kind == "Replace" && space && mark(step.get("content")) {
            pipeline.marked_spaces = true;
        } else {
            let what = format!("the normalizer {kind} with these settings cannot be reproduced by tables");
            return Err(fail.with(what, RETRAIN));
        }
    }
    if pipeline.prefix_space && !pipeline.marked_spaces {
        return Err(fail.with("the normalizer Prepend puts U+2581 before texts, but spaces stay spaces", RETRAIN));
    }
    Ok(())
}
