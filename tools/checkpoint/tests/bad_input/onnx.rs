//! ONNX files: damage and networks of another form are refused, with the node and the next step.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::{Report, golden, refusal};

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(golden("onnx").join(format!("{name}.onnx"))).expect("a golden file")
}

fn file(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// The file with every such text as another one of the same length.
fn replaced(name: &str, from: &str, to: &str) -> Vec<u8> {
    let (mut bytes, length) = (bytes(name), from.len());
    assert_eq!(length, to.len(), "{from}");
    let places: Vec<usize> =
        (0..=bytes.len() - length).filter(|&at| bytes[at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "{name}: no {from}");
    places.into_iter().for_each(|at| bytes[at..][..length].copy_from_slice(to.as_bytes()));
    bytes
}

#[test]
fn an_operation_that_no_network_has_is_refused_with_its_node() {
    let folder = TempDir::new().expect("a folder");
    let mut report = Report::default();
    let cases: [(&str, &str, &str, &[&str]); 9] = [
        // An unknown operation.
        (
            "bert_dynamo",
            "LayerNormalization",
            "GroupNormalization",
            &["(GroupNormalization)", "node `node_", "linear layers"],
        ),
        ("vit", "Conv", "Hurz", &["(Hurz)", "linear layers"]),
        // One with graphs of its own, and frames with zeros at the edges.
        ("vit", "Gelu", "Loop", &["(Loop)", "dynamo=True", "onnxsim"]),
        ("keywords", "pads@\0", "pads@\u{1}", &["(Conv)", "padding [1, 0]", "train the network without padding"]),
        // Known ones in the wrong place.
        ("decoder_dynamo", "Sigmoid", "Softmax", &["a product of computed numbers", "a block's last branch"]),
        ("gpt2", "Tanh", "Sqrt", &["(Mul)", "a block's last branch", "an MLP with ReLU, GELU or SiLU"]),
        ("vit", "Gelu", "Tanh", &["a function Tanh", "an MLP with ReLU, GELU or SiLU"]),
        (
            "keywords_dynamo",
            "Softmax",
            "Sigmoid",
            &["(MatMul)", "a product of computed matrices", "attention before the MLP"],
        ),
        ("llama", "Reciprocal", "Sqrt______", &["(Sqrt______)"]),
    ];
    for (name, from, to, expected) in cases {
        let from_file = replaced(name, from, to);
        report.check(&format!("{name}: {from}"), &file(&folder, &from_file), expected);
    }
    assert!(report.0.is_empty(), "{:#?}", report.0);
}

#[test]
fn data_outside_of_the_folder_is_not_read() {
    let folder = TempDir::new().expect("a folder");
    let bytes = replaced("encoder_dynamo", "encoder_dynamo.onnx.data", "../oder_dynamo.onnx.data");
    let error = refusal("a folder above", &file(&folder, &bytes));
    assert!(error.contains("expected one in the model's folder") && error.contains("save_model"), "{error}");
}

#[test]
fn a_damaged_file_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let whole = bytes("decoder_dynamo");
    for (case, bytes) in [
        ("cut off", &whole[..whole.len() / 2]),
        ("empty", &[]),
        ("text", b"this is no model"),
        ("a gguf", b"GGUF\x03\0\0\0"),
    ] {
        let error = refusal(case, &file(&folder, bytes));
        assert!(error.contains("model.onnx") && error.contains("export it again"), "{case}: {error}");
    }
    let path = file(&folder, &bytes("encoder_dynamo"));
    let error = refusal("without its data", &path);
    assert!(error.contains("encoder_dynamo.onnx.data") && error.contains("no such file"), "{error}");
    std::fs::write(folder.path().join("encoder_dynamo.onnx.data"), [0; 64]).expect("a file");
    let error = refusal("with half of its data", &path);
    assert!(error.contains("which has 64 bytes") && error.contains("copy both files"), "{error}");
}

#[test]
fn a_file_of_open_length_without_a_table_says_how_to_give_one() {
    let folder = TempDir::new().expect("a folder");
    let error = refusal("llama", &file(&folder, &replaced("llama", "max_seq", "min_seq")));
    assert!(error.contains("a longest sequence") && error.contains("set_model_props"), "{error}");
    let error = refusal("llama", &file(&folder, &replaced("llama", "\u{2}16", "\u{2}0x")));
    assert!(error.contains("`max_seq` is 0x") && error.contains("a number of tokens"), "{error}");
}

#[test]
fn a_function_that_calls_itself_is_refused_and_so_is_one_that_is_not_there() {
    let folder = TempDir::new().expect("a folder");
    let mut bytes = replaced("vit", "Gelu", "Hurz");
    let error = refusal("no function", &file(&folder, &bytes));
    assert!(error.contains("(Hurz)") && error.contains("linear layers"), "{error}");
    // FunctionProto: name, an input, an output, a node that calls it.
    let call = b"\x0a\x01x\x12\x01y\x22\x04Hurz";
    let function = [b"\x0a\x04Hurz\x22\x01x\x2a\x01y\x3a", &[call.len() as u8][..], call].concat();
    bytes.extend([b"\xca\x01", &[function.len() as u8][..], &function].concat());
    let error = refusal("a function without end", &file(&folder, &bytes));
    assert!(error.contains("`Hurz` calls itself"), "{error}");
}
