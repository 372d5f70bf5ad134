//! The merging of symbols in place: the pair of lowest rank first, the leftmost among equals.

use crate::error::Error;

/// Most symbols of a piece that are merged in place, as the time grows with their square: on a Cortex-M4 the default vocabulary takes
/// 26 million instructions for 1023 letters without a space, 65 times a token of the default model.
pub(super) const MAX_PIECE: usize = 1024;

/// Rank of the merge of two tokens, and the merged token, in an image's table; `None` if they do not merge.
pub(super) fn lookup(merges: &[u32], left: u16, right: u16) -> Option<(u16, u16)> {
    find(merges, u32::from(left) << 16 | u32::from(right)).map(|found| (found as u16, (found >> 16) as u16))
}

/// Binary search in a table of (key, value) words, sorted by key.
pub(super) fn find(table: &[u32], key: u32) -> Option<u32> {
    let (pairs, _) = table.as_chunks::<2>();
    let index = pairs.binary_search_by_key(&key, |pair| pair[0]).ok()?;
    pairs.get(index).map(|pair| pair[1])
}

/// Merges neighbours until `lookup` has no pair of them. Returns the number of tokens left.
///
/// # Errors
/// [`Error::PieceTooLong`] for more than [`MAX_PIECE`] symbols.
pub(super) fn in_place(tokens: &mut [u16], lookup: impl Fn(u16, u16) -> Option<(u16, u16)>) -> Result<usize, Error> {
    let mut len = tokens.len();
    if len > MAX_PIECE {
        return Err(Error::PieceTooLong { max: MAX_PIECE });
    }
    loop {
        let current = tokens.get_mut(..len).unwrap_or(&mut []);
        let mut best: Option<(u16, usize, u16)> = None;
        for (index, (&left, &right)) in current.iter().zip(current.iter().skip(1)).enumerate() {
            if let Some((rank, merged)) = lookup(left, right)
                && best.is_none_or(|(lowest, ..)| rank < lowest)
            {
                best = Some((rank, index, merged));
            }
        }
        let Some((_, index, merged)) = best else { return Ok(len) };
        // The right half of the pair is dropped; everything after it moves down by one.
        let mut moved = 0;
        for token in current.iter_mut().skip(index + 1).rev() {
            core::mem::swap(token, &mut moved);
        }
        if let Some(left) = current.get_mut(index) {
            *left = merged;
        }
        len -= 1;
    }
}
