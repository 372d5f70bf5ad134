//! Images of version 4 that were stored once load for ever, and compute what they computed then.
//!
//! The files in `tests/golden/images` are never made anew: a change that needs that breaks the promise in CHANGELOG.md.

use std::path::Path;
use thumbformer::audio::HostBuffers;
use thumbformer::image::{Image, ImageWriter, Section, words};
use thumbformer::state::HostState;
use thumbformer::{Inputs, LogitsCrc, Model, Tensor};

/// The image's words, aligned.
fn stored(name: &str) -> Vec<u32> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/images").join(name);
    let bytes = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

/// CRC-32 of the outputs for frames or tokens that only depend on their number.
fn outputs(model: &Model<'_>) -> u32 {
    let dims = model.dims();
    let mut state = HostState::new(dims, dims.max_seq);
    let mut session = model.session(state.memory());
    let count = 4;
    let tokens: Vec<u16> = (0..count).map(|index| (index * 17 % dims.vocab.max(1)) as u16).collect();
    let frames: Vec<f32> = (0..count * dims.n_features).map(|index| (index * 31 % 47) as f32 / 8.0 - 3.0).collect();
    let inputs = if dims.vocab > 0 { Inputs::Tokens(&tokens) } else { Inputs::Frames(&frames) };
    LogitsCrc::new().update(session.infer(inputs).expect("outputs"))
}

#[test]
fn images_of_version_4_compute_what_they_always_did() {
    let table = [
        ("tokens.tbf", 0x1a8a_cdfe),
        ("int4.tbf", 0x5cd8_3bec),
        ("scaled.tbf", 0xb7b7_120a),
        ("sound.tbf", 0x4b73_91fe),
        ("ends_everything.tbf", 0xfe5f_c446),
        ("ends_distilled.tbf", 0x2c09_ceeb),
    ];
    for (name, expected) in table {
        let stored = stored(name);
        assert_eq!(stored[1], 4, "{name}: the version");
        assert_eq!(words(thumbformer::image::bytes(&stored)).expect("words"), stored);
        let Ok(model) = Model::parse(&stored) else {
            // A build for one packing refuses the others by name: its own tests say so.
            assert_ne!(thumbformer::BACKEND, "scalar", "{name} is refused");
            continue;
        };
        assert_eq!(outputs(&model), expected, "{name}: {:08x}", outputs(&model));
    }
}

#[test]
fn what_images_of_version_4_say_is_read() {
    let (tokens, sound) = (stored("tokens.tbf"), stored("sound.tbf"));
    let (Ok(tokens), Ok(sound)) = (Model::parse(&tokens), Model::parse(&sound)) else { return };
    let tokenizer = tokens.tokenizer().expect("a tokenizer");
    let mut ids = [0; 16];
    let length = tokenizer.encode("the cat", true, &mut ids).expect("a text");
    assert_eq!((&ids[..length], tokenizer.ends().collect::<Vec<_>>()), (&[1, 263, 283, 286, 278][..], vec![2]));
    assert_eq!((sound.label(0), sound.label(9)), (Some("zero"), Some("nine")));
    assert_eq!(sound.info().find(|(key, _)| *key == "license"), Some(("license", "CC-BY-SA-4.0")));
    let front_end = sound.front_end().expect("a front end");
    let samples: Vec<i16> = (0..16_000_i32).map(|i| ((i * i) % 20_011 - 10_000) as i16).collect();
    let mut frames = vec![0.0; 10 * front_end.bands()];
    let mut buffers = HostBuffers::new(&front_end);
    let mut extractor = front_end.extractor(buffers.memory()).expect("its memory");
    extractor.clip(&samples, &mut frames).expect("a clip");
    let crc = LogitsCrc::new().update(&frames);
    assert_eq!((front_end.sample_rate(), front_end.bands(), crc), (16_000, 40, 0xda47_94cd), "{crc:08x}");
}

/// The images of the default models and the stored ones, as far as this build reads their packing.
fn images() -> Vec<(String, Vec<u32>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["models/digits", "models/motion", "models/stories", "tests/golden/images"];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("a folder"));
    let files = files.map(|file| file.expect("an entry").path());
    let names: Vec<String> =
        files.filter(|file| file.extension() == Some("tbf".as_ref())).map(|file| file.display().to_string()).collect();
    assert_eq!(names.len(), 18, "{names:?}");
    // An absolute path stays as it is.
    let images = names.into_iter().map(|name| (name.clone(), stored(&name)));
    images.filter(|(_, words)| Model::parse(words).is_ok()).collect()
}

/// Values and scales of every section but the information.
fn sections(image: &Image<'_>, words: &[u32]) -> Vec<(Section, Vec<u8>, Vec<u8>)> {
    let bytes = thumbformer::image::bytes(words);
    let all = (0..image.sections()).map(|index| image.section(index));
    let section = |mut section: Section| {
        let scales = thumbformer::image::layout::scale_bytes(section.encoding, section.rows);
        let (values, scales) = (&bytes[section.offset..][..section.bytes], &bytes[section.scales..][..scales]);
        // Where they lie may change.
        (section.offset, section.scales) = (0, 0);
        (section, values.to_vec(), scales.to_vec())
    };
    all.filter(|section| section.tensor != Tensor::Info).map(section).collect()
}

#[test]
fn an_image_that_a_writer_opens_and_finishes_is_the_same_to_the_byte() {
    for (name, words) in images() {
        let image = Image::parse(&words).expect("an image");
        let again = ImageWriter::of(&image).and_then(ImageWriter::finish).expect("the same image");
        assert!(again == words, "{name}");
    }
}

#[test]
fn a_line_of_information_is_added_or_replaced_and_nothing_else_changes() {
    let with = |words: &[u32], entries: &[(&str, &str)]| {
        let mut writer = ImageWriter::of(&Image::parse(words).expect("an image")).expect("no later section");
        writer.info(entries).expect("entries");
        writer.finish().expect("an image")
    };
    let lines = |words: &[u32]| {
        let model = Model::parse(words).expect("an image");
        model.info().map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>()
    };
    for (name, words) in images() {
        let added = with(&words, &[("measured", "1"), ("again", "a: b")]);
        let replaced = with(&added, &[("measured", "2")]);
        let before = lines(&words);
        assert_eq!(lines(&added), [&before[..], &["measured: 1".into(), "again: a: b".into()]].concat(), "{name}");
        assert_eq!(lines(&replaced), [&before[..], &["again: a: b".into(), "measured: 2".into()]].concat(), "{name}");
        let (old, new) = (Model::parse(&words).expect("an image"), Model::parse(&replaced).expect("an image"));
        assert!(sections(old.image(), &words) == sections(new.image(), &replaced), "{name}");
        // All of the header but length, number of sections.
        assert_eq!((&words[..2], &words[4..64]), (&replaced[..2], &replaced[4..64]), "{name}");
        assert_eq!(outputs(&old), outputs(&new), "{name}");
    }
}
