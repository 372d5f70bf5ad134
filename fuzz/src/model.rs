//! Everything that users do with a model, once; the results are finite, the rest are errors.

use thumbformer::state::HostState;
use thumbformer::{Error, Inputs, MAX_BATCH, Model};

/// Most words of a state: larger ones take time and find nothing more.
const STATE: usize = 1 << 18;
/// Most multiplications of a token that are computed.
const WORK: usize = 1 << 22;

/// Inputs of a model.
pub struct Given<'a> {
    /// Token ids, of the vocabulary or not.
    pub tokens: &'a [u16],
    /// Numbers of frames, of their width or not.
    pub frames: &'a [f32],
    /// A text for the tokenizer.
    pub text: &'a str,
    /// Samples for the front end.
    pub samples: &'a [i16],
}

/// Runs a model.
pub fn used(model: &Model<'_>, given: &Given<'_>) {
    let dims = *model.dims();
    let _ = model.info().chain(model.columns().into_iter().flatten().map(|name| (name, ""))).count();
    assert!((0..dims.n_outputs.min(9)).filter_map(|output| model.label(output)).count() < 10);
    if let Some(front_end) = model.front_end() {
        crate::front_ends::heard(&front_end, given.samples, model.clip_frames());
    }
    tokenized(model, given);
    let work = model.image().bytes() + dims.n_layers * dims.max_seq * dims.n_heads * dims.head_dim;
    if dims.state_words(8, MAX_BATCH) > STATE || work > WORK {
        return;
    }
    let mut state = HostState::new(&dims, 8);
    let mut session = model.session(state.memory());
    let _ = session.prefill(given.tokens).map(finite);
    for &token in given.tokens {
        let _ = session.decode(token).map(finite);
    }
    let visible: Vec<bool> = given.tokens.iter().map(|token| token % 2 == 0).collect();
    for inputs in [Inputs::Tokens(given.tokens), Inputs::Frames(given.frames)] {
        let _ = session.infer(inputs).map(finite);
        let _ = session.infer_masked(inputs, &visible).map(finite);
        let _ = session.infer_each(inputs, None, |_, outputs| assert!(outputs.iter().all(|x| x.is_finite())));
    }
    session.reset();
    let _ = session.push(given.frames).map(finite);
    let mut streams = given.frames.to_vec();
    let _ = session.encode(&mut streams).map(|()| finite(&mut streams));
}

fn finite(outputs: &mut [f32]) {
    assert!(outputs.iter().all(|output| output.is_finite()));
}

/// Encodes in place and with a queue, which give the same tokens, and prints them.
fn tokenized(model: &Model<'_>, given: &Given<'_>) {
    let Some(tokenizer) = model.tokenizer() else { return };
    let mut out = vec![0; 2 * given.text.len() + 2];
    let in_place = tokenizer.encode_named(given.text, true, &mut out).map(|length| out[..length].to_vec());
    match (in_place, tokenizer.encode_long(given.text)) {
        (Err(Error::PieceTooLong { .. }), _) => {}
        (in_place, long) => assert_eq!(in_place, long, "{:?}", given.text),
    }
    for room in [0, 1, 5] {
        if let Ok(length) = tokenizer.encode(given.text, room % 2 == 0, &mut out[..room.min(2)]) {
            assert!(length <= room);
        }
    }
    let mut previous = tokenizer.bos().unwrap_or(0);
    for &token in out.iter().chain(given.tokens) {
        let _ = (tokenizer.piece(previous, token), tokenizer.name(token), tokenizer.is_end(token));
        previous = token;
    }
}
