//! The reference agrees with PyTorch at every named point of every layer, from both checkpoint layouts.
//!
//! The vectors are float32 (`tests/golden/README.md`). A point's distance is the largest absolute difference over the
//! largest absolute value of the golden tensor; float32 sums over a few dozen terms stay near 1e-6, so 1e-4 leaves
//! room for nothing but rounding.

mod vectors;

use thumbformer_checkpoint::{Checkpoint, Mask, Tensor};
use thumbformer_reference::Reference;
use vectors::{Vectors, load};

/// As [`vectors::compare`], where PyTorch exposes every point.
fn compare(checkpoint: &Checkpoint, vectors: &Vectors) -> Result<f64, String> {
    vectors::compare(checkpoint, vectors, true)
}

#[test]
fn the_reference_agrees_with_pytorch_at_every_named_point_of_every_layer() {
    for model in ["llama", "llama_untied", "qwen3"] {
        let checkpoint = load(&format!("{model}/checkpoint"));
        let vectors = Vectors::read(&format!("{model}/activations.safetensors"));
        let points = vectors.names().len();
        assert_eq!(points, 4 + 11 * checkpoint.config.n_layers, "{model}: tokens, 3 around the blocks, 11 in each");
        match compare(&checkpoint, &vectors) {
            Ok(worst) => println!("{model}: {points} points, worst relative error {worst:.1e}"),
            Err(wrong) => panic!("{model} differs from PyTorch, first at\n{wrong}"),
        }
    }
}

#[test]
fn the_golden_models_cover_both_kinds_of_head_grouping_and_width() {
    let (grouped, plain) = (load("llama/checkpoint"), load("llama_untied/checkpoint"));
    assert!(grouped.has_tied_head() && !plain.has_tied_head());
    let (grouped, plain) = (grouped.config, plain.config);
    assert!(grouped.n_kv_heads < grouped.n_heads);
    assert!(plain.n_kv_heads == plain.n_heads && plain.q_width() != plain.d_model);
    assert!(grouped.norm_eps != plain.norm_eps && grouped.rope_theta != plain.rope_theta);
}

#[test]
fn one_changed_weight_is_found_at_the_first_point_that_it_reaches() {
    let vectors = Vectors::read("llama/activations.safetensors");
    let cases: [(&str, Tensor, usize, usize); 9] = [
        // Column 5 of the row of token 1, the sequence's first.
        ("embedding", Tensor::Embedding, 0, 32 + 5),
        ("layers.0.attention_norm", Tensor::AttentionNorm, 0, 3),
        ("layers.1.attention.q", Tensor::Query, 1, 7),
        ("layers.1.attention.k", Tensor::Key, 1, 7),
        ("layers.2.attention.v", Tensor::Value, 2, 7),
        ("layers.2.attention.output", Tensor::AttentionOutput, 2, 7),
        ("layers.1.mlp.hidden", Tensor::Gate, 1, 7),
        ("layers.1.mlp.output", Tensor::Down, 1, 7),
        ("final_norm", Tensor::FinalNorm, 0, 31),
    ];
    for (point, tensor, layer, index) in cases {
        let mut checkpoint = load("llama/checkpoint");
        checkpoint.tensors[(tensor, layer)].data[index] += 0.05;
        let wrong = compare(&checkpoint, &vectors).expect_err(point);
        assert!(wrong.starts_with(&format!("{point}:")), "{point} was changed, found\n{wrong}");
    }
}

#[test]
fn a_changed_norm_of_queries_or_keys_is_found_where_it_is_applied() {
    let vectors = Vectors::read("qwen3/activations.safetensors");
    for (point, tensor, layer) in [
        ("layers.0.attention.q", Tensor::QueryNorm, 0),
        ("layers.0.attention.k", Tensor::KeyNorm, 0),
        ("layers.1.attention.q", Tensor::QueryNorm, 1),
    ] {
        let mut checkpoint = load("qwen3/checkpoint");
        checkpoint.tensors[(tensor, layer)].data[11] += 0.05;
        let wrong = compare(&checkpoint, &vectors).expect_err(point);
        assert!(wrong.starts_with(&format!("{point}:")), "{point} was changed, found\n{wrong}");
        checkpoint.tensors.remove(tensor, layer);
        assert!(compare(&checkpoint, &vectors).is_err(), "{point}: without the norm");
    }
}

#[test]
fn a_changed_rotary_base_or_epsilon_is_found() {
    let vectors = Vectors::read("llama_untied/activations.safetensors");
    let mut checkpoint = load("llama_untied/checkpoint");
    checkpoint.config.rope_theta = 10000.0;
    assert!(compare(&checkpoint, &vectors).unwrap_err().starts_with("layers.0.attention.q:"));
    let mut checkpoint = load("llama_untied/checkpoint");
    checkpoint.config.norm_eps = 1e-3;
    assert!(compare(&checkpoint, &vectors).unwrap_err().starts_with("layers.0.attention_norm:"));
}

#[test]
fn llama2c_and_hugging_face_files_of_one_model_give_the_same_network() {
    let hugging_face = load("llama/checkpoint");
    let llama2c = load("llama2c/model.bin");
    assert_eq!(
        (llama2c.config.d_model, llama2c.config.n_kv_heads, llama2c.config.max_seq, llama2c.has_tied_head()),
        (32, 2, 64, true)
    );
    // The rows of queries and keys come back in their order, so weights and with them all results are equal.
    for ((tensor, layer, ours), (.., theirs)) in llama2c.tensors.iter().zip(hugging_face.tensors.iter()) {
        assert_eq!((&ours.shape, &ours.data), (&theirs.shape, &theirs.data), "{tensor:?} of layer {layer}");
    }
    let vectors = Vectors::read("llama/activations.safetensors");
    compare(&llama2c, &vectors).unwrap_or_else(|wrong| panic!("llama2c differs from PyTorch, first at\n{wrong}"));
    let tokens = vectors.tokens();
    let logits = |checkpoint: &Checkpoint| Reference::new(checkpoint).forward(&tokens, &mut |_, _| ()).unwrap();
    assert_eq!(logits(&llama2c), logits(&hugging_face));
}

#[test]
fn later_tokens_do_not_change_earlier_logits() {
    let reference = Reference::new(&load("llama/checkpoint"));
    let tokens = Vectors::read("llama/activations.safetensors").tokens();
    let whole = reference.forward(&tokens, &mut |_, _| ()).unwrap();
    let part = reference.forward(&tokens[..7], &mut |_, _| ()).unwrap();
    assert_eq!(part, whole[..7]);
}

#[test]
fn a_sequence_that_cannot_be_computed_is_refused_by_name() {
    let reference = Reference::new(&load("llama/checkpoint"));
    let cases: [(&str, Vec<u32>, &[&str]); 3] = [
        ("nothing", vec![], &["empty"]),
        ("a token beyond the vocabulary", vec![1, 2, 48], &["token 48", "position 2", "48;"]),
        ("more than the context", vec![1; 65], &["65 tokens", "holds 64"]),
    ];
    for (case, tokens, expected) in cases {
        let error = reference.forward(&tokens, &mut |_, _| panic!("computed {case}")).unwrap_err().to_string();
        for part in expected {
            assert!(error.contains(part), "{case}: `{part}` is not in `{error}`");
        }
    }
    assert!(reference.forward(&[47; 64], &mut |_, _| ()).is_ok(), "the last token, the full context");
}

#[test]
fn a_decoder_that_is_not_causal_computes_transformers_logits_of_the_whole_sequence() {
    for model in ["llama", "qwen3", "gpt2"] {
        let mut checkpoint = load(&format!("{model}/checkpoint"));
        // What `is_causal` = false in config.json becomes.
        checkpoint.config.options.mask = Mask::Bidirectional;
        let tokens = Vectors::read(&format!("{model}/activations.safetensors")).tokens();
        let found = Reference::new(&checkpoint).forward(&tokens, &mut |_, _| ()).expect("computes").concat();
        let golden = Vectors::read(&format!("{model}/whole.safetensors"));
        let expected = golden.get("logits").expect("logits");
        let largest = expected.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
        let worst = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest;
        assert!(worst < 1e-4, "{model}: {worst:.1e}");
    }
}

#[test]
fn a_model_computes_what_the_module_computed_that_was_saved() {
    for (folder, file) in [
        ("encoder", "state_dict.pt"),
        ("encoder", "module.pt"),
        ("nanogpt", "ckpt.pt"),
        ("lecture", "model.pth"),
        ("llama2c", "ckpt.pt"),
    ] {
        let vectors = Vectors::read(&format!("saved/{folder}/activations.safetensors"));
        match vectors::compare(&load(&format!("saved/{folder}/{file}")), &vectors, false) {
            Ok(worst) => println!("{folder}/{file}: worst relative error {worst:.1e}"),
            Err(wrong) => panic!("{folder}/{file} differs from PyTorch, first at\n{wrong}"),
        }
    }
}

/// Ratio of a signal to the difference of another from it, in dB.
fn decibels(expected: &[f64], found: &[f64]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let energy = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|number| number * number).sum::<f64>();
    let noise = energy(&mut expected.iter().zip(found).map(|(expected, found)| expected - found));
    10.0 * (energy(&mut expected.iter().copied()) / noise).log10()
}

/// Logarithms of the probabilities.
fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
    logits.iter().map(|logit| logit - sum.ln()).collect()
}

#[test]
fn every_architecture_of_gguf_computes_what_transformers_and_llama_cpp_compute() {
    // llama.cpp's GELU is a table of float16.
    let table =
        [("llama", 100.0), ("qwen2", 100.0), ("qwen3", 100.0), ("gemma", 80.0), ("phi3", 100.0), ("gpt2", 80.0)];
    for (name, of_llama_cpp) in table {
        let checkpoint = load(&format!("gguf/models/{name}.gguf"));
        assert_eq!(checkpoint.architecture, name);
        let golden = Vectors::read(&format!("gguf/models/{name}.safetensors"));
        let rows = Reference::new(&checkpoint).forward(&golden.tokens(), &mut |_, _| ()).expect("computes");
        let logits = decibels(&golden.get("logits").expect("logits"), &rows.concat());
        let found: Vec<f64> = rows.iter().flat_map(|row| log_softmax(row)).collect();
        let llama_cpp = decibels(&golden.get("llama_cpp").expect("logarithms"), &found);
        println!("{name}: {logits:.1} dB to transformers, {llama_cpp:.1} dB to llama.cpp");
        assert!(logits >= 100.0, "{name}: {logits:.1} dB to transformers");
        assert!(llama_cpp >= of_llama_cpp, "{name}: {llama_cpp:.1} dB to llama.cpp");
    }
}
