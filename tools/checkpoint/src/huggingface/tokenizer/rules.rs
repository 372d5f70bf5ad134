//! Rules of the image from normalizer and pre-tokenizer: each asked on one character of every range in which neither changes its mind.
//!
//! ```text
//! steps, cuts ──► beginnings of ranges ──► first character of each: what stands for it, its place ──► classes and mapped characters
//! ```

use std::collections::{BTreeMap, BTreeSet, HashSet};

use thumbformer::image::layout::{class, rules};
use thumbformer::image::{Pattern, RuleTables};

use super::characters::{Class, SYLLABLES, jamo};
use super::normalizer::{Normalizer, Step};
use super::pipeline::{Pipeline, Place, Prefix};
use super::{Failure, OTHER_STEP, SPACE_MARK};
use crate::Error;

/// Most groups of characters that run on, next to those between pieces and those alone.
const GROUPS: usize = 14;

/// Rules without a model's part.
pub(super) fn build(
    fail: &Failure<'_>,
    normalizer: &Normalizer,
    pipeline: &Pipeline,
    alphabet: Option<&HashSet<char>>,
) -> Result<RuleTables, Error> {
    let mut builder = Builder { fail, normalizer, pipeline, alphabet, runs: BTreeMap::new() };
    let mut tables = RuleTables { pattern: pipeline.pattern, flags: builder.flags(), ..RuleTables::default() };
    builder.characters(&mut tables)?;
    Ok(tables)
}

struct Builder<'b> {
    fail: &'b Failure<'b>,
    normalizer: &'b Normalizer,
    pipeline: &'b Pipeline,
    /// The characters of a vocabulary in which a word with any other one is unknown as a whole.
    alphabet: Option<&'b HashSet<char>>,
    /// Number of each group that runs on.
    runs: BTreeMap<Place, u32>,
}

impl Builder<'_> {
    fn flags(&self) -> u32 {
        let Pipeline { cuts, prefix, .. } = self.pipeline;
        let is_marked = marks_spaces(self.normalizer, self.pipeline) && !self.pipeline.is_byte_level;
        let prefix = match (prefix, cuts.is_empty()) {
            (Prefix::Never, _) => 0,
            (Prefix::Parts, true) => rules::PREFIX,
            (Prefix::Parts, false) => rules::PREFIX_PIECES,
            (Prefix::First, _) => rules::PREFIX | rules::PREFIX_FIRST,
        };
        let others = [(!cuts.is_empty(), rules::GROUPS), (is_marked, rules::SPACE_MARKS)];
        others.into_iter().filter(|(is_on, _)| *is_on).fold(prefix, |flags, (_, flag)| flags | flag)
    }

    /// Ranges of one class, and the characters that others stand for.
    fn characters(&mut self, tables: &mut RuleTables) -> Result<(), Error> {
        let mut begins = BTreeSet::from([0]);
        let mut begin = |code| _ = begins.insert(code);
        self.normalizer.steps.iter().for_each(|step| step.cuts(&mut begin));
        self.pipeline.cuts.iter().for_each(|cut| cut.cuts(&mut begin));
        let patterns = [(Class::Letter, class::LETTER), (Class::Number, class::NUMBER), (Class::Space, class::SPACE)];
        let asks = !matches!(self.pipeline.pattern, Pattern::None | Pattern::Spaces);
        for &(first, last) in patterns.iter().filter(|_| asks).flat_map(|(class, _)| class.ranges()) {
            begin(first);
            begin(last + 1);
        }
        let takes_apart = self.normalizer.decomposes() && self.keeps_jamo();
        if takes_apart {
            begin(*SYLLABLES.start());
            begin(SYLLABLES.end() + 1);
            tables.flags |= rules::HANGUL;
        }
        let begins: Vec<u32> = begins.into_iter().filter(|code| *code < 0x11_0000).collect();
        for (index, &first) in begins.iter().enumerate() {
            let last = begins.get(index + 1).map_or(0x10_ffff, |next| next - 1);
            // Surrogates are no characters: a range may begin with them, or have them in it.
            let Some(character) = (first..=last).find_map(char::from_u32) else { continue };
            let mut found =
                patterns.iter().filter(|(class, _)| asks && class.has(character)).fold(0, |all, (_, bit)| all | bit);
            found |= self.group(self.pipeline.place(character))?;
            let to = self.normalizer.apply(character);
            match to[..] {
                _ if takes_apart && SYLLABLES.contains(&first) => found |= class::MAPPED,
                [] => found |= class::LEFT_OUT,
                [same] if same == character => {}
                // Between spaces at which pieces end, a character is a piece.
                [' ', same, ' '] if self.pipeline.place(' ') == Place::Between && same == character => {
                    found = found & !class::GROUPS | class::ALONE;
                }
                _ if self.is_unknown_anyhow(character, &to) => {}
                _ => {
                    found |= class::MAPPED;
                    self.map(first..=last, tables)?;
                }
            }
            if tables.classes.last().is_none_or(|(_, class)| *class != found) {
                tables.classes.push((first, found));
            }
        }
        Ok(())
    }

    /// Adds what stands for each character of a range.
    fn map(&self, range: std::ops::RangeInclusive<u32>, tables: &mut RuleTables) -> Result<(), Error> {
        for character in range.filter_map(char::from_u32) {
            let mut to = self.normalizer.apply(character);
            if let [' ', inner @ .., ' '] = &to[..]
                && self.pipeline.place(' ') == Place::Between
                && let [only] = inner
                && self.normalizer.apply(*only) == [' ', *only, ' ']
            {
                // It is alone as itself.
                to = vec![*only];
            }
            if to.len() > 127 {
                return Err(self.fail.with(format!("the normalizer makes {} characters of one", to.len()), OTHER_STEP));
            }
            tables.mapped.push((character, to));
        }
        Ok(())
    }

    /// True if a word with this character is unknown, whether it stays or becomes others, and is cut at the same places.
    fn is_unknown_anyhow(&self, character: char, to: &[char]) -> bool {
        let Some(alphabet) = self.alphabet else { return false };
        let place = self.pipeline.place(character);
        let runs_on = matches!(place, Place::Run(_)) && to.iter().all(|part| self.pipeline.place(*part) == place);
        runs_on && !alphabet.contains(&character) && !to.iter().all(|part| alphabet.contains(part))
    }

    /// True if syllables that come apart may be known.
    fn keeps_jamo(&self) -> bool {
        self.alphabet.is_none_or(|alphabet| {
            let mut syllables = SYLLABLES.filter_map(char::from_u32);
            syllables.any(|syllable| {
                let parts = jamo(syllable).unwrap_or_default();
                alphabet.contains(&syllable) || parts.iter().all(|part| alphabet.contains(part))
            })
        })
    }

    /// Bits of a place.
    fn group(&mut self, place: Place) -> Result<u32, Error> {
        let next = self.runs.len() as u32;
        match place {
            Place::Between => Ok(class::BETWEEN),
            Place::Alone => Ok(class::ALONE),
            Place::Run(_) if self.pipeline.cuts.is_empty() => Ok(0),
            Place::Run(_) => match *self.runs.entry(place).or_insert(next) {
                group if (group as usize) < GROUPS => Ok(group * class::GROUP),
                _ => Err(self
                    .fail
                    .with(format!("the pre-tokenizers make more than {GROUPS} groups of characters"), OTHER_STEP)),
            },
        }
    }
}

/// True if a mark stands for spaces in a vocabulary.
pub(super) fn marks_spaces(normalizer: &Normalizer, pipeline: &Pipeline) -> bool {
    pipeline.is_metaspace || normalizer.steps.contains(&Step::Replace(' ', vec![SPACE_MARK]))
}
