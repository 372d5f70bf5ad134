//! llama2.c files, and tokenizers that belong to another model.

use std::fs;

use thumbformer_checkpoint::{Checkpoint, Tensor, Weights};

use crate::files::golden;
use crate::{Report, refusal};

/// The golden llama2.c file as numbers.
fn llama2c() -> Vec<u8> {
    fs::read(golden("llama2c/model.bin")).unwrap()
}

/// The same file with one number of its header changed: 0 to 6 are d_model, d_ff, n_layers, n_heads, n_kv_heads,
/// vocab, max_seq.
fn with_header(index: usize, value: i32) -> Vec<u8> {
    let mut bytes = llama2c();
    bytes[4 * index..4 * index + 4].copy_from_slice(&value.to_le_bytes());
    bytes
}

/// The golden file's tensors in the order of version 1, behind its header.
fn version_1(version: i32, shared: bool) -> Vec<u8> {
    let old = llama2c();
    let mut bytes = 0x616b_3432u32.to_le_bytes().to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(&old[..28]);
    bytes.push(u8::from(shared));
    bytes.resize(256, 0);
    let (d, ff, layers, kv, vocab) = (32, 48, 3, 16, 48);
    // Floats of each tensor in the order of version 0.
    let sizes = [vocab * d, layers * d, layers * d * d, layers * kv * d, layers * kv * d, layers * d * d];
    let sizes = [sizes.as_slice(), &[layers * d, layers * ff * d, layers * d * ff, layers * ff * d, d]].concat();
    let mut parts = Vec::new();
    let mut rest = &old[28..];
    for size in sizes {
        let (part, after) = rest.split_at(4 * size);
        parts.push(part);
        rest = after;
    }
    for index in [1, 6, 10, 0, 2, 3, 4, 5, 7, 8, 9] {
        bytes.extend(parts[index]);
    }
    if !shared {
        bytes.extend(parts[0]);
    }
    bytes
}

#[test]
fn all_versions_of_llama2c_files_hold_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    let load = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Checkpoint::load(&path, None).unwrap_or_else(|error| panic!("{error}"))
    };
    let plain = load(&llama2c());
    let mut separate = with_header(5, -48);
    separate.extend(&llama2c()[28..28 + 4 * 48 * 32]);
    for (case, bytes, tied) in [
        ("version 1", version_1(1, true), true),
        ("version 1, separate head", version_1(1, false), false),
        ("version 0, separate head", separate, false),
    ] {
        let found = load(&bytes);
        assert_eq!(found.has_tied_head(), tied, "{case}");
        assert_eq!(found.head().map(|head| &head.data), plain.head().map(|head| &head.data), "{case}");
        let own = |(tensor, ..): &(Tensor, usize, &Weights)| *tensor != Tensor::Head;
        assert!(found.tensors.iter().filter(own).eq(plain.tensors.iter()), "{case}");
    }
}

#[test]
fn a_bad_llama2c_file_is_refused() {
    let sound = llama2c();
    let nan = {
        let mut bytes = sound.clone();
        let wq = 28 + 4 * (48 * 32 + 3 * 32);
        bytes[wq..wq + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        bytes
    };
    let whole = sound.len().to_string();
    let cases: [(&str, Vec<u8>, &[&str]); 16] = [
        ("cut short", sound[..sound.len() - 4].to_vec(), &[&whole, "cut short"]),
        ("cut in the header", sound[..20].to_vec(), &["28 bytes", "found 20"]),
        ("empty", vec![], &["28 bytes", "found 0"]),
        ("too long", [&sound[..], &[0; 4]].concat(), &[&whole, "too long"]),
        ("another d_ff", with_header(1, 64), &["cut short"]),
        ("another vocabulary", with_header(5, 40), &["too long"]),
        ("a separate head that is not there", with_header(5, -48), &["cut short"]),
        ("no layers", with_header(2, 0), &["not a llama2.c file"]),
        ("absurd sizes", [0x7F; 64].to_vec(), &["not a llama2.c file"]),
        ("heads that do not divide", with_header(3, 5), &["`dim`", "32", "multiple of n_heads (5)"]),
        ("key heads that do not divide", with_header(4, 3), &["`n_heads`", "multiple of n_kv_heads (3)"]),
        ("odd heads", with_header(3, 32), &["dim / n_heads", "even"]),
        ("NaN", nan, &["layers.0.attention.wq", "NaN", "[0, 0]"]),
        ("quantized", version_1(2, true), &["version 2", "--version 1"]),
        ("version 1 cut short", version_1(1, true)[..100].to_vec(), &["256 bytes", "found 100"]),
        ("a zip", b"PK\x03\x04archive/data.pkl of a model".to_vec(), &["damaged zip", "download it again"]),
    ];
    let mut report = Report::default();
    let folder = tempfile::tempdir().unwrap();
    for (case, bytes, expected) in cases {
        let path = folder.path().join("model.bin");
        fs::write(&path, bytes).unwrap();
        report.check(case, &path, &[expected, &["model.bin"]].concat());
    }
}

#[test]
fn a_tokenizer_that_does_not_fit_the_model_is_refused() {
    let wrong = golden("llama2c_tokenizer/tokenizer.bin");
    let error = Checkpoint::load(&golden("llama2c/model.bin"), Some(&wrong)).unwrap_err().to_string();
    assert!(error.contains("follow token 47") && error.contains("belongs to this model"), "{error}");

    // Beside the model it is found without being named.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.bin"), llama2c()).unwrap();
    fs::copy(&wrong, folder.path().join("tokenizer.bin")).unwrap();
    assert!(refusal("beside", &folder.path().join("model.bin")).contains("tokenizer.bin"));

    let missing = folder.path().join("other.json");
    let error = Checkpoint::load(&golden("llama/checkpoint"), Some(&missing)).unwrap_err().to_string();
    assert!(error.contains("other.json") && error.contains("cannot be read"), "{error}");
}

#[test]
fn a_cut_anywhere_in_a_tokenizer_is_an_error_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.bin");
    let sound = fs::read(golden("llama2c_tokenizer/tokenizer.bin")).unwrap();
    // A model with that vocabulary: one layer, everything as small as it gets.
    let header = [2i32, 1, 1, 1, 1, 315, 1];
    let floats = 315 * 2 + 2 + 4 * 4 + 2 + 3 * 2 + 2 + 2;
    let model = folder.path().join("small.bin");
    let bytes = header.into_iter().flat_map(i32::to_le_bytes).chain(std::iter::repeat_n(0, 4 * floats));
    fs::write(&model, bytes.collect::<Vec<u8>>()).unwrap();
    fs::write(&path, &sound).unwrap();
    let checkpoint = Checkpoint::load(&model, Some(&path)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(checkpoint.tokenizer.unwrap().pieces.len(), 315);
    for cut in (0..sound.len()).step_by(17).chain(sound.len() - 20..sound.len()) {
        fs::write(&path, &sound[..cut]).unwrap();
        let error = Checkpoint::load(&model, Some(&path)).expect_err("cut").to_string();
        assert!(error.contains("cut short"), "{cut}: {error}");
    }
}
