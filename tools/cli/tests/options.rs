//! Every combination of the block's options computes what the float reference computes, within the noise of int8.

use thumbformer::state::HostState;
use thumbformer::{Inputs, Model};
use thumbformer_checkpoint::random::{Extras, Random};
use thumbformer_checkpoint::{
    Activation, Checkpoint, ClassPlace, Config, DenseActivation, Input, Mask, Norm, NormPlace, Options, Pooler,
    Pooling, Positions, Tensor, Tensors,
};
use thumbformer_cli::convert::{Settings, convert, convert_blocks};
use thumbformer_reference::Reference;
use thumbformer_reference::metrics::Sqnr;

/// Input and output of a random checkpoint.
#[derive(Clone, Copy, PartialEq)]
enum Ends {
    /// Frames that are the stream already, which comes out: blocks alone.
    Stream,
    /// Tokens or frames, outputs for a sequence or for each of its parts.
    Network,
}

const VOCAB: usize = 50;
const MAX_SEQ: usize = 24;

/// A random checkpoint.
fn checkpoint(random: &mut Random, ends: Ends) -> Checkpoint {
    let n_kv_heads = random.pick(&[1, 2, 3]);
    let n_heads = n_kv_heads * random.pick(&[1, 2]);
    let (d_model, d_ff) = (random.pick(&[16, 30, 48, 64]), random.pick(&[24, 56, 100, 160]));
    let network = ends == Ends::Network;
    let rotary = Positions::Rotary;
    let positions = if network {
        random.pick(&[rotary, Positions::Table, Positions::None])
    } else {
        random.pick(&[rotary, Positions::None])
    };
    let head_dim = if positions == rotary { random.pick(&[4, 6, 8, 16]) } else { random.pick(&[5, 8, 12, 16, 20]) };
    let norm = random.pick(&[Norm::Rms, Norm::Layer]);
    let (biases, norm_bias) = (random.pick(&[true, false]), norm == Norm::Layer && random.pick(&[true, false]));
    let gated = random.pick(&[true, false]);
    let mask = if network { random.pick(&[Mask::Causal, Mask::Bidirectional]) } else { Mask::Bidirectional };
    let (input, n_features) = match network && random.pick(&[true, false]) {
        true => (Input::Tokens, 0),
        false if network => (Input::Frames, random.pick(&[3, 16, 37, 200])),
        false => (Input::Frames, d_model),
    };
    let pooling = match (mask, network) {
        (Mask::Causal, _) => random.pick(&[Pooling::None, Pooling::Last]),
        (_, true) => random.pick(Pooling::ALL),
        (_, false) => Pooling::None,
    };
    let n_class = match pooling {
        Pooling::None | Pooling::Last => 0,
        Pooling::Class | Pooling::Mean => random.pick(&[0, 1, 2]),
        _ => random.pick(&[1, 2]),
    };
    let pooled = if pooling == Pooling::Classes { n_class * d_model } else { d_model };
    let tied_head = input == Input::Tokens && pooling != Pooling::Classes && random.pick(&[true, false]);
    let head = network && !tied_head && random.pick(&[true, true, false]);
    let n_outputs = match (tied_head, head) {
        (true, _) => VOCAB,
        // Of one or two numbers, which may be small by chance, a ratio to noise says nothing.
        (_, true) => random.pick(&[5, 7, 50]),
        (_, false) => pooled,
    };
    let mut options = Options::ENCODER;
    let mut config = Config::new(options, d_model, n_heads, head_dim);
    config.n_layers = random.pick(&[1, 2, 3]);
    (config.n_kv_heads, config.d_ff, config.max_seq) = (n_kv_heads, d_ff, MAX_SEQ);
    (config.vocab, config.n_features) = (if input == Input::Tokens { VOCAB } else { 0 }, n_features);
    (options.norm, options.gated, options.mask, options.positions) = (norm, gated, mask, positions);
    (options.input, options.pooling, options.head) = (input, pooling, tied_head || head);
    options.norm_place = random.pick(&[NormPlace::Pre, NormPlace::Post]);
    config.norm_eps = random.pick(&[1e-5, 1e-6, 1e-12]);
    options.activation = random.pick(Activation::ALL);
    options.qk_norm = random.pick(&[true, false]);
    config.sliding_window = if mask == Mask::Causal { random.pick(&[None, Some(1), Some(5)]) } else { None };
    config.attention_scale = Config::usual_scale(head_dim) * random.pick(&[1.0, 0.5]);
    (config.n_outputs, config.n_class) = (n_outputs, n_class);
    if n_class > 0 {
        options.class_place = random.pick(ClassPlace::ALL);
    }
    if network && input == Input::Frames {
        options.embedding_activation = random.pick(DenseActivation::ALL);
    }
    let widths: &[usize] = if head { random.pick(&[&[][..], &[24], &[33, 70], &[48, 40, 33, 24]]) } else { &[] };
    config.head_widths[..widths.len()].copy_from_slice(widths);
    if !widths.is_empty() {
        options.mlp_head = true;
        options.head_activation = random.pick(DenseActivation::ALL);
    }
    config.options = options;
    let extras = Extras { biases, norm_bias };
    // The widest comes last; those before it may be narrower.
    let narrower = random.pick(&[0, 0, 7]);
    let mut tensors = Tensors::default();
    for number in 1..=config.n_layers {
        let d_ff = d_ff - narrower * (config.n_layers - number);
        random.layer(&mut tensors, &Config { d_ff, ..config.clone() }, extras, number - 1);
    }
    let (has_norm, has_final_norm) = (network && random.pick(&[true, false]), random.pick(&[true, false]));
    let pooler = pooling != Pooling::None && random.pick(&[true, false]);
    let head_norm = pooling != Pooling::None && random.pick(&[true, false]);
    let embedding = match input {
        Input::Tokens => random.tensor("embedding", &[VOCAB, d_model], 1.0, 0.0),
        _ if network => random.matrix(d_model, n_features),
        _ => {
            let mut identity = random.tensor("identity", &[d_model, d_model], 0.0, 0.0);
            identity.data.iter_mut().step_by(d_model + 1).for_each(|x| *x = 1.0);
            identity
        }
    };
    let gain =
        |random: &mut Random, wanted: bool, width: usize| wanted.then(|| random.tensor("gain", &[width], 0.2, 1.0));
    let table = positions == Positions::Table;
    let is_frames = input != Input::Tokens;
    let others = [
        (Tensor::EmbeddingNorm, gain(random, has_norm, d_model)),
        (Tensor::FinalNorm, gain(random, has_final_norm, d_model)),
        (Tensor::Embedding, Some(embedding)),
        (Tensor::EmbeddingBias, random.optional(network && is_frames && biases, d_model)),
        (Tensor::ClassToken, (n_class > 0).then(|| random.tensor("class", &[n_class, d_model], 0.5, 0.0))),
        (Tensor::PositionTable, table.then(|| random.tensor("positions", &[MAX_SEQ, d_model], 0.5, 0.0))),
        (Tensor::EmbeddingNormBias, random.optional(has_norm && norm_bias, d_model)),
        (Tensor::FinalNormBias, random.optional(has_final_norm && norm_bias, d_model)),
        (Tensor::HeadNorm, gain(random, head_norm, pooled)),
        (Tensor::HeadNormBias, random.optional(head_norm && norm_bias, pooled)),
        (Tensor::Pooler, pooler.then(|| random.matrix(pooled, pooled))),
        (Tensor::PoolerBias, random.optional(pooler && biases, pooled)),
        (Tensor::Head, head.then(|| random.matrix(n_outputs, *widths.last().unwrap_or(&pooled)))),
        (Tensor::HeadBias, random.optional((head || tied_head) && biases, n_outputs)),
    ];
    for (tensor, weights) in others {
        weights.into_iter().for_each(|weights| tensors.insert(tensor, 0, weights));
    }
    for (layer, &width) in widths.iter().enumerate() {
        let before = if layer == 0 { pooled } else { widths[layer - 1] };
        tensors.insert(Tensor::HeadHidden, layer, random.matrix(width, before));
        if biases {
            tensors.insert(Tensor::HeadHiddenBias, layer, random.tensor("bias", &[width], 0.2, 0.0));
        }
    }
    if pooler {
        config.options.pooler = random.pick(&[Pooler::Tanh, Pooler::Relu]);
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

/// A sequence for a checkpoint.
enum Sequence {
    Tokens(Vec<u16>),
    Frames(Vec<f32>),
}

impl Sequence {
    fn random(random: &mut Random, checkpoint: &Checkpoint) -> Sequence {
        let room = MAX_SEQ - checkpoint.config.n_class;
        let length = 1 + random.next() as usize % room;
        match checkpoint.config.options.input {
            Input::Tokens => Sequence::Tokens((0..length).map(|_| (random.next() % VOCAB as u64) as u16).collect()),
            _ => Sequence::Frames((0..length * checkpoint.config.n_features).map(|_| random.float() * 1.5).collect()),
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        match self {
            Sequence::Tokens(tokens) => tokens[..].into(),
            Sequence::Frames(frames) => frames[..].into(),
        }
    }

    fn len(&self, n_features: usize) -> usize {
        match self {
            Sequence::Tokens(tokens) => tokens.len(),
            Sequence::Frames(frames) => frames.len() / n_features,
        }
    }

    /// Its beginning.
    fn first(&self, count: usize, n_features: usize) -> Inputs<'_> {
        match self {
            Sequence::Tokens(tokens) => tokens[..count].into(),
            Sequence::Frames(frames) => frames[..count * n_features].into(),
        }
    }

    /// Outputs of the float reference: one for each part, or one for all.
    fn expected(&self, checkpoint: &Checkpoint) -> Vec<Vec<f64>> {
        self.expected_masked(checkpoint, &[true; MAX_SEQ])
    }

    fn expected_masked(&self, checkpoint: &Checkpoint, visible: &[bool]) -> Vec<Vec<f64>> {
        let reference = Reference::new(checkpoint);
        match self {
            Sequence::Frames(frames) => {
                let n_features = checkpoint.config.n_features;
                let frames: Vec<Vec<f64>> =
                    frames.chunks(n_features).map(|frame| frame.iter().map(|&x| x.into()).collect()).collect();
                reference.forward_frames_masked(&frames, &visible[..frames.len()], &mut |_, _| ())
            }
            Sequence::Tokens(tokens) => {
                let tokens: Vec<u32> = tokens.iter().map(|&token| token.into()).collect();
                reference.forward_masked(&tokens, &visible[..tokens.len()], &mut |_, _| ())
            }
        }
        .expect("a sequence")
    }

    /// Outputs of the engine, in the form of the reference's.
    fn found(&self, model: &Model<'_>, checkpoint: &Checkpoint, batch: usize) -> Vec<Vec<f32>> {
        let mut state = HostState::with_batch(model.dims(), MAX_SEQ, batch);
        let mut session = model.session(state.memory());
        let config = &checkpoint.config;
        if config.options.pooling == Pooling::None && config.options.mask == Mask::Bidirectional {
            let mut found = Vec::new();
            session.infer_each(self.inputs(), None, |_, outputs| found.push(outputs.to_vec())).expect("fits");
            return found;
        }
        if config.options.pooling != Pooling::None {
            return vec![session.infer(self.inputs()).expect("fits").to_vec()];
        }
        match self {
            Sequence::Tokens(tokens) => {
                tokens.iter().map(|&token| session.decode(token).expect("fits").to_vec()).collect()
            }
            Sequence::Frames(frames) => {
                let frames = frames.chunks(model.dims().n_features);
                frames.map(|frame| session.push(frame).expect("fits").to_vec()).collect()
            }
        }
    }
}

/// The least ratio of signal to noise that int8 gives, in decibels.
const FLOOR: f64 = 28.0;

/// The least ratio for a network: hidden layers of a head and activations of the embedding hide a part of the signal, and what is behind
/// them is rounded once more.
fn floor(config: &Config) -> f64 {
    let is_plain = !config.options.mlp_head && config.options.embedding_activation == DenseActivation::None;
    if is_plain { FLOOR } else { FLOOR - 4.0 }
}

/// Index of the largest of several numbers, and by how much it is larger than the next.
fn winner(values: &[f64]) -> (usize, f64) {
    let (mut best, mut second) = (0, f64::NEG_INFINITY);
    for (index, &value) in values.iter().enumerate().skip(1) {
        if value > values[best] {
            (second, best) = (values[best], index);
        } else {
            second = second.max(value);
        }
    }
    (best, values[best] - second)
}

#[test]
fn networks_with_any_options_compute_what_the_reference_computes() {
    let mut random = Random::new(11);
    let (mut clear, mut agreed) = (0, 0);
    for case in 0..240 {
        let checkpoint = checkpoint(&mut random, Ends::Network);
        let words = convert(&checkpoint, Settings::default(), &mut |_| ()).unwrap_or_else(|error| panic!("{error:#}"));
        let model = Model::parse(&words).expect("an image");
        let mut sqnr = Sqnr::default();
        let mut pairs = Vec::new();
        for _ in 0..16 {
            let sequence = Sequence::random(&mut random, &checkpoint);
            let found = sequence.found(&model, &checkpoint, 4);
            assert_eq!(found, sequence.found(&model, &checkpoint, 1), "case {case}: the batch changes bits");
            for (expected, found) in sequence.expected(&checkpoint).into_iter().zip(found) {
                let found: Vec<f64> = found.into_iter().map(f64::from).collect();
                sqnr.add(&expected, &found);
                pairs.push((expected, found));
            }
        }
        let floor = floor(&checkpoint.config);
        assert!(sqnr.decibels() >= floor, "case {case}: {:.1} dB, {:?}", sqnr.decibels(), checkpoint.config);
        // An output is off by no more than a few times what the ratio says of all: a larger margin decides.
        let values = pairs.iter().flat_map(|(expected, _)| expected);
        let power = values.clone().map(|value| value * value).sum::<f64>() / values.count() as f64;
        let bound = 4.0 * (power * 10_f64.powf(-floor / 10.0)).sqrt();
        for (expected, found) in &pairs {
            let (best, margin) = winner(expected);
            if expected.len() > 1 && margin > bound {
                clear += 1;
                agreed += usize::from(winner(found).0 == best);
            }
        }
    }
    assert!(clear > 500 && agreed * 100 >= clear * 98, "{agreed} of {clear} clear winners");
}

#[test]
fn streams_give_the_outputs_of_whole_sequences_however_they_are_cut() {
    let mut random = Random::new(13);
    let mut cases = 0;
    while cases < 60 {
        let checkpoint = checkpoint(&mut random, Ends::Network);
        if checkpoint.config.options.mask != Mask::Causal {
            continue;
        }
        cases += 1;
        let words = convert(&checkpoint, Settings::default(), &mut |_| ()).expect("an image");
        let model = Model::parse(&words).expect("an image");
        let sequence = Sequence::random(&mut random, &checkpoint);
        let mut state = HostState::new(model.dims(), MAX_SEQ);
        let whole = model.session(state.memory()).infer(sequence.inputs()).expect("fits").to_vec();
        let mut session = model.session(state.memory());
        let mut last = Vec::new();
        match &sequence {
            Sequence::Tokens(tokens) => {
                for part in tokens.chunks(1 + random.next() as usize % 7) {
                    last = session.prefill(part).expect("fits").to_vec();
                }
            }
            Sequence::Frames(frames) => {
                for part in frames.chunks(model.dims().n_features * (1 + random.next() as usize % 7)) {
                    last = session.push(part).expect("fits").to_vec();
                }
            }
        }
        assert_eq!(last, whole, "case {cases}: {:?}", checkpoint.config);
    }
}

#[test]
fn hidden_tokens_are_hidden_as_in_the_reference_and_at_the_end_as_if_they_were_not_there() {
    let mut random = Random::new(14);
    let mut cases = 0;
    while cases < 60 {
        let checkpoint = checkpoint(&mut random, Ends::Network);
        let config = &checkpoint.config;
        if config.options.mask == Mask::Causal || config.options.pooling == Pooling::None {
            continue;
        }
        cases += 1;
        let words = convert(&checkpoint, Settings::default(), &mut |_| ()).expect("an image");
        let model = Model::parse(&words).expect("an image");
        let mut state = HostState::new(model.dims(), MAX_SEQ);
        let mut session = model.session(state.memory());
        let mut sqnr = Sqnr::default();
        for _ in 0..16 {
            let sequence = Sequence::random(&mut random, &checkpoint);
            let length = sequence.len(model.dims().n_features);
            // One is always seen: for pooling by the first token of a sequence the first.
            let visible: Vec<bool> = (0..length).map(|index| index == 0 || random.pick(&[true, false])).collect();
            let found = session.infer_masked(sequence.inputs(), &visible).expect("fits");
            let found: Vec<f64> = found.iter().map(|&output| output.into()).collect();
            sqnr.add(&sequence.expected_masked(&checkpoint, &visible)[0], &found);

            let kept = 1 + random.next() as usize % length;
            let beginning: Vec<bool> = (0..length).map(|index| index < kept).collect();
            let expected = session.infer(sequence.first(kept, model.dims().n_features)).expect("fits").to_vec();
            let found = session.infer_masked(sequence.inputs(), &beginning).expect("fits");
            // Class tokens after the sequence keep their positions behind the hidden part.
            if config.options.class_place == ClassPlace::First || config.options.positions == Positions::None {
                assert_eq!(found, expected, "case {cases}: {config:?}");
            }
        }
        assert!(sqnr.decibels() >= floor(config), "case {cases}: {:.1} dB, {config:?}", sqnr.decibels());
    }
}

#[test]
fn blocks_over_whole_sequences_compute_what_the_reference_computes() {
    let mut random = Random::new(12);
    for case in 0..120 {
        let checkpoint = checkpoint(&mut random, Ends::Stream);
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
