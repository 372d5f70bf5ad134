//! Images that the compiler makes of constants equal those of the host's writer; weights that do not fit stop the build.

mod common;
#[path = "../examples/block/block.rs"]
mod example;

use common::Random;
use thumbformer::image::{Constant, ImageWriter, constant, constant_words};
use thumbformer::{Dims, Error, Norm, Options, PACKING, Packing, Tensor};

const D: usize = 12;
const FF: usize = 20;
const DIMS: Dims = Dims::block(D, 3, FF, 9, Options::ENCODER);

/// Every tensor that a block can have, with its shape.
const SHAPES: [(Tensor, usize, usize); 16] = [
    (Tensor::AttentionNorm, 1, D),
    (Tensor::AttentionNormBias, 1, D),
    (Tensor::Query, D, D),
    (Tensor::QueryBias, 1, D),
    (Tensor::Key, D, D),
    (Tensor::KeyBias, 1, D),
    (Tensor::Value, D, D),
    (Tensor::ValueBias, 1, D),
    (Tensor::AttentionOutput, D, D),
    (Tensor::AttentionOutputBias, 1, D),
    (Tensor::MlpNorm, 1, D),
    (Tensor::MlpNormBias, 1, D),
    (Tensor::Up, FF, D),
    (Tensor::UpBias, 1, FF),
    (Tensor::Down, D, FF),
    (Tensor::DownBias, 1, D),
];

fn weights(seed: u64) -> Vec<Vec<f32>> {
    let mut random = Random::new(seed);
    SHAPES.iter().map(|&(_, rows, cols)| random.floats(rows * cols, 1.3)).collect()
}

fn constants(weights: &[Vec<f32>]) -> Vec<Constant<'_>> {
    SHAPES.iter().zip(weights).map(|(&(tensor, ..), values)| (tensor, 0, &values[..])).collect()
}

const WORDS: usize = {
    const fn none(count: usize) -> &'static [f32] {
        [0.0; D * FF].split_at(count).0
    }
    let mut tensors: [Constant<'static>; SHAPES.len()] = [(Tensor::Query, 0, &[]); SHAPES.len()];
    let mut i = 0;
    while i < SHAPES.len() {
        tensors[i] = (SHAPES[i].0, 0, none(SHAPES[i].1 * SHAPES[i].2));
        i += 1;
    }
    constant_words(&DIMS, &tensors)
};

#[test]
fn an_image_of_constants_is_the_writer_s_to_the_bit() {
    for seed in 1..20 {
        let weights = weights(seed);
        let mut writer = ImageWriter::new(DIMS, PACKING.unwrap_or(Packing::Host));
        for ((tensor, rows, cols), values) in SHAPES.into_iter().zip(&weights) {
            match rows {
                1 => writer.vector(tensor, 0, values),
                _ => writer.matrix(tensor, 0, rows, cols, values),
            }
            .expect("finite weights");
        }
        let expected = writer.finish().expect("an image");
        let found: [u32; WORDS] = constant(&DIMS, &constants(&weights)).expect("all tensors");
        assert!(found[..] == expected[..], "seed {seed}");
    }
}

#[test]
fn constants_that_do_not_fit_are_refused_by_name() {
    let mut weights = weights(1);
    let all = constants(&weights);
    assert_eq!(constant::<16>(&DIMS, &all), Err(Error::Length { expected: 4 * WORDS as u32, found: 64 }));
    let mut two_layers = DIMS;
    two_layers.n_layers = 2;
    const TWO: usize = 2 * WORDS;
    let expected = constant_words(&two_layers, &all);
    assert!(expected < TWO && expected > WORDS);
    let mut short = all.clone();
    short[2].2 = &short[2].2[1..];
    let found = constant::<WORDS>(&DIMS, &short).expect_err("a value is missing");
    let (expected, one_less) = ((D as u32, D as u32), (1, (D * D - 1) as u32));
    assert_eq!(found, Error::ShapeMismatch { tensor: Tensor::Query, layer: 0, expected, found: one_less });
    weights[4][5] = f32::NAN;
    let found = constant::<WORDS>(&DIMS, &constants(&weights)).expect_err("no number");
    assert_eq!(found, Error::BadValue { tensor: Tensor::Key, layer: 0, index: 5 });
}

/// Norm, attention and MLP of the example, plainly and in floats.
#[test]
fn the_example_s_block_computes_what_its_picture_says() {
    let norm = |x: &[f64]| {
        let mean = x.iter().sum::<f64>() / 4.0;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4.0;
        x.iter().map(|x| (x - mean) / (variance + 1e-5).sqrt()).collect::<Vec<f64>>()
    };
    let gelu = |x: f64| 0.5 * x * (1.0 + libm::erf(x / 2_f64.sqrt()));
    let mut x: Vec<Vec<f64>> = example::X.chunks(4).map(|token| token.iter().map(|&x| x.into()).collect()).collect();
    let normed: Vec<Vec<f64>> = x.iter().map(|token| norm(token)).collect();
    for (token, query) in x.iter_mut().zip(&normed) {
        for head in [0..2, 2..4] {
            let score = |key: &Vec<f64>| head.clone().map(|i| query[i] * key[i]).sum::<f64>() / 2_f64.sqrt();
            let weights: Vec<f64> = normed.iter().map(|key| score(key).exp()).collect();
            for i in head.clone() {
                let gathered: f64 = weights.iter().zip(&normed).map(|(weight, value)| weight * value[i]).sum();
                token[i] += gathered / weights.iter().sum::<f64>();
            }
        }
        let normed = norm(token);
        token.iter_mut().zip(normed).for_each(|(token, x)| *token += 0.5 * (gelu(x) + gelu(-x)));
    }
    let mut found = example::X;
    example::run(&mut found).expect("three tokens");
    for (found, expected) in found.iter().zip(x.concat()) {
        assert!((f64::from(*found) - expected).abs() < 0.03, "{found} for {expected}");
    }
    assert_eq!(DIMS.options.norm, Norm::Layer);
}
