//! Pre-tokenizers: the places where a text is cut into pieces, by the classes of its characters. No regular expression is compiled: each
//! of the usual ones is a function that looks ahead.
//!
//! ```text
//! "the 12 cats" ──► GPT-2: "the" · " 12" · " cats"        BERT, by groups: "the" · "12" · "cats"
//! ```

use super::normalize::Normalized;
use crate::image::layout::{class, rules};
use crate::image::{Pattern, TextRules};

/// Classes of a character that the patterns ask for.
const ASKED: u32 = class::LETTER | class::NUMBER | class::SPACE;
/// Class of a sign: what is neither letter nor number nor space.
const SIGN: u32 = 0;

/// Characters with their classes, up to a cut between groups where there are any.
#[derive(Clone)]
struct Segment<'t, 'a> {
    rules: TextRules<'a>,
    rest: Normalized<'t, 'a>,
    /// Group of the character before, once there is one.
    group: Option<u32>,
    is_over: bool,
}

impl Iterator for Segment<'_, '_> {
    type Item = (char, u32);

    fn next(&mut self) -> Option<(char, u32)> {
        if self.is_over {
            return None;
        }
        let character = self.rest.next()?;
        let class = self.rules.class(character);
        if self.rules.has(rules::GROUPS) {
            let group = class & class::GROUPS;
            let is_cut = self.group.is_some_and(|before| before != group || group == class::ALONE);
            (self.group, self.is_over) = (Some(group), is_cut);
            if is_cut {
                return None;
            }
        }
        Some((character, class & ASKED))
    }
}

/// Number of characters of the first piece of a text that is not empty; `keeps_words_apart` if no merge crosses the beginning of a word, so
/// that a cut there changes nothing.
pub(super) fn first_piece(rules: &TextRules<'_>, rest: &Normalized<'_, '_>, keeps_words_apart: bool) -> usize {
    let segment = Segment { rules: *rules, rest: rest.clone(), group: None, is_over: false };
    let mut was_space = true;
    let mut runs_on = |&(character, _): &(char, u32)| {
        let is_space = rules.is_space(character);
        core::mem::replace(&mut was_space, is_space) || !is_space
    };
    let length = match rules.pattern {
        Pattern::None if keeps_words_apart => segment.take_while(&mut runs_on).count(),
        Pattern::None => segment.count(),
        Pattern::Spaces => 1 + segment.skip(1).take_while(|&(character, _)| !rules.is_space(character)).count(),
        Pattern::Gpt2 => gpt2(segment),
        Pattern::Llama3 => llama3(segment, 3),
        Pattern::Qwen2 => llama3(segment, 1),
    };
    length.max(1)
}

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
fn gpt2(text: Segment<'_, '_>) -> usize {
    let contraction = contraction(text.clone(), false);
    if contraction > 0 {
        return contraction;
    }
    let after_space = after_space(&text);
    match text.clone().nth(after_space) {
        Some((_, kind)) if kind != class::SPACE => after_space + run(text.skip(after_space), kind),
        _ => spaces(text),
    }
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
fn llama3(text: Segment<'_, '_>, digits: usize) -> usize {
    let contraction = contraction(text.clone(), true);
    if contraction > 0 {
        return contraction;
    }
    let mut ahead = text.clone();
    let Some((first, kind)) = ahead.next() else { return 0 };
    match kind {
        class::LETTER => return run(text, class::LETTER),
        class::NUMBER => return run(text.take(digits), class::NUMBER),
        _ => {}
    }
    let letters = run(ahead, class::LETTER);
    if letters > 0 && !is_line_end(first) {
        return 1 + letters;
    }
    let after_space = after_space(&text);
    let signs = run(text.clone().skip(after_space), SIGN);
    if signs > 0 {
        let behind = text.skip(after_space + signs);
        return after_space + signs + behind.take_while(|&(character, _)| is_line_end(character)).count();
    }
    // `\s*` takes all spaces, and gives back those behind the last line's end.
    let in_run = text.clone().take_while(|&(_, kind)| kind == class::SPACE).enumerate();
    match in_run.filter(|&(_, (character, _))| is_line_end(character)).last() {
        Some((place, _)) => place + 1,
        None => spaces(text),
    }
}

/// `\s+(?!\S)|\s+`: all spaces, but for the last one before something else.
fn spaces(text: Segment<'_, '_>) -> usize {
    let length = run(text.clone(), class::SPACE);
    let is_end = text.clone().nth(length).is_none();
    if is_end || length < 2 { length } else { length - 1 }
}

/// 1 if a text begins with a space, which a piece takes with it.
fn after_space(text: &Segment<'_, '_>) -> usize {
    usize::from(text.clone().next().is_some_and(|(character, _)| character == ' '))
}

/// Number of characters of a class that a text begins with.
fn run(text: impl Iterator<Item = (char, u32)>, kind: u32) -> usize {
    text.take_while(|&(_, found)| found == kind).count()
}

fn is_line_end(character: char) -> bool {
    matches!(character, '\r' | '\n')
}

/// Length of the English contraction that a text begins with: `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll`, `'d`.
fn contraction(mut text: Segment<'_, '_>, any_case: bool) -> usize {
    let mut next = || {
        let (character, _) = text.next()?;
        Some(match character {
            // It is an `s` when case is folded.
            '\u{17f}' if any_case => 's',
            _ if any_case => character.to_ascii_lowercase(),
            _ => character,
        })
    };
    if next() != Some('\'') {
        return 0;
    }
    match next() {
        Some('s' | 't' | 'm' | 'd') => 2,
        Some('r' | 'v') if next() == Some('e') => 3,
        Some('l') if next() == Some('l') => 3,
        _ => 0,
    }
}
