//! Every kind of damage to an image is refused, by the error that names it.

mod common;

use common::{SHAPES, entry, error, image, repair, set_multiplier};
use thumbformer::image::layout::{ENCODING_RAW, MAY_BE_IGNORED, NO_TOKEN, header, scale_bytes, section};
use thumbformer::image::{ImageWriter, Int4};
use thumbformer::{Dims, Error, Model, Packing, Tensor};

/// The first shape has everything but a head of its own.
fn sound() -> Vec<u32> {
    image(&SHAPES[0], 1)
}

#[test]
fn sound_images_of_all_shapes_are_accepted() {
    for (seed, shape) in SHAPES.iter().enumerate() {
        let words = image(shape, seed as u64);
        let model = Model::parse(&words).unwrap_or_else(|error| panic!("{shape:?}: {error}"));
        assert_eq!(model.dims().d_model, shape.d_model);
        assert_eq!(model.tokenizer().is_some(), shape.tokenizer);
        assert_eq!(model.image().bytes(), 4 * words.len());
    }
}

#[test]
fn every_single_flipped_bit_is_refused() {
    let mut words = image(&SHAPES[2], 1);
    for bit in 0..32 * words.len() {
        words[bit / 32] ^= 1 << (bit % 32);
        let (found, bytes) = (words[bit / 32], 4 * words.len() as u32);
        let expected = match bit / 32 {
            header::MAGIC => Error::NotAnImage { found },
            header::VERSION => Error::Version { expected: 4, found },
            header::BYTES => Error::Length { expected: found, found: bytes },
            _ => match error(&words) {
                Error::Checksum { expected, found } if expected != found && words.ends_with(&[expected]) => {
                    Error::Checksum { expected, found }
                }
                other => panic!("bit {} of word {}: {other:?}", bit % 32, bit / 32),
            },
        };
        assert_eq!(error(&words), expected, "bit {} of word {}", bit % 32, bit / 32);
        words[bit / 32] ^= 1 << (bit % 32);
    }
    assert!(Model::parse(&words).is_ok());
}

#[test]
fn int4_matrices_are_accepted_only_where_the_header_announces_them_and_the_sums_fit() {
    let sound = image(&SHAPES[1], 1);
    assert_eq!(sound[header::QUANTIZATION], 1);
    let at = entry(&sound, Tensor::Gate, 0);
    let table = [
        (header::QUANTIZATION, 0, Error::Unsupported { field: "section encoding", found: 4 }),
        (
            header::D_MODEL,
            2049,
            Error::ShapeMismatch { tensor: Tensor::Embedding, layer: 0, expected: (31, 2049), found: (31, 13) },
        ),
        (at + section::BYTES, 4, Error::BadSection { tensor: Tensor::Gate, layer: 0 }),
        (sound[at + section::SCALES] as usize / 4, 1, Error::BadValue { tensor: Tensor::Gate, layer: 0, index: 0 }),
    ];
    for (index, value, expected) in table {
        let mut words = sound.clone();
        words[index] = value;
        repair(&mut words);
        assert_eq!(error(&words), expected);
    }
    let dims = Dims::new(2064, 1, 1, 1, 2, 1, 1, 1, 1e-5).expect("dims");
    let mut writer = ImageWriter::new(dims, Packing::Host);
    let zeros = |rows: usize, cols: usize| Int4 {
        rows,
        cols,
        integers: vec![0; rows * cols],
        group_scales: vec![0; rows * Int4::groups(cols)],
        scale: 0.0,
    };
    writer.matrix(Tensor::Embedding, 0, 1, 2064, &[0.0; 2064]).expect("a matrix");
    writer.vector(Tensor::AttentionNorm, 0, &[0.0; 2064]).expect("a vector");
    writer.int4(Tensor::Query, 0, &zeros(2, 2064)).expect("the parser judges the width");
    let mut missing = zeros(2, 13);
    missing.group_scales.pop();
    assert!(matches!(writer.int4(Tensor::Key, 0, &missing), Err(Error::ShapeMismatch { tensor: Tensor::Key, .. })));
    let mut large = zeros(2, 13);
    large.integers[5] = -8;
    assert_eq!(writer.int4(Tensor::Key, 0, &large), Err(Error::BadValue { tensor: Tensor::Key, layer: 0, index: 5 }));
    for (tensor, rows, cols) in [
        (Tensor::Key, 2, 2064),
        (Tensor::Value, 2, 2064),
        (Tensor::AttentionOutput, 2064, 2),
        (Tensor::Gate, 1, 2064),
        (Tensor::Up, 1, 2064),
        (Tensor::Down, 2064, 1),
    ] {
        writer.int4(tensor, 0, &zeros(rows, cols)).expect("a matrix");
    }
    writer.vector(Tensor::MlpNorm, 0, &[0.0; 2064]).expect("a vector");
    writer.vector(Tensor::FinalNorm, 0, &[0.0; 2064]).expect("a vector");
    writer.rotary(10_000.0);
    assert_eq!(writer.finish(), Err(Error::Dimension { name: "columns of an int4 matrix", found: 2064 }));
}

#[test]
fn an_image_cut_off_anywhere_is_refused() {
    let words = image(&SHAPES[1], 1);
    for length in 0..words.len() {
        let error = error(&words[..length]);
        match length {
            0 => assert_eq!(error, Error::NotAnImage { found: 0 }),
            1 => assert_eq!(error, Error::Version { expected: 4, found: 0 }),
            2 => assert_eq!(error, Error::Length { expected: 0, found: 8 }),
            _ => assert_eq!(error, Error::Length { expected: 4 * words.len() as u32, found: 4 * length as u32 }),
        }
        // Even if the length says so and the checksum is right.
        let mut cut = words[..length].to_vec();
        repair(&mut cut);
        assert!(Model::parse(&cut).is_err(), "{length} words");
    }
}

/// Length and checksum say that the shorter image is whole: the section table gives it away.
#[test]
fn an_image_cut_off_with_a_mended_header_lacks_the_first_section_that_does_not_fit() {
    for shape in [&SHAPES[0], &SHAPES[1]] {
        let words = image(shape, 1);
        let sections: Vec<(u32, u32, usize)> = (0..words[header::SECTIONS] as usize)
            .map(|index| {
                let entry = &words[header::WORDS + index * section::WORDS..][..section::WORDS];
                let scales = entry[section::SCALES]
                    + scale_bytes(entry[section::ENCODING], entry[section::ROWS] as usize) as u32;
                let values = entry[section::OFFSET] + entry[section::BYTES];
                let end = if entry[section::SCALES] == 0 { values } else { values.max(scales) };
                (entry[section::KIND], entry[section::LAYER], end as usize)
            })
            .collect();
        // From the first whole entry of the table.
        for length in header::WORDS + section::WORDS..words.len() {
            let mut cut = words[..length].to_vec();
            repair(&mut cut);
            let found = 4 * length as u32;
            if length % 4 != 0 {
                assert_eq!(error(&cut), Error::Length { expected: found, found });
                continue;
            }
            let first = sections.iter().find(|(.., end)| *end > 4 * length - 4).expect("a section was cut off");
            match error(&cut) {
                // Cut within the table itself.
                Error::Unsupported { field: "sections", found } => {
                    assert_eq!(found, words[header::SECTIONS]);
                    assert!(header::WORDS + section::WORDS * sections.len() + 1 > length, "{length} words");
                }
                Error::BadSection { tensor, layer } => {
                    assert_eq!((u32::from_le_bytes(tensor.kind()), layer), (first.0, first.1), "{length} words");
                }
                other => panic!("{length} words: {other:?}"),
            }
        }
    }
}

#[test]
fn a_section_that_is_left_out_is_missed_by_name() {
    for (seed, shape) in SHAPES.iter().enumerate() {
        let words = image(shape, seed as u64);
        let count = words[header::SECTIONS] as usize;
        for left_out in 0..count {
            let at = header::WORDS + left_out * section::WORDS;
            let mut fewer = words.clone();
            fewer.copy_within(at + section::WORDS..header::WORDS + count * section::WORDS, at);
            fewer[header::WORDS + (count - 1) * section::WORDS..][..section::WORDS].fill(0);
            fewer[header::SECTIONS] -= 1;
            repair(&mut fewer);
            let kind = words[at].to_le_bytes();
            match Model::parse(&fewer) {
                Err(Error::MissingTensor { tensor, layer }) => {
                    assert_eq!((tensor.kind(), layer), (kind, words[at + 1]))
                }
                // Without it the image is another network's: only the checksum tells, which was mended.
                Ok(_) => {
                    let alone = (0..count).filter(|index| words[header::WORDS + index * section::WORDS] == words[at]);
                    let tensor = Tensor::from_kind(kind).expect("a tensor");
                    assert!(matches!(tensor, Tensor::FinalNorm | Tensor::Head | Tensor::Gate), "{shape:?}: {tensor:?}");
                    assert_eq!(alone.count(), 1, "{shape:?}: {tensor:?}");
                }
                Err(other) => panic!("{shape:?}, section {left_out}: {other:?}"),
            }
        }
    }
}

/// Kinds of a later release: one that may be ignored is, any other is refused by its letters.
#[test]
fn sections_of_later_versions_are_ignored_where_they_say_so_and_refused_by_name_where_not() {
    let sound = sound();
    let end = header::WORDS + sound[header::SECTIONS] as usize * section::WORDS;
    // The table grows by an entry, and all that lies behind it moves: half of an alignment before, half after.
    let longer = |count: usize, flag: u32, last: [u8; 4]| {
        let mut words = sound[..end].to_vec();
        for index in 0..count {
            let kind = if index + 1 == count { last } else { *b"zzzz" };
            words.extend([u32::from_le_bytes(kind), 0, ENCODING_RAW | flag, 1, 4, 0, 16, 0]);
        }
        words.extend(&sound[end..]);
        let (shift, known) = (4 * count * section::WORDS, sound[header::SECTIONS] as usize);
        for index in 0..known + count {
            let at = header::WORDS + index * section::WORDS;
            words[at + section::OFFSET] += shift as u32;
            if words[at + section::SCALES] != 0 {
                words[at + section::SCALES] += shift as u32;
            }
            if index >= known {
                words[at + section::OFFSET] = words[header::WORDS + section::OFFSET];
            }
        }
        words[header::SECTIONS] += count as u32;
        repair(&mut words);
        words
    };
    for count in [1, 2] {
        let words = longer(count, MAY_BE_IGNORED, *b"sign");
        let model = Model::parse(&words).unwrap_or_else(|error| panic!("{count}: {error}"));
        assert_eq!(model.image().sections(), sound[header::SECTIONS] as usize);
        // A writer would lose them, and a signature would be none any more.
        let kind = u32::from_le_bytes(if count == 1 { *b"sign" } else { *b"zzzz" });
        assert_eq!(ImageWriter::of(model.image()).err(), Some(Error::UnknownSection { kind }));
        assert_eq!(
            error(&longer(count, 0, *b"sign")),
            Error::UnknownSection { kind: u32::from_le_bytes(if count == 1 { *b"sign" } else { *b"zzzz" }) }
        );
    }
    assert!(error(&longer(1, 0, *b"sign")).to_string().contains("section `sign`: "));
    // What is known does not come after what is not, and what is ignored lies in the image all the same.
    let info = Tensor::Info.kind();
    assert_eq!(error(&longer(2, MAY_BE_IGNORED, info)), Error::UnknownSection { kind: u32::from_le_bytes(info) });
    let mut outside = longer(1, MAY_BE_IGNORED, *b"sign");
    outside[end + section::OFFSET] = 0xffff_fff0;
    repair(&mut outside);
    assert_eq!(error(&outside), Error::UnknownSection { kind: u32::from_le_bytes(*b"sign") });
}

#[test]
fn a_header_that_cannot_be_computed_with_is_refused_by_name() {
    let nan = f32::NAN.to_bits();
    let dimension = |name, found| Error::Dimension { name, found };
    let unsupported = |field, found| Error::Unsupported { field, found };
    let table = [
        (header::MAGIC, 7, Error::NotAnImage { found: 7 }),
        (header::VERSION, 3, Error::Version { expected: 4, found: 3 }),
        (header::LAYOUT, 5, unsupported("layout id", 5)),
        (header::LAYOUT, 0, unsupported("layout id", 0)),
        (header::QUANTIZATION, 2, unsupported("quantization", 2)),
        (header::NORM, 2, unsupported("norm", 2)),
        (header::NORM_PLACE, 2, unsupported("norm placement", 2)),
        (header::ACTIVATION, 4, unsupported("activation", 4)),
        (header::MASK, 2, unsupported("mask", 2)),
        (header::INPUT, 1, dimension("vocab", 300)),
        (header::POSITIONS, 3, unsupported("positions", 3)),
        (header::INPUT, 3, unsupported("input", 3)),
        (header::SLIDING_WINDOW, 25, dimension("sliding_window", 25)),
        (header::TOKENIZER, 3, unsupported("tokenizer", 3)),
        (header::TOKENIZER_FLAGS, 2, unsupported("tokenizer flags", 2)),
        (header::NAMED, 1, unsupported("header word without a name", 1)),
        (header::WORDS - 1, 1, unsupported("header word without a name", 1)),
        (header::BOS, 301, unsupported("bos token", 300)),
        (header::ENDS, 70_000, unsupported("end token", 69_999)),
        (header::ENDS + 3, 301, unsupported("end token", 300)),
        (header::SECTIONS, u32::MAX, unsupported("sections", u32::MAX)),
        (header::N_COLUMNS, 2, dimension("n_columns", 2)),
        (header::FRAME_HOP, 2, dimension("frame_hop", 2)),
        (header::D_MODEL, 0, dimension("d_model", 0)),
        (header::D_MODEL, 65_537, dimension("d_model", 65_537)),
        (header::N_LAYERS, 0, dimension("n_layers", 0)),
        (header::N_LAYERS, u32::MAX, dimension("n_layers", u32::MAX)),
        (header::N_HEADS, 0, dimension("n_heads", 0)),
        (header::N_KV_HEADS, 3, dimension("n_kv_heads", 3)),
        (header::HEAD_DIM, 3, dimension("head_dim", 3)),
        (header::HEAD_DIM, 514, dimension("head_dim", 514)),
        (header::D_FF, 0, dimension("d_ff", 0)),
        (header::VOCAB, 65_536, dimension("vocab", 65_536)),
        (header::MAX_SEQ, 0, dimension("max_seq", 0)),
        (header::MAX_SEQ, 32_769, dimension("max_seq", 32_769)),
        (header::NORM_EPS, 0, dimension("norm_eps", 0)),
        (header::NORM_EPS, nan, dimension("norm_eps", nan)),
        (header::ATTENTION_SCALE, nan, dimension("attention_scale", nan)),
        (header::ROTARY_FINE, 0, dimension("rows of the fine rotary table", 0)),
        (header::N_HEADS, 1025, dimension("n_heads", 1025)),
        (header::N_KV_HEADS, 0, dimension("n_kv_heads", 0)),
        (header::N_KV_HEADS, 8, dimension("n_kv_heads", 8)),
        (header::HEAD_DIM, 0, dimension("head_dim", 0)),
        (header::D_FF, 65_537, dimension("d_ff", 65_537)),
        (header::NORM_EPS, 1e-31_f32.to_bits(), dimension("norm_eps", 1e-31_f32.to_bits())),
        (header::NORM_EPS, (-1e-5_f32).to_bits(), dimension("norm_eps", (-1e-5_f32).to_bits())),
        (header::NORM_EPS, f32::INFINITY.to_bits(), dimension("norm_eps", f32::INFINITY.to_bits())),
        (header::ATTENTION_SCALE, 0, dimension("attention_scale", 0)),
        (header::ATTENTION_SCALE, (-1.0_f32).to_bits(), dimension("attention_scale", (-1.0_f32).to_bits())),
        (header::ATTENTION_SCALE, f32::INFINITY.to_bits(), dimension("attention_scale", f32::INFINITY.to_bits())),
    ];
    for (index, value, expected) in table {
        let mut words = sound();
        words[index] = value;
        repair(&mut words);
        assert_eq!(error(&words), expected, "header word {index} = {value}");
    }
}

#[test]
fn dimensions_that_do_not_fit_the_tensors_are_refused() {
    for index in [header::D_MODEL, header::N_LAYERS, header::HEAD_DIM, header::D_FF, header::VOCAB, header::ROTARY_FINE]
    {
        for change in [2_i64, -2] {
            let mut words = sound();
            words[index] = (i64::from(words[index]) + change).max(1) as u32;
            repair(&mut words);
            let found = error(&words);
            let named =
                matches!(found, Error::ShapeMismatch { .. } | Error::MissingTensor { .. } | Error::Dimension { .. });
            assert!(named, "header word {index} changed by {change}: {found:?}");
        }
    }
}

#[test]
fn a_dimension_that_does_not_fit_is_refused_at_the_first_tensor_that_shows_it() {
    let shape = |tensor, expected, found| Error::ShapeMismatch { tensor, layer: 0, expected, found };
    let missing = |tensor, layer| Error::MissingTensor { tensor, layer };
    let sections = sound()[header::SECTIONS];
    let too_wide = Error::Dimension { name: "n_heads * head_dim", found: 256 * 512 };
    let table: [(&[(usize, u32)], Error); 13] = [
        (&[(header::D_MODEL, 18)], shape(Tensor::Embedding, (300, 18), (300, 16))),
        (&[(header::VOCAB, 301)], shape(Tensor::Embedding, (301, 16), (300, 16))),
        (&[(header::HEAD_DIM, 6)], shape(Tensor::Query, (24, 16), (16, 16))),
        (&[(header::N_KV_HEADS, 4)], shape(Tensor::Key, (16, 16), (8, 16))),
        (&[(header::D_FF, 26)], shape(Tensor::Up, (26, 16), (24, 16))),
        (&[(header::D_FF, 22)], shape(Tensor::Gate, (22, 16), (24, 16))),
        (&[(header::MAX_SEQ, 25)], shape(Tensor::RotaryCoarse, (7, 4), (6, 4))),
        (&[(header::N_LAYERS, 1)], missing(Tensor::FinalNorm, 0)),
        (&[(header::N_LAYERS, 3)], missing(Tensor::AttentionNorm, 2)),
        (&[(header::TOKENIZER, 0)], Error::UnexpectedTensor { tensor: Tensor::PieceOffsets }),
        (&[(header::SECTIONS, sections - 3)], missing(Tensor::Merges, 0)),
        (&[(header::SECTIONS, sections - 1)], missing(Tensor::AddedNames, 0)),
        (&[(header::N_HEADS, 256), (header::HEAD_DIM, 512)], too_wide),
    ];
    for (changes, expected) in table {
        let mut words = sound();
        changes.iter().for_each(|&(index, value)| words[index] = value);
        repair(&mut words);
        assert_eq!(error(&words), expected, "{changes:?}");
    }
}

#[test]
fn a_section_table_that_lies_is_refused_with_the_tensor_s_name() {
    let tensor = Tensor::Gate;
    let bad_section = Error::BadSection { tensor, layer: 1 };
    let behind_table = 4 * (header::WORDS as u32 + section::WORDS as u32 * sound()[header::SECTIONS]);
    let missing = Error::MissingTensor { tensor, layer: 1 };
    let shape = |found| Error::ShapeMismatch { tensor, layer: 1, expected: (24, 16), found };
    let table = [
        (section::KIND, u32::from_le_bytes(*b"what"), Error::UnknownSection { kind: u32::from_le_bytes(*b"what") }),
        (section::KIND, u32::from_le_bytes(Tensor::Up.kind()), missing),
        (section::LAYER, 0, missing),
        (section::ENCODING, 2, Error::Unsupported { field: "section encoding", found: 2 }),
        (section::ROWS, 23, shape((23, 16))),
        (section::COLS, u32::MAX, shape((24, u32::MAX))),
        (section::OFFSET, 8, bad_section),
        (section::OFFSET, u32::MAX - 15, bad_section),
        (section::OFFSET, 0x00ff_fff0, bad_section),
        (section::BYTES, 24 * 16 - 4, bad_section),
        (section::BYTES, u32::MAX, bad_section),
        (section::OFFSET, 0, bad_section),
        (section::OFFSET, 128, bad_section),
        (section::OFFSET, behind_table - 16, bad_section),
        (section::SCALES, 0, bad_section),
        (section::SCALES, behind_table - 16, bad_section),
        (section::SCALES, 4, bad_section),
        (section::SCALES, 0xffff_fff0, bad_section),
    ];
    for (field, value, expected) in table {
        let mut words = sound();
        let at = entry(&words, tensor, 1) + field;
        words[at] = value;
        repair(&mut words);
        assert_eq!(error(&words), expected, "field {field} = {value}");
    }
}

/// A table has no scale: an entry that names one was written by something else.
#[test]
fn scales_of_a_tensor_that_has_none_are_refused() {
    for tensor in [Tensor::PieceOffsets, Tensor::PieceBytes, Tensor::ByteTokens, Tensor::Merges] {
        let mut words = sound();
        let at = entry(&words, tensor, 0);
        words[at + section::SCALES] = words[at + section::OFFSET];
        repair(&mut words);
        assert_eq!(error(&words), Error::BadSection { tensor, layer: 0 });
    }
}

#[test]
fn a_value_that_cannot_be_computed_with_is_refused_with_its_place() {
    let (nan, infinity) = (f32::NAN.to_bits(), f32::NEG_INFINITY.to_bits());
    let table = [
        (Tensor::Query, 1, section::SCALES, 0, nan),
        (Tensor::Embedding, 0, section::SCALES, 0, infinity),
        (Tensor::Query, 0, section::SCALES, 0, (-1e-3_f32).to_bits()),
        (Tensor::Down, 1, section::SCALES, 0, 1e-40_f32.to_bits()),
        (Tensor::AttentionNorm, 1, section::SCALES, 0, infinity),
        (Tensor::FinalNorm, 0, section::SCALES, 0, nan),
        (Tensor::RotaryFine, 0, section::SCALES, 0, nan),
        (Tensor::PieceOffsets, 0, section::OFFSET, 7, u32::MAX),
        (Tensor::PieceOffsets, 0, section::OFFSET, 100, 0),
        (Tensor::ByteTokens, 0, section::OFFSET, 65, 300),
        (Tensor::Characters, 0, section::OFFSET, 2, 0),
        (Tensor::Merges, 0, section::OFFSET, 4, 300 << 16),
        // A token beyond the vocabulary, a flag without a meaning.
        (Tensor::AddedTokens, 0, section::OFFSET, 2, 300),
        (Tensor::AddedTokens, 0, section::OFFSET, 0, 1 << 18),
    ];
    for (tensor, layer, field, index, value) in table {
        let mut words = sound();
        let offset = words[entry(&words, tensor, layer) + field] as usize / 4;
        // A table's second column is found at its row.
        let at = if tensor == Tensor::Merges { offset + index + 1 } else { offset + index };
        words[at] = value;
        repair(&mut words);
        let expected = Error::BadValue { tensor, layer, index: index as u32 };
        assert_eq!(error(&words), expected, "{tensor:?}");
    }
    // A multiplier is not negative.
    for row in [0, 1, 14, 15] {
        let mut words = sound();
        set_multiplier(&mut words, Tensor::Query, 1, row, -1);
        repair(&mut words);
        assert_eq!(error(&words), Error::BadValue { tensor: Tensor::Query, layer: 1, index: row as u32 });
    }
    // No token for a byte is no error: the text that needs it is refused.
    let mut words = sound();
    let at = words[entry(&words, Tensor::ByteTokens, 0) + section::OFFSET] as usize / 4 + usize::from(b'x');
    words[at] = NO_TOKEN;
    repair(&mut words);
    let model = Model::parse(&words).expect("accepted");
    let tokenizer = model.tokenizer().expect("a tokenizer");
    assert_eq!(tokenizer.encode("abxa", true, &mut [0; 16]), Err(Error::UnknownByte { byte: b'x' }));
}

#[test]
fn bytes_that_are_no_words_are_refused() {
    let words = sound();
    let mut bytes = thumbformer::image::bytes(&words).to_vec();
    bytes.push(0);
    let found = bytes.len() as u32;
    assert_eq!(thumbformer::image::words(&bytes), Err(Error::Length { expected: found + 3, found }));
    // One of four neighbouring addresses is aligned.
    let refused = (0..4).filter(|&start| thumbformer::image::words(&bytes[start..start + 8]) == Err(Error::Misaligned));
    assert_eq!(refused.count(), 3);
}

#[test]
fn errors_say_where_what_and_what_helps() {
    let table: [(Error, &[&str]); 6] = [
        (Error::Length { expected: 100, found: 64 }, &["expected 100", "found 64", "cut off"]),
        (Error::Checksum { expected: 1, found: 2 }, &["00000001", "00000002", "convert it again"]),
        (Error::BadValue { tensor: Tensor::Query, layer: 3, index: 17 }, &["Query", "layer 3", "value 17", "NaN"]),
        (Error::TokenOutOfVocabulary { token: 600, vocab: 512 }, &["600", "512", "tokenizer"]),
        (Error::CacheFull { max_seq: 256 }, &["256", "reset"]),
        (Error::StateTooSmall { expected: 9, found: 8 }, &["9", "8", "model!"]),
    ];
    for (error, words) in table {
        let text = error.to_string();
        for word in words {
            assert!(text.contains(word), "expected {word:?} in {text:?}");
        }
    }
    let cores = |packing| match packing {
        Packing::M0 => "Cortex-M0, M0+ and M3",
        Packing::M4 => "Cortex-M4, M7 and M33",
        Packing::M55 => "Cortex-M55 and M85",
        _ => "",
    };
    for expected in Packing::ALL {
        for found in Packing::ALL.into_iter().filter(|&found| found != expected) {
            let text = Error::Packing { expected, found }.to_string();
            let (wanted, had) = (expected.name(), found.name());
            let words = [&*format!("expected {wanted}, found {had}"), &*format!("--pack {wanted}`"), cores(expected)];
            assert!(words.iter().all(|word| text.contains(word)), "expected {words:?} in {text:?}");
        }
    }
}
