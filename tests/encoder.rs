//! Whole sequences and endless streams: what may go in, and that nothing but the input decides what comes out.

mod common;

use common::{ENCODERS, Encoder, N_FEATURES, Random, WINDOW, encoder, encoder_writer, entry, repair};
use thumbformer::image::layout::{header, section};
use thumbformer::state::HostState;
use thumbformer::{Error, Inputs, MAX_BATCH, Model, Tensor};

fn bits(outputs: &[f32]) -> Vec<u32> {
    outputs.iter().map(|output| output.to_bits()).collect()
}

fn frames(count: usize, seed: u64) -> Vec<f32> {
    Random::new(seed).floats(count * N_FEATURES, 2.0)
}

#[test]
fn a_whole_sequence_gives_the_same_bits_for_every_state_and_batch() {
    for kind in [Encoder::Classifier, Encoder::Sentence] {
        let words = encoder(kind, 1);
        let model = Model::parse(&words).expect("a model");
        let (frames, tokens) = (frames(7, 1), [3_u16, 9, 39, 0, 9, 9, 5]);
        let inputs = || if kind == Encoder::Sentence { Inputs::from(&tokens[..]) } else { Inputs::from(&frames[..]) };
        let mut found = Vec::new();
        for (max_seq, batch) in [(8, 1), (8, 3), (12, 4)] {
            let mut state = HostState::with_batch(model.dims(), max_seq, batch);
            let mut session = model.session(state.memory());
            found.push(bits(session.infer(inputs()).expect("fits")));
            let nothing_hidden = session.infer_masked(inputs(), &[true; 7]).expect("fits");
            found.push(bits(nothing_hidden));
        }
        assert!(found.iter().all(|outputs| *outputs == found[0]), "{kind:?}: {found:?}");
        assert_eq!(found[0].len(), model.dims().n_outputs);
    }
}

#[test]
fn what_cannot_be_read_is_refused_by_name_and_leaves_no_trace() {
    let (frame, room) = (frames(1, 1), 12);
    let mut not_a_number = frames(3, 2);
    not_a_number[2 * N_FEATURES + 4] = f32::NAN;
    let huge = [1.1e30; N_FEATURES];
    for kind in ENCODERS {
        let words = encoder(kind, 1);
        let model = Model::parse(&words).expect("a model");
        let mut state = HostState::new(model.dims(), room);
        let mut session = model.session(state.memory());
        let wrong_length = Error::FrameLength { n_features: N_FEATURES, found: N_FEATURES - 1 };
        let table: &[(Inputs<'_>, Error)] = match kind {
            Encoder::Sentence => &[
                (Inputs::Tokens(&[]), Error::EmptySequence),
                (Inputs::Tokens(&[1, 40]), Error::TokenOutOfVocabulary { token: 40, vocab: 40 }),
                (Inputs::Tokens(&[1; 13]), Error::CacheFull { max_seq: 12 }),
                (Inputs::Frames(&frame), Error::WrongInput { expected: "tokens as a whole: `infer`" }),
            ],
            _ => &[
                (Inputs::Frames(&[]), Error::EmptySequence),
                (Inputs::Frames(&frame[1..]), wrong_length),
                (Inputs::Frames(&not_a_number), Error::BadFrame { frame: 2 }),
                (Inputs::Frames(&huge), Error::BadFrame { frame: 0 }),
            ],
        };
        for (inputs, expected) in table {
            assert_eq!(session.infer(*inputs).expect_err("refused"), *expected, "{kind:?}");
        }
        let mut x = [0.0; 12];
        let name = match kind {
            Encoder::Classifier => "frames as a whole: `infer`",
            Encoder::Sentence => "tokens as a whole: `infer`",
            Encoder::Stream => "frames: `push` or `infer`",
        };
        let wrong = Error::WrongInput { expected: name };
        assert_eq!(session.encode(&mut x).expect_err("no streams"), wrong);
        assert_eq!(session.decode(1).expect_err("no tokens"), wrong);
        match kind {
            Encoder::Stream => {
                let no_mask = session.infer_masked(&frame[..], &[true]).expect_err("no mask");
                assert_eq!(no_mask, Error::WrongInput { expected: "no mask under a causal mask: give fewer tokens" });
                let expected = bits(session.push(&frame).expect("fits"));
                session.reset();
                for (inputs, expected) in table {
                    let Inputs::Frames(frames) = *inputs else { unreachable!("a table of frames") };
                    assert_eq!(session.push(frames).expect_err("refused"), *expected);
                }
                assert_eq!(session.position(), 0);
                assert_eq!(bits(session.push(&frame).expect("fits")), expected);
            }
            _ => {
                assert_eq!(session.push(&frame).expect_err("not one by one"), wrong);
                let three = if kind == Encoder::Sentence { Inputs::Tokens(&[1; 3]) } else { Inputs::Frames(&frame) };
                let count = if kind == Encoder::Sentence { 3 } else { 1 };
                let error = session.infer_masked(three, &[true; 2]).expect_err("two entries");
                assert_eq!(error, Error::MaskLength { expected: count, found: 2 });
                let error = session.infer_masked(three, &vec![false; count]).expect_err("all hidden");
                assert_eq!(error, Error::NothingVisible);
            }
        }
    }
}

#[test]
fn a_class_token_takes_one_place_of_the_context() {
    let words = encoder(Encoder::Classifier, 1);
    let model = Model::parse(&words).expect("a model");
    let mut state = HostState::new(model.dims(), 12);
    let mut session = model.session(state.memory());
    session.infer(&frames(11, 1)[..]).expect("eleven and the class token");
    assert_eq!(session.infer(&frames(12, 1)[..]).expect_err("thirteen"), Error::CacheFull { max_seq: 12 });
}

#[test]
fn a_stream_goes_on_for_ever_and_every_grouping_gives_the_same_bits() {
    let words = encoder(Encoder::Stream, 1);
    let model = Model::parse(&words).expect("a model");
    let all = frames(500, 3);
    let mut state = HostState::new(model.dims(), 12);
    assert_eq!(model.dims().cached(12), WINDOW);
    let whole = bits(model.session(state.memory()).infer(&all[..]).expect("no end"));
    for (frames, batch) in [(1, 1), (1, 4), (3, 2), (7, 4), (499, MAX_BATCH)] {
        let mut state = HostState::with_batch(model.dims(), 12, batch);
        let mut session = model.session(state.memory());
        let mut last = Vec::new();
        for part in all.chunks(frames * N_FEATURES) {
            last = bits(session.push(part).expect("no end"));
        }
        assert_eq!(last, whole, "{frames} frames at a time, batch {batch}");
        assert_eq!(session.position(), 500);
        assert!(session.remaining() > 1 << 30);
    }
}

#[test]
fn a_state_shorter_than_the_window_is_full_at_its_own_length() {
    let words = encoder(Encoder::Stream, 1);
    let model = Model::parse(&words).expect("a model");
    let mut state = HostState::new(model.dims(), WINDOW - 1);
    let mut session = model.session(state.memory());
    session.push(&frames(WINDOW - 1, 1)).expect("fits");
    assert_eq!(session.push(&frames(1, 1)).expect_err("full"), Error::CacheFull { max_seq: WINDOW - 1 });
}

/// A value that has left the window is forgotten, and with it the loss of precision that a large one caused.
#[test]
fn a_knock_on_the_sensor_is_forgotten_when_it_has_left_the_window() {
    let words = encoder(Encoder::Stream, 1);
    let model = Model::parse(&words).expect("a model");
    let mut knock = frames(1, 5);
    knock.iter_mut().for_each(|value| *value *= 1e6);
    // Twice as far back as two layers see.
    let (before, after) = (frames(9, 6), frames(4 * WINDOW, 7));
    let outputs = |first: &[&[f32]]| {
        let mut state = HostState::new(model.dims(), 12);
        let mut session = model.session(state.memory());
        first.iter().for_each(|frames| assert!(session.push(frames).is_ok()));
        session.push(&after).expect("fits").to_vec()
    };
    let (with, without) = (outputs(&[&before, &knock]), outputs(&[&before]));
    let size = without.iter().fold(0.0_f32, |max, output| max.max(output.abs()));
    for (with, without) in with.iter().zip(&without) {
        assert!((with - without).abs() <= 0.01 * size, "{with} for {without}");
    }
}

#[test]
fn scaled_features_are_those_that_the_caller_would_have_scaled() {
    let offsets: Vec<f32> = (0..N_FEATURES).map(|index| 100.0 * index as f32 - 300.0).collect();
    let scales: Vec<f32> = (0..N_FEATURES).map(|index| 0.01 * (index + 1) as f32).collect();
    let plain = encoder(Encoder::Classifier, 1);
    let scaled = |offsets: &[f32], scales: &[f32]| {
        let mut writer = encoder_writer(Encoder::Classifier, 1);
        writer.feature_scaling(offsets, scales);
        writer.finish()
    };
    let run = |words: &[u32], frames: &[f32]| {
        let model = Model::parse(words).expect("a model");
        let mut state = HostState::new(model.dims(), 12);
        bits(model.session(state.memory()).infer(frames).expect("outputs"))
    };
    let (none, ones) = (vec![0.0; N_FEATURES], vec![1.0; N_FEATURES]);
    for (offsets, scales) in [(&offsets, &scales), (&none, &scales), (&offsets, &ones), (&none, &ones)] {
        let given: Vec<f32> = frames(7, 3)
            .chunks_exact(N_FEATURES)
            .flat_map(|frame| {
                frame.iter().zip(offsets.iter().zip(scales)).map(|(value, (offset, scale))| value / scale + offset)
            })
            .collect();
        let seen: Vec<f32> = given
            .chunks_exact(N_FEATURES)
            .flat_map(|frame| {
                frame.iter().zip(offsets.iter().zip(scales)).map(|(value, (offset, scale))| (value - offset) * scale)
            })
            .collect();
        assert_eq!(run(&scaled(offsets, scales).expect("an image"), &given), run(&plain, &seen));
    }
    // A frame of offsets is one of zeros.
    assert_eq!(run(&scaled(&offsets, &scales).expect("an image"), &offsets), run(&plain, &none));
    let refused = |index: usize| Err(Error::BadValue { tensor: Tensor::FeatureScaling, layer: 0, index: index as u32 });
    for (bad, index) in [(f32::NAN, 3), (0.0, 0), (-1.0, 5), (1e-40, 10), (f32::INFINITY, 1)] {
        let mut scales = scales.clone();
        scales[index] = bad;
        assert_eq!(scaled(&none, &scales), refused(N_FEATURES + index), "a scale of {bad}");
    }
    for (bad, index) in [(f32::NAN, 2), (f32::NEG_INFINITY, 0), (2e30, 9)] {
        let mut offsets = offsets.clone();
        offsets[index] = bad;
        assert_eq!(scaled(&offsets, &ones), refused(index), "an offset of {bad}");
    }
}

#[test]
fn outputs_have_the_names_of_the_image() {
    let words = encoder(Encoder::Classifier, 1);
    let model = Model::parse(&words).expect("a model");
    let names: Vec<_> = (0..4).map(|output| model.label(output)).collect();
    assert_eq!(names, [Some("yes"), Some("no"), Some("naïve"), None]);
    let words = encoder(Encoder::Sentence, 1);
    assert_eq!(Model::parse(&words).expect("a model").label(0), None);
    // Bytes that are no text are no names.
    let mut words = encoder(Encoder::Classifier, 1);
    let first = words[entry(&words, Tensor::Labels, 0) + section::OFFSET] as usize / 4;
    words[first] = u32::MAX;
    repair(&mut words);
    assert_eq!(Model::parse(&words).expect("labels are not computed with").label(0), None);
}

#[test]
fn ends_that_do_not_fit_each_other_are_refused_by_name() {
    let unsupported = |field, found| Error::Unsupported { field, found };
    let dimension = |name, found| Error::Dimension { name, found };
    let table = [
        (Encoder::Classifier, header::POOLING, 0, unsupported("pooler without pooling", 1)),
        (Encoder::Classifier, header::POOLING, 7, unsupported("pooling", 7)),
        (Encoder::Classifier, header::CLASS_TOKENS, 3, dimension("n_class", 3)),
        (Encoder::Classifier, header::CLASS_PLACE, 2, unsupported("class place", 2)),
        (Encoder::Classifier, header::EMBEDDING_ACTIVATION, 6, unsupported("embedding activation", 6)),
        (Encoder::Classifier, header::HEAD_ACTIVATION, 6, unsupported("head activation", 6)),
        (Encoder::Classifier, header::HEAD_ACTIVATION, 1, dimension("hidden layers of the head", 0)),
        (Encoder::Classifier, header::HEAD_WIDTHS, 5, dimension("hidden layers of the head", 1)),
        (Encoder::Classifier, header::HEAD_WIDTHS, 65_537, dimension("width of a head's hidden layer", 65_537)),
        (Encoder::Classifier, header::HEAD_WIDTHS + 2, 5, dimension("width of a head's hidden layer", 5)),
        (Encoder::Classifier, header::OUTPUTS, 3, unsupported("outputs", 3)),
        (Encoder::Sentence, header::EMBEDDING_ACTIVATION, 1, unsupported("activation of an embedding of tokens", 1)),
        (Encoder::Sentence, header::CLASS_PLACE, 1, dimension("n_class", 0)),
        (Encoder::Sentence, header::POOLING, 4, unsupported("pooling of this mask and input", 4)),
        (Encoder::Stream, header::POOLING, 6, unsupported("pooling of this mask and input", 6)),
        (Encoder::Classifier, header::POOLER, 3, unsupported("pooler", 3)),
        (Encoder::Classifier, header::HEADLESS, 2, unsupported("headless", 2)),
        (Encoder::Classifier, header::HEADLESS, 1, dimension("n_outputs", 3)),
        (Encoder::Classifier, header::N_FEATURES, 0, dimension("n_features", 0)),
        (Encoder::Classifier, header::N_FEATURES, 65_537, dimension("n_features", 65_537)),
        (Encoder::Classifier, header::N_OUTPUTS, 0, dimension("n_outputs", 0)),
        (Encoder::Classifier, header::N_OUTPUTS, 65_536, dimension("n_outputs", 65_536)),
        (Encoder::Classifier, header::SLIDING_WINDOW, 3, dimension("sliding_window", 3)),
        (Encoder::Classifier, header::INPUT, 1, dimension("n_features", 11)),
        (Encoder::Sentence, header::N_FEATURES, 7, dimension("n_features", 7)),
        (Encoder::Sentence, header::POOLER, 1, Error::MissingTensor { tensor: Tensor::Pooler, layer: 0 }),
        (Encoder::Stream, header::POOLING, 1, unsupported("pooling of this mask and input", 1)),
        (Encoder::Stream, header::POOLING, 2, unsupported("pooling of this mask and input", 2)),
        (Encoder::Stream, header::SLIDING_WINDOW, 13, dimension("sliding_window", 13)),
        (Encoder::Stream, header::POSITIONS, 2, Error::MissingTensor { tensor: Tensor::PositionTable, layer: 0 }),
    ];
    for (kind, index, value, expected) in table {
        let mut words = encoder(kind, 1);
        words[index] = value;
        repair(&mut words);
        let found = Model::parse(&words).expect_err("refused");
        assert_eq!(found, expected, "{kind:?}: header word {index} = {value}");
    }
}
