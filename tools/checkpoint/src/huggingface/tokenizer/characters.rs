//! Characters as the `tokenizers` library has them: its answers on every code point, which `tests/golden/character_files.py` asked for.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Classes of characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// `\p{L}` of a regular expression.
    Letter,
    /// `\p{N}`.
    Number,
    /// `\s`.
    Space,
    /// Characters of words to the pre-tokenizer `Whitespace`.
    Word,
    /// Characters between pieces to it.
    Gap,
    /// `\d`.
    Digit,
    /// Whitespace of the pre-tokenizers.
    Whitespace,
    /// Signs that the pre-tokenizers cut at.
    Punctuation,
    /// Digits of the pre-tokenizer `Digits`.
    Numeric,
    /// Characters that BERT's normalizer leaves out.
    Control,
    /// Characters that it makes a space.
    Cleaned,
    /// Characters that it puts between spaces.
    Chinese,
    /// Accents that it leaves out.
    Nonspacing,
    /// Accents that `StripAccents` leaves out.
    Mark,
}

const NAMES: [(Class, &str); 14] = [
    (Class::Letter, "letter"),
    (Class::Number, "number"),
    (Class::Space, "space"),
    (Class::Word, "word"),
    (Class::Gap, "gap"),
    (Class::Digit, "digit"),
    (Class::Whitespace, "whitespace"),
    (Class::Punctuation, "punctuation"),
    (Class::Numeric, "numeric"),
    (Class::Control, "control"),
    (Class::Cleaned, "cleaned"),
    (Class::Chinese, "chinese"),
    (Class::Nonspacing, "nonspacing"),
    (Class::Mark, "mark"),
];

/// First and last Hangul syllable.
pub(super) const SYLLABLES: std::ops::RangeInclusive<u32> = 0xac00..=0xd7a3;

/// A map of characters.
pub(super) type Map = BTreeMap<u32, Vec<char>>;

/// The library's answers.
struct Answers {
    /// Ranges of each class, first and last, sorted.
    classes: Vec<Vec<(u32, u32)>>,
    lower: Map,
    decomposed: Map,
}

static ANSWERS: LazyLock<Answers> = LazyLock::new(|| {
    let lines: BTreeMap<&str, &str> =
        include_str!("characters.txt").lines().filter_map(|line| line.split_once(": ")).collect();
    let number = |text: &str| u32::from_str_radix(text, 16).unwrap_or(u32::MAX);
    let line = |name: String| lines.get(name.as_str()).copied().unwrap_or_default();
    let ranges = |name: &str| {
        let words = line(format!("class {name}")).split(' ').filter(|word| !word.is_empty());
        words.map(|word| word.split_once('-').unwrap_or((word, word))).map(|(a, b)| (number(a), number(b))).collect()
    };
    let map = |name: &str| {
        let pairs = line(format!("map {name}")).split(' ').filter_map(|pair| pair.split_once('='));
        let characters = |text: &str| text.split('+').filter_map(|part| char::from_u32(number(part))).collect();
        pairs.map(|(from, to)| (number(from), characters(to))).collect()
    };
    Answers {
        classes: NAMES.iter().map(|(_, name)| ranges(name)).collect(),
        lower: map("lower"),
        decomposed: map("decomposed"),
    }
});

impl Class {
    /// Ranges of its characters, first and last.
    pub(super) fn ranges(self) -> &'static [(u32, u32)] {
        NAMES.iter().position(|(class, _)| *class == self).map_or(&[], |index| &ANSWERS.classes[index])
    }

    /// True for its characters.
    pub(super) fn has(self, character: char) -> bool {
        let (ranges, code) = (self.ranges(), u32::from(character));
        let behind = ranges.partition_point(|(first, _)| *first <= code);
        behind > 0 && ranges[behind - 1].1 >= code
    }
}

/// Lower case, of characters that have one.
pub(super) fn lower() -> &'static Map {
    &ANSWERS.lower
}

/// Canonical decomposition, of characters that have one, without Hangul.
pub(super) fn decomposed() -> &'static Map {
    &ANSWERS.decomposed
}

/// A Hangul syllable as jamo: chapter 3.12 of the Unicode standard.
pub(super) fn jamo(character: char) -> Option<Vec<char>> {
    let code = u32::from(character);
    let index = SYLLABLES.contains(&code).then(|| code - SYLLABLES.start())?;
    let last = index % 28;
    let parts = [0x1100 + index / 588, 0x1161 + index % 588 / 28, 0x11a7 + last];
    Some(parts[..if last > 0 { 3 } else { 2 }].iter().filter_map(|&part| char::from_u32(part)).collect())
}
