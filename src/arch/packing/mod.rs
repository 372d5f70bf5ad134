//! Packings, the arrangements of a matrix of small integers in flash: one lossless arrangement for each family of cores.
//!
//! ```text
//! canonical: row-major integers, rows padded to a multiple of 4, columns to a multiple of 16 ── pack ──► words
//! ```
//! Every arrangement has as many words, and the host reads any of them, so it can run the very image that is flashed. No one
//! order suits the loads of all cores: each is described beside the kernels that want it, in `packing.rs` of its backend's folder.
//! A new one must answer what [`of`] asks for.

#[cfg(any(feature = "std", feature = "checkasm"))]
mod canonical;
mod int4;
#[cfg(feature = "std")]
mod pack;
mod range;

#[path = "../dsp/packing.rs"]
mod dsp;
#[path = "../helium/packing.rs"]
mod helium;
#[path = "../nosimd/packing.rs"]
mod nosimd;
#[path = "../scalar/packing.rs"]
mod scalar;

pub use self::{COLUMNS as PACKED_COLUMNS, ROWS as PACKED_ROWS};
#[cfg(any(feature = "std", feature = "checkasm"))]
pub(crate) use canonical::Int4;
#[cfg(any(feature = "std", feature = "bench"))]
pub use int4::group;
pub use int4::{GROUP, MAX_COLUMNS as MAX_COLUMNS_Q4, first_group, words_q4};
pub(crate) use int4::{Group, block_words};
#[cfg(feature = "std")]
pub use pack::{pack_q4, pack_q8};
pub(crate) use range::{first_bad_q4, first_bad_q8};

use super::{as_i16, signed_bytes};
use range::Lanes;

/// Rows are padded to a multiple of this: kernels compute so many outputs at a time.
pub const ROWS: usize = 4;
/// Columns are padded to a multiple of this.
pub const COLUMNS: usize = 16;

/// The arrangement of weights in an image, by the cores whose kernels want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Packing {
    /// Row-major: for hosts.
    Host,
    /// Pairs of rows in 16 bits: Cortex-M4, M7, M33.
    M4,
    /// A Helium register of each row in turn: Cortex-M55, M85.
    M55,
    /// Two rows by two columns in a word: Cortex-M0, M0+, M3.
    M0,
}

/// The item of this name in the packing's own module.
macro_rules! of {
    ($packing:expr, $($item:tt)*) => {
        match $packing {
            Packing::Host => scalar::$($item)*,
            Packing::M4 => dsp::$($item)*,
            Packing::M55 => helium::$($item)*,
            Packing::M0 => nosimd::$($item)*,
        }
    };
}

impl Packing {
    /// All of them.
    pub const ALL: [Packing; 4] = [Packing::Host, Packing::M4, Packing::M55, Packing::M0];

    /// The name that `thumbformer convert --pack` takes.
    pub const fn name(self) -> &'static str {
        of!(self, NAME)
    }

    /// The layout id in the image's header.
    pub const fn id(self) -> u32 {
        of!(self, ID)
    }

    /// The packing of a layout id.
    pub const fn from_id(id: u32) -> Option<Packing> {
        let mut i = 0;
        while i < Packing::ALL.len() {
            if Packing::ALL[i].id() == id {
                return Some(Packing::ALL[i]);
            }
            i += 1;
        }
        None
    }

    /// The sentence for a user whose image is packed for other cores than the kernels that this one is for.
    pub(crate) const fn remedy(self) -> &'static str {
        of!(self, REMEDY)
    }

    /// Lanes of a word of an int8 matrix.
    const fn lanes_q8(self) -> Lanes {
        of!(self, Q8)
    }

    /// Lanes of a word of an int4 matrix' integers.
    const fn lanes_q4(self) -> Lanes {
        of!(self, Q4)
    }

    /// Hands out the integers of one row of an int8 matrix in order, padding included; `None` outside of it.
    ///
    /// # Shapes
    /// `words`: the packed matrix with `cols` padded columns.
    pub fn row_q8(self, words: &[u32], cols: usize, row: usize, put: impl FnMut(i8)) -> Option<()> {
        let start = (row / ROWS).checked_mul(cols)?;
        let block = words.get(start..start.checked_add(cols)?)?;
        of!(self, row(block, row % ROWS, put))
    }

    /// The dot products of four rows of an int8 matrix, in plain Rust: what the kernels must equal.
    ///
    /// # Shapes
    /// `block`: the words of four rows; `x: [cols]`.
    #[inline(always)]
    pub(crate) fn four_dots<X: Copy + Into<i32>>(self, block: &[u32], x: &[X]) -> [i32; 4] {
        of!(self, dots(block, x))
    }

    /// A group of a block of four rows of an int4 matrix; zeros outside of it.
    ///
    /// # Shapes
    /// `words`: the packed matrix with `cols` padded columns.
    #[inline]
    pub(crate) fn group(self, words: &[u32], cols: usize, block: usize, group: usize) -> Group {
        let mut found = Group { rows: [[0; GROUP]; ROWS], scales: [0; ROWS] };
        of!(self, group(words, cols, (block, group), &mut found));
        found
    }

    /// The bytes of a packed int4 matrix, in order.
    #[cfg(any(feature = "std", feature = "checkasm"))]
    pub(crate) fn bytes_q4(self, matrix: &Int4<'_>, put: &mut impl FnMut(u8)) {
        of!(self, bytes(matrix, put));
    }
}

/// Row and column of the four integers that one word of a packed int8 matrix is made of, in the order that [`word_q8`] takes.
///
/// `width`: padded columns.
pub const fn sources_q8(packing: Packing, width: usize, index: usize) -> [(usize, usize); 4] {
    let (block, i) = (index / width * ROWS, index % width);
    of!(packing, sources(block, width, i))
}

/// A word of a packed int8 matrix.
pub const fn word_q8(packing: Packing, integers: [i8; 4]) -> u32 {
    of!(packing, word(integers))
}

/// Words of a packed int8 matrix.
pub const fn words_q8(rows: usize, cols: usize) -> u64 {
    (rows as u64).next_multiple_of(ROWS as u64) * (cols as u64).next_multiple_of(COLUMNS as u64) / 4
}

/// Four bytes in order.
const fn bytes_word([a, b, c, d]: [i8; 4]) -> u32 {
    u32::from_le_bytes([a as u8, b as u8, c as u8, d as u8])
}

/// The words of a row's pair of rows, where two rows by two columns lie in a word.
fn pairs(block: &[u32], row: usize) -> impl Iterator<Item = u32> {
    block.as_chunks::<2>().0.iter().map(move |&[low, high]| if row % ROWS < 2 { low } else { high })
}
