//! Texts of any length on a host: a queue of pairs and a list of neighbours in place of one search through the piece for each merge.

use super::encode::Pipeline;
use super::merge::lookup;
use super::tokenizer::Tokenizer;
use crate::error::Error;
use core::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec;
use std::vec::Vec;

impl Tokenizer<'_> {
    /// Tokens of a text of any length as [`encode_named`](Tokenizer::encode_named) makes them, BOS first where there is one.
    ///
    /// # Errors
    /// [`Error::UnknownByte`] when the vocabulary has no token for a byte of the text.
    pub fn encode_long(&self, text: &str) -> Result<Vec<u16>, Error> {
        // Every byte is a symbol or a part of one, or a name with a space after it; BOS and a space come first.
        let mut out = vec![0; 2 * text.len() + 2];
        let mut queue = Queue::default();
        let merge = |symbols: &mut [u16]| Ok(queue.merge(symbols, |left, right| lookup(self.merges, left, right)));
        let len = Pipeline::new(self, &mut out, merge).template(text, true, true)?;
        out.truncate(len);
        Ok(out)
    }
}

/// Scratch memory of merging.
#[derive(Default)]
pub(super) struct Queue {
    /// Place of the neighbour on the right, and on the left; the piece's length for none.
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Pairs that were neighbours, and perhaps are no longer; the one to merge first comes out first.
    pairs: BinaryHeap<Reverse<Pair>>,
}

/// A pair of tokens, by the order of merging.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    rank: u16,
    place: usize,
    left: u16,
    right: u16,
    merged: u16,
}

impl Queue {
    /// Merges neighbours until `lookup` has no pair of them, as [`in_place`](super::merge::in_place). Returns the number of tokens left.
    ///
    /// `lookup` is called at most three times for each symbol.
    pub(super) fn merge(&mut self, tokens: &mut [u16], lookup: impl Fn(u16, u16) -> Option<(u16, u16)>) -> usize {
        let none = tokens.len();
        self.next.clear();
        self.next.extend(1..=none);
        self.previous.clear();
        self.previous.extend((0..none).map(|place| place.checked_sub(1).unwrap_or(none)));
        for place in 0..none {
            self.push(tokens, place, &lookup);
        }
        while let Some(Reverse(Pair { place, left, right, merged, .. })) = self.pairs.pop() {
            let gone = self.next[place];
            // A place that was merged into its neighbour has itself as the next one.
            if gone == place || gone == none || (tokens[place], tokens[gone]) != (left, right) {
                continue;
            }
            let after = self.next[gone];
            (tokens[place], self.next[place], self.next[gone]) = (merged, after, gone);
            if after < none {
                self.previous[after] = place;
            }
            self.push(tokens, self.previous[place], &lookup);
            self.push(tokens, place, &lookup);
        }
        let (mut len, mut place) = (0, 0);
        while place < none {
            tokens[len] = tokens[place];
            (len, place) = (len + 1, self.next[place]);
        }
        len
    }

    /// Puts the pair at a place into the queue, if it merges.
    fn push(&mut self, tokens: &[u16], place: usize, lookup: impl Fn(u16, u16) -> Option<(u16, u16)>) {
        let token = |place: usize| tokens.get(place).copied();
        let Some(left) = token(place) else { return };
        let Some(right) = token(self.next[place]) else { return };
        if let Some((rank, merged)) = lookup(left, right) {
            self.pairs.push(Reverse(Pair { rank, place, left, right, merged }));
        }
    }
}
