//! Tokens that a post-processor puts before and after a text, as lists.

use serde_json::Value;

use super::pipeline::type_of;
use super::{Failure, Raw};
use crate::Error;

/// Next step after a post-processor that two lists cannot express.
const NEXT: &str = "give the tokenizer a TemplateProcessing whose `single` has the text once, and save it again";

/// Tokens before and after a text.
#[derive(Default)]
pub(super) struct Around {
    pub(super) before: Vec<u32>,
    pub(super) after: Vec<u32>,
}

/// Reads the post-processor, of which only tokens around a single text count: offsets do not change ids.
pub(super) fn read(fail: &Failure<'_>, raw: &Raw, vocab: usize) -> Result<Around, Error> {
    let mut found: Option<Around> = None;
    for step in steps(raw.post_processor.as_ref()) {
        let around = match type_of(step) {
            "ByteLevel" => continue,
            "TemplateProcessing" => template(fail, step)?,
            "BertProcessing" | "RobertaProcessing" => {
                let id = |key: &str| step.get(key)?.get(1).and_then(token);
                let (Some(before), Some(after)) = (id("cls"), id("sep")) else { return Err(damaged(fail, step)) };
                Around { before: vec![before], after: vec![after] }
            }
            other => return Err(fail.with(format!("the post-processor {other} is not known"), NEXT)),
        };
        if found.replace(around).is_some() {
            // The library nests them in an order of its own.
            return Err(fail.with("two post-processors put tokens around a text, one after the other", NEXT));
        }
    }
    let around = found.unwrap_or_default();
    match around.before.iter().chain(&around.after).find(|id| **id as usize >= vocab) {
        None => Ok(around),
        Some(id) => {
            let what = format!("the post-processor adds token {id}, but the model's vocab_size is {vocab}");
            Err(fail.with(what, "use the tokenizer that the model was trained with"))
        }
    }
}

/// Steps of a post-processor, with sequences flattened.
fn steps(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(step) if type_of(step) == "Sequence" => {
            let inner = step.get("processors").and_then(Value::as_array);
            inner.into_iter().flatten().flat_map(|step| steps(Some(step))).collect()
        }
        Some(step) => vec![step],
    }
}

/// A template for one text: `[{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]`, and the ids of each special token.
fn template(fail: &Failure<'_>, step: &Value) -> Result<Around, Error> {
    let single = step.get("single").and_then(Value::as_array).ok_or_else(|| damaged(fail, step))?;
    let (mut around, mut texts) = (Around::default(), 0);
    for part in single {
        if part.pointer("/Sequence/id") == Some(&"A".into()) {
            texts += 1;
            continue;
        }
        let name = part.pointer("/SpecialToken/id").and_then(Value::as_str);
        let special = name.and_then(|name| step.get("special_tokens")?.get(name)?.get("ids")?.as_array());
        let ids: Option<Vec<u32>> = special.and_then(|ids| ids.iter().map(token).collect());
        let list = if texts == 0 { &mut around.before } else { &mut around.after };
        list.extend(ids.ok_or_else(|| damaged(fail, part))?);
    }
    match texts {
        1 => Ok(around),
        _ => Err(fail.with(format!("the post-processor's template has the text {texts} times, expected once"), NEXT)),
    }
}

fn token(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

fn damaged(fail: &Failure<'_>, part: &Value) -> Error {
    fail.with(format!("the post-processor has `{part}`, in which no token ids are found"), NEXT)
}
