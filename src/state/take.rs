//! Buffers, cut from the front.

use crate::error::Error;

/// The first `count` elements of a buffer, which is the rest of them afterwards.
///
/// # Errors
/// [`Error::StateTooSmall`] when the buffer has fewer; it is empty then.
pub(crate) fn take<'s, T>(rest: &mut &'s mut [T], count: usize) -> Result<&'s mut [T], Error> {
    let found = rest.len();
    let cut = core::mem::take(rest).split_at_mut_checked(count);
    let (taken, remaining) = cut.ok_or(Error::StateTooSmall { expected: count, found })?;
    *rest = remaining;
    Ok(taken)
}
