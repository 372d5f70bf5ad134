//! Pre-tokenizers, the places where a text is cut into pieces: accepted if tables can do the same.

use serde_json::Value;
use thumbformer::image::Pattern;

use super::characters::Class;
use super::{Failure, OTHER_STEP};
use crate::Error;

/// GPT-2's regular expression, which `ByteLevel` has, too, and those of Llama 3 and Qwen 2.
const PATTERNS: [(&str, Pattern); 3] = [
    (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", Pattern::Gpt2),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Pattern::Llama3,
    ),
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Pattern::Qwen2,
    ),
];

/// A character's place in the pieces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Place {
    /// Between pieces, in none.
    Between,
    /// A piece by itself.
    Alone,
    /// In one piece with its neighbours of the same number.
    Run(u8),
}

/// A step that cuts by the classes of characters, without a look at more of the text.
#[derive(Clone, Debug)]
pub(super) enum Cut {
    /// The characters of a class have this place, all others run on.
    At(Class, Place),
    /// This character has this place.
    AtCharacter(char, Place),
    /// Every character is a piece.
    Everywhere,
}

impl Cut {
    fn place(&self, character: char) -> Place {
        match self {
            Cut::At(class, place) if class.has(character) => *place,
            Cut::AtCharacter(at, place) if *at == character => *place,
            Cut::Everywhere => Place::Alone,
            Cut::At(..) | Cut::AtCharacter(..) => Place::Run(0),
        }
    }

    /// Calls `begin` with the first character of each range of one place, and with that behind it.
    pub(super) fn cuts(&self, begin: &mut impl FnMut(u32)) {
        match self {
            Cut::At(class, _) => class.ranges().iter().for_each(|&(first, last)| {
                begin(first);
                begin(last + 1);
            }),
            Cut::AtCharacter(at, _) => {
                begin((*at).into());
                begin(u32::from(*at) + 1);
            }
            Cut::Everywhere => {}
        }
    }
}

/// The spaces that are put before texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Prefix {
    /// None.
    Never,
    /// Before the text, and before a text behind an added token.
    Parts,
    /// Before the text.
    First,
}

/// The steps from normalized text to the pieces of the model.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) cuts: Vec<Cut>,
    pub(super) pattern: Pattern,
    pub(super) is_byte_level: bool,
    pub(super) prefix: Prefix,
    /// True if U+2581 stands for a space.
    pub(super) is_metaspace: bool,
}

impl Pipeline {
    /// The place of a character: what any step cuts is cut.
    pub(super) fn place(&self, character: char) -> Place {
        let mut run = 0;
        let mut place = Place::Run(0);
        for cut in &self.cuts {
            run *= 3;
            match (cut.place(character), place) {
                (_, Place::Between) => {}
                (Place::Between, _) => place = Place::Between,
                (Place::Alone, _) | (_, Place::Alone) => place = Place::Alone,
                (Place::Run(number), _) => run += number,
            }
        }
        if place == Place::Run(0) { Place::Run(run) } else { place }
    }
}

/// Steps of a normalizer or pre-tokenizer, with sequences flattened.
pub(super) fn steps(value: Option<&Value>) -> Vec<&Value> {
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

/// Reads a pre-tokenizer; refuses steps that tables cannot reproduce exactly.
pub(super) fn read(fail: &Failure<'_>, value: Option<&Value>) -> Result<Pipeline, Error> {
    let mut pipeline = Pipeline {
        cuts: Vec::new(),
        pattern: Pattern::None,
        is_byte_level: false,
        prefix: Prefix::Never,
        is_metaspace: false,
    };
    for step in steps(value) {
        let kind = type_of(step);
        if pipeline.is_byte_level || pipeline.is_metaspace {
            let what =
                format!("the pre-tokenizer {kind} comes behind ByteLevel or Metaspace, which have changed the text");
            return Err(fail.with(what, OTHER_STEP));
        }
        let is_cut = pipeline.pattern != Pattern::None;
        let on = |key: &str, default: bool| step.get(key).and_then(Value::as_bool).unwrap_or(default);
        match kind {
            "ByteLevel" => {
                pipeline.is_byte_level = true;
                if on("use_regex", true) {
                    set(fail, &mut pipeline, Pattern::Gpt2, kind)?;
                }
                if on("add_prefix_space", true) {
                    pipeline.prefix = Prefix::Parts;
                }
            }
            "Metaspace" => metaspace(fail, step, &mut pipeline)?,
            "Split" => split(fail, step, &mut pipeline)?,
            _ if is_cut => {
                let what = format!("the pre-tokenizer {kind} comes behind a regular expression");
                return Err(fail.with(what, OTHER_STEP));
            }
            "BertPreTokenizer" => pipeline
                .cuts
                .extend([Cut::At(Class::Whitespace, Place::Between), Cut::At(Class::Punctuation, Place::Alone)]),
            "WhitespaceSplit" => pipeline.cuts.push(Cut::At(Class::Whitespace, Place::Between)),
            "Whitespace" => {
                pipeline.cuts.extend([Cut::At(Class::Word, Place::Run(1)), Cut::At(Class::Gap, Place::Between)])
            }
            "Digits" => {
                let place = if on("individual_digits", false) { Place::Alone } else { Place::Run(1) };
                pipeline.cuts.push(Cut::At(Class::Numeric, place));
            }
            "Punctuation" => {
                let place = behavior(fail, step, true)?;
                pipeline.cuts.push(Cut::At(Class::Punctuation, place));
            }
            "CharDelimiterSplit" => match step.get("delimiter").and_then(Value::as_str).and_then(single) {
                Some(delimiter) => pipeline.cuts.push(Cut::AtCharacter(delimiter, Place::Between)),
                None => return Err(fail.with("the pre-tokenizer CharDelimiterSplit has no delimiter", OTHER_STEP)),
            },
            _ => {
                return Err(fail.with(format!("the pre-tokenizer {kind} cannot be reproduced by tables"), OTHER_STEP));
            }
        }
    }
    // A space before every piece is Metaspace's behind a cut at spaces, and only there.
    if pipeline.prefix == Prefix::Parts && !pipeline.cuts.is_empty() && !pipeline.is_metaspace {
        let what = "the pre-tokenizer ByteLevel has add_prefix_space = true behind another one, expected false";
        return Err(fail.with(what, OTHER_STEP));
    }
    Ok(pipeline)
}

fn single(text: &str) -> Option<char> {
    let mut characters = text.chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// Sets the pattern, the only one.
fn set(fail: &Failure<'_>, pipeline: &mut Pipeline, pattern: Pattern, kind: &str) -> Result<(), Error> {
    if pipeline.pattern != Pattern::None {
        return Err(fail.with(format!("the pre-tokenizer {kind} is the second that cuts by a pattern"), OTHER_STEP));
    }
    pipeline.pattern = pattern;
    Ok(())
}

/// `Split`: one of the known patterns, or a cut by a class.
fn split(fail: &Failure<'_>, step: &Value, pipeline: &mut Pipeline) -> Result<(), Error> {
    let text = |key: &str| step.pointer(key).and_then(Value::as_str);
    let is_inverted = step.get("invert").and_then(Value::as_bool).unwrap_or(false);
    let regex = text("/pattern/Regex");
    if let Some((_, pattern)) = PATTERNS.iter().find(|(known, _)| regex == Some(known)) {
        // Every character is in a match, so that only what becomes of matches counts.
        let is_kept =
            if is_inverted { text("/behavior") == Some("Removed") } else { text("/behavior") == Some("Isolated") };
        if is_kept {
            return set(fail, pipeline, *pattern, "Split");
        }
    }
    if pipeline.pattern != Pattern::None || is_inverted {
        return Err(fail.with(
            format!("the pre-tokenizer Split has the pattern {}, which tables cannot reproduce here", step["pattern"]),
            OTHER_STEP,
        ));
    }
    let classes = [
        (r"\s", Class::Space, true),
        (r"\s+", Class::Space, false),
        (r"\d", Class::Digit, true),
        (r"\d+", Class::Digit, false),
        (r"\p{N}", Class::Number, true),
        (r"\p{N}+", Class::Number, false),
        (r"\p{L}+", Class::Letter, false),
    ];
    let known = classes.into_iter().find(|(known, ..)| regex == Some(known));
    let literal = text("/pattern/String").and_then(single);
    let cut = match (known, literal, regex) {
        (Some((_, class, is_single)), ..) => Cut::At(class, behavior(fail, step, is_single)?),
        (_, Some(character), _) => Cut::AtCharacter(character, behavior(fail, step, true)?),
        // Between all characters; what does not match is a piece, too.
        (.., Some("")) => Cut::Everywhere,
        _ if text("/pattern/String") == Some("") => Cut::Everywhere,
        (.., Some("." | r"[\s\S]" | r"(?m:.)" | r"(?m).")) if text("/behavior") == Some("Isolated") => Cut::Everywhere,
        _ => {
            let what =
                format!("the pre-tokenizer Split has the pattern {}, which tables cannot reproduce", step["pattern"]);
            return Err(fail.with(what, OTHER_STEP));
        }
    };
    pipeline.cuts.push(cut);
    Ok(())
}

/// The place of what a pattern matches, single characters or runs of them.
fn behavior(fail: &Failure<'_>, step: &Value, is_single: bool) -> Result<Place, Error> {
    match step.get("behavior").and_then(Value::as_str) {
        Some("Removed") => Ok(Place::Between),
        Some("Isolated") | None if is_single => Ok(Place::Alone),
        Some("Isolated" | "Contiguous") => Ok(Place::Run(1)),
        other => {
            let what = format!("the pre-tokenizer {} has behavior = {}", type_of(step), other.unwrap_or("nothing"));
            Err(fail.with(what, OTHER_STEP))
        }
    }
}

/// `Metaspace`: U+2581 stands for spaces, one is put before, and cuts go before each.
fn metaspace(fail: &Failure<'_>, step: &Value, pipeline: &mut Pipeline) -> Result<(), Error> {
    if step.get("replacement").and_then(Value::as_str) != Some("\u{2581}") {
        return Err(fail.with("the pre-tokenizer Metaspace writes spaces as something else than U+2581", OTHER_STEP));
    }
    let adds = step.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(true);
    let scheme = step.get("prepend_scheme").and_then(Value::as_str).unwrap_or(if adds { "always" } else { "never" });
    pipeline.prefix = match scheme {
        "always" => Prefix::Parts,
        "first" => Prefix::First,
        "never" => Prefix::Never,
        _ => return Err(fail.with(format!("the pre-tokenizer Metaspace has prepend_scheme = {scheme}"), OTHER_STEP)),
    };
    if pipeline.prefix == Prefix::First && !pipeline.cuts.is_empty() {
        let what =
            "the pre-tokenizer Metaspace has prepend_scheme = first behind another one, expected always or never";
        return Err(fail.with(what, OTHER_STEP));
    }
    pipeline.is_metaspace = true;
    if step.get("split").and_then(Value::as_bool).unwrap_or(true) {
        set(fail, pipeline, Pattern::Spaces, "Metaspace")?;
    }
    Ok(())
}
