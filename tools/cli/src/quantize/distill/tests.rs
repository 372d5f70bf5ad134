//! Forward and backward pass are right; a trained network is better on text that it was not trained on, and the same in every run.

use super::latent::Latent;
use super::math::{activate, exp};
use super::multiply::{View, multiply};
use super::network::Network;
use super::rows::{Gradients, Rows};
use super::{Student, distilled, lacking};
use crate::convert::{Settings, convert_with};
use crate::quantize::{Quantized, STAGES, rounded};
use thumbformer::Model;
use thumbformer::image::Int4;
use thumbformer::state::HostState;
use thumbformer_checkpoint::random::{Extras, Random};
use thumbformer_checkpoint::{
    Activation, Checkpoint, Config, Input, Mask, Norm, NormPlace, Options, Pooling, Positions, Tensor, Tensors,
};
use thumbformer_reference::Reference;

const VOCAB: usize = 23;
const MAX_SEQ: usize = 40;

/// A small decoder with random options.
fn decoder(random: &mut Random) -> Checkpoint {
    let mut options = Options::LLAMA;
    options.norm = random.pick(Norm::ALL);
    options.activation = random.pick(Activation::ALL);
    let (head_dim, (n_heads, n_kv_heads)) = (random.pick(&[4, 6]), random.pick(&[(2, 2), (4, 2), (3, 1)]));
    let (d_model, d_ff, tied_head) = (random.pick(&[16, 36]), random.pick(&[21, 48]), random.pick(&[true, false]));
    options.positions = random.pick(&[Positions::Rotary, Positions::Table, Positions::None]);
    let extras = Extras { biases: random.pick(&[true, false]), norm_bias: random.pick(&[true, false]) };
    options.gated = random.pick(&[true, false]);
    options.norm_place = random.pick(&[NormPlace::Pre, NormPlace::Post]);
    let mut config = Config::new(options, d_model, n_heads, head_dim);
    (config.n_layers, config.n_kv_heads, config.d_ff, config.max_seq) = (2, n_kv_heads, d_ff, MAX_SEQ);
    (config.vocab, config.n_outputs, config.rope_theta) = (VOCAB, VOCAB, 100.0);
    config.sliding_window = random.pick(&[None, Some(5)]);
    config.attention_scale = Config::usual_scale(head_dim) * random.pick(&[1.0, 0.5]);
    let mut tensors = Tensors::default();
    (0..config.n_layers).for_each(|layer| random.layer(&mut tensors, &config, extras, layer));
    let norm_bias = extras.norm_bias && options.norm == Norm::Layer;
    let (embedding_norm, final_norm) = (d_ff == 48, d_model == 16 || n_heads == 4);
    let table = options.positions == Positions::Table;
    let others = [
        (Tensor::EmbeddingNorm, embedding_norm.then(|| random.tensor("gain", &[d_model], 0.2, 1.0))),
        (Tensor::FinalNorm, final_norm.then(|| random.tensor("gain", &[d_model], 0.2, 1.0))),
        (Tensor::Embedding, Some(random.tensor("embedding", &[VOCAB, d_model], 1.0, 0.0))),
        (Tensor::PositionTable, table.then(|| random.tensor("positions", &[MAX_SEQ, d_model], 0.5, 0.0))),
        (Tensor::EmbeddingNormBias, random.optional(embedding_norm && norm_bias, d_model)),
        (Tensor::FinalNormBias, random.optional(final_norm && norm_bias, d_model)),
        (Tensor::Head, (!tied_head).then(|| random.matrix(VOCAB, d_model))),
        (Tensor::HeadBias, random.optional(extras.biases, VOCAB)),
    ];
    for (tensor, weights) in others {
        weights.into_iter().for_each(|weights| tensors.insert(tensor, 0, weights));
    }
    Checkpoint {
        source: "random".into(),
        architecture: "random".into(),
        config,
        tensors,
        tokenizer: None,
        front_end: None,
        notes: Vec::new(),
    }
}

fn text(random: &mut Random, count: usize) -> Vec<u16> {
    (0..count).map(|_| (random.next() % VOCAB as u64) as u16).collect()
}

#[test]
fn the_logits_are_the_references_for_every_option() {
    let mut random = Random::new(5);
    for case in 0..40 {
        let checkpoint = decoder(&mut random);
        assert_eq!(lacking(&checkpoint), None);
        let tokens = text(&mut random, 1 + case % MAX_SEQ);
        let wide: Vec<u32> = tokens.iter().map(|&token| token.into()).collect();
        let expected = Reference::new(&checkpoint).forward(&wide, &mut |_, _| ()).expect("logits").concat();
        let found = Network::new(&checkpoint).forward(&tokens).0;
        let largest = expected.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
        assert_eq!(found.data.len(), expected.len());
        for (found, expected) in found.data.iter().zip(&expected) {
            let error = (f64::from(*found) - expected).abs() / largest;
            assert!(error < 2e-5, "case {case}: {found} for {expected}, {:?}", checkpoint.config);
        }
    }
}

/// Every matrix of the layers, with its slot.
fn trained(network: &mut Network, checkpoint: &Checkpoint) -> Vec<(usize, Tensor, Vec<f32>)> {
    let mut found = Vec::new();
    for layer in 0..checkpoint.config.n_layers {
        for &tensor in STAGES.iter().flat_map(|(_, tensors)| *tensors) {
            let Some(linear) = network.linear_mut(layer, tensor) else { continue };
            linear.slot = Some(found.len());
            found.push((layer, tensor, linear.weight().to_vec()));
        }
    }
    found
}

#[test]
fn gradients_are_finite_differences_for_every_option_and_matrix() {
    let mut random = Random::new(9);
    let mut count = 0;
    for case in 0..24 {
        let mut checkpoint = decoder(&mut random);
        if checkpoint.config.options.activation == Activation::Relu {
            // Finite differences miss the corner of ReLU. The backward passes of all activations differ only in their derivatives.
            checkpoint.config.options.activation =
                random.pick(&[Activation::Silu, Activation::Gelu, Activation::GeluTanh]);
        }
        let mut network = Network::new(&checkpoint);
        let matrices = trained(&mut network, &checkpoint);
        let tokens = text(&mut random, 1 + case);
        let (logits, tape) = network.forward(&tokens);
        // The loss is a random mix of the logits.
        let mix: Vec<f32> = logits.data.iter().map(|_| random.float()).collect();
        let mut gradients: Gradients = matrices.iter().map(|(.., weight)| vec![0.0; weight.len()]).collect();
        network.backward(&tape, &Rows { width: VOCAB, data: mix.clone() }, &mut gradients);
        for ((layer, tensor, weight), gradient) in matrices.iter().zip(&gradients) {
            for part in 0..2 {
                // Along the gradient of some of the weights.
                let mut along: Vec<f32> =
                    gradient.iter().map(|g| if random.next() % 2 == part { *g } else { 0.0 }).collect();
                let length = along.iter().map(|g| g * g).sum::<f32>().sqrt();
                if length < 1e-3 {
                    continue;
                }
                along.iter_mut().for_each(|g| *g /= length);
                let mut loss = |distance: f32| {
                    let moved = weight.iter().zip(&along).map(|(weight, along)| weight + distance * along).collect();
                    network.linear_mut(*layer, *tensor).expect("a matrix").set(moved);
                    let logits = network.forward(&tokens).0;
                    logits.data.iter().zip(&mix).map(|(x, mix)| f64::from(x * mix)).sum::<f64>()
                };
                let distance = 4e-3;
                let found = (loss(distance) - loss(-distance)) / f64::from(2.0 * distance);
                loss(0.0);
                let error = (found - f64::from(length)).abs() / f64::from(length).max(1.0);
                assert!(
                    error < 0.01,
                    "case {case}, layer {layer}, {tensor:?}: {found} for {length}, {:?}",
                    checkpoint.config
                );
                count += 1;
            }
        }
    }
    assert!(count > 400, "{count} gradients were looked at");
}

#[test]
fn slopes_are_finite_differences_and_exp_keeps_its_bound() {
    for activation in [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu] {
        for step in -80..80 {
            let x = 0.1 * step as f32 + 0.05;
            let difference = (activate(activation, x + 0.01).0 - activate(activation, x - 0.01).0) / 0.02;
            let slope = activate(activation, x).1;
            assert!((difference - slope).abs() < 5e-4, "{activation:?} at {x}: {slope}, by differences {difference}");
        }
    }
    for step in -8700..8700 {
        let x = 0.01 * step as f32;
        let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
        let bound = 3e-7 + 1.2e-7 * f64::from(x.abs());
        assert!((found / expected - 1.0).abs() < bound, "exp({x}): {found}, expected {expected}");
    }
    assert!(exp(-1e9) < 2e-38 && exp(f32::NEG_INFINITY) < 2e-38);
}

#[test]
fn products_are_those_of_plain_loops() {
    let mut random = Random::new(3);
    for case in 0..200 {
        let [m, k, n] = [0; 3].map(|_| 1 + random.next() as usize % 20);
        let (gap, turned) = (random.next() as usize % 3, case % 2 == 0);
        let mut numbers = |count: usize| (0..count).map(|_| random.float()).collect::<Vec<f32>>();
        let (a, b, before) = (numbers(m * k), numbers(k * (n + gap)), numbers(m * (n + gap)));
        let mut c = before.clone();
        let view = if turned { View::new(&a, k, m, m).transposed() } else { View::new(&a, m, k, k) };
        multiply(view, View::new(&b, k, n, n + gap), &mut c, n + gap);
        for row in 0..m {
            for col in 0..n + gap {
                let at = row * (n + gap) + col;
                let term = |i: usize| if turned { a[i * m + row] } else { a[row * k + i] } * b[i * (n + gap) + col];
                let sum: f32 = if col < n { (0..k).map(term).sum() } else { 0.0 };
                assert!((c[at] - before[at] - sum).abs() < 1e-4, "{m}x{k}x{n}, row {row}, column {col}");
            }
        }
    }
}

/// Values of an int4 matrix.
fn values(int4: &Int4) -> Vec<f32> {
    let groups = Int4::groups(int4.cols);
    let value = |(index, &integer): (usize, &i8)| {
        let scale = int4.group_scales[index / int4.cols * groups + Int4::group(int4.cols, index % int4.cols)];
        f32::from(integer) * (f32::from(scale) * int4.scale)
    };
    int4.integers.iter().enumerate().map(value).collect()
}

#[test]
fn what_is_trained_is_what_an_image_stores() {
    let mut random = Random::new(11);
    for (rows, cols) in [(3, 5), (4, 48), (2, 64), (1, 176)] {
        let mut weights = random.matrix(rows, cols).data;
        weights[0] *= 20.0;
        let plain = crate::quantize::matrix::quantize(rows, cols, &weights, &crate::quantize::Hessian::identity(cols));
        let mut latent = Latent::new(&weights, &plain.expect("rounds"));
        for step in 0..30 {
            let gradient: Vec<f32> = weights.iter().map(|_| random.float()).collect();
            latent.step(&gradient, step, 30.0);
            let int4 = latent.int4();
            assert_eq!(values(&int4), latent.rounded());
            assert!(int4.integers.iter().all(|n| (-7..=7).contains(n)) && int4.group_scales.iter().all(|&s| s > 0));
        }
        assert_ne!(latent.rounded(), Latent::new(&weights, &latent.int4()).rounded(), "the steps moved something");
    }
}

/// The mean divergence of the checkpoint with int4 matrices from itself, by the reference.
fn divergence(checkpoint: &Checkpoint, quantized: &Quantized, documents: &[Vec<u16>]) -> f64 {
    let mut changed = checkpoint.clone();
    for index in 0..changed.config.n_layers {
        for &tensor in STAGES.iter().flat_map(|(_, tensors)| *tensors) {
            if let (Some(int4), Some(float)) = (quantized.get(index, tensor), changed.tensors.get_mut(tensor, index)) {
                float.data = values(int4);
            }
        }
    }
    let [float, int4] = [checkpoint, &changed].map(Reference::new);
    let mut sum = 0.0;
    for document in documents {
        let tokens: Vec<u32> = document.iter().map(|&token| token.into()).collect();
        let [wanted, found] =
            [&float, &int4].map(|reference| reference.forward(&tokens, &mut |_, _| ()).expect("logits"));
        let of_position = wanted.iter().zip(&found).map(|(a, b)| thumbformer_reference::metrics::kl_divergence(a, b));
        sum += of_position.sum::<f64>() / wanted.len() as f64;
    }
    sum / documents.len() as f64
}

#[test]
fn distillation_lowers_the_divergence_on_text_that_it_never_saw() {
    let mut random = Random::new(21);
    for case in 0..2 {
        let checkpoint = decoder(&mut random);
        let seen: Vec<Vec<u16>> = (0..80).map(|_| text(&mut random, MAX_SEQ)).collect();
        let unseen: Vec<Vec<u16>> = (0..8).map(|_| text(&mut random, MAX_SEQ)).collect();
        let mut steps = 0;
        let found = distilled(&checkpoint, &seen, 120, 2, &mut |step| steps = step).expect("distilled");
        let plain = divergence(&checkpoint, &rounded(&checkpoint).expect("rounded"), &unseen);
        let trained = divergence(&checkpoint, &found.quantized, &unseen);
        assert!(trained < 0.7 * plain, "case {case}: {trained} after training, {plain} before");
        assert!(found.after < 0.7 * found.before && steps == 120, "{} after {}", found.after, found.before);
    }
}

#[test]
fn the_result_is_the_same_in_every_run_and_with_any_number_of_threads() {
    let mut random = Random::new(33);
    let checkpoint = decoder(&mut random);
    let documents: Vec<Vec<u16>> = (0..30).map(|_| text(&mut random, MAX_SEQ)).collect();
    let windows: Vec<&[u16]> = documents.iter().map(Vec::as_slice).collect();
    let teacher = Network::new(&checkpoint);
    // Rounding would hide a sum in a different order: the gradients must be bit-identical.
    let gradients = |threads| {
        let student = Student::new(&checkpoint, threads).expect("a student");
        let gradients = student.gradients(&teacher, &windows).expect("gradients").concat();
        gradients.into_iter().map(f32::to_bits).collect::<Vec<u32>>()
    };
    let run = |threads| distilled(&checkpoint, &documents, 5, threads, &mut |_| ()).expect("distilled").quantized;
    let first = (gradients(1), run(1));
    for threads in [1, 2, 5] {
        assert!(gradients(threads) == first.0, "{threads} threads");
        assert_eq!(run(threads).matrices, first.1.matrices, "{threads} threads");
    }
}

#[test]
fn what_cannot_be_distilled_is_refused_by_name() {
    let mut random = Random::new(1);
    let sound = decoder(&mut random);
    let documents = vec![text(&mut random, MAX_SEQ); 30];
    type Change = fn(&mut Checkpoint);
    let table: [(&str, Change); 5] = [
        ("a bidirectional mask", |c| c.config.options.mask = Mask::Bidirectional),
        ("an input of frames", |c| c.config.options.input = Input::Frames),
        ("a pooling", |c| c.config.options.pooling = Pooling::Last),
        ("a class token", |c| c.tensors.insert(Tensor::ClassToken, 0, c.tensors[(Tensor::Embedding, 0)].clone())),
        ("no head", |c| c.config.options.head = false),
    ];
    for (name, change) in table {
        let mut changed = sound.clone();
        change(&mut changed);
        let error = distilled(&changed, &documents, 1, 1, &mut |_| ()).err().expect("refused").to_string();
        assert!(error.contains(name), "{name}: {error}");
    }
    let error = distilled(&sound, &documents[..12], 1, 1, &mut |_| ()).err().expect("refused").to_string();
    assert!(error.contains(&format!("12 windows of up to {MAX_SEQ} tokens")), "{error}");
}

#[test]
fn a_matrix_of_zeros_stays_one() {
    let mut random = Random::new(2);
    let mut checkpoint = decoder(&mut random);
    checkpoint.tensors[(Tensor::AttentionOutput, 1)].data.fill(0.0);
    let windows = vec![text(&mut random, MAX_SEQ); 4];
    let windows: Vec<&[u16]> = windows.iter().map(Vec::as_slice).collect();
    let mut student = Student::new(&checkpoint, 1).expect("a student");
    let teacher = Network::new(&checkpoint);
    student.step(&teacher, &windows, 0, 1.0).expect("a step");
    // NaN would count as tens of nats.
    assert!(student.divergence(&teacher, &windows).expect("a divergence") < 1.0);
    let quantized = student.quantized();
    let int4 = quantized.get(1, Tensor::AttentionOutput).expect("int4");
    assert!(int4.scale == 0.0 && int4.integers.iter().all(|&integer| integer == 0));
}

#[test]
fn a_distilled_image_computes_the_same_bits_in_every_packing() {
    let mut random = Random::new(8);
    let checkpoint = decoder(&mut random);
    let documents: Vec<Vec<u16>> = (0..30).map(|_| text(&mut random, MAX_SEQ)).collect();
    let quantized = distilled(&checkpoint, &documents, 3, 1, &mut |_| ()).expect("distilled").quantized;
    let mut expected: Option<Vec<u32>> = None;
    for packing in thumbformer::Packing::ALL {
        let settings = Settings { packing, ..Settings::default() };
        let int4 = |layer, tensor| quantized.get(layer, tensor);
        let words = convert_with(&checkpoint, settings, &int4, &mut |_| ()).expect("an image");
        let model = Model::parse(&words).expect("a model");
        assert!(model.image().has_int4());
        let mut state = HostState::new(model.dims(), MAX_SEQ);
        let mut session = model.session(state.memory());
        let bits: Vec<u32> =
            session.prefill(&documents[0]).expect("fits").iter().map(|logit| logit.to_bits()).collect();
        assert!(*expected.get_or_insert_with(|| bits.clone()) == bits, "{packing:?}");
    }
}
