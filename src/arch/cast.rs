//! Views of words as other plain types: the little that safe Rust cannot say about flash.

#[cfg(target_endian = "big")]
compile_error!("images are little-endian and read in place: big-endian targets are not supported");

/// The bytes of these words.
pub(crate) const fn bytes(words: &[u32]) -> &[u8] {
    // SAFETY: u8 has no alignment and no invalid value; 4 bytes lie in every u32; the lifetime is the argument's.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), 4 * words.len()) }
}

/// The bytes of these words as signed integers.
pub(crate) const fn signed_bytes(words: &[u32]) -> &[i8] {
    // SAFETY: i8 has no alignment and no invalid value; 4 of them lie in every u32; the lifetime is the argument's.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), 4 * words.len()) }
}

/// These words as floats.
pub(crate) const fn floats(words: &[u32]) -> &[f32] {
    // SAFETY: f32 has the size and the alignment of u32, and every bit pattern is a valid f32.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), words.len()) }
}

/// These bytes as words; `None` when they do not start at a multiple of 4 or their number is not one.
pub(crate) fn words(bytes: &[u8]) -> Option<&[u32]> {
    // SAFETY: every bit pattern is a valid u32; `align_to` itself sees to alignment and length.
    let (before, words, after) = unsafe { bytes.align_to::<u32>() };
    (before.is_empty() && after.is_empty()).then_some(words)
}
