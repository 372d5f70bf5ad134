//! Documents cut into windows of a model's context: every token is predicted once.
//!
//! ```text
//! document: BOS a b c d e END, context 3 ──► BOS a b c │ BOS d e END     each: inputs, and the last token, which is only predicted
//! --max-tokens N ──► windows at equal distances, N predicted tokens together
//! ```

use crate::text::{documents, tokenizer};
use anyhow::{Result, ensure};
use thumbformer::Model;

/// The part of a text that is used.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Selection {
    /// Number of documents, counted from the end; `None`: all.
    pub last: Option<usize>,
    /// Number of predicted tokens, taken from windows at equal distances; `None`: all.
    pub max_tokens: Option<usize>,
}

/// Windows of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Windows {
    /// Number of documents.
    pub documents: usize,
    /// Number of predicted tokens in them.
    pub total: usize,
    /// Inputs of the model, and one token more.
    pub windows: Vec<Vec<u16>>,
}

impl Windows {
    /// Windows of a text, of so many inputs: those of every document that `selection` names.
    ///
    /// # Errors
    /// When the model reads no text, the image has no tokenizer, or the text has no document of two tokens.
    pub fn of_text(model: &Model<'_>, text: &str, context: usize, selection: Selection) -> Result<Windows> {
        let tokenizer = tokenizer(model)?;
        let documents = documents(&tokenizer, text);
        let mut documents: Vec<_> = match selection.last {
            Some(last) => documents.rev().take(last).collect::<Result<_>>()?,
            None => documents.collect::<Result<_>>()?,
        };
        if selection.last.is_some() {
            documents.reverse();
        }
        Windows::of(&documents, tokenizer.bos(), context, selection.max_tokens)
    }

    /// Windows of documents as tokens. A window begins as its document does where that begins with `bos`, else with the last token of
    /// the window before.
    ///
    /// # Errors
    /// When no document has two tokens.
    pub fn of(documents: &[Vec<u16>], bos: Option<u16>, context: usize, max_tokens: Option<usize>) -> Result<Windows> {
        let mut all = Windows { documents: 0, total: 0, windows: Vec::new() };
        for document in documents {
            let Some((&first, rest)) = document.split_first().filter(|(_, rest)| !rest.is_empty()) else { continue };
            all.documents += 1;
            all.total += rest.len();
            let mut before = first;
            for predicted in rest.chunks(context.max(1)) {
                let begin = if Some(first) == bos { first } else { before };
                all.windows.push(std::iter::once(begin).chain(predicted.iter().copied()).collect());
                before = predicted.last().copied().unwrap_or(before);
            }
        }
        ensure!(all.documents > 0, "no document of at least two tokens to compare: give a longer text");
        if let Some(most) = max_tokens {
            ensure!(most > 0, "--max-tokens 0 compares nothing: give at least 1");
            all.windows = evenly(&all.windows, most);
        }
        Ok(all)
    }

    /// Number of predicted tokens in the windows.
    pub fn tokens(&self) -> usize {
        self.windows.iter().map(|window| window.len() - 1).sum()
    }
}

/// The fewest windows at equal distances that hold so many predicted tokens; the end is cut so that they hold no more.
fn evenly(windows: &[Vec<u16>], most: usize) -> Vec<Vec<u16>> {
    let longest = windows.iter().map(|window| window.len() - 1).max().unwrap_or(1);
    for count in most.div_ceil(longest)..=windows.len() {
        // The middles of `count` equal parts.
        let places = (0..count).map(|part| (2 * part + 1) * windows.len() / (2 * count));
        let mut taken: Vec<Vec<u16>> = places.map(|place| windows[place].clone()).collect();
        let Some(mut beyond) = taken.iter().map(|window| window.len() - 1).sum::<usize>().checked_sub(most) else {
            continue;
        };
        while let Some(mut last) = taken.pop() {
            if last.len() > beyond + 1 {
                last.truncate(last.len() - beyond);
                taken.push(last);
                break;
            }
            beyond -= last.len() - 1;
        }
        return taken;
    }
    windows.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(documents: &[&[u16]], max_seq: usize, max_tokens: Option<usize>) -> Vec<Vec<u16>> {
        let documents: Vec<Vec<u16>> = documents.iter().map(|document| document.to_vec()).collect();
        Windows::of(&documents, Some(0), max_seq, max_tokens).expect("a document").windows
    }

    #[test]
    fn every_token_but_a_document_s_first_is_predicted_once_within_the_context() {
        let whole: [&[u16]; 3] = [&[0, 1, 2, 3, 4, 5, 6, 7], &[8, 9, 10, 11], &[12]];
        let expected = [&[0, 1, 2, 3][..], &[0, 4, 5, 6], &[0, 7], &[8, 9, 10, 11]];
        assert_eq!(of(&whole, 3, None), expected);
        // Without the token that begins a text, a window begins with the last token before it.
        assert_eq!(of(&[&[1, 2, 3, 4]], 2, None), [&[1, 2, 3][..], &[3, 4]]);
        let windows = Windows::of(&whole.map(<[u16]>::to_vec), Some(0), 3, None).expect("a document");
        assert_eq!((windows.documents, windows.total, windows.tokens()), (2, 10, 10));
        assert!(Windows::of(&[vec![1], vec![]], None, 3, None).is_err());
    }

    #[test]
    fn a_number_of_tokens_is_taken_exactly_and_from_everywhere() {
        let documents: Vec<Vec<u16>> = (0..100).map(|number| vec![number; 5]).collect();
        for most in [1, 3, 4, 5, 17, 200, 399, 400, 1000] {
            let windows = Windows::of(&documents, None, 8, Some(most)).expect("documents");
            assert_eq!((windows.tokens(), windows.total), (most.min(400), 400), "{most}");
            let numbers: Vec<u16> = windows.windows.iter().map(|window| window[0]).collect();
            assert_eq!(numbers.len(), most.min(400).div_ceil(4), "{most}");
            let (first, last) = (numbers[0], 99 - numbers[numbers.len() - 1]);
            assert!(first.abs_diff(last) <= 1, "{most}: {first} before, {last} after");
        }
        let uneven: Vec<Vec<u16>> = (0..60).map(|number| vec![number; 2 + usize::from(number) % 13]).collect();
        for most in 1..300 {
            assert_eq!(Windows::of(&uneven, None, 8, Some(most)).expect("documents").tokens(), most);
        }
        assert!(Windows::of(&uneven, None, 8, Some(0)).is_err());
    }
}
