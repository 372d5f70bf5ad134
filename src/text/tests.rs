//! Encoding against the definition: all symbols of a part, merged at once, the pair of lowest rank first.

extern crate std;

use super::added::AddedTokens;
use super::encode::{Pipeline, keeps_words_apart};
use super::host::Queue;
use super::merge::{MAX_PIECE, find, in_place, lookup};
use super::tokenizer::Tokenizer;
use crate::error::Error;
use crate::image::TokenizerKind;
use crate::image::layout::ADDED_SPECIAL;
use proptest::prelude::*;
use std::cell::Cell;
use std::vec;
use std::vec::Vec;

/// Tables of a tokenizer under construction: tokens 0 to 255 are the bytes.
#[derive(Clone, Debug)]
struct Tables {
    pieces: Vec<Vec<u8>>,
    merges: Vec<[u32; 2]>,
    characters: Vec<u32>,
    prefix_space: bool,
}

impl Tables {
    /// A vocabulary of bytes, and of the characters " ", "▁" (the same token), "a" and "é" if `characters`.
    fn bytes(characters: bool, prefix_space: bool) -> Tables {
        let mut pieces: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        let mut table = Vec::new();
        if characters {
            pieces.extend(["a", " ", "é"].map(Vec::from));
            table = [(' ', 257), ('a', 256), ('é', 258), ('▁', 257)].map(|(c, token)| [c.into(), token]).concat();
        }
        Tables { pieces, merges: Vec::new(), characters: table, prefix_space }
    }

    /// The token of a character of one byte.
    fn symbol(&self, character: char) -> u16 {
        find(&self.characters, character.into()).unwrap_or(character.into()) as u16
    }

    /// Adds a token for the text of two others, and the merge that makes it; a pair has one merge.
    fn merge(&mut self, left: u16, right: u16, rank: u16) -> Option<u16> {
        let (pair, merged) = (u32::from(left) << 16 | u32::from(right), self.pieces.len() as u16);
        let place = self.merges.binary_search_by_key(&pair, |merge| merge[0]).err()?;
        self.merges.insert(place, [pair, u32::from(merged) << 16 | u32::from(rank)]);
        self.pieces.push([left, right].map(|token| self.pieces[usize::from(token)].clone()).concat());
        Some(merged)
    }

    /// Calls `test` with the tokenizer, BOS 500 and names for the tokens 400 and, a special one, 401.
    fn with<T>(&self, test: impl FnOnce(Tokenizer<'_>) -> T) -> T {
        let ends = self.pieces.iter().scan(0, |end, piece| {
            *end += piece.len() as u32;
            Some(*end)
        });
        test(Tokenizer {
            kind: if self.characters.is_empty() { TokenizerKind::Bytes } else { TokenizerKind::Characters },
            prefix_space: self.prefix_space,
            bos: 501,
            ends: [402, 0, 0, 0],
            piece_offsets: &[0].into_iter().chain(ends).collect::<Vec<u32>>(),
            piece_bytes: &self.pieces.concat(),
            byte_tokens: &(0..256).collect::<Vec<u32>>(),
            characters: &self.characters,
            merges: self.merges.as_flattened(),
            added: AddedTokens::new(&[400, 3, ADDED_SPECIAL | 401, 7], b"<u></s>"),
        })
    }
}

/// The definition, which looks at every pair for each merge.
fn merged(merges: &[u32], mut tokens: Vec<u16>) -> Vec<u16> {
    loop {
        let pairs = tokens.windows(2).enumerate();
        let found = pairs.filter_map(|(place, pair)| {
            let (rank, merged) = lookup(merges, pair[0], pair[1])?;
            Some((rank, place, merged))
        });
        let Some((_, place, merged)) = found.min() else { return tokens };
        tokens.splice(place..place + 2, [merged]);
    }
}

/// Tokens of a text without names, by the definition.
fn whole(tables: &Tables, text: &str) -> Vec<u16> {
    let space = if tables.prefix_space && !text.is_empty() { " " } else { "" };
    let symbols = space.chars().chain(text.chars()).flat_map(|character| {
        let known = find(&tables.characters, character.into()).map(|token| vec![token as u16]);
        known.unwrap_or_else(|| character.encode_utf8(&mut [0; 4]).bytes().map(u16::from).collect())
    });
    merged(tables.merges.as_flattened(), symbols.collect())
}

/// A vocabulary with random merges of what it has: some in the order of their making, some that join words.
fn vocabulary() -> impl Strategy<Value = Tables> {
    let token = any::<prop::sample::Index>;
    let merges = prop::collection::vec((token(), token(), 0..40_u16), 0..60);
    (merges, any::<[bool; 4]>()).prop_map(|(merges, [characters, prefix_space, joining, in_order])| {
        let mut tables = Tables::bytes(characters, prefix_space);
        let mut tokens = [' ', 'a', 'b', 'c'].map(|character| tables.symbol(character)).to_vec();
        for ((left, right, random), index) in merges.into_iter().zip(0..) {
            let (left, right) = (*left.get(&tokens), *right.get(&tokens));
            let [before, after] = [left, right].map(|token| &tables.pieces[usize::from(token)]);
            if (joining || before.ends_with(b" ") || !after.starts_with(b" ")) && before.len() + after.len() < 10 {
                tokens.extend(tables.merge(left, right, if in_order { index } else { random }));
            }
        }
        tables
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn pieces_merged_one_by_one_are_the_text_merged_at_once(tables in vocabulary(), text in "[abc▁ é]{0,60}") {
        let expected = whole(&tables, &text);
        let mut out = [0; 200];
        let (len, host) = tables.with(|tokenizer| (tokenizer.encode(&text, true, &mut out), tokenizer.encode_long(&text)));
        prop_assert_eq!(&out[1..len.expect("room for every symbol")], &expected);
        prop_assert_eq!(&host.expect("a token for every byte")[1..], expected);
    }

    #[test]
    fn a_queue_looks_three_times_for_a_symbol_at_most(tables in vocabulary(), text in "[abc ]{0,200}") {
        let mut tokens: Vec<u16> = text.chars().map(|character| tables.symbol(character)).collect();
        let expected = merged(tables.merges.as_flattened(), tokens.clone());
        let calls = Cell::new(0);
        let len = Queue::default().merge(&mut tokens, |left, right| {
            calls.set(calls.get() + 1);
            lookup(tables.merges.as_flattened(), left, right)
        });
        prop_assert_eq!(&tokens[..len], expected);
        prop_assert!(calls.get() <= 3 * text.len(), "{} lookups for {} symbols", calls.get(), text.len());
    }
}

/// A vocabulary of "ab" and its doubles to 16 characters, and of " a"; with "b ", which joins words, if `joining`.
fn doubles(joining: bool) -> Tables {
    let mut tables = Tables::bytes(false, false);
    let [space, a, b] = [' ', 'a', 'b'].map(|character| tables.symbol(character));
    let mut double = tables.merge(a, b, 0).expect("a new pair");
    for rank in 1..4 {
        double = tables.merge(double, double, rank).expect("a new pair");
    }
    tables.merge(space, a, 5);
    if joining {
        tables.merge(b, space, 6);
    }
    tables
}

#[test]
fn a_chip_s_work_grows_with_the_words_of_a_text_and_a_host_s_with_any_text() {
    let text = " ababab abababababababab".repeat(1_000_000 / 24);
    let mut out = vec![0; text.len()];
    // A word of 17 symbols has at most 16 merges, and 16 pairs to look up before each.
    for (joining, is_host, most) in [(false, false, 16), (false, true, 3), (true, true, 3)] {
        let (calls, mut queue) = (Cell::new(0), Queue::default());
        let tokens = doubles(joining).with(|tokenizer| {
            let look = |left, right| {
                calls.set(calls.get() + 1);
                lookup(tokenizer.merges, left, right)
            };
            let merge = |symbols: &mut [u16]| {
                if is_host { Ok(queue.merge(symbols, look)) } else { in_place(symbols, look) }
            };
            Pipeline::new(&tokenizer, &mut out, merge).template(&text, false, false).expect("room for every symbol")
        });
        assert!(tokens < text.len() / 2, "{tokens} tokens of {} bytes: nothing is merged", text.len());
        assert!((text.len() / 2..=most * text.len()).contains(&calls.get()), "{} lookups, {is_host}", calls.get());
    }
}

#[test]
fn a_chip_bounds_what_is_merged_at_once_and_a_host_does_not() {
    let (words, word) = ("ab ".repeat(MAX_PIECE), "a".repeat(MAX_PIECE + 1));
    let too_long = Err(Error::PieceTooLong { max: MAX_PIECE });
    let mut out = vec![0; 4 * MAX_PIECE];
    for (joining, text, expected) in [
        (false, &words[..], Ok(2 * MAX_PIECE)),
        (true, &words, too_long),
        (true, &words[..MAX_PIECE], Ok(682)),
        (false, &word, too_long),
        (false, &word[..MAX_PIECE], Ok(MAX_PIECE)),
    ] {
        doubles(joining).with(|tokenizer| {
            let found = tokenizer.encode(text, false, &mut out);
            assert_eq!(found, expected, "{joining}, {} bytes", text.len());
            let host = tokenizer.encode_long(text).expect("any length");
            assert!(found.is_err_and(|_| host.len() > 1000) || found.is_ok_and(|len| out[..len] == host[1..]));
        });
    }
}

#[test]
fn a_text_of_words_needs_room_for_its_tokens_and_the_symbols_of_one_word() {
    let encode = |text: &str| doubles(false).with(|tokenizer| tokenizer.encode(text, false, &mut [0; 13]));
    assert_eq!(encode(&" aba".repeat(4)), Ok(12));
    assert_eq!(encode(&"abab".repeat(4)), Err(Error::PromptTooLong { max: 13 }));
}

#[test]
fn merges_that_join_a_word_to_what_stands_before_it_are_found() {
    let cases: [(&str, &str, bool); 9] = [
        ("a", "b", true),
        (" ", "a", true),
        (" ", " ", true),
        ("a ", " b", true),
        ("a", " ", false),
        ("a", " b", false),
        ("", " b", false),
        ("a", "", false),
        (" ", "", true),
    ];
    for (left, right, apart) in cases {
        let mut tables = Tables::bytes(false, false);
        tables.pieces.extend([left, right].map(Vec::from));
        tables.merge(256, 257, 0);
        assert_eq!(tables.with(|tokenizer| keeps_words_apart(&tokenizer)), apart, "{left:?} and {right:?}");
    }
}

/// Names in a text, as llama.cpp and the `tokenizers` library cut them out: every part between them gets its own space.
#[test]
fn parts_between_names_are_encoded_alone() {
    let cases: [(bool, &str, bool, &[u16]); 7] = [
        (true, "at<u>at", true, &[500, 32, 256, 400, 32, 256]),
        (false, "at<u>at", true, &[500, 256, 400, 256]),
        (false, "a<u>t", true, &[500, 97, 400, 116]),
        (true, "<u></s>", true, &[500, 400, 401]),
        (true, "<u></s>", false, &[500, 400, 32, 60, 47, 115, 62]),
        (true, "", true, &[500]),
        (true, "<u><u> ", true, &[500, 400, 400, 32, 32]),
    ];
    for (prefix_space, text, named, expected) in cases {
        let mut tables = Tables::bytes(false, prefix_space);
        tables.merge(b'a'.into(), b't'.into(), 0);
        tables.merge(b' '.into(), b'a'.into(), 1);
        tables.with(|tokenizer| {
            let mut out = [0; 16];
            let encode = if named { Tokenizer::encode_named } else { Tokenizer::encode };
            let length = encode(&tokenizer, text, true, &mut out).expect("room for every symbol");
            assert_eq!(out[..length], *expected, "{text:?}");
            let max = expected.len() - 1;
            assert_eq!(encode(&tokenizer, text, true, &mut out[..max]), Err(Error::PromptTooLong { max }), "{text:?}");
            assert!(!named || tokenizer.encode_long(text).expect("a token for every byte") == expected, "{text:?}");
            assert!(
                tokenizer.is_end(401) && !tokenizer.is_end(500),
                "BOS ends a text only where it is named as an end"
            );
        });
    }
}
