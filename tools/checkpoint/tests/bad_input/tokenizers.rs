//! A tokenizer that is refused does not stop the network; a vocabulary that no device can hold is refused before its tokenizer.

use serde_json::json;
use thumbformer_checkpoint::Checkpoint;

use super::{golden, refusal};

/// A llama2.c file of two numbers, one layer and so many tokens, all weights 0.
fn tiny(folder: &std::path::Path, vocab: usize) -> std::path::PathBuf {
    let sizes = [2, 1, 1, 1, 1, vocab as i32, 8];
    let floats = vocab * 2 + 2 + 4 * 4 + 2 + 3 * 2 + 2 + 8 * 2;
    let bytes = sizes.iter().flat_map(|size| size.to_le_bytes()).chain(std::iter::repeat_n(0, 4 * floats));
    let path = folder.join("model.bin");
    std::fs::write(&path, bytes.collect::<Vec<u8>>()).unwrap();
    path
}

#[test]
fn a_network_loads_without_the_tokenizer_beside_it_which_names_that_way() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(golden("llama/checkpoint")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let tokenizer = json!({"model": {"type": "Magic", "vocab": {"a": 0}}});
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let message = refusal("a tokenizer of no known kind", folder.path());
    for word in ["tokenizer.json", "Magic", "--no-tokenizer"] {
        assert!(message.contains(word), "{word}: {message}");
    }
    let checkpoint = Checkpoint::load_network(folder.path()).unwrap();
    assert!(checkpoint.tokenizer.is_none() && checkpoint.config.vocab == 48);
}

#[test]
fn a_network_loads_without_the_tokenizer_in_its_own_file() {
    let path = golden("gguf/tokenizer.gguf");
    assert!(Checkpoint::load(&path, None).unwrap().tokenizer.is_some());
    let network = Checkpoint::load_network(&path).unwrap();
    assert!(network.tokenizer.is_none() && network.config.bos == Some(1) && network.config.eos == [2]);
}

#[test]
fn a_vocabulary_beyond_16_bits_is_refused_before_its_tokenizer_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.bin"), b"no tokenizer").unwrap();
    let fits = refusal("the largest vocabulary", &tiny(folder.path(), 65_535));
    assert!(fits.contains("tokenizer.bin"), "{fits}");
    let large = tiny(folder.path(), 65_536);
    for error in [Checkpoint::load(&large, None), Checkpoint::load_network(&large)].map(Result::unwrap_err) {
        let message = error.to_string();
        for word in ["model.bin", "vocab_size", "65536", "at most 65535", "prune"] {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
}
