//! Every combination of the block's options computes what the float reference computes, within the noise of int8.

use std::path::PathBuf;
use thumbformer::Model;
use thumbformer::state::HostState;
use thumbformer_checkpoint::{
    Activation, Checkpoint, Config, Input, Layer, Mask, Norm, NormPlace, Pooling, Positions, Tensor,
};
use thumbformer_cli::convert::{Settings, convert, convert_blocks};
use thumbformer_reference::Reference;
use thumbformer_reference::metrics::Sqnr;

/// Numbers that look random and are the same in every run (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.next() % choices.len() as u64) as usize]
    }

    fn float(&mut self) -> f32 {
        // The sum of four is close to a normal distribution, as weights are.
        let uniform = |x: u64| (x % 65_536) as f32 / 32_768.0 - 1.0;
        (0..4).map(|_| uniform(self.next())).sum::<f32>() * 0.87
    }

    fn tensor(&mut self, name: &str, shape: &[usize], scale: f32, offset: f32) -> Tensor {
        let count = shape.iter().product();
        let data = (0..count).map(|_| self.float() * scale + offset).collect();
        Tensor { name: name.into(), shape: shape.to_vec(), data }
    }

    fn matrix(&mut self, rows: usize, cols: usize) -> Tensor {
        self.tensor("matrix", &[rows, cols], 0.8 / (cols as f32).sqrt(), 0.0)
    }

    fn optional(&mut self, wanted: bool, count: usize) -> Option<Tensor> {
        wanted.then(|| self.tensor("bias", &[count], 0.2, 0.0))
    }
}

/// A random checkpoint; of tokens, or of frames that are the stream already.
fn checkpoint(random: &mut Random, input_is_tokens: bool) -> Checkpoint {
    let n_kv_heads = random.pick(&[1, 2, 3]);
    let n_heads = n_kv_heads * random.pick(&[1, 2]);
    let rotary = random.pick(&[true, false]);
    let head_dim = if rotary { random.pick(&[4, 6, 8, 16]) } else { random.pick(&[5, 8, 12, 16, 20]) };
    let (d_model, d_ff, vocab) = (random.pick(&[16, 30, 48, 64]), random.pick(&[24, 56, 100, 160]), 50);
    let norm = random.pick(&[Norm::Rms, Norm::Layer]);
    let (biases, norm_bias) = (random.pick(&[true, false]), norm == Norm::Layer && random.pick(&[true, false]));
    let gated = random.pick(&[true, false]);
    let config = Config {
        d_model,
        n_layers: random.pick(&[1, 2, 3]),
        n_heads,
        n_kv_heads,
        head_dim,
        d_ff,
        vocab: if input_is_tokens { vocab } else { 0 },
        max_seq: 24,
        norm,
        norm_place: random.pick(&[NormPlace::Pre, NormPlace::Post]),
        norm_eps: random.pick(&[1e-5, 1e-6, 1e-12]),
        activation: random.pick(&[Activation::Silu, Activation::GeluErf, Activation::GeluTanh, Activation::Relu]),
        mask: if input_is_tokens { Mask::Causal } else { Mask::Bidirectional },
        positions: if rotary { Positions::Rotary { theta: 10_000.0 } } else { Positions::None },
        input: if input_is_tokens { Input::Tokens } else { Input::Frames { n_features: d_model } },
        pooling: Pooling::None,
        attention_scale: Config::usual_scale(head_dim) * random.pick(&[1.0, 0.5]),
        n_outputs: if input_is_tokens { vocab } else { d_model },
        tied_head: input_is_tokens,
        bos: None,
        eos: Vec::new(),
    };
    let (q, kv) = (config.q_width(), config.kv_width());
    let layers = (0..config.n_layers).map(|_| Layer {
        attention_norm: random.tensor("gain", &[d_model], 0.2, 1.0),
        attention_norm_bias: random.optional(norm_bias, d_model),
        wq: random.matrix(q, d_model),
        bq: random.optional(biases, q),
        wk: random.matrix(kv, d_model),
        bk: random.optional(biases, kv),
        wv: random.matrix(kv, d_model),
        bv: random.optional(biases, kv),
        wo: random.matrix(d_model, q),
        bo: random.optional(biases, d_model),
        mlp_norm: random.tensor("gain", &[d_model], 0.2, 1.0),
        mlp_norm_bias: random.optional(norm_bias, d_model),
        gate: gated.then(|| random.matrix(d_ff, d_model)),
        gate_bias: random.optional(gated && biases, d_ff),
        up: random.matrix(d_ff, d_model),
        up_bias: random.optional(biases, d_ff),
        down: random.matrix(d_model, d_ff),
        down_bias: random.optional(biases, d_model),
    });
    let layers = layers.collect();
    let final_norm = random.pick(&[true, false]).then(|| random.tensor("gain", &[d_model], 0.2, 1.0));
    let mut identity = random.tensor("identity", &[d_model, d_model], 0.0, 0.0);
    identity.data.iter_mut().step_by(d_model + 1).for_each(|x| *x = 1.0);
    Checkpoint {
        source: PathBuf::from("random"),
        architecture: "random".into(),
        embedding: if input_is_tokens { random.tensor("embedding", &[vocab, d_model], 1.0, 0.0) } else { identity },
        embedding_bias: None,
        class_token: None,
        positions: None,
        embedding_norm: None,
        embedding_norm_bias: None,
        layers,
        final_norm_bias: random.optional(final_norm.is_some() && norm_bias, d_model),
        final_norm,
        pooler: None,
        head: None,
        head_bias: random.optional(input_is_tokens && biases, vocab),
        tokenizer: None,
        config,
    }
}

/// The least ratio of signal to noise that int8 gives, in decibels.
const FLOOR: f64 = 28.0;

#[test]
fn decoders_with_any_options_compute_what_the_reference_computes() {
    let mut random = Random(11);
    for case in 0..120 {
        let checkpoint = checkpoint(&mut random, true);
        let tokens: Vec<u32> = (0..12).map(|_| (random.next() % 50) as u32).collect();
        let expected = Reference::new(&checkpoint).forward(&tokens, &mut |_, _| ()).expect("a sequence");
        let words = convert(&checkpoint, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{error:#}"));
        let model = Model::parse(&words).expect("an image");
        let mut state = HostState::new(model.dims(), 24);
        let mut session = model.session(state.memory());
        let mut sqnr = Sqnr::default();
        for (&token, expected) in tokens.iter().zip(&expected) {
            let found: Vec<f64> = session.decode(token as u16).expect("fits").iter().map(|&x| x.into()).collect();
            sqnr.add(expected, &found);
        }
        assert!(sqnr.decibels() >= FLOOR, "case {case}: {:.1} dB, {:?}", sqnr.decibels(), checkpoint.config);
    }
}

#[test]
fn blocks_over_whole_sequences_compute_what_the_reference_computes() {
    let mut random = Random(12);
    for case in 0..120 {
        let checkpoint = checkpoint(&mut random, false);
        let (d_model, seq) = (checkpoint.config.d_model, 1 + (random.next() % 24) as usize);
        let frames: Vec<Vec<f64>> =
            (0..seq).map(|_| (0..d_model).map(|_| f64::from(random.float() * 1.5)).collect()).collect();
        let expected = Reference::new(&checkpoint).forward_frames(&frames, &mut |_, _| ()).expect("a sequence");
        let words =
            convert_blocks(&checkpoint, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{error:#}"));
        let model = Model::parse(&words).expect("an image");
        let streams: Vec<f32> = frames.concat().iter().map(|&x| x as f32).collect();
        let mut results = Vec::new();
        for batch in 1..=4 {
            let mut state = HostState::with_batch(model.dims(), 24, batch);
            let mut found = streams.clone();
            model.session(state.memory()).encode(&mut found).expect("fits");
            results.push(found);
        }
        assert!(results.iter().all(|found| *found == results[0]), "case {case}: the batch changes bits");
        let mut sqnr = Sqnr::default();
        let found: Vec<f64> = results[0].iter().map(|&x| x.into()).collect();
        sqnr.add(&expected.concat(), &found);
        assert!(sqnr.decibels() >= FLOOR, "case {case}: {:.1} dB, {:?}", sqnr.decibels(), checkpoint.config);
    }
}
