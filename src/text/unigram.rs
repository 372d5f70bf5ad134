//! Unigram (Kudo 2018): of all ways to cut a piece into tokens, that of the largest sum of scores, by Viterbi's algorithm.

use super::pieces::{Found, Word};
use crate::image::TextRules;

/// Most characters of a piece on a chip, for which memory is kept on the stack: 16 bytes each.
pub(super) const MAX_CHARACTERS: usize = 64;

/// The best way to a place between two characters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Node {
    score: f64,
    /// Place before the last token of the way; beyond all where no way leads to. Of a way that is turned, the place behind the next token.
    start: u32,
    token: u16,
    is_unknown: bool,
}

impl Node {
    pub(super) const NONE: Node = Node { score: 0.0, start: u32::MAX, token: 0, is_unknown: false };
}

/// Fills `nodes`, one for each place of a word, the last one behind it; sums and comparisons are those of the `tokenizers` library.
pub(super) fn fill(nodes: &mut [Node], rules: &TextRules<'_>, all: Found<'_, '_>, word: &Word<'_, '_>) {
    nodes.fill(Node::NONE);
    let mut rest = word.clone();
    for place in 0..nodes.len().saturating_sub(1) {
        let Some(here) = nodes.get(place).map(|node| node.score) else { return };
        let (mut found, mut end, mut is_character) = (all, place, false);
        let mut offer = |end: usize, score: f64, token: u16, is_unknown: bool| {
            if let Some(node) = nodes.get_mut(end)
                && (node.start == u32::MAX || score > node.score)
            {
                *node = Node { score, start: place as u32, token, is_unknown };
            }
        };
        for character in rest.clone() {
            let Some(further) = found.follow(character) else { break };
            (found, end) = (further, end + 1);
            if let Some(token) = found.token() {
                offer(end, rules.score(token) + here, token, rules.unknown == u32::from(token) + 1);
                is_character |= end == place + 1;
            }
        }
        if !is_character {
            offer(place + 1, rules.unknown_score + here, rules.unknown.saturating_sub(1) as u16, true);
        }
        rest.next();
    }
}

/// Turns the links of the best way: each of its places then leads to the next one.
pub(super) fn turn(nodes: &mut [Node]) {
    let (mut place, mut next) = (nodes.len().saturating_sub(1), u32::MAX);
    while let Some(node) = nodes.get_mut(place) {
        let before = core::mem::replace(&mut node.start, next);
        if place == 0 {
            return;
        }
        next = place as u32;
        // A way goes back at every step, whatever a damaged table says.
        place = (before as usize).min(place - 1);
    }
}

/// The place behind the token that begins at a place of the turned way, and that token; `None` for what is unknown.
pub(super) fn next(nodes: &[Node], place: usize) -> Option<(usize, Option<u16>)> {
    let end = nodes.get(place)?.start as usize;
    let node = nodes.get(end)?;
    Some((end, (!node.is_unknown).then_some(node.token)))
}
