//! Images of version 4 that were stored once load for ever, and compute what they computed then.
//!
//! The files in `tests/golden/images` are never made anew: a change that needs that breaks the promise in CHANGELOG.md.

use std::path::Path;
use thumbformer::audio::HostBuffers;
use thumbformer::image::words;
use thumbformer::state::HostState;
use thumbformer::{Inputs, LogitsCrc, Model};

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
