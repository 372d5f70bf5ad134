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
fn scores_of_tokens_become_the_tables_that_llama2c_s_file_gives() {
    let found = load("tokenizer");
    let other = golden("llama2c_tokenizer/tokenizer.bin");
    let expected = Checkpoint::load(&golden("gguf/tokenizer.gguf"), Some(&other)).unwrap().tokenizer;
    assert!(found.tokenizer.is_some() && found.tokenizer == expected);
    assert!(found.head().is_some() && !found.has_tied_head());
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
        (changed(value("general.architecture") + 8, b"qwen2"), "qwen2"),
        (changed(place("llama.rope.dimension_count"), b"llama.rope.dimension_xxxxx"), "llama.rope.dimension_xxxxx"),
        (changed(value("llama.rope.dimension_count"), &[6, 0, 0, 0]), "the width of a head"),
        (changed(value("llama.attention.head_count_kv"), &[3, 0, 0, 0]), "multiple of 3"),
        (changed(value("llama.block_count"), &[4, 0, 0, 0]), "blk.3.attn_norm.weight"),
        (changed(value("llama.block_count"), &[2, 0, 0, 0]), "blk.2."),
        (changed(value("llama.feed_forward_length"), &[47, 0, 0, 0]), "ffn_gate"),
        (changed(value("llama.embedding_length"), &[0, 0, 0, 0]), "llama.embedding_length"),
        // After a tensor's name come the number of dimensions, two sizes, the type and the offset.
        (changed(value("token_embd.weight") + 16, &[3]), "type 3"),
        (changed(value("token_embd.weight") + 20, &[255; 8]), "cut short"),
    ];
    for (error, words) in cases {
        assert!(error.contains(words), "expected {words:?} in {error}");
    }
}
