//! Check of an image in use: its CRC-32 again, a piece at a time, as flash and RAM can lose bits long after an image was parsed.

use super::header::CRC;
use crate::arch;
use crate::error::Error;
use core::hint::black_box;
use crc::{Digest, Table};

/// A check of a model's image, which goes on from piece to piece: in idle time, or between two inferences.
///
/// ```
/// # let words = [0; 0];
/// # let Ok(model) = thumbformer::Model::parse(&words) else { return };
/// let mut check = model.check();
/// // 256 bytes whenever there is nothing else to do:
/// match check.advance(256) {
///     Ok(true) => {}  // a pass has ended: every bit is as it was written
///     Ok(false) => {} // goes on
///     Err(_) => {}    // weights have changed: stop, load the image again
/// }
/// ```
#[derive(Clone)]
pub struct Check<'a> {
    words: &'a [u32],
    digest: Digest<'static, u32, Table<1>>,
    /// The next word.
    next: usize,
}

impl<'a> Check<'a> {
    pub(crate) const fn new(words: &'a [u32]) -> Check<'a> {
        Check { words, digest: CRC.digest(), next: 0 }
    }

    /// Goes on by so many bytes, four at least; `true` at the end of the image, with which the next pass begins.
    ///
    /// # Errors
    /// [`Error::Checksum`] at the end of the image, if any of its bits has changed since its part of the pass.
    pub fn advance(&mut self, bytes: usize) -> Result<bool, Error> {
        // A compiler that has the image as a constant may not compute from that.
        let words = black_box(self.words);
        let (stored, covered) = words.split_last().unwrap_or((&0, &[]));
        let rest = covered.get(self.next..).unwrap_or_default();
        let piece = rest.get(..(bytes / 4).max(1)).unwrap_or(rest);
        self.digest.update(arch::bytes(piece));
        self.next += piece.len();
        if self.next < covered.len() {
            return Ok(false);
        }
        let Check { digest, .. } = core::mem::replace(self, Check::new(self.words));
        match digest.finalize() {
            found if found == *stored => Ok(true),
            found => Err(Error::Checksum { expected: *stored, found }),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::image::ImageWriter;
    use crate::{Dims, Model, Options, Packing, Presence, Tensor};
    use std::vec::Vec;

    /// A block.
    fn image() -> Vec<u32> {
        let dims = Dims::block(4, 2, 8, 4, Options::ENCODER);
        let mut writer = ImageWriter::new(dims, Packing::Host);
        for &tensor in Tensor::ALL.iter().filter(|tensor| tensor.presence(&dims.options) == Presence::Always) {
            let (rows, cols) = dims.shape(tensor, 0);
            let values: Vec<f32> = (0..rows * cols).map(|i| (i % 5) as f32 - 2.0).collect();
            writer.add(tensor, 0, rows, cols, &values).expect("a tensor");
        }
        writer.finish().expect("an image")
    }

    /// Pieces of a pass until it ends.
    fn pass(check: &mut Check<'_>, bytes: usize) -> (usize, Result<(), Error>) {
        for pieces in 1.. {
            match check.advance(bytes) {
                Ok(false) => {}
                Ok(true) => return (pieces, Ok(())),
                Err(error) => return (pieces, Err(error)),
            }
        }
        unreachable!("a pass ends")
    }

    #[test]
    fn pieces_of_every_size_end_after_the_whole_image_and_begin_again() {
        let words = image();
        let covered = words.len() - 1;
        let mut check = Model::parse(&words).expect("a model").check();
        for bytes in [0, 1, 4, 7, 64, 4 * covered - 4, 4 * covered, usize::MAX] {
            for _ in 0..2 {
                assert_eq!(pass(&mut check, bytes), (covered.div_ceil((bytes / 4).max(1)), Ok(())), "{bytes} bytes");
            }
        }
    }

    #[test]
    fn one_flipped_bit_anywhere_is_found_within_one_pass() {
        let sound = image();
        for bit in 0..32 * sound.len() {
            let mut words = sound.clone();
            words[bit / 32] ^= 1 << (bit % 32);
            let (_, found) = pass(&mut Check::new(&words), 256);
            assert!(matches!(found, Err(Error::Checksum { .. })), "bit {bit}");
        }
    }
}
