//! Begin and end of texts: `convert` and `inspect` say them, `run` obeys them, and a note says what is not obeyed.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use thumbformer::Model;
use thumbformer_checkpoint::Checkpoint;
use thumbformer_cli::convert::{Settings, convert};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

/// Exit code, standard output and standard error of the command.
fn thumbformer(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_thumbformer")).args(arguments).output().expect("the command starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The golden GGUF model with control and user-defined tokens, with other values of two keys.
fn model(folder: &TempDir, add_bos: bool, add_eos: bool) -> PathBuf {
    let mut bytes = std::fs::read(golden("gguf/specials.gguf")).expect("a golden file");
    for (key, value) in [("tokenizer.ggml.add_bos_token", add_bos), ("tokenizer.ggml.add_eos_token", add_eos)] {
        let place = bytes.windows(key.len()).position(|window| window == key.as_bytes()).expect("the key");
        bytes[place + key.len() + 4] = value.into();
    }
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).expect("the folder is writable");
    path
}

#[test]
fn convert_and_inspect_say_how_a_text_begins_and_ends_and_run_begins_and_prints_it_so() {
    for (add_bos, begin, tokens) in [(true, "begins with <s> (1)", 3), (false, "begins with its first token", 2)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (model, image) = (model(&folder, add_bos, false), folder.path().join("model.tbf"));
        let (model, image) = (model.to_str().expect("UTF-8"), image.to_str().expect("UTF-8"));
        let (code, said, errors) = thumbformer(&["convert", model, "-o", image]);
        assert_eq!(code, Some(0), "{errors}");
        let line = said.lines().find(|line| line.starts_with("text: ")).expect("a line");
        assert_eq!(line, format!("text: {begin}, ends at </s> (2) or <|eot|> (288)"));
        let (_, said, _) = thumbformer(&["inspect", image]);
        assert!(said.contains(&format!("\ntext         {begin}, ends at </s> (2) or <|eot|> (288)\n")), "{said}");
        let (code, said, errors) = thumbformer(&["run", image, "--prompt", "the cat", "--steps", "2"]);
        assert_eq!(code, Some(0), "{errors}");
        assert!(said.starts_with("the cat") && errors.contains(&format!("{tokens} prompt tokens")), "{said}{errors}");
        let (code, _, errors) = thumbformer(&["run", image, "--steps", "1"]);
        assert_eq!(code, Some(if add_bos { 0 } else { 1 }), "an empty prompt: {errors}");
    }
}

#[test]
fn inspect_s_json_has_begin_and_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, image) = (model(&folder, true, false), folder.path().join("model.tbf"));
    let (model, image) = (model.to_str().expect("UTF-8"), image.to_str().expect("UTF-8"));
    thumbformer(&["convert", model, "-o", image]);
    let (_, said, _) = thumbformer(&["inspect", image, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let token = |id: u32, name: &str| serde_json::json!({"id": id, "name": name});
    let expected = serde_json::json!({"begin": token(1, "<s>"), "ends": [token(2, "</s>"), token(288, "<|eot|>")]});
    assert_eq!(report["text"], expected);
}

#[test]
fn what_an_image_cannot_put_around_a_text_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, image) = (model(&folder, true, true), folder.path().join("model.tbf"));
    let (code, _, errors) =
        thumbformer(&["convert", model.to_str().expect("UTF-8"), "-o", image.to_str().expect("UTF-8")]);
    assert!(code == Some(1) && errors.contains("[<s> (1)] before and [</s> (2)] after"), "{errors}");
}

#[test]
fn names_in_a_text_become_the_tokens_that_llama_cpp_makes_of_them() {
    let checkpoint = Checkpoint::load(&golden("gguf/specials.gguf"), None).expect("loads");
    let words = convert(&checkpoint, Settings::default(), &mut |_| ()).expect("converts");
    let model = Model::parse(&words).expect("an image");
    let tokenizer = model.tokenizer().expect("a tokenizer");
    let file = std::fs::read_to_string(golden("gguf/specials.json")).expect("a golden file");
    let file: serde_json::Value = serde_json::from_str(&file).expect("JSON");
    // The first is what the file has: BOS before a text, nothing after it.
    let encodings = file["variants"][0]["encodings"].as_array().expect("texts");
    assert!(encodings.len() > 8, "{} texts try nothing", encodings.len());
    for encoding in encodings {
        let text = encoding["text"].as_str().expect("a text");
        let mut tokens = [0; 64];
        let length = tokenizer.encode(text, true, &mut tokens).expect("encodes");
        assert_eq!(serde_json::json!(tokens[..length]), encoding["plain"], "{text:?}");
        let length = tokenizer.encode_named(text, true, &mut tokens).expect("encodes");
        assert_eq!(serde_json::json!(tokens[..length]), encoding["special"], "{text:?}");
    }
}

#[test]
fn notes_on_begin_and_end_go_to_standard_error() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(golden("gpt2/checkpoint").join(file), folder.path().join(file)).expect("a copy");
    }
    let config = folder.path().join("config.json");
    let mut keys: serde_json::Value = serde_json::from_slice(&std::fs::read(&config).expect("a file")).expect("JSON");
    keys["bos_token_id"] = 50256.into();
    std::fs::write(&config, keys.to_string()).expect("the folder is writable");
    let image = folder.path().join("model.tbf");
    let (code, said, errors) =
        thumbformer(&["convert", folder.path().to_str().expect("UTF-8"), "-o", image.to_str().expect("UTF-8")]);
    assert!(code == Some(0) && !said.contains("note: "), "{said}{errors}");
    assert!(errors.lines().any(|line| line.starts_with("note: ") && line.contains("bos_token_id 50256")), "{errors}");
}
