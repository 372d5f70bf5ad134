//! Tokens with a name of their own: their texts are cut out of a text before the rest is merged.
//!
//! ```text
//! "<|user|>the cat" ──► "" · <|user|> · "the cat" ──► each part is merged alone
//! ```
//! At every place the longest name wins, and the first place before all others, as in the `tokenizers` library. llama.cpp takes the
//! longest names first; where no name's end is another one's beginning, that is the same.

use crate::image::layout::{ADDED_SPECIAL, ADDED_UNNAMED};

/// The added tokens of a tokenizer: `entries` are pairs of words, the token with its bits and the end of its name in `names`, where the
/// next one begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddedTokens<'a> {
    entries: &'a [u32],
    names: &'a [u8],
}

impl<'a> AddedTokens<'a> {
    /// A table of an image; an entry whose name is not in `names` is never found.
    pub(crate) const fn new(entries: &'a [u32], names: &'a [u8]) -> AddedTokens<'a> {
        AddedTokens { entries, names }
    }

    /// The part of a text before the first name, that name's token, and the part after it; the whole text where there is none.
    ///
    /// Names of special tokens count only if `special`.
    #[inline(never)]
    pub(crate) fn cut<'t>(&self, text: &'t str, special: bool) -> (&'t str, Option<(u16, &'t str)>) {
        for place in 0..text.len() {
            // A name begins and ends with a character; a place within one of the text's is none of a name's.
            if let Some((token, length)) = self.longest(text.as_bytes().get(place..).unwrap_or(&[]), special)
                && let (Some(before), Some(after)) = (text.get(..place), text.get(place + length..))
            {
                return (before, Some((token, after)));
            }
        }
        (text, None)
    }

    /// The name of a token.
    pub(crate) fn name(&self, token: u16) -> Option<&'a str> {
        let (_, name) = self.all().find(|(entry, _)| *entry as u16 == token)?;
        core::str::from_utf8(name).ok()
    }

    /// The longest name that a text begins with: its token and its length.
    fn longest(&self, text: &[u8], special: bool) -> Option<(u16, usize)> {
        let left_out = if special { ADDED_UNNAMED } else { ADDED_UNNAMED | ADDED_SPECIAL };
        let mut best = (0, 0);
        for (entry, name) in self.all().filter(|(entry, _)| entry & left_out == 0) {
            if name.len() > best.1 && text.starts_with(name) {
                best = (entry as u16, name.len());
            }
        }
        Some(best).filter(|(_, length)| *length > 0)
    }

    /// Entries with their names.
    fn all(&self) -> impl Iterator<Item = (u32, &'a [u8])> {
        let (names, mut start) = (self.names, 0);
        let (entries, _) = self.entries.as_chunks::<2>();
        entries.iter().map(move |&[entry, end]| {
            let name = names.get(start..end as usize).unwrap_or(&[]);
            start = end as usize;
            (entry, name)
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// A part of a text and the token after it.
    type Part<'t> = (&'t str, Option<u16>);

    /// Tokens and the parts before them; the rest has no token.
    fn parts<'t>(tokens: &AddedTokens<'_>, text: &'t str, special: bool) -> Vec<Part<'t>> {
        let (mut parts, mut rest) = (Vec::new(), Some(text));
        while let Some(text) = rest {
            let (before, found) = tokens.cut(text, special);
            parts.push((before, found.map(|(token, _)| token)));
            rest = found.map(|(_, after)| after);
        }
        parts
    }

    #[test]
    fn names_are_cut_out_of_a_text_the_first_before_others_and_the_longest_of_one_place() {
        let entries = [7, 1, 8, 4, ADDED_SPECIAL | 9, 8, 10, 10, ADDED_UNNAMED | 11, 11];
        let tokens = AddedTokens::new(&entries, "a<a></s>éx".as_bytes());
        let cases: [(&str, bool, &[Part<'_>]); 9] = [
            ("", true, &[("", None)]),
            ("xyz", true, &[("xyz", None)]),
            ("x<a>y", false, &[("x", Some(8)), ("y", None)]),
            ("<a>a<a", false, &[("", Some(8)), ("", Some(7)), ("<", Some(7)), ("", None)]),
            ("</s>x", true, &[("", Some(9)), ("x", None)]),
            ("</s>x", false, &[("</s>x", None)]),
            ("😀é</s", true, &[("😀", Some(10)), ("</s", None)]),
            ("<<a>>", false, &[("<", Some(8)), (">", None)]),
            ("aa", false, &[("", Some(7)), ("", Some(7)), ("", None)]),
        ];
        assert_eq!((tokens.name(9), tokens.name(11), tokens.name(12)), (Some("</s>"), Some("x"), None));
        for (text, special, expected) in cases {
            assert_eq!(parts(&tokens, text, special), expected, "{text:?}, {special}");
        }
    }

    #[test]
    fn a_damaged_table_finds_nothing_and_does_not_panic() {
        for entries in [&[7, 9][..], &[7], &[7, 2, 8, 1], &[7, 0, 8, 0]] {
            let tokens = AddedTokens::new(entries, b"a");
            assert_eq!(tokens.cut("xa", true), ("xa", None), "{entries:?}");
        }
    }
}
