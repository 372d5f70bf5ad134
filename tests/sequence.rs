//! However a sequence is fed, whatever went wrong before, whoever owns the memory: the same tokens give the same bits.

mod common;

use common::{Random, SHAPES, Shape, image, repair, set_integer, set_multiplier, set_scale};
use thumbformer::observe::{AttentionRow, Observer, Point, Vector};
use thumbformer::state::HostState;
use thumbformer::text::{Sampler, Sampling};
use thumbformer::{Error, MAX_BATCH, Model, State, Tensor};

fn tokens(shape: &Shape, count: usize, seed: u64) -> Vec<u16> {
    let mut random = Random::new(seed);
    (0..count).map(|_| (random.word() % shape.vocab as u32) as u16).collect()
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|logit| logit.to_bits()).collect()
}

/// The logits of every position, token by token, with a context of `max_seq`.
fn decoded(model: &Model<'_>, tokens: &[u16], max_seq: usize) -> Vec<Vec<u32>> {
    let mut state = HostState::new(model.dims(), max_seq);
    let mut session = model.session(state.memory());
    tokens.iter().map(|&token| bits(session.decode(token).expect("a token that fits"))).collect()
}

#[test]
fn prefill_gives_the_bits_of_decoding_token_by_token() {
    for (seed, shape) in SHAPES.iter().enumerate() {
        let words = image(shape, seed as u64);
        let model = Model::parse(&words).expect("a model");
        let tokens = tokens(shape, shape.max_seq, 1);
        let expected = decoded(&model, &tokens, shape.max_seq);
        for length in 1..=tokens.len() {
            // Every number of tokens at a time, and prompts that are no multiple of it.
            let mut state = HostState::with_batch(model.dims(), shape.max_seq, 1 + length % MAX_BATCH);
            let mut session = model.session(state.memory());
            let found = bits(session.prefill(&tokens[..length]).expect("a prompt that fits"));
            assert!(found == expected[length - 1], "{shape:?}: a prompt of {length} tokens");
            assert_eq!((session.position(), session.remaining()), (length, shape.max_seq - length));
        }
        assert!(expected.iter().flatten().all(|&logit| f32::from_bits(logit).is_finite()), "{shape:?}");
    }
}

#[test]
fn a_longer_context_and_a_reset_change_no_bit() {
    for (seed, shape) in SHAPES.iter().enumerate() {
        let words = image(shape, seed as u64);
        let model = Model::parse(&words).expect("a model");
        let length = shape.max_seq.min(6);
        let tokens = tokens(shape, length, 2);
        let expected = decoded(&model, &tokens, length);
        assert!(decoded(&model, &tokens, shape.max_seq) == expected, "{shape:?}");
        let mut state = HostState::new(model.dims(), shape.max_seq);
        let mut session = model.session(state.memory());
        // Something else first, whose keys and values stay in the cache.
        session.prefill(&self::tokens(shape, shape.max_seq, 3)).expect("fits");
        session.reset();
        for (&token, expected) in tokens.iter().zip(&expected) {
            assert!(bits(session.decode(token).expect("fits")) == *expected, "{shape:?}");
        }
    }
}

#[test]
fn the_past_matters_and_so_does_its_order() {
    let shape = &SHAPES[0];
    let words = image(shape, 1);
    let model = Model::parse(&words).expect("a model");
    let last = |tokens: &[u16]| decoded(&model, tokens, 8).pop().expect("logits");
    assert_ne!(last(&[5, 6, 7]), last(&[6, 5, 7]));
    assert_ne!(last(&[5, 6, 7]), last(&[6, 7]));
    // One more of the same in a row of the same would change nothing: an average of equal values is that value.
    assert_ne!(last(&[6, 7]), last(&[6, 7, 7]));
}

#[test]
fn a_refused_token_leaves_the_session_where_it_was() {
    for (seed, shape) in SHAPES.iter().enumerate() {
        let words = image(shape, seed as u64);
        let model = Model::parse(&words).expect("a model");
        let tokens = tokens(shape, shape.max_seq, 4);
        let expected = decoded(&model, &tokens, shape.max_seq);
        let mut state = HostState::new(model.dims(), shape.max_seq);
        let mut session = model.session(state.memory());
        let vocab = shape.vocab as u32;
        for (&token, expected) in tokens.iter().zip(&expected) {
            for beyond in [vocab, 65_535] {
                let error = session.decode(beyond as u16).expect_err("beyond the vocabulary");
                assert_eq!(error, Error::TokenOutOfVocabulary { token: beyond, vocab });
            }
            assert_eq!(session.prefill(&[]).expect_err("empty"), Error::EmptyPrompt);
            assert!(bits(session.decode(token).expect("fits")) == *expected, "{shape:?}");
        }
        for _ in 0..2 {
            assert_eq!(session.decode(0).expect_err("full"), Error::CacheFull { max_seq: shape.max_seq });
            assert_eq!((session.position(), session.remaining()), (shape.max_seq, 0));
        }
    }
}

#[test]
fn a_state_for_a_shorter_context_is_full_at_its_own_length_and_not_before() {
    let shape = &SHAPES[3];
    let words = image(shape, 1);
    let model = Model::parse(&words).expect("a model");
    for max_seq in [1, 2, 7, 40] {
        let mut state = HostState::new(model.dims(), max_seq);
        let mut session = model.session(state.memory());
        for position in 0..max_seq {
            assert_eq!(session.remaining(), max_seq - position);
            assert!(session.decode(3).is_ok(), "position {position} of {max_seq}");
        }
        assert_eq!(session.decode(3).expect_err("full"), Error::CacheFull { max_seq });
    }
}

#[test]
fn a_state_of_another_model_is_refused() {
    let (words, other) = (image(&SHAPES[0], 1), image(&SHAPES[3], 1));
    let (model, other) = (Model::parse(&words).expect("a model"), Model::parse(&other).expect("a model"));
    let mut state = HostState::new(other.dims(), 16);
    let error = model.session(state.memory()).decode(0).expect_err("another model's memory");
    assert!(matches!(error, Error::StateTooSmall { .. }), "{error:?}");
}

/// A context longer than the model's own gives no further positions: the rotary tables end there.
#[test]
fn a_state_for_a_longer_context_than_the_model_s_is_full_at_the_model_s() {
    for (seed, shape) in SHAPES.iter().enumerate() {
        let words = image(shape, seed as u64);
        let model = Model::parse(&words).expect("a model");
        let tokens = tokens(shape, shape.max_seq, 6);
        let mut state = HostState::new(model.dims(), shape.max_seq + 5);
        let mut session = model.session(state.memory());
        for (&token, expected) in tokens.iter().zip(decoded(&model, &tokens, shape.max_seq)) {
            assert!(bits(session.decode(token).expect("fits")) == expected, "{shape:?}");
        }
        assert_eq!(session.remaining(), 0);
        assert_eq!(session.decode(0).expect_err("full"), Error::CacheFull { max_seq: shape.max_seq });
        let error = session.prefill(&[0]).expect_err("full");
        assert_eq!(error, Error::CacheFull { max_seq: shape.max_seq });
    }
}

/// Sizes as firmware writes them, computed here by hand for the first shape.
#[test]
fn a_state_of_fixed_arrays_gives_the_bits_of_one_on_the_heap() {
    // Two layers of two heads: keys and values of 24 tokens by 4 bytes, a mantissa of two bytes each, an exponent each.
    const CACHE: usize = 2 * 2 * (24 + 24 + 12 + 12 + 1);
    // Of three tokens stream, rotation, projections (queries, keys, values, outputs), int8 of the widest vector; scores, logits.
    const WORDS: usize = 3 * (16 + 2 + (2 * 16 + 2 * 8) + 32 / 2) + 24 / 2 + CACHE + 300;
    let shape = &SHAPES[0];
    let words = image(shape, 1);
    let model = Model::parse(&words).expect("a model");
    assert_eq!((model.dims().cache_words(24), model.dims().state_words(24, 3)), (CACHE, WORDS));
    let tokens = tokens(shape, 24, 7);
    let mut state = State::<24, 3, WORDS>::new();
    // The second time with what the first one left behind.
    for _ in 0..2 {
        let mut session = model.session(state.memory());
        for (&token, expected) in tokens.iter().zip(decoded(&model, &tokens, 24)) {
            assert!(bits(session.decode(token).expect("fits")) == expected);
        }
        assert_eq!(session.decode(0).expect_err("full"), Error::CacheFull { max_seq: 24 });
    }
    let mut wrong = State::<24, 3, { WORDS - 1 }>::new();
    let error = model.session(wrong.memory()).decode(0).expect_err("a word is missing");
    assert_eq!(error, Error::StateTooSmall { expected: WORDS, found: WORDS - 1 });
}

#[test]
fn a_prompt_that_is_refused_leaves_the_session_where_it_was() {
    let shape = &SHAPES[0];
    let words = image(shape, 1);
    let model = Model::parse(&words).expect("a model");
    let expected = decoded(&model, &[4, 5, 6, 7], 8);
    let beyond = Error::TokenOutOfVocabulary { token: 300, vocab: 300 };
    let full = Error::CacheFull { max_seq: 4 };
    for (prompt, error) in [
        (&[300][..], beyond),
        (&[4, 300], beyond),
        (&[5, 300, 6], beyond),
        (&[4, 5, 6, 7, 8], full),
        (&[4, 5, 6, 7, 300], beyond),
    ] {
        for before in 0..3 {
            let mut state = HostState::new(model.dims(), 4);
            let mut session = model.session(state.memory());
            for &token in &[4, 5, 6][..before] {
                assert!(session.decode(token).is_ok());
            }
            assert_eq!(session.prefill(prompt).expect_err("refused"), error, "{prompt:?}");
            assert_eq!(session.position(), before, "{prompt:?}");
            let rest = bits(session.prefill(&[4, 5, 6, 7][before..]).expect("fits"));
            assert!(rest == expected[3], "{prompt:?}");
        }
    }
}

/// A token whose computation breaks off in the middle has already stored keys and values of the layers before, so the
/// sequence is forgotten; nothing of it may be seen by the next one.
#[test]
fn a_token_that_breaks_off_inside_the_network_ends_the_sequence_and_leaves_no_trace() {
    const BROKEN: u16 = 9;
    let shape = &SHAPES[3];
    let mut words = image(shape, 1);
    // Column 0 of the stream is zero for every token but one, and only values of layer 1 look at it: with too large a scale.
    for row in 0..shape.vocab {
        let value = if row == usize::from(BROKEN) { 127 } else { 0 };
        set_integer(&mut words, Tensor::Embedding, 0, row, 0, value);
    }
    for layer in 0..shape.n_layers as u32 {
        set_multiplier(&mut words, Tensor::AttentionOutput, layer, 0, 0);
        set_multiplier(&mut words, Tensor::Down, layer, 0, 0);
    }
    for row in 0..shape.n_kv_heads * shape.head_dim {
        for col in 0..shape.d_model {
            set_integer(&mut words, Tensor::Value, 1, row, col, if (row, col) == (0, 0) { 127 } else { 0 });
        }
    }
    set_scale(&mut words, Tensor::Value, 1, 1e25);
    repair(&mut words);
    let model = Model::parse(&words).expect("finite scales are accepted");
    let tokens = [4, 5, 6, 7];
    let expected = decoded(&model, &tokens, 4);
    let mut state = HostState::new(model.dims(), 5);
    let mut session = model.session(state.memory());
    for length in 1..=tokens.len() {
        for (&token, expected) in tokens[..length].iter().zip(&expected) {
            assert!(bits(session.decode(token).expect("fits")) == *expected, "after {} tokens", length - 1);
        }
        if length < tokens.len() {
            let error = if length % 2 == 0 { session.decode(BROKEN) } else { session.prefill(&[BROKEN, 4]) };
            assert_eq!(error.expect_err("beyond the floats"), Error::NotFinite { layer: 1 });
            assert_eq!(session.position(), 0);
        } else {
            session.reset();
        }
    }
}

/// The logits are lent for writing: the sampler uses them up.
#[test]
fn what_a_caller_writes_into_the_logits_changes_no_later_bit() {
    let shape = &SHAPES[3];
    let words = image(shape, 1);
    let model = Model::parse(&words).expect("a model");
    let tokens = tokens(shape, 12, 8);
    let expected = decoded(&model, &tokens, 12);
    let mut state = HostState::new(model.dims(), 12);
    let mut session = model.session(state.memory());
    let mut sampler = Sampler::new(Sampling { temperature: 0.8, top_k: 5, top_p: 0.9 }, 1).expect("a sampler");
    for (&token, expected) in tokens.iter().zip(&expected) {
        let logits = session.decode(token).expect("fits");
        assert!(bits(logits) == *expected);
        sampler.sample(logits);
        logits.fill(f32::NAN);
    }
}

/// Notes what it sees.
#[derive(Default)]
struct Notes {
    points: Vec<(Point, usize)>,
    attention: Vec<(usize, usize, usize)>,
    vectors: Vec<Vec<f32>>,
}

impl Observer for Notes {
    fn vector(&mut self, point: Point, layer: usize, vector: &Vector<'_>) {
        self.points.push((point, layer));
        self.vectors.push(vector.values().collect());
    }

    fn attention(&mut self, layer: usize, head: usize, row: &AttentionRow<'_>) {
        let probabilities: Vec<f32> = row.probabilities().collect();
        let sum: f32 = probabilities.iter().sum();
        assert!((sum - 1.0).abs() < 1e-3, "layer {layer}, head {head}: {sum}");
        self.attention.push((layer, head, probabilities.len()));
    }
}

#[test]
fn an_observer_sees_everything_in_order_and_changes_no_bit() {
    let shape = &SHAPES[0];
    let words = image(shape, 1);
    let model = Model::parse(&words).expect("a model");
    let tokens = tokens(shape, 5, 5);
    let expected = decoded(&model, &tokens, 8);
    let mut state = HostState::new(model.dims(), 8);
    let mut session = model.session(state.memory());
    for (position, (&token, expected)) in tokens.iter().zip(&expected).enumerate() {
        let mut notes = Notes::default();
        let found = bits(session.observe(&mut notes).decode(token).expect("fits"));
        assert!(found == *expected, "position {position}");
        let mut points = vec![(Point::Embedding, 0)];
        for layer in 0..shape.n_layers {
            let of_layer = [
                Point::AttentionNorm,
                Point::Query,
                Point::Key,
                Point::Value,
                Point::Context,
                Point::AttentionOutput,
                Point::MlpNorm,
                Point::Gate,
                Point::Up,
                Point::Hidden,
                Point::MlpOutput,
                Point::Output,
            ];
            points.extend(of_layer.map(|point| (point, layer)));
        }
        points.extend([(Point::FinalNorm, 0), (Point::Logits, 0)]);
        assert_eq!(notes.points, points);
        let heads =
            (0..shape.n_layers).flat_map(|layer| (0..shape.n_heads).map(move |head| (layer, head, position + 1)));
        assert_eq!(notes.attention, heads.collect::<Vec<_>>());
        clean_stream(&notes);
    }
}

/// Nothing but addition touches the stream: after a block it is the stream before it plus the two branches.
fn clean_stream(notes: &Notes) {
    let mut stream = notes.vectors[0].clone();
    for ((point, layer), vector) in notes.points.iter().zip(&notes.vectors) {
        match point {
            Point::AttentionOutput | Point::MlpOutput => {
                stream.iter_mut().zip(vector).for_each(|(x, branch)| *x += branch);
            }
            Point::Output => assert_eq!(bits(&stream), bits(vector), "layer {layer}"),
            _ => {}
        }
    }
}
