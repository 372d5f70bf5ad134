//! The rules of a tokenizer, as the host gives them to the writer.

use super::ImageWriter;
use crate::error::Error;
use crate::image::layout::rules::{self, MAPPED_LENGTH, MAPPED_STRING};
use crate::image::rules::Pattern;
use crate::tensors::Tensor;
use std::string::String;
use std::vec::Vec;

/// Rules of a tokenizer: what it does beyond merging.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleTables {
    /// The places where a pre-tokenizer cuts.
    pub pattern: Pattern,
    /// Flags of [`layout::rules`](crate::image::layout::rules).
    pub flags: u32,
    /// Token of what the vocabulary lacks; without one it is left out.
    pub unknown: Option<u32>,
    /// Most characters of a word; 0 for any number.
    pub longest: u32,
    /// Score of an unknown character (Unigram).
    pub unknown_score: f64,
    /// Tokens behind a text.
    pub after: Vec<u32>,
    /// Text before a piece within a word, as `##`.
    pub later: String,
    /// Ranges of characters: the first one and the class of all, bits of [`layout::class`](crate::image::layout::class). The first range
    /// begins at 0.
    pub classes: Vec<(u32, u32)>,
    /// Characters of the class `MAPPED`, and what stands for each: at most 127 characters.
    pub mapped: Vec<(char, Vec<char>)>,
    /// Tokens by the order of their texts, for those that are found by them.
    pub sorted: Vec<u32>,
    /// Score of each token (Unigram), `[vocab]`; otherwise empty.
    pub scores: Vec<f64>,
}

impl ImageWriter {
    /// Adds rules to the tokenizer.
    ///
    /// # Errors
    /// [`Error::BadValue`] for a string that is too long; what else cannot be is found when the image is finished.
    pub fn text_rules(&mut self, tables: &RuleTables) -> Result<(), Error> {
        let words = tables.words()?;
        self.table(Tensor::TextRules, 1, words.len(), words);
        Ok(())
    }
}

impl RuleTables {
    fn words(&self) -> Result<Vec<u32>, Error> {
        let mut mapped: Vec<&(char, Vec<char>)> = self.mapped.iter().collect();
        mapped.sort();
        let (mut values, mut strings) = (Vec::new(), Vec::new());
        for (index, (character, string)) in mapped.into_iter().enumerate() {
            let place = strings.len() as u32;
            values.push((*character).into());
            values.push(match string[..] {
                [other] => other.into(),
                _ if string.len() < 128 && place < MAPPED_LENGTH => {
                    strings.extend(string.iter().map(|&part| u32::from(part)));
                    MAPPED_STRING | (string.len() as u32 * MAPPED_LENGTH) | place
                }
                _ => return Err(Error::BadValue { tensor: Tensor::TextRules, layer: 0, index: index as u32 }),
            });
        }
        let sorted = self.sorted.chunks(2).map(|pair| pair[0] | pair.last().unwrap_or(&pair[0]) << 16);
        let double = |value: f64| [value.to_bits() as u32, (value.to_bits() >> 32) as u32];
        let mut words = [0; rules::WORDS];
        words[rules::PATTERN] = self.pattern as u32;
        words[rules::FLAGS] = self.flags;
        words[rules::UNKNOWN] = self.unknown.map_or(0, |token| token + 1);
        words[rules::LONGEST] = self.longest;
        words[rules::UNKNOWN_SCORE..][..2].copy_from_slice(&double(self.unknown_score));
        words[rules::N_AFTER] = self.after.len() as u32;
        words[rules::N_LATER] = self.later.chars().count() as u32;
        words[rules::N_CLASSES] = self.classes.len() as u32;
        words[rules::N_MAPPED] = self.mapped.len() as u32;
        words[rules::N_STRINGS] = strings.len() as u32;
        words[rules::N_SORTED] = self.sorted.len() as u32;
        words[rules::N_SCORES] = self.scores.len() as u32;
        let mut words = words.to_vec();
        words.extend(&self.after);
        words.extend(self.later.chars().map(u32::from));
        words.extend(self.classes.iter().map(|(first, class)| first | class));
        words.extend(values);
        words.extend(strings);
        words.extend(sorted);
        words.extend(self.scores.iter().flat_map(|&score| double(score)));
        Ok(words)
    }
}
