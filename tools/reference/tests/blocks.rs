//! The reference agrees with PyTorch for every block option, at every point that PyTorch exposes, from every checkpoint
//! layout.

mod vectors;

use thumbformer_checkpoint::{Activation, Checkpoint, Config, Input, Mask, NormPlace, Pooling, Positions, Tensor};
use thumbformer_reference::Reference;
use vectors::{Vectors, load};

const MODELS: [&str; 10] = [
    "torch_post_relu",
    "torch_post_gelu",
    "torch_pre_gelu",
    "torch_pre_relu",
    "bert",
    "distilbert",
    "gpt2",
    "vit",
    "deit",
    "deit_teacher",
];

/// As [`vectors::compare`], at the points that PyTorch exposes.
fn compare(checkpoint: &Checkpoint, vectors: &Vectors) -> Result<f64, String> {
    vectors::compare(checkpoint, vectors, false)
}

fn checkpoint(model: &str) -> Checkpoint {
    load(&format!("{model}/checkpoint"))
}

fn vectors(model: &str) -> Vectors {
    Vectors::read(&format!("{model}/activations.safetensors"))
}

#[test]
fn the_reference_agrees_with_pytorch_at_every_exposed_point_of_every_option() {
    let mut wrong = String::new();
    for model in MODELS {
        let (checkpoint, vectors) = (checkpoint(model), vectors(model));
        let names = vectors.names();
        let layers = checkpoint.config.n_layers;
        for point in ["attention_norm", "mlp_norm", "output"] {
            assert!((0..layers).all(|n| names.contains(&format!("layers.{n}.{point}"))), "{model}: {point}");
        }
        assert!(names.contains(&"embedding".into()) && names.contains(&"logits".into()), "{model}");
        match compare(&checkpoint, &vectors) {
            Ok(worst) => println!("{model}: {} points, worst relative error {worst:.1e}", names.len() - 1),
            Err(points) => wrong += &format!("{model} differs from PyTorch, first at\n{points}"),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_reference_agrees_with_pytorch_where_a_mask_hides_tokens() {
    for model in ["torch_pre_gelu", "torch_pre_relu"] {
        let (checkpoint, given) = (checkpoint(model), vectors(model));
        let masked = Vectors::read(&format!("{model}/masked.safetensors"));
        let visible: Vec<bool> = masked.get("visible").expect("a mask").iter().map(|&x| x != 0.0).collect();
        assert!(visible.contains(&false), "{model}");
        let (reference, mut ignored) = (Reference::new(&checkpoint), |_: &str, _: &[f64]| ());
        let n_features = checkpoint.config.n_features;
        let found = match checkpoint.config.options.input {
            Input::Tokens => reference.forward_masked(&given.tokens(), &visible, &mut ignored),
            _ => reference.forward_frames_masked(&given.frames(n_features), &visible, &mut ignored),
        };
        let found = found.expect("a sequence and its mask");
        let (expected, whole) = (masked.get("logits").expect("logits"), given.get("logits").expect("logits"));
        assert_eq!(found[0].len(), expected.len());
        for ((found, expected), whole) in found[0].iter().zip(&expected).zip(&whole) {
            assert!((found - expected).abs() < 1e-5, "{model}: {found} for {expected}");
            assert!((expected - whole).abs() > 1e-4, "{model}: the mask must matter");
        }
    }
}

#[test]
fn a_mask_that_is_none_for_the_sequence_is_refused() {
    let mut ignored = |_: &str, _: &[f64]| ();
    let encoder = Reference::new(&checkpoint("torch_pre_gelu"));
    for visible in [&[true; 2][..], &[false; 3], &[]] {
        let error = encoder.forward_masked(&[1, 2, 3], visible, &mut ignored).expect_err("refused").to_string();
        assert!(error.contains("3 tokens") && error.contains(&format!("{} entries", visible.len())), "{error}");
    }
    let causal = Reference::new(&checkpoint("gpt2"));
    assert!(causal.forward_masked(&[1, 2], &[true, false], &mut ignored).is_err());
    assert!(causal.forward_masked(&[1, 2], &[true; 2], &mut ignored).is_ok());
}

#[test]
fn the_golden_models_cover_every_option() {
    let configs: Vec<Config> = MODELS.iter().map(|model| checkpoint(model).config).collect();
    let any = |what: &str, test: &dyn Fn(&Config) -> bool| assert!(configs.iter().any(test), "no model has {what}");
    for place in [NormPlace::Pre, NormPlace::Post] {
        any("norm_place", &|c| c.options.norm_place == place);
    }
    for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh] {
        any("activation", &|c| c.options.activation == activation);
    }
    for mask in [Mask::Causal, Mask::Bidirectional] {
        any("mask", &|c| c.options.mask == mask && c.options.norm_place == NormPlace::Pre);
        any("mask", &|c| c.options.mask == mask && c.options.norm_place == NormPlace::Post);
    }
    for pooling in [Pooling::None, Pooling::Class, Pooling::Mean, Pooling::Last] {
        any("pooling", &|c| c.options.pooling == pooling);
    }
    for positions in [Positions::Table, Positions::None] {
        any("positions", &|c| c.options.positions == positions);
    }
    any("a scale of its own", &|c| c.attention_scale == 1.0);
    any("a head of odd width", &|c| !c.head_dim.is_multiple_of(2));
    let whole = |test: &dyn Fn(&Checkpoint) -> bool| MODELS.iter().any(|model| test(&checkpoint(model)));
    assert!(
        whole(&|c| c.tensors.has(Tensor::ClassToken))
            && whole(&|c| c.config.options.pooling == Pooling::Class && !c.tensors.has(Tensor::ClassToken))
    );
    assert!(whole(&|c| c.tensors.has(Tensor::Pooler)) && whole(&|c| c.head().is_none()));
    assert!(
        whole(&|c| c.tensors.has(Tensor::FinalNorm) && !c.tensors.has(Tensor::FinalNormBias))
            && whole(&|c| c.tensors.has(Tensor::EmbeddingNorm))
    );
    assert!(whole(&|c| !c.tensors.has(Tensor::QueryBias)) && whole(&|c| c.tensors.has(Tensor::QueryBias)));
}

#[test]
fn a_changed_number_of_every_optional_part_is_found_where_pytorch_shows_it_first() {
    let cases: [(&str, &str, Tensor, usize); 18] = [
        ("torch_pre_relu", "embedding", Tensor::EmbeddingBias, 0),
        ("torch_pre_relu", "embedding", Tensor::ClassToken, 0),
        ("torch_pre_gelu", "embedding", Tensor::PositionTable, 0),
        ("torch_pre_relu", "layers.0.attention_norm", Tensor::AttentionNormBias, 0),
        ("bert", "layers.0.attention.q", Tensor::QueryBias, 0),
        ("bert", "layers.0.attention.k", Tensor::KeyBias, 0),
        ("bert", "layers.0.attention.v", Tensor::ValueBias, 0),
        ("torch_post_relu", "layers.1.attention.output", Tensor::ValueBias, 1),
        ("gpt2", "layers.1.attention.output", Tensor::AttentionOutputBias, 1),
        ("gpt2", "layers.1.mlp_norm", Tensor::MlpNormBias, 1),
        ("distilbert", "layers.0.mlp.hidden", Tensor::UpBias, 0),
        ("distilbert", "layers.0.mlp.output", Tensor::DownBias, 0),
        ("bert", "embedding_norm", Tensor::EmbeddingNorm, 0),
        ("bert", "embedding_norm", Tensor::EmbeddingNormBias, 0),
        ("gpt2", "final_norm", Tensor::FinalNormBias, 0),
        ("bert", "pooler", Tensor::PoolerBias, 0),
        ("bert", "logits", Tensor::HeadBias, 0),
        ("vit", "logits", Tensor::Head, 0),
    ];
    for (model, point, tensor, layer) in cases {
        let mut changed = checkpoint(model);
        // Every number, as ReLU may hide some.
        let part = &mut changed.tensors[(tensor, layer)];
        part.data.iter_mut().enumerate().for_each(|(index, value)| *value += 0.1 + 0.01 * index as f32);
        let wrong = compare(&changed, &vectors(model)).expect_err(point);
        assert!(wrong.starts_with(&format!("{point}:")), "{model}: {point} was changed, found\n{wrong}");
    }
}

/// An option, to be changed by a test.
type Change = fn(&mut Config);

#[test]
fn a_changed_option_is_found() {
    let cases: [(&str, Change); 9] = [
        ("torch_post_relu", |c| c.options.norm_place = NormPlace::Pre),
        ("gpt2", |c| c.options.norm_place = NormPlace::Post),
        ("torch_post_relu", |c| c.options.mask = Mask::Causal),
        ("torch_post_gelu", |c| c.options.mask = Mask::Bidirectional),
        ("gpt2", |c| c.options.activation = Activation::Gelu),
        ("vit", |c| c.options.activation = Activation::GeluTanh),
        ("gpt2", |c| c.attention_scale = Config::usual_scale(c.head_dim)),
        ("torch_pre_gelu", |c| c.options.pooling = Pooling::Last),
        ("torch_post_gelu", |c| c.options.pooling = Pooling::Mean),
    ];
    for (model, change) in cases {
        let mut changed = checkpoint(model);
        change(&mut changed.config);
        let found = compare(&changed, &vectors(model));
        assert!(found.is_err(), "{model}: {:?}", changed.config);
    }
}

/// A sequence that cannot be computed, and words of the error.
type Refused = (&'static str, Vec<Vec<f64>>, &'static [&'static str]);

#[test]
fn frames_and_tokens_that_do_not_fit_are_refused_by_name() {
    let reference = |model| Reference::new(&checkpoint(model));
    let (frames, tokens) = (reference("vit"), reference("bert"));
    let cases: [Refused; 4] = [
        ("nothing", vec![], &["empty"]),
        ("a narrow frame", vec![vec![0.0; 18], vec![0.0; 17]], &["frame 1", "17", "18"]),
        ("a frame that is no number", vec![[vec![0.0; 17], vec![f64::NAN]].concat()], &["frame 0", "NaN", "17"]),
        ("more than the patches", vec![vec![0.0; 18]; 10], &["11", "holds 10"]),
    ];
    for (case, input, expected) in cases {
        let error = frames.forward_frames(&input, &mut |_, _| panic!("computed {case}")).unwrap_err().to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{case}: {error}");
    }
    assert!(frames.forward_frames(&vec![vec![0.0; 18]; 9], &mut |_, _| ()).is_ok(), "nine patches and the class token");
    let error = frames.forward(&[1], &mut |_, _| ()).unwrap_err().to_string();
    assert!(error.contains("reads frames, found tokens"), "{error}");
    let error = tokens.forward_frames(&[vec![1.0]], &mut |_, _| ()).unwrap_err().to_string();
    assert!(error.contains("reads tokens, found frames"), "{error}");
}
