//! GGUF files: the weights are those of the checkpoint that they were made of, and damage is refused by name.

use std::collections::HashMap;

use safetensors::SafeTensors;
use thumbformer_checkpoint::{Checkpoint, Tensor, Weights};

use crate::golden;

fn load(name: &str) -> Checkpoint {
    let path = golden("gguf").join(format!("{name}.gguf"));
    Checkpoint::load(&path, None).unwrap_or_else(|error| panic!("{error}"))
}

/// All tensors in one order.
fn tensors(checkpoint: &Checkpoint) -> Vec<&Weights> {
    checkpoint.tensors.iter().map(|(.., weights)| weights).collect()
}

#[test]
fn float_tensors_are_those_of_the_checkpoint_that_the_file_was_made_of() {
    let source = Checkpoint::load(&golden("llama/checkpoint"), None).unwrap();
    for name in ["f32", "f16"] {
        let found = load(name);
        assert_eq!(found.config, source.config, "{name}");
        for (found, source) in tensors(&found).into_iter().zip(tensors(&source)) {
            assert_eq!(found.shape, source.shape, "{name}: {}", source.name);
            let largest = source.data.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
            let bound = if name == "f32" { 0.0 } else { largest / 1024.0 };
            let far = found.data.iter().zip(&source.data).any(|(found, source)| (found - source).abs() > bound);
            assert!(!far, "{name}: {}", source.name);
        }
    }
}

#[test]
fn quantized_tensors_are_what_llama_cpp_s_own_package_makes_of_them() {
    let bytes = std::fs::read(golden("gguf").join("expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let source = Checkpoint::load(&golden("llama/checkpoint"), None).unwrap();
    for (name, step) in [("q8_0", 0.01), ("q4_0", 0.2), ("f16", 0.001)] {
        let found = load(name);
        let by_name: HashMap<&str, &Weights> =
            tensors(&found).into_iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        for tensor in ["token_embd.weight", "blk.2.ffn_gate.weight"] {
            let view = expected.tensor(&format!("{name}.{tensor}")).unwrap();
            let floats: Vec<f32> =
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            assert_eq!(by_name[tensor].data, floats, "{name}: {tensor}");
        }
        // Rows of queries and keys are put back: near those of the source, which in llama.cpp's order they are not.
        for key in [(Tensor::Query, 0), (Tensor::Key, 1)] {
            let (found, source) = (&found.tensors[key], &source.tensors[key]);
            let largest = source.data.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
            let worst = found.data.iter().zip(&source.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= step * largest, "{name}: {} is {worst} off", source.name);
        }
    }
}

#[test]
fn a_tensor_of_every_type_is_what_llama_cpp_s_own_package_makes_of_it() {
    let found = load("types");
    let bytes = std::fs::read(golden("gguf/types.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&bytes).unwrap();
    let by_name: HashMap<&str, &Weights> =
        tensors(&found).into_iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    assert_eq!(expected.names().len(), 7, "a tensor of each type but F32, F16 and F64");
    for (name, view) in expected.tensors() {
        let bits: Vec<u32> =
            view.data().chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let found: Vec<u32> = by_name[name.as_str()].data.iter().map(|weight| weight.to_bits()).collect();
        assert!(found == bits, "{name}");
    }
    let said = found.notes.join("\n");
    assert!(said.contains("tensors of Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K are dequantized"), "{said}");
}

#[test]
fn scores_of_tokens_become_the_tables_that_llama2c_s_file_gives() {
    let found = load("tokenizer");
    let other = golden("llama2c_tokenizer/tokenizer.bin");
    let expected = Checkpoint::load(&golden("gguf/tokenizer.gguf"), Some(&other)).unwrap().tokenizer;
    assert!(found.tokenizer.is_some() && found.tokenizer == expected);
    assert!(found.head().is_some() && !found.has_tied_head());
}

/// A golden model's file with keys more, or with another value of a key of 32 bits that it has.
fn with_keys(model: &str, keys: &[(&str, Value)]) -> Result<Checkpoint, String> {
    let mut bytes = std::fs::read(golden(&format!("gguf/models/{model}.gguf"))).unwrap();
    let mut added = Vec::new();
    for (key, value) in keys {
        let (kind, data) = match value {
            Value::Count(number) => (4_u32, number.to_le_bytes().to_vec()),
            Value::Float(number) => (6, number.to_le_bytes().to_vec()),
            Value::Flag(flag) => (7, vec![u8::from(*flag)]),
            Value::Text(text) => (8, [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()),
        };
        let name = [&(key.len() as u64).to_le_bytes()[..], key.as_bytes()].concat();
        match bytes.windows(name.len()).position(|window| window == name) {
            Some(place) => bytes[place + name.len() + 4..][..4].copy_from_slice(&data),
            None => added.extend([&name, &kind.to_le_bytes()[..], &data].concat()),
        }
        bytes[16] += u8::from(!added.is_empty());
    }
    // The tensors' data are aligned behind the keys.
    let fill = added.len().next_multiple_of(32) - added.len();
    if !added.is_empty() {
        let filler = [&1_u64.to_le_bytes()[..], b"x", &9_u32.to_le_bytes(), &0_u32.to_le_bytes()].concat();
        let count = (fill + 64 - filler.len() - 8) % 32;
        added.extend([&filler, &(count as u64).to_le_bytes()[..], &vec![0; count]].concat());
        bytes[16] += 1;
    }
    bytes.splice(24..24, added);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    Checkpoint::load(&path, None).map_err(|error| error.to_string())
}

enum Value {
    Count(u32),
    Float(f32),
    Flag(bool),
    Text(&'static str),
}

#[test]
fn a_key_that_changes_the_computation_is_refused_by_name_and_one_that_does_not_is_taken() {
    use Value::{Count, Flag, Float, Text};
    for (model, key, value, expected) in [
        ("llama", "llama.rope.scaling.factor", Float(2.0), Some("expected 1, or absent")),
        ("llama", "llama.rope.scaling.factor", Float(1.0), None),
        ("llama", "llama.rope.scaling.type", Text("yarn"), Some("rotary positions are not rescaled")),
        ("llama", "llama.rope.scaling.type", Text("none"), None),
        ("llama", "llama.attention.causal", Flag(false), Some("attention is causal")),
        ("llama", "llama.attention.causal", Flag(true), None),
        ("llama", "llama.expert_count", Count(8), Some("expected 0, or absent")),
        ("llama", "llama.expert_count", Count(0), None),
        ("llama", "llama.logit_scale", Float(3.0), Some("expected 1, or absent")),
        ("llama", "llama.pooling_type", Count(3), Some("absent: it may change")),
        ("qwen2", "qwen2.attention.sliding_window", Count(3), Some("0, or at least qwen2.context_length (12)")),
        ("qwen2", "qwen2.attention.sliding_window", Count(12), None),
        ("phi3", "phi3.attention.sliding_window", Count(3), Some("llama.cpp leaves a shorter one out")),
        ("phi3", "phi3.attention.sliding_window", Count(12), None),
        ("gemma", "gemma.final_logit_softcapping", Float(30.0), Some("absent: it may change")),
        ("qwen3", "qwen3.rope.dimension_count", Count(6), Some("12, the width of a head")),
        ("gpt2", "gpt2.attention.layer_norm_rms_epsilon", Float(1e-5), Some("absent: it may change")),
        ("gpt2", "split.count", Count(2), Some("llama-gguf-split --merge")),
        ("gpt2", "split.count", Count(1), None),
        ("gpt2", "general.type", Text("adapter"), Some("llama-export-lora")),
        ("gpt2", "general.type", Text("model"), None),
    ] {
        match (with_keys(model, &[(key, value)]), expected) {
            (Ok(_), None) => {}
            (Ok(_), Some(_)) => panic!("{key} of {model} was accepted"),
            (Err(error), Some(words)) => {
                assert!(error.contains(words) && error.contains(key) && error.contains("; "), "{words}: {error}");
            }
            (Err(error), None) => panic!("{error}"),
        }
    }
}

#[test]
fn a_tokenizer_that_is_left_out_is_said_so_with_its_kind() {
    let mut bytes = std::fs::read(golden("gguf/tokenizer.gguf")).unwrap();
    let key = b"tokenizer.ggml.model";
    let place = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 12;
    bytes[place..place + 5].copy_from_slice(b"plamo");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    let found = Checkpoint::load(&path, None).unwrap();
    let said = found.notes.join("\n");
    assert!(found.tokenizer.is_none(), "{said}");
    assert!(said.contains("tokenizer is left out") && said.contains("tokenizer.ggml.model = `plamo`"), "{said}");
}

#[test]
fn a_head_that_is_the_embedding_is_stored_once() {
    let found = load("types");
    assert!(found.has_tied_head() && found.head() == found.tensors.get(Tensor::Embedding, 0));
    // Another sign of the head's last scale is another head. It is the second tensor: 420 bytes, then 28 up to a multiple of 32.
    let mut bytes = std::fs::read(golden("gguf/types.gguf")).unwrap();
    let twice = |place: &usize| bytes[*place] != 0 && bytes[*place..][..420] == bytes[place + 448..][..420];
    let embedding = (0..bytes.len() - 868).step_by(32).find(twice).expect("the embedding and the head");
    bytes[embedding + 448 + 419] ^= 0x80;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    let found = Checkpoint::load(&path, None).unwrap();
    assert!(!found.has_tied_head() && found.head() != found.tensors.get(Tensor::Embedding, 0));
}

#[test]
fn a_damaged_file_is_refused_by_name_wherever_it_is_cut() {
    let sound = std::fs::read(golden("gguf/q8_0.gguf")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let error = Checkpoint::load(&path, None).expect_err("refused").to_string();
        assert!(error.contains("model.gguf") && error.contains("; "), "{error}");
        error
    };
    for cut in (5..sound.len()).step_by(101) {
        refused(&sound[..cut]);
    }
    let place = |text: &str| sound.windows(text.len()).position(|window| window == text.as_bytes()).expect(text);
    let changed = |at: usize, value: &[u8]| {
        let mut bytes = sound.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        refused(&bytes)
    };
    let value = |key: &str| place(key) + key.len() + 4;
    let cases = [
        (changed(4, &[1]), "GGUF version 1"),
        (changed(8, &[255; 8]), "tensor"),
        (changed(16, &[255; 8]), "key"),
        (changed(value("general.architecture") + 8, b"qwen9"), "`qwen9` is not supported"),
        (changed(place("llama.rope.dimension_count"), b"llama.rope.dimension_xxxxx"), "llama.rope.dimension_xxxxx"),
        (changed(value("llama.rope.dimension_count"), &[6, 0, 0, 0]), "the width of a head"),
        (changed(value("llama.attention.head_count_kv"), &[3, 0, 0, 0]), "multiple of 3"),
        (changed(value("llama.block_count"), &[4, 0, 0, 0]), "blk.3.attn_norm.weight"),
        (changed(value("llama.block_count"), &[2, 0, 0, 0]), "blk.2."),
        (changed(value("llama.feed_forward_length"), &[47, 0, 0, 0]), "ffn_down"),
        (changed(value("llama.embedding_length"), &[0, 0, 0, 0]), "llama.embedding_length"),
        // After a tensor's name come the number of dimensions, two sizes, the type and the offset.
        (changed(value("token_embd.weight") + 16, &[10]), "Q2_K (of quantized types Q4_0, Q4_1"),
        (changed(value("token_embd.weight") + 16, &[23]), "IQ4_XS"),
        (changed(value("token_embd.weight") + 16, &[99]), "ggml's type 99"),
        (changed(value("token_embd.weight") + 16, &[12]), "Q4_K has rows of 32 numbers, expected a multiple of 256"),
        (changed(place("blk.0.attn_k.weight"), b"blk.0.attn_q.weight"), "the tensor blk.0.attn_q.weight twice"),
        (changed(value("token_embd.weight") + 20, &[255; 8]), "cut short"),
    ];
    for (error, words) in cases {
        assert!(error.contains(words), "expected {words:?} in {error}");
    }
}
