//! Inference in full on small images, short enough for Miri, which looks for undefined behaviour: `cargo xtask test miri`.

mod common;

use common::{ENCODERS, N_FEATURES, SHAPES, encoder, image, repair, set_integer, set_scale};
use thumbformer::state::HostState;
use thumbformer::{Inputs, Model, Tensor};

/// Everything that a session computes, for one token or frame and for several.
fn compute(model: &Model<'_>) -> usize {
    let dims = model.dims();
    let tokens: Vec<u16> = (0..3).map(|token| (token % dims.vocab.max(1)) as u16).collect();
    let frames: Vec<f32> = (0..3 * N_FEATURES).map(|i| (i % 7) as f32 - 3.0).collect();
    let mut state = HostState::new(dims, dims.max_seq.min(6));
    let mut session = model.session(state.memory());
    let mut done = usize::from(session.prefill(&tokens).is_ok());
    done += usize::from(session.decode(0).is_ok());
    session.reset();
    done += usize::from(session.push(&frames).is_ok());
    for inputs in [Inputs::Tokens(&tokens), Inputs::Frames(&frames)] {
        done += usize::from(session.infer(inputs).is_ok());
        done += usize::from(session.infer_masked(inputs, &[true, false, true]).is_ok());
    }
    if let Some(tokenizer) = model.tokenizer() {
        let mut out = [0; 16];
        done += usize::from(tokenizer.encode("ab é", true, &mut out).is_ok());
    }
    done
}

#[test]
fn miri_inference_of_small_models() {
    for shape in &SHAPES[..3] {
        let words = image(shape, 1);
        assert!(compute(&Model::parse(&words).expect("an image")) > 0, "{shape:?}");
    }
    for kind in ENCODERS {
        let words = encoder(kind, 1);
        assert!(compute(&Model::parse(&words).expect("an image")) > 0, "{kind:?}");
    }
}

#[test]
fn miri_inference_with_scales_and_weights_at_their_limits() {
    let sound = image(&SHAPES[1], 1);
    for scale in [0.0, f32::MIN_POSITIVE, 1e20, f32::MAX] {
        let mut words = sound.clone();
        set_scale(&mut words, Tensor::Query, 0, scale);
        set_scale(&mut words, Tensor::Down, 0, scale);
        set_integer(&mut words, Tensor::Embedding, 0, 0, 0, 127);
        repair(&mut words);
        // A result or an error.
        compute(&Model::parse(&words).expect("an image"));
    }
}

#[test]
fn miri_images_that_were_cut_or_changed() {
    let sound = image(&SHAPES[2], 1);
    for length in (0..sound.len()).step_by(61) {
        let mut words = sound[..length].to_vec();
        repair(&mut words);
        assert!(Model::parse(&words).is_err());
    }
    for index in (0..sound.len()).step_by(13) {
        let mut words = sound.clone();
        words[index] ^= 0x8000_0001;
        repair(&mut words);
        if let Ok(model) = Model::parse(&words)
            && model.dims().state_words(6, 4) < 1 << 12
        {
            compute(&model);
        }
    }
}
