//! Rules of a tokenizer: what it does beyond merging. A table with a layout of its own.
//!
//! ```text
//! words 0..13   counts, flags, the unknown token …                               [`layout::rules`](super::layout::rules)
//! after         tokens behind a text                                             [n_after]
//! later         characters before a piece within a word                          [n_later]
//! classes       first character of a range, and the class of its characters      [n_classes], sorted
//! mapped        character, and what stands for it                                [n_mapped, 2], sorted
//! strings       characters that stand for one                                    [n_strings]
//! sorted        tokens by their texts, two to a word                             [ceil(n_sorted / 2)]
//! scores        of Unigram: the score of each token, an `f64`                    [n_scores, 2]
//! ```
//! A character that is looked up belongs to the last range that begins at or before it. What stands for a mapped character is one
//! character, or, with bit 31, a part of `strings`: its length from bit 24 on, its place below.

use super::layout::rules::{self, MAPPED_LENGTH, MAPPED_STRING, WORDS};
use super::layout::{class, word};
use crate::error::Error;
use crate::tensors::Tensor;

/// U+2581, which some vocabularies take for a space.
const SPACE_MARK: char = '\u{2581}';

/// A pre-tokenizer's pattern: the places where it cuts a text into pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Pattern {
    /// Nowhere.
    #[default]
    None = 0,
    /// Before every space.
    Spaces = 1,
    /// GPT-2's regular expression: words, numbers and signs, each with the space before it.
    Gpt2 = 2,
    /// Llama 3's: numbers in pieces of up to three digits.
    Llama3 = 3,
    /// Qwen 2's: the same with single digits.
    Qwen2 = 4,
}

impl Pattern {
    const ALL: [Pattern; 5] = [Pattern::None, Pattern::Spaces, Pattern::Gpt2, Pattern::Llama3, Pattern::Qwen2];
}

/// The rules of a tokenizer: views of the table.
#[derive(Clone, Copy, Debug)]
pub struct TextRules<'a> {
    /// The pattern of the pre-tokenizer.
    pub(crate) pattern: Pattern,
    /// Bits: [`layout::rules`](super::layout::rules).
    pub(crate) flags: u32,
    /// Token of what the vocabulary lacks, plus 1; 0 where that is left out.
    pub(crate) unknown: u32,
    /// Most characters of a word; 0 for any number.
    pub(crate) longest: usize,
    /// Score of an unknown character (Unigram).
    pub(crate) unknown_score: f64,
    /// Tokens behind a text, `[n_after]`.
    pub(crate) after: &'a [u32],
    /// Characters that the text of a piece within a word begins with, `[n_later]`.
    pub(crate) later: &'a [u32],
    classes: &'a [u32],
    mapped: &'a [u32],
    strings: &'a [u32],
    sorted: &'a [u32],
    scores: &'a [u32],
}

impl<'a> TextRules<'a> {
    /// Reads the rules of a vocabulary of so many tokens.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a pattern or a flag of a later version; [`Error::BadSection`] where the parts do not fill the table;
    /// [`Error::BadValue`] for a token beyond the vocabulary, parts that are not sorted and a string that is not there.
    pub(crate) const fn parse(words: &'a [u32], vocab: usize) -> Result<TextRules<'a>, Error> {
        let (pattern, flags) = (word(words, rules::PATTERN), word(words, rules::FLAGS));
        if pattern as usize >= Pattern::ALL.len() {
            return Err(Error::Unsupported { field: "pattern of the tokenizer", found: pattern });
        }
        if flags & !rules::ALL_FLAGS != 0 {
            return Err(Error::Unsupported { field: "rules of the tokenizer", found: flags });
        }
        let (after, rest) = part(words, WORDS, word(words, rules::N_AFTER) as usize, 1);
        let (later, rest) = part(words, rest, word(words, rules::N_LATER) as usize, 1);
        let (classes, rest) = part(words, rest, word(words, rules::N_CLASSES) as usize, 1);
        let (mapped, rest) = part(words, rest, word(words, rules::N_MAPPED) as usize, 2);
        let (strings, rest) = part(words, rest, word(words, rules::N_STRINGS) as usize, 1);
        let (sorted, rest) = part(words, rest, (word(words, rules::N_SORTED) as usize).div_ceil(2), 1);
        let (scores, rest) = part(words, rest, word(words, rules::N_SCORES) as usize, 2);
        if rest != words.len() || words.len() < WORDS {
            return Err(Error::BadSection { tensor: Tensor::TextRules, layer: 0 });
        }
        let rules = TextRules {
            pattern: Pattern::ALL[pattern as usize],
            flags,
            unknown: word(words, rules::UNKNOWN),
            longest: word(words, rules::LONGEST) as usize,
            unknown_score: double(word(words, rules::UNKNOWN_SCORE), word(words, rules::UNKNOWN_SCORE + 1)),
            after,
            later,
            classes,
            mapped,
            strings,
            sorted,
            scores,
        };
        match rules.first_bad_value(vocab) {
            Some(index) => Err(Error::BadValue { tensor: Tensor::TextRules, layer: 0, index: index as u32 }),
            None => Ok(rules),
        }
    }

    /// Index of the first word that cannot be.
    const fn first_bad_value(&self, vocab: usize) -> Option<usize> {
        if self.unknown as usize > vocab {
            return Some(rules::UNKNOWN);
        }
        let (mut i, mut place) = (0, WORDS);
        while i < self.after.len() {
            if self.after[i] as usize >= vocab {
                return Some(place + i);
            }
            i += 1;
        }
        (i, place) = (0, place + self.after.len() + self.later.len());
        while i < self.classes.len() {
            let first = self.classes[i] & class::CHARACTER;
            if i == 0 && first != 0 || i > 0 && first <= self.classes[i - 1] & class::CHARACTER {
                return Some(place + i);
            }
            i += 1;
        }
        (i, place) = (0, place + self.classes.len());
        while i + 1 < self.mapped.len() {
            let unsorted = i > 0 && self.mapped[i] <= self.mapped[i - 2];
            if unsorted || self.replacement_of(self.mapped[i + 1]).is_none() {
                return Some(place + i);
            }
            i += 2;
        }
        (i, place) = (0, place + self.mapped.len() + self.strings.len());
        while i < self.sorted.len() {
            if (self.sorted[i] & 0xffff) as usize >= vocab || (self.sorted[i] >> 16) as usize >= vocab {
                return Some(place + i);
            }
            i += 1;
        }
        (i, place) = (0, place + self.sorted.len());
        let scores = self.scores.len();
        if scores != 0 && scores != 2 * vocab {
            return Some(rules::N_SCORES);
        }
        while i < scores {
            // Sums of scores are compared: none may be infinite or no number.
            if !double(self.scores[i], self.scores[i + 1]).is_finite() {
                return Some(place + i);
            }
            i += 2;
        }
        if self.unknown_score.is_finite() { None } else { Some(rules::UNKNOWN_SCORE) }
    }

    /// A character or a string, from the value of a mapped character.
    const fn replacement_of(&self, value: u32) -> Option<Replacement<'a>> {
        if value & MAPPED_STRING == 0 {
            return match char::from_u32(value) {
                Some(character) => Some(Replacement::Character(character)),
                None => None,
            };
        }
        let (place, length) = (value & (MAPPED_LENGTH - 1), (value & !MAPPED_STRING) / MAPPED_LENGTH);
        if let Some((_, from)) = self.strings.split_at_checked(place as usize)
            && let Some((string, _)) = from.split_at_checked(length as usize)
        {
            return Some(Replacement::Characters(string));
        }
        None
    }

    /// True if a flag is set.
    #[inline]
    pub(crate) const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// True for a space, and for what the vocabulary takes for one.
    pub(crate) const fn is_space(&self, character: char) -> bool {
        character == ' ' || character == SPACE_MARK && self.has(rules::SPACE_MARKS)
    }

    /// The class of a character: bits of [`layout::class`](super::layout::class); 0 where there are no classes.
    pub(crate) fn class(&self, character: char) -> u32 {
        let behind = self.classes.partition_point(|&range| range & class::CHARACTER <= character.into());
        behind.checked_sub(1).and_then(|index| self.classes.get(index)).map_or(0, |&range| range & !class::CHARACTER)
    }

    /// The replacement of a character; `None` for one that stays.
    pub(crate) fn replacement(&self, character: char) -> Option<Replacement<'a>> {
        let (pairs, _) = self.mapped.as_chunks::<2>();
        let index = pairs.binary_search_by_key(&u32::from(character), |pair| pair[0]).ok()?;
        pairs.get(index).and_then(|pair| self.replacement_of(pair[1]))
    }

    /// Number of tokens that are sorted by their texts. An odd number is padded with a copy of the last one.
    pub(crate) const fn n_sorted(&self) -> usize {
        2 * self.sorted.len()
    }

    /// The token at a place among the sorted ones.
    pub(crate) fn sorted(&self, place: usize) -> u16 {
        let pair = self.sorted.get(place / 2).copied().unwrap_or(0);
        (pair >> (16 * (place % 2))) as u16
    }

    /// The score of a token.
    pub(crate) fn score(&self, token: u16) -> f64 {
        let (scores, _) = self.scores.as_chunks::<2>();
        scores.get(usize::from(token)).map_or(0.0, |&[low, high]| double(low, high))
    }
}

/// The replacement of a character.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Replacement<'a> {
    /// Another character.
    Character(char),
    /// Several.
    Characters(&'a [u32]),
}

/// So many rows of a table from a word on, and the word behind them; beyond the end of the words, nothing and a place that is no end.
const fn part(words: &[u32], from: usize, rows: usize, width: usize) -> (&[u32], usize) {
    let length = rows.saturating_mul(width);
    if let Some((_, rest)) = words.split_at_checked(from)
        && let Some((part, _)) = rest.split_at_checked(length)
    {
        return (part, from + length);
    }
    (&[], usize::MAX)
}

const fn double(low: u32, high: u32) -> f64 {
    f64::from_bits((high as u64) << 32 | low as u64)
}
