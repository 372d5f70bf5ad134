//! A writer that begins with all of an image: to say more in it, with every other byte as it was.

use super::{Content, ImageWriter};
use crate::arch;
use crate::error::Error;
use crate::image::layout::{header, scale_bytes, section, word};
use crate::image::view::Image;

impl ImageWriter {
    /// A writer with the tensors, options and special tokens of an image.
    ///
    /// # Errors
    /// [`Error::UnknownSection`] for an image with a section of a later version, which may say something of the others.
    pub fn of(image: &Image<'_>) -> Result<ImageWriter, Error> {
        let at = |index| word(image.words, index);
        if at(header::SECTIONS) as usize > image.sections() {
            let kind = at(header::WORDS + image.sections() * section::WORDS + section::KIND);
            return Err(Error::UnknownSection { kind });
        }
        let mut writer = ImageWriter::new(image.dims, image.packing);
        writer.rotary_fine = image.rotary_fine;
        (writer.tokenizer, writer.tokenizer_flags) = (at(header::TOKENIZER), at(header::TOKENIZER_FLAGS));
        (writer.bos, writer.ends) = (image.bos, image.ends);
        (writer.n_columns, writer.frame_hop) = (at(header::N_COLUMNS), at(header::FRAME_HOP));
        let bytes = |offset: usize, count: usize| {
            let bytes = arch::bytes(image.table_at(offset, count));
            bytes[..count.min(bytes.len())].to_vec()
        };
        for section in (0..image.sections()).map(|index| image.section(index)) {
            let scales = scale_bytes(section.encoding, section.rows);
            let content = Content {
                encoding: section.encoding,
                rows: section.rows,
                cols: section.cols,
                values: bytes(section.offset, section.bytes),
                scales: bytes(section.scales, scales),
            };
            writer.contents.insert((section.tensor, section.layer), content);
        }
        Ok(writer)
    }
}
