//! Normalizers: steps that make one or several characters of one, or none. A step that looks at neighbours is refused by name.

use serde_json::Value;

use super::characters::{Class, Map, decomposed, jamo, lower};
use super::pipeline::{steps, type_of};
use super::{Failure, OTHER_STEP, SPACE_MARK};
use crate::Error;

/// A step on a character.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Step {
    /// Lower case.
    Lower,
    /// Canonical decomposition.
    Decompose,
    /// The characters of a class are left out.
    LeaveOut(Class),
    /// The characters of a class become a space.
    Blank(Class),
    /// The characters of a class get a space before and after them.
    Surround(Class),
    /// One character becomes these.
    Replace(char, Vec<char>),
}

/// A normalizer.
#[derive(Default, Debug)]
pub(super) struct Normalizer {
    pub(super) steps: Vec<Step>,
    /// True if U+2581 is put before a part that is not empty.
    pub(super) prepends: bool,
}

impl Step {
    fn apply(&self, character: char) -> Vec<char> {
        let mapped = |map: &Map| map.get(&character.into()).cloned();
        let changed = match self {
            Step::Lower => mapped(lower()),
            Step::Decompose => mapped(decomposed()).or_else(|| jamo(character)),
            Step::LeaveOut(class) => class.has(character).then(Vec::new),
            Step::Blank(class) => class.has(character).then(|| vec![' ']),
            Step::Surround(class) => class.has(character).then(|| vec![' ', character, ' ']),
            Step::Replace(from, to) => (*from == character).then(|| to.clone()),
        };
        changed.unwrap_or_else(|| vec![character])
    }

    /// Calls `begin` with the first character of each range in which this step does one thing, and with that behind the range.
    pub(super) fn cuts(&self, begin: &mut impl FnMut(u32)) {
        let mut single = |code: u32| {
            begin(code);
            begin(code + 1);
        };
        match self {
            Step::Lower => lower().keys().copied().for_each(single),
            Step::Decompose => decomposed().keys().copied().for_each(single),
            Step::Replace(from, _) => single((*from).into()),
            Step::LeaveOut(class) | Step::Blank(class) | Step::Surround(class) => {
                for &(first, last) in class.ranges() {
                    begin(first);
                    begin(last + 1);
                }
            }
        }
    }
}

impl Normalizer {
    /// The characters that stand for one.
    pub(super) fn apply(&self, character: char) -> Vec<char> {
        self.steps
            .iter()
            .fold(vec![character], |text, step| text.into_iter().flat_map(|part| step.apply(part)).collect())
    }

    /// True if Hangul syllables come apart.
    pub(super) fn decomposes(&self) -> bool {
        self.steps.contains(&Step::Decompose)
    }
}

/// Reads a normalizer.
pub(super) fn read(fail: &Failure<'_>, value: Option<&Value>) -> Result<Normalizer, Error> {
    let mut normalizer = Normalizer::default();
    let mut is_unordered = None;
    for step in steps(value) {
        let (kind, all) = (type_of(step), &mut normalizer.steps);
        let text = |key: &str| step.pointer(key).and_then(Value::as_str);
        match kind {
            "Lowercase" => all.push(Step::Lower),
            "StripAccents" => {
                all.push(Step::LeaveOut(Class::Mark));
                is_unordered = None;
            }
            "NFD" => {
                all.push(Step::Decompose);
                is_unordered = Some("NFD");
            }
            "BertNormalizer" => bert(step, all),
            "Prepend" if text("/prepend") == Some("\u{2581}") && !normalizer.prepends => normalizer.prepends = true,
            "Replace" => match (text("/pattern/String").map(single), text("/content")) {
                (Some(Some(from)), Some(to)) => all.push(Step::Replace(from, to.chars().collect())),
                _ => {
                    let what =
                        format!("the normalizer Replace has the pattern {}, expected one character", step["pattern"]);
                    return Err(fail.with(what, OTHER_STEP));
                }
            },
            _ => {
                let what = format!("the normalizer {kind} does not go character by character, or is not known");
                return Err(fail.with(what, OTHER_STEP));
            }
        }
    }
    if let Some(kind) = is_unordered {
        // Accents would have to be put in order.
        return Err(fail.with(format!("the normalizer {kind} without StripAccents orders accents"), OTHER_STEP));
    }
    if normalizer.prepends && !normalizer.steps.contains(&Step::Replace(' ', vec![SPACE_MARK])) {
        let what = "the normalizer Prepend puts U+2581 before texts, but spaces stay spaces";
        return Err(fail.with(what, OTHER_STEP));
    }
    Ok(normalizer)
}

/// The only character of a text.
fn single(text: &str) -> Option<char> {
    let mut characters = text.chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// BERT's normalizer; accents are left out with lower case if nothing is said of them.
fn bert(step: &Value, all: &mut Vec<Step>) {
    let is_on = |key: &str, default: bool| step.get(key).and_then(Value::as_bool).unwrap_or(default);
    let lowers = is_on("lowercase", true);
    if is_on("clean_text", true) {
        all.extend([Step::LeaveOut(Class::Control), Step::Blank(Class::Cleaned)]);
    }
    if is_on("handle_chinese_chars", true) {
        all.push(Step::Surround(Class::Chinese));
    }
    if is_on("strip_accents", lowers) {
        all.extend([Step::Decompose, Step::LeaveOut(Class::Nonspacing)]);
    }
    if lowers {
        all.push(Step::Lower);
    }
}
