//! The sentence of `model!` for a state that is larger than its budget, with figures, made by the compiler.

use crate::dims::Dims;

/// A sentence of at most so many bytes.
const MOST: usize = 200;

/// A sentence, made at compile time.
#[derive(Debug)]
pub struct Sentence {
    bytes: [u8; MOST],
    len: usize,
}

impl Sentence {
    const fn text(mut self, text: &str) -> Sentence {
        let mut i = 0;
        while i < text.len() && self.len < MOST {
            self.bytes[self.len] = text.as_bytes()[i];
            self.len += 1;
            i += 1;
        }
        self
    }

    const fn number(self, number: usize) -> Sentence {
        let (mut digits, mut first, mut rest) = ([b'0'; 20], 20, number);
        while first > 0 {
            first -= 1;
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        match core::str::from_utf8(digits.split_at(first).1) {
            Ok(text) => self.text(text),
            Err(_) => self,
        }
    }

    /// The sentence.
    pub const fn as_str(&self) -> &str {
        match core::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            Err(_) => "the state of this model does not fit the RAM budget",
        }
    }
}

/// The sentence for a model whose state for `max_seq` tokens, `batch` at a time, is larger than `budget` bytes.
pub const fn exceeded(dims: &Dims, max_seq: usize, batch: usize, budget: usize) -> Sentence {
    // The longest context that fits: the state grows with it.
    let (mut fits, mut beyond) = (0, max_seq);
    while beyond - fits > 1 {
        let middle = fits + (beyond - fits) / 2;
        if dims.state_words(middle, batch).saturating_mul(4) <= budget {
            fits = middle;
        } else {
            beyond = middle;
        }
    }
    let sentence = Sentence { bytes: [0; MOST], len: 0 }
        .text("the state of this model has ")
        .number(dims.state_words(max_seq, batch).saturating_mul(4))
        .text(" bytes for max_seq = ")
        .number(max_seq)
        .text(" and batch = ")
        .number(batch)
        .text(", the RAM budget ")
        .number(budget);
    match fits {
        0 => sentence.text(": no context is short enough; lower batch, or raise the budget"),
        fits => sentence.text(": max_seq = ").number(fits).text(" fits; lower it or batch, or raise the budget"),
    }
}

#[cfg(test)]
mod tests {
    use super::exceeded;
    use crate::Dims;

    #[test]
    fn the_sentence_has_the_figures_and_the_longest_context_that_fits() {
        let dims = Dims::new(16, 2, 4, 2, 4, 24, 300, 24, 1e-5).expect("dims");
        let bytes = |max_seq: usize| 4 * dims.state_words(max_seq, 4);
        for budget in [bytes(24) - 1, bytes(10), bytes(10) + 1, bytes(1)] {
            let said = exceeded(&dims, 24, 4, budget);
            let fits = (1..24).rev().find(|&max_seq| bytes(max_seq) <= budget).expect("a context");
            let expected = std::format!(
                "the state of this model has {} bytes for max_seq = 24 and batch = 4, the RAM budget {budget}: \
                 max_seq = {fits} fits; lower it or batch, or raise the budget",
                bytes(24)
            );
            assert_eq!(said.as_str(), expected);
        }
        assert!(
            exceeded(&dims, 24, 4, 0)
                .as_str()
                .ends_with("the RAM budget 0: no context is short enough; lower batch, or raise the budget")
        );
    }
}
