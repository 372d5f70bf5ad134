//! The range of a packed matrix' integers, which the format narrows by one: without -128 and -8 the arrangements are lossless, and all
//! kernels agree.
//!
//! ```text
//! word ── ^ flip, carries of the lane below taken back ──► a lane is 0 where its integer is out of range ──► (v - 1) & !v, upper bits
//! ```
//! A word is checked at once, four bytes or eight nibbles of it: chips parse images that arrive at run time.

use super::{COLUMNS, GROUP, Packing, ROWS, first_group};

/// Lanes of a packed word.
pub(super) struct Lanes {
    /// Bits of a lane: 8 or 4.
    pub(super) bits: u32,
    /// Bits that make a lane 0 where its integer is the least.
    pub(super) flip: u32,
    /// Sign bits of the lanes whose integers were added to the lanes above them, and so borrowed one where they are negative.
    pub(super) borrowed: u32,
}

impl Lanes {
    /// Bytes as they are.
    pub(super) const BYTES: Lanes = Lanes { bits: 8, flip: 0x8080_8080, borrowed: 0 };

    /// The bit of each lane that is set only if a lane of the word is out of range.
    #[inline(always)]
    const fn out_of_range(&self, word: u32) -> u32 {
        let ones = if self.bits == 8 { 0x0101_0101 } else { 0x1111_1111 };
        let mut lanes = word ^ self.flip;
        if self.borrowed != 0 {
            // With its one back, the least is all ones but for the sign: inverted, it is the least again.
            let above = (word & self.borrowed) << 1;
            lanes ^= (above << self.bits).wrapping_sub(above);
        }
        lanes.wrapping_sub(ones) & !lanes & ones << (self.bits - 1)
    }

    /// The first of these words with an integer out of range.
    #[inline(always)]
    const fn first(&self, words: &[u32], start: usize, end: usize) -> Option<usize> {
        let end = if end < words.len() { end } else { words.len() };
        let mut i = start;
        while i < end {
            if self.out_of_range(words[i]) != 0 {
                return Some(i);
            }
            i += 1;
        }
        None
    }
}

/// The first word of an int8 matrix with an integer that is not in -127..=127.
pub(crate) const fn first_bad_q8(packing: Packing, words: &[u32]) -> Option<usize> {
    packing.lanes_q8().first(words, 0, words.len())
}

/// The first word of an int4 matrix with an integer that is not in -7..=7.
///
/// # Shapes
/// `words`: packed, `rows` and `cols` padded or not.
pub(crate) const fn first_bad_q4(packing: Packing, words: &[u32], rows: usize, cols: usize) -> Option<usize> {
    let cols = cols.next_multiple_of(COLUMNS);
    let half = first_group(cols) < GROUP;
    // Blocks of eight rows, whose half group comes last.
    let tall = matches!(packing, Packing::M55);
    let (blocks, groups) = (rows.div_ceil(ROWS), cols.div_ceil(GROUP));
    let (mut block, mut start) = (0, 0);
    while block < blocks {
        let count = if tall && blocks - block > 1 { 2 } else { 1 };
        let mut group = 0;
        while group < groups {
            let is_half = half && group == if tall { groups - 1 } else { 0 };
            let end = start + count * if is_half { COLUMNS } else { GROUP } / 2;
            let bad = packing.lanes_q4().first(words, start, end);
            if bad.is_some() {
                return bad;
            }
            // A scale of 8 bits for each row.
            start = end + count;
            group += 1;
        }
        block += count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::{pack_q4, pack_q8};
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn every_word_of_int8_with_an_integer_that_a_packing_cannot_hold_is_found_and_no_other() {
        // Lanes that touch each other lie in 16 bits; the other 16 are sound.
        for packing in Packing::ALL {
            let sound = super::super::word_q8(packing, [1, -2, 127, -127]);
            for half in 0..=u16::MAX {
                for word in [sound & 0xffff_0000 | u32::from(half), sound & 0xffff | u32::from(half) << 16] {
                    let block = [word; 16];
                    let mut bad = false;
                    for row in 0..4 {
                        packing.row_q8(&block, 16, row, |integer| bad |= integer == -128).expect("a row");
                    }
                    assert_eq!(first_bad_q8(packing, &block), bad.then_some(0), "{packing:?} {word:08x}");
                }
            }
        }
    }

    /// All integers of an int4 matrix, as kernels in plain Rust read them.
    fn integers(packing: Packing, words: &[u32], rows: usize, cols: usize) -> Vec<i8> {
        let width = cols.next_multiple_of(COLUMNS);
        let groups =
            (0..rows.div_ceil(ROWS)).flat_map(|block| (0..width.div_ceil(GROUP)).map(move |group| (block, group)));
        groups
            .flat_map(|(block, group)| {
                let count = if group == 0 { first_group(width) } else { GROUP };
                let found = packing.group(words, width, block, group).rows;
                found.into_iter().flat_map(move |row| row.into_iter().take(count))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn a_nibble_that_a_packing_cannot_hold_is_found_wherever_it_lies_and_scales_may_be_anything(
            rows in 1..20_usize, cols in 1..140_usize, seed: u64, place: prop::sample::Index, bits: u32,
        ) {
            let mut random = seed;
            let mut next = || { random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); (random >> 33) as u32 };
            let weights: Vec<i8> = (0..rows * cols).map(|_| (next() % 15) as i8 - 7).collect();
            let scales: Vec<u8> = (0..rows * crate::image::Int4::groups(cols)).map(|_| next() as u8).collect();
            for packing in Packing::ALL {
                let mut words = pack_q4(packing, rows, cols, &weights, &scales);
                prop_assert_eq!(first_bad_q4(packing, &words, rows, cols), None);
                let place = place.index(words.len());
                words[place] = bits;
                let is_bad = integers(packing, &words, rows, cols).contains(&-8);
                prop_assert_eq!(first_bad_q4(packing, &words, rows, cols), is_bad.then_some(place), "{:?}", packing);
            }
        }

        #[test]
        fn every_matrix_of_int8_within_the_range_passes(rows in 1..9_usize, cols in 1..40_usize, seed: u64) {
            let mut random = seed;
            let mut next = || { random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); (random >> 33) as u32 };
            let weights: Vec<i8> = (0..rows * cols).map(|_| (next() % 255) as u8 as i8).map(|w| w.max(-127)).collect();
            for packing in Packing::ALL {
                prop_assert_eq!(first_bad_q8(packing, &pack_q8(packing, rows, cols, &weights)), None);
            }
        }
    }
}
