//! Whatever bytes, tokens, texts and settings come in: an error or a result, never a panic (overflow checks are on in tests).

mod common;

use common::{ENCODERS, N_FEATURES, SHAPES, encoder, entry, image, repair, set_scale};
use proptest::prelude::*;
use std::sync::LazyLock;
use thumbformer::image::ImageWriter;
use thumbformer::image::layout::{header, section};
use thumbformer::state::HostState;
use thumbformer::text::{Sampler, Sampling, argmax};
use thumbformer::{Dims, Error, Inputs, MAX_BATCH, Model, NormPlace, Options, Packing, Presence, Tensor};

/// Language models of all shapes, then encoders.
static IMAGES: LazyLock<Vec<Vec<u32>>> = LazyLock::new(|| {
    let encoders = ENCODERS.iter().map(|&kind| encoder(kind, 1));
    SHAPES.iter().map(|shape| image(shape, 1)).chain(encoders).collect()
});

fn config(cases: u32) -> ProptestConfig {
    // Files of failures would lie about in the sources.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Does with a model what users do.
fn use_model(model: &Model<'_>, tokens: &[u16], frames: &[f32], text: &str) {
    let dims = *model.dims();
    // Larger ones are left to the parser's own tests: their state would take gigabytes.
    if dims.state_words(8, MAX_BATCH) > 1 << 22 {
        return;
    }
    let mut state = HostState::new(&dims, 8);
    let mut session = model.session(state.memory());
    let _ = session.prefill(tokens);
    for &token in tokens {
        if let Ok(logits) = session.decode(token) {
            assert!(logits.iter().all(|logit| logit.is_finite()));
        }
    }
    let _ = model.label(tokens.len());
    for inputs in [Inputs::Tokens(tokens), Inputs::Frames(frames)] {
        if let Ok(outputs) = session.infer(inputs) {
            assert!(outputs.iter().all(|output| output.is_finite()));
        }
        let visible: Vec<bool> = tokens.iter().map(|token| token % 2 == 0).collect();
        let _ = session.infer_masked(inputs, &visible);
    }
    let _ = session.push(frames);
    if let Some(tokenizer) = model.tokenizer() {
        let mut out = [0; 64];
        for room in [0, 1, 5, 64] {
            if let Ok(length) = tokenizer.encode(text, room % 2 == 0, &mut out[..room]) {
                assert!(length <= room);
            }
        }
        let mut previous = tokenizer.bos().unwrap_or(0);
        for &token in tokens {
            let _ = (tokenizer.piece(previous, token), tokenizer.is_end(token));
            previous = token;
        }
    }
}

/// Words that matter more than others: limits of integers, floats that are none.
fn nasty_word() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        0..300_u32,
        prop::sample::select(vec![
            0,
            1,
            u32::MAX,
            0x8000_0000,
            0x7fff_ffff,
            0x7f80_0000,
            0x7fc0_0000,
            0x7f7f_ffff,
            0xff7f_ffff,
            0x0000_0001
        ]),
    ]
}

/// Every bit pattern; proptest's own `any::<f32>()` leaves infinity and NaN out.
fn any_float() -> impl Strategy<Value = f32> {
    let special = vec![f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, f32::MIN, 1.0];
    prop_oneof![3 => any::<u32>().prop_map(f32::from_bits), 1 => prop::sample::select(special)]
}

/// Up to seven frames of the encoders, and buffers that are no frames.
fn any_frames() -> impl Strategy<Value = Vec<f32>> {
    prop_oneof![
        prop::collection::vec(any_float(), 0..40),
        (1..8_usize).prop_flat_map(|count| prop::collection::vec(-9.0_f32..9.0, count * N_FEATURES)),
    ]
}

/// Each word of the header and of the section table in turn, at all edges of integers and floats, and one beside its own value.
#[test]
fn every_word_of_header_and_section_table_at_every_edge_is_refused_or_usable() {
    const EDGES: [u32; 22] = [
        0,
        1,
        2,
        3,
        4,
        7,
        8,
        255,
        256,
        512,
        513,
        32_768,
        32_769,
        65_535,
        65_536,
        65_537,
        0x7fff_ffff,
        0x8000_0000,
        0x7f80_0000,
        0x7fc0_0000,
        0xffff_fffc,
        u32::MAX,
    ];
    let (mut cases, mut usable) = (0, 0);
    for which in [3, SHAPES.len() + 2] {
        let sound = &IMAGES[which];
        let end = header::WORDS + section::WORDS * sound[header::SECTIONS] as usize;
        for place in 0..end {
            let own = sound[place];
            for value in EDGES.into_iter().chain([own.wrapping_add(1), own.wrapping_sub(1)]) {
                let mut words = sound.clone();
                words[place] = value;
                repair(&mut words);
                cases += 1;
                if let Ok(model) = Model::parse(&words) {
                    usable += 1;
                    use_model(&model, &[1, 2], &[0.5; 2 * N_FEATURES], "ab");
                }
            }
        }
    }
    assert!(cases > 10_000 && usable > 200, "{cases} cases, {usable} usable");
}

/// Attention adds a value so large that the next norm cannot square it.
#[test]
fn a_stream_beyond_the_floats_is_an_error_and_no_logits_of_zero() {
    let shape = &SHAPES[3];
    let mut words = image(shape, 1);
    set_scale(&mut words, Tensor::AttentionOutput, 0, 1e25);
    repair(&mut words);
    let model = Model::parse(&words).expect("finite scales are accepted");
    let mut state = HostState::new(model.dims(), 8);
    let error = model.session(state.memory()).decode(3).expect_err("no result can be trusted");
    assert_eq!(error, Error::NotFinite { layer: 0 });
}

/// A block by itself, with a scale of any size: the last sum, which no norm looks at, is finite or an error.
#[test]
fn gains_and_weights_that_make_infinity_are_not_finite_and_no_result() {
    let (mut finite, mut refused) = (0, 0);
    for norm_place in [NormPlace::Pre, NormPlace::Post] {
        let mut options = Options::ENCODER;
        options.norm_place = norm_place;
        let dims = Dims::block(8, 2, 16, 4, options);
        let mut writer = ImageWriter::new(dims, Packing::Host);
        for &tensor in Tensor::ALL.iter().filter(|tensor| tensor.presence(&options) == Presence::Always) {
            let (rows, cols) = dims.shape(tensor, 0);
            let values: Vec<f32> = (0..rows * cols).map(|i| ((i * 37 % 19) as f32 - 8.5) / 10.0).collect();
            writer.add(tensor, 0, rows, cols, &values).expect("a tensor");
        }
        let sound = writer.finish().expect("an image");
        let tensors = [Tensor::AttentionNorm, Tensor::AttentionOutput, Tensor::MlpNorm, Tensor::Down];
        for (tensor, exponent) in
            tensors.into_iter().flat_map(|tensor| (15..39).map(move |exponent| (tensor, exponent)))
        {
            let mut words = sound.clone();
            set_scale(&mut words, tensor, 0, 10_f32.powi(exponent));
            repair(&mut words);
            let model = Model::parse(&words).expect("finite scales are accepted");
            let mut state = HostState::new(model.dims(), 4);
            let mut streams: Vec<f32> = (0..16).map(|i| (i as f32 - 7.0) / 3.0).collect();
            match model.session(state.memory()).encode(&mut streams) {
                Ok(()) => {
                    assert!(
                        streams.iter().all(|x| x.is_finite()),
                        "{tensor:?} times 1e{exponent}, {norm_place:?}: {streams:?}"
                    );
                    finite += 1;
                }
                Err(error) => {
                    assert!(matches!(error, Error::NotFinite { .. } | Error::ScoresTooLarge { .. }), "{error:?}");
                    refused += 1;
                }
            }
        }
    }
    assert!(finite > 20 && refused > 100, "{finite} finite, {refused} refused");
}

/// The last token of each image with a tokenizer prints nothing, so that its piece begins where the bytes end.
#[test]
fn a_token_without_a_piece_and_one_beyond_the_vocabulary_print_nothing() {
    for which in [0, 3] {
        let mut words = IMAGES[which].clone();
        let offsets = words[entry(&words, Tensor::PieceOffsets, 0) + section::OFFSET] as usize / 4;
        let vocab = SHAPES[which].vocab;
        words[offsets + vocab - 1] = words[offsets + vocab];
        repair(&mut words);
        let model = Model::parse(&words).expect("an empty piece is accepted");
        let tokenizer = model.tokenizer().expect("a tokenizer");
        for token in [0, 1, 2, vocab as u16 - 1, vocab as u16, 32_768, 65_535] {
            for previous in [0, 1, vocab as u16, 65_535] {
                assert_eq!(tokenizer.piece(previous, token), b"", "token {token} after {previous}");
            }
        }
        assert_eq!((tokenizer.piece(1, 259), tokenizer.piece(0, 259)), (&b""[..], &b" "[..]), "a space after BOS");
    }
}

proptest! {
    #![proptest_config(config(4096))]

    #[test]
    fn arbitrary_words_are_refused_or_usable(mut words in prop::collection::vec(any::<u32>(), 0..600), mend in any::<bool>()) {
        // Half of them behind a sound header and section table: weights, gains and rotations are what they are.
        if mend && !words.is_empty() {
            let sound = &IMAGES[2];
            let first = header::WORDS + section::WORDS * sound[header::SECTIONS] as usize;
            let contents = words.iter().copied().cycle().take(sound.len() - first);
            words = sound[..first].iter().copied().chain(contents).collect();
            repair(&mut words);
        }
        if let Ok(model) = Model::parse(&words) {
            use_model(&model, &[0, 0, 1], &[0.5; 33], "ab");
        }
    }

    #[test]
    fn images_with_changed_words_are_refused_or_usable(
        which in 0..SHAPES.len() + ENCODERS.len(),
        frames in any_frames(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), nasty_word(), any::<bool>()), 1..=16),
        tokens in prop::collection::vec(prop_oneof![any::<u16>(), 0..300_u16], 1..12),
        text in ".{0,24}",
    ) {
        let mut words = IMAGES[which].clone();
        for (place, value, near) in changes {
            // Half of the changes go to header and section table, where they do the most.
            let range = if near { words.len().min(400) } else { words.len() };
            let at = place.index(range);
            words[at] = value;
        }
        repair(&mut words);
        if let Ok(model) = Model::parse(&words) {
            use_model(&model, &tokens, &frames, &text);
        }
    }

    #[test]
    fn changed_weights_and_tables_compute_or_are_refused(
        which in 0..SHAPES.len() + ENCODERS.len(),
        frames in any_frames(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), nasty_word()), 1..8),
        tokens in prop::collection::vec(0..65_u16, 1..12),
        text in "[ab é🦀]{0,40}",
    ) {
        let mut words = IMAGES[which].clone();
        let first = header::WORDS + section::WORDS * words[header::SECTIONS] as usize;
        for (place, value) in changes {
            let at = first + place.index(words.len() - first);
            words[at] = value;
        }
        repair(&mut words);
        if let Ok(model) = Model::parse(&words) {
            use_model(&model, &tokens, &frames, &text);
        }
    }

    #[test]
    fn sampling_any_logits_gives_a_token_of_the_vocabulary(
        mut logits in prop::collection::vec(prop_oneof![any_float(), -20.0_f32..20.0], 0..70),
        temperature in any_float(),
        top_k in prop_oneof![any::<usize>(), 0..80_usize],
        top_p in any_float(),
        seed in any::<u64>(),
        tame in any::<bool>(),
    ) {
        let (temperature, top_p) = if tame { (temperature.abs().fract(), (top_p.fract().abs() + 0.001).min(1.0)) } else { (temperature, top_p) };
        let len = logits.len();
        prop_assert!(usize::from(argmax(&logits)) < len.max(1));
        let sampler = Sampler::new(Sampling { temperature, top_k, top_p }, seed);
        let sound = temperature.is_finite() && temperature >= 0.0 && top_p > 0.0 && top_p <= 1.0;
        prop_assert_eq!(sampler.is_ok(), sound);
        if let Ok(mut sampler) = sampler {
            prop_assert!(usize::from(sampler.sample(&mut logits)) < len.max(1));
        }
    }

    #[test]
    fn texts_fit_any_buffer_or_are_refused(
        text in prop_oneof![any::<String>(), "[ab é🦀]{0,40}"], bos in any::<bool>(), room in 0..200_usize, filler in any::<u16>(),
    ) {
        let model = Model::parse(&IMAGES[0]).expect("a model");
        let tokenizer = model.tokenizer().expect("a tokenizer");
        let mut out = vec![filler; room];
        match tokenizer.encode(&text, bos, &mut out) {
            Ok(length) => {
                prop_assert!(length <= room);
                // What was encoded prints the text again: bytes stand in for every character that has no token.
                let tokens = &out[usize::from(bos)..length];
                let printed = tokens.iter().flat_map(|&token| tokenizer.piece(0, token)).copied();
                let space = if text.is_empty() { "" } else { " " };
                prop_assert_eq!(printed.collect::<Vec<u8>>(), [space.as_bytes(), text.as_bytes()].concat());
            }
            Err(error) => prop_assert_eq!(error, Error::PromptTooLong { max: room }),
        }
    }

    #[test]
    fn bytes_of_any_length_and_alignment_become_words_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64), start in 0..8_usize) {
        if let Ok(words) = thumbformer::image::words(bytes.get(start..).unwrap_or(&[])) {
            let _ = Model::parse(words);
        }
    }
}
