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

/// These bytes as words; `None` when they do not start at a multiple of 4 or their number is not one.
pub(crate) fn words(bytes: &[u8]) -> Option<&[u32]> {
    // SAFETY: every bit pattern is a valid u32; `align_to` itself sees to alignment and length.
    let (before, words, after) = unsafe { bytes.align_to::<u32>() };
    (before.is_empty() && after.is_empty()).then_some(words)
}

/// Bytes that start at a multiple of 4, by their type.
#[repr(C, align(4))]
pub struct Aligned<const N: usize>(pub [u8; N]);

impl<const N: usize> Aligned<N> {
    /// The bytes as words; up to three at the end that fill none are left out.
    pub const fn words(&self) -> &[u32] {
        // SAFETY: the type is aligned as u32 is, and its only field is at its start; `N / 4` words lie in `N` bytes; every bit
        // pattern is a valid u32; the lifetime is the argument's.
        unsafe { core::slice::from_raw_parts(core::ptr::from_ref(self).cast(), N / 4) }
    }
}

/// The bytes of these words as signed integers, to be written.
pub(crate) const fn signed_bytes_mut(words: &mut [u32]) -> &mut [i8] {
    // SAFETY: i8 has no alignment and no invalid value, nor has u32; 4 of them lie in every u32; lifetime and uniqueness are
    // the argument's.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), 4 * words.len()) }
}

/// The halves of these words as signed integers, low half first.
pub(crate) const fn as_i16(words: &[u32]) -> &[i16] {
    // SAFETY: i16 has half the size and the alignment of u32 and no invalid value; the lifetime is the argument's.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), 2 * words.len()) }
}

/// The halves of these words as unsigned integers, low half first.
#[cfg(feature = "audio")]
pub(crate) const fn as_u16(words: &[u32]) -> &[u16] {
    // SAFETY: u16 has half the size and the alignment of u32 and no invalid value; the lifetime is the argument's.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), 2 * words.len()) }
}

/// The halves of these words as signed integers, to be written.
pub(crate) const fn as_i16_mut(words: &mut [u32]) -> &mut [i16] {
    // SAFETY: as in `halves`; u32 has no invalid value either; uniqueness is the argument's.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), 2 * words.len()) }
}

/// These words as floats, to be written.
pub(crate) const fn floats_mut(words: &mut [u32]) -> &mut [f32] {
    // SAFETY: f32 has the size and the alignment of u32; neither has an invalid bit pattern; uniqueness is the argument's.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) }
}

/// These words as signed integers, to be written.
pub(crate) const fn integers_mut(words: &mut [u32]) -> &mut [i32] {
    // SAFETY: i32 has the size and the alignment of u32; neither has an invalid bit pattern; uniqueness is the argument's.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) }
}

/// The bits of these floats as words, to be written.
pub(crate) const fn float_words(floats: &mut [f32]) -> &mut [u32] {
    // SAFETY: as in `floats_mut`, the other way round.
    unsafe { core::slice::from_raw_parts_mut(floats.as_mut_ptr().cast(), floats.len()) }
}
