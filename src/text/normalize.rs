//! The characters of a text as a tokenizer's rules have them: the normalizer, character by character.
//!
//! ```text
//! "Où\u{0}" ──► classes: left out, mapped, or as it is ──► 'o' 'u'
//! ```

use crate::image::layout::{class, rules};
use crate::image::{Replacement, TextRules};
use core::str::Chars;

/// First Hangul syllable, numbers of vowels and of last consonants (with none), and the jamo that they begin at: chapter 3.12 of the
/// Unicode standard.
const SYLLABLE: u32 = 0xac00;
const SYLLABLES: u32 = 11_172;
const VOWELS: u32 = 21;
const LASTS: u32 = 28;
const JAMO: [u32; 3] = [0x1100, 0x1161, 0x11a7];

/// The normalized characters of a part of a text.
#[derive(Clone)]
pub(super) struct Normalized<'t, 'a> {
    rules: TextRules<'a>,
    text: Chars<'t>,
    /// True if a space comes first.
    space: bool,
    /// The rest of the string that stands for a character.
    string: &'a [u32],
    /// The rest of a syllable; 0 for none.
    syllable: [u32; 2],
}

impl<'t, 'a> Normalized<'t, 'a> {
    pub(super) fn new(rules: TextRules<'a>, text: &'t str) -> Normalized<'t, 'a> {
        Normalized { rules, text: text.chars(), space: false, string: &[], syllable: [0; 2] }
    }

    /// The same, with a space before them.
    pub(super) fn after_space(self) -> Normalized<'t, 'a> {
        Normalized { space: true, ..self }
    }

    fn next_of_syllable(&mut self, character: char) -> Option<char> {
        let index = u32::from(character).checked_sub(SYLLABLE).filter(|&index| index < SYLLABLES)?;
        let [first, vowel, last] = JAMO;
        let rest = index % LASTS;
        self.syllable = [vowel + index / LASTS % VOWELS, if rest > 0 { last + rest } else { 0 }];
        char::from_u32(first + index / (VOWELS * LASTS))
    }
}

impl Iterator for Normalized<'_, '_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if core::mem::take(&mut self.space) {
            return Some(' ');
        }
        loop {
            if self.syllable != [0; 2] {
                let [next, rest] = self.syllable;
                self.syllable = [rest, 0];
                return char::from_u32(next);
            }
            if let [next, rest @ ..] = self.string {
                self.string = rest;
                return Some(char::from_u32(*next).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            let character = self.text.next()?;
            let class = self.rules.class(character);
            if class & class::LEFT_OUT != 0 {
                continue;
            }
            if class & class::MAPPED == 0 {
                return Some(character);
            }
            match self.rules.replacement(character) {
                Some(Replacement::Character(other)) => return Some(other),
                Some(Replacement::Characters(string)) => self.string = string,
                None if self.rules.has(rules::HANGUL) => {
                    return Some(self.next_of_syllable(character).unwrap_or(character));
                }
                None => return Some(character),
            }
        }
    }
}
