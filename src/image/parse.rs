//! The checks of an image's bytes, made once, before any view of them exists.
//!
//! Everything here is `const fn`: it runs at compile time for an included image, at run time in the host's tools.

use super::header::{envelope, read_header};
use super::layout::{self, header, section, word};
use super::shape::demand;
use super::view::{Image, Section};
use crate::arch;
#[cfg(feature = "audio")]
use crate::audio::FrontEnd;
use crate::dims::Dims;
use crate::error::Error;
use crate::kernels::scaled::HUGE;
use crate::tensors::{Encoding, Tensor};

/// `?` for const functions.
macro_rules! check {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}

impl<'a> Image<'a> {
    /// Checks an image, whose views can then be taken.
    ///
    /// # Errors
    /// The first error of the image: one of the variants of [`Error`] up to [`Error::BadValue`].
    pub const fn parse(words: &'a [u32]) -> Result<Image<'a>, Error> {
        Image::parse_within::<false>(words, usize::MAX)
    }

    /// [`parse`](Image::parse) with the CRC that the compiler's interpreter is faster at.
    pub(crate) const fn parse_at_compile_time(words: &'a [u32]) -> Result<Image<'a>, Error> {
        Image::parse_within::<true>(words, usize::MAX)
    }

    /// [`parse`](Image::parse) for a machine on which a state has fewer than `limit` words.
    const fn parse_within<const AT_COMPILE_TIME: bool>(words: &'a [u32], limit: usize) -> Result<Image<'a>, Error> {
        check!(envelope::<AT_COMPILE_TIME>(words));
        let image = check!(read_header(words));
        if image.needs_ends() && !cfg!(feature = "ends") {
            return Err(Error::MissingFeature { feature: "ends" });
        }
        check!(image.dims.check());
        check!(image.dims.check_state(limit));
        check!(image.contents.check(&image.dims.options));
        let mut index = 0;
        while index < image.sections() {
            check!(image.check_section(index));
            index += 1;
        }
        check!(image.check_widest());
        if image.sections != image.sections() {
            return Err(Error::Unsupported { field: "sections", found: word(words, header::SECTIONS) });
        }
        check!(image.check_unknown());
        #[cfg(feature = "audio")]
        check!(image.check_front_end());
        Ok(image)
    }

    /// Dimensions of a layer, whose MLP may be narrower than the widest.
    const fn layer_dims(&self, layer: usize) -> Dims {
        let mut dims = self.dims;
        let entry = header::WORDS + self.index_of(Tensor::Up, layer) * section::WORDS;
        let is_there = word(self.words, entry + section::KIND) == u32::from_le_bytes(Tensor::Up.kind());
        let width = self.find(Tensor::Up, layer).rows;
        if is_there && width > 0 && width <= dims.d_ff {
            dims.d_ff = width;
        }
        dims
    }

    /// Checks that at least one layer's MLP has the full width of the dimensions.
    const fn check_widest(&self) -> Result<(), Error> {
        let mut layer = 0;
        while layer < self.dims.n_layers {
            if self.find(Tensor::Up, layer).rows == self.dims.d_ff {
                return Ok(());
            }
            layer += 1;
        }
        let (found, d_model) = (self.find(Tensor::Up, 0).rows as u32, self.dims.d_model as u32);
        let (expected, found) = ((self.dims.d_ff as u32, d_model), (found, d_model));
        Err(Error::ShapeMismatch { tensor: Tensor::Up, layer: 0, expected, found })
    }

    /// Checks the audio front end, whose bands are the columns of a frame's samples.
    #[cfg(feature = "audio")]
    const fn check_front_end(&self) -> Result<(), Error> {
        let Some(words) = self.front_end_words() else { return Ok(()) };
        let front_end = check!(FrontEnd::parse(words));
        if front_end.bands() != self.n_columns {
            return Err(Error::Dimension { name: "n_columns", found: self.n_columns as u32 });
        }
        Ok(())
    }

    /// Checks that the sections of a later version, which are ignored, lie in the image like all others.
    const fn check_unknown(&self) -> Result<(), Error> {
        let mut index = self.sections;
        while index < word(self.words, header::SECTIONS) as usize {
            let entry = header::WORDS + index * section::WORDS;
            let (offset, bytes) = (word(self.words, entry + section::OFFSET), word(self.words, entry + section::BYTES));
            if !self.holds(offset as usize, bytes as usize) {
                return Err(Error::UnknownSection { kind: word(self.words, entry + section::KIND) });
            }
            index += 1;
        }
        Ok(())
    }

    const fn check_section(&self, index: usize) -> Result<(), Error> {
        let found = check!(self.check_entry(index));
        // Offsets are compared with the length of all pieces, so that entry is checked first.
        if matches!(found.tensor, Tensor::PieceOffsets) {
            check!(self.check_entry(index + 1));
        }
        match self.first_bad_value(&found) {
            Some(value) => {
                let (tensor, layer) = self.contents.at(index);
                Err(Error::BadValue { tensor, layer: layer as u32, index: value as u32 })
            }
            None => Ok(()),
        }
    }

    /// The section of an entry, whose fields are valid.
    const fn check_entry(&self, index: usize) -> Result<Section, Error> {
        let (tensor, layer) = self.contents.at(index);
        let (encoding, rows, cols) = demand(&self.layer_dims(layer), self.rotary_fine, tensor, layer);
        let layer_number = layer as u32;
        let entry = header::WORDS + index * section::WORDS;
        if word(self.words, entry + section::KIND) != u32::from_le_bytes(tensor.kind())
            || word(self.words, entry + section::LAYER) != layer_number
        {
            return Err(Error::MissingTensor { tensor, layer: layer_number });
        }
        let found = self.section(index);
        let int4 = matches!(encoding, layout::ENCODING_Q8)
            && self.quantization == layout::QUANTIZATION_Q4
            && found.encoding == layout::ENCODING_Q4;
        if found.encoding != encoding && !int4 {
            return Err(Error::Unsupported { field: "section encoding", found: found.encoding });
        }
        let rows_differ = rows != 0 && rows != found.rows;
        if rows_differ || (cols != 0 && cols != found.cols) {
            return Err(Error::ShapeMismatch {
                tensor,
                layer: layer_number,
                expected: (rows as u32, cols as u32),
                found: (found.rows as u32, found.cols as u32),
            });
        }
        if int4 && found.cols > arch::MAX_COLUMNS_Q4 {
            return Err(Error::Dimension { name: "columns of an int4 matrix", found: found.cols as u32 });
        }
        let bytes = match tensor.encoding() {
            Encoding::Bytes => found.cols as u64,
            _ => layout::value_bytes(found.encoding, found.rows, found.cols),
        };
        let scale_bytes = layout::scale_bytes(found.encoding, found.rows);
        let scales_fit = if scale_bytes > 0 { self.holds(found.scales, scale_bytes) } else { found.scales == 0 };
        if found.bytes as u64 != bytes || !self.holds(found.offset, found.bytes) || !scales_fit {
            return Err(Error::BadSection { tensor, layer: layer_number });
        }
        Ok(found)
    }

    /// True if these bytes lie in the image, aligned, after the section table and before the CRC.
    const fn holds(&self, offset: usize, bytes: usize) -> bool {
        let first = 4 * (header::WORDS as u64 + section::WORDS as u64 * word(self.words, header::SECTIONS) as u64);
        let end = offset as u64 + bytes as u64;
        offset as u64 >= first && offset.is_multiple_of(layout::ALIGNMENT) && end <= 4 * self.words.len() as u64 - 4
    }

    /// Index of the first invalid value.
    const fn first_bad_value(&self, found: &Section) -> Option<usize> {
        let vocab = self.dims.vocab as u32;
        let table = self.table_at(found.offset, found.bytes);
        let mut i = 0;
        match found.tensor {
            Tensor::PieceOffsets => {
                let bytes = self.find(Tensor::PieceBytes, 0).cols as u32;
                while i < table.len() {
                    if table[i] > bytes || (i > 0 && table[i] < table[i - 1]) {
                        return Some(i);
                    }
                    i += 1;
                }
            }
            Tensor::AddedTokens => {
                let names = self.find(Tensor::AddedNames, 0).cols as u32;
                let flags = layout::ADDED_SPECIAL | layout::ADDED_UNNAMED;
                while i + 1 < table.len() {
                    let start = if i > 0 { table[i - 1] } else { 0 };
                    if table[i] & !flags >= vocab || table[i + 1] < start || table[i + 1] > names {
                        return Some(i);
                    }
                    i += 2;
                }
            }
            Tensor::PieceBytes
            | Tensor::AddedNames
            | Tensor::Labels
            | Tensor::Columns
            | Tensor::AudioFrontEnd
            | Tensor::Info => {}
            Tensor::FeatureScaling => {
                while i < table.len() {
                    let value = f32::from_bits(table[i]);
                    let least = if i < found.cols { -HUGE } else { f32::MIN_POSITIVE };
                    // NaN compares false with everything.
                    if !(value >= least && value <= HUGE) {
                        return Some(i);
                    }
                    i += 1;
                }
            }
            Tensor::ByteTokens => {
                while i < table.len() {
                    if table[i] >= vocab && table[i] != layout::NO_TOKEN {
                        return Some(i);
                    }
                    i += 1;
                }
            }
            Tensor::Characters | Tensor::Merges => {
                let shift = if matches!(found.tensor, Tensor::Merges) { 16 } else { 0 };
                while i + 1 < table.len() {
                    let unsorted = i > 0 && table[i] <= table[i - 2];
                    if unsorted || table[i + 1] >> shift >= vocab {
                        return Some(i);
                    }
                    i += 2;
                }
            }
            _ => {
                // The scale is zero or a normal positive number: cores differ in subnormals.
                let scale = self.scale(found);
                if !(scale == 0.0 || scale >= f32::MIN_POSITIVE && scale <= f32::MAX) {
                    return Some(0);
                }
                let words = self.table_at(found.offset, found.bytes);
                let bad = match found.encoding {
                    layout::ENCODING_Q8 => arch::first_bad_q8(self.packing, words),
                    layout::ENCODING_Q4 => arch::first_bad_q4(self.packing, words, found.rows, found.cols),
                    _ => None,
                };
                if bad.is_some() {
                    return bad;
                }
                let multipliers = self.multipliers(found);
                while i < multipliers.len() {
                    if multipliers[i] < 0 {
                        return Some(i);
                    }
                    i += 1;
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::arch::Packing;
    use crate::image::ImageWriter;
    use crate::options::{Norm, Options, Positions};
    use std::vec;

    /// A causal model with many narrow heads: the largest cache for the size of its weights.
    fn many_heads(n_layers: usize) -> vec::Vec<u32> {
        let mut dims = Dims::new(1, n_layers, 1024, 1024, 2, 1, 1, 32_768, 1e-5).expect("dims");
        dims.head_dim = 1;
        dims.options = Options { positions: Positions::None, gated: false, norm: Norm::Rms, ..Options::LLAMA };
        let mut writer = ImageWriter::new(dims, Packing::Host);
        writer.matrix(Tensor::Embedding, 0, 1, 1, &[0.0]).expect("a matrix");
        writer.vector(Tensor::FinalNorm, 0, &[0.0]).expect("a vector");
        for layer in 0..n_layers {
            for (tensor, rows, cols) in [
                (Tensor::Query, 1024, 1),
                (Tensor::Key, 1024, 1),
                (Tensor::Value, 1024, 1),
                (Tensor::AttentionOutput, 1, 1024),
                (Tensor::Up, 1, 1),
                (Tensor::Down, 1, 1),
            ] {
                writer.matrix(tensor, layer, rows, cols, &vec![0.0; rows * cols]).expect("a matrix");
            }
            writer.vector(Tensor::AttentionNorm, layer, &[0.0]).expect("a vector");
            writer.vector(Tensor::MlpNorm, layer, &[0.0]).expect("a vector");
        }
        writer.finish().expect("an image")
    }

    #[test]
    fn an_image_whose_state_a_usize_of_32_bits_cannot_count_is_refused_there() {
        let most = u32::MAX as usize;
        let large = many_heads(57);
        let refused = Some(Error::StateTooLarge { max_seq: 32_768, n_layers: 57 });
        assert_eq!(Image::parse_within::<false>(&large, most).err(), refused);
        let words = Image::parse(&large).expect("64 bits").dims.state_words(32_768, 4);
        // With wrapping arithmetic a 32-bit chip would compute a hundredth of it and skip layers.
        assert!(words > most && (words as u32) < 1 << 24, "{words}");
        assert!(Image::parse_within::<false>(&many_heads(56), most).is_ok());
    }
}
