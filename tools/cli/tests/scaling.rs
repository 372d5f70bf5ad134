//! Features in different units, and far from zero: int8 keeps the float network's outputs, whether recordings or the embedding say how.

use std::path::Path;
use thumbformer::{Model, Tensor};
use thumbformer_checkpoint::{Checkpoint, FrontEndConfig, Tensors};
use thumbformer_cli::classify::{classify, read};
use thumbformer_cli::convert::{Settings, convert};
use thumbformer_cli::scaling::scaling;
use thumbformer_cli::verify::Sequence;
use thumbformer_cli::verify::sequences::{Case, compare};

fn golden(name: &str) -> Checkpoint {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name);
    Checkpoint::load(&folder, None).unwrap_or_else(|error| panic!("{error}"))
}

/// Frames of noise, `[20, n]`, the same in every run.
fn noise(n: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..20 * n).map(|_| next() + next()).collect()
}

/// The same network for features in other units: each is `factor * feature + offset`.
fn in_units(checkpoint: &Checkpoint, factors: &[f32], offsets: &[f32]) -> Checkpoint {
    let mut other = checkpoint.clone();
    let tensors: &mut Tensors = &mut other.tensors;
    let n = factors.len();
    let matrix = tensors.get_mut(Tensor::Embedding, 0).expect("an embedding");
    matrix.data.iter_mut().enumerate().for_each(|(index, weight)| *weight /= factors[index % n]);
    let moved: Vec<f64> = matrix
        .data
        .chunks_exact(n)
        .map(|row| row.iter().zip(offsets).map(|(&weight, &offset)| f64::from(weight) * f64::from(offset)).sum())
        .collect();
    let bias = tensors.get_mut(Tensor::EmbeddingBias, 0).expect("a bias");
    bias.data.iter_mut().zip(moved).for_each(|(bias, moved)| *bias = (f64::from(*bias) - moved) as f32);
    other
}

/// SQNR of an image's outputs, in decibels, over five sequences of four frames.
fn decibels(checkpoint: &Checkpoint, words: &[u32], frames: &[f32]) -> f64 {
    let model = Model::parse(words).expect("an image");
    let case = |frames: &[f32]| Case { name: "noise".into(), truth: None, input: Sequence::Frames(frames.to_vec()) };
    let cases: Vec<Case> = frames.chunks_exact(4 * checkpoint.config.n_features).map(case).collect();
    compare(&model, checkpoint, &cases, &|| ()).expect("the same model").sqnr
}

#[test]
fn features_in_pascal_and_g_cost_nothing() {
    let plain = golden("torch_pre_relu/checkpoint");
    let n = plain.config.n_features;
    let noise = noise(n);
    let before = decibels(&plain, &convert(&plain, Settings::default(), &mut |_| ()).expect("an image"), &noise);
    assert!(scaling(&plain, None).is_none() && scaling(&plain, Some(&noise)).is_none(), "one scale is enough");
    for (factors, offsets) in [
        ([100.0, 1.0, 1.0, 1.0, 1.0], [0.0; 5]),
        ([50.0, 5.0, 1.0, 0.01, 1.0], [101_325.0, 25.0, 0.0, 0.0, 0.0]),
        ([1e-6, 1e6, 1.0, 1.0, 1.0], [0.0; 5]),
        ([1.0; 5], [1000.0, -1000.0, 0.0, 0.0, 0.0]),
    ] {
        let checkpoint = in_units(&plain, &factors, &offsets);
        let frames: Vec<f32> = noise
            .chunks_exact(n)
            .flat_map(|frame| {
                frame.iter().zip(factors.iter().zip(&offsets)).map(|(x, (factor, offset))| x * factor + offset)
            })
            .collect();
        for given in [None, Some(&frames[..])] {
            let settings = Settings { frames: given, ..Settings::default() };
            let words = convert(&checkpoint, settings, &mut |_| ()).expect("an image");
            let found = decibels(&checkpoint, &words, &frames);
            let how = if given.is_some() { "recordings" } else { "the embedding" };
            assert!(
                found >= 28.0 && found >= before - 3.0,
                "{factors:?}, {offsets:?} by {how}: {found:.1} dB, {before:.1} before"
            );
        }
    }
}

/// The context of a class token is one frame shorter.
#[test]
fn a_model_with_a_class_token_hears_a_clip() {
    let mut checkpoint = golden("torch_pre_relu/checkpoint");
    // Twenty bands, four for each feature.
    let matrix = checkpoint.tensors.get_mut(Tensor::Embedding, 0).expect("an embedding");
    matrix.data = matrix.data.iter().flat_map(|&weight| [weight / 4.0; 4]).collect();
    matrix.shape[1] = 20;
    checkpoint.config.n_features = 20;
    let checkpoint = checkpoint.with_front_end(FrontEndConfig::thumbformer()).expect("its bands are the features");
    let words = convert(&checkpoint, Settings::default(), &mut |_| ()).expect("an image");
    let model = Model::parse(&words).expect("an image");
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/digits/fixtures/3_m8.wav");
    let recording = read(&model, &recording).expect("a recording");
    assert_eq!(model.dims().n_class, 1);
    assert_eq!(recording.windows[0].frames.len(), 20 * (model.dims().max_seq - 1), "the class token takes one place");
    classify(&model, &recording).expect("an answer");
}
