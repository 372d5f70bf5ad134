//! Begin and end of texts: `convert` and `inspect` say them, `run` obeys them, and a note says what is not obeyed.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

/// Exit code, standard output and standard error of the command.
fn thumbformer(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_thumbformer")).args(arguments).output().expect("the command starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The golden GGUF model with control tokens, in which `<|user|>` is an ordinary token, and perhaps no token begins a text.
fn model(folder: &TempDir, add_bos: bool) -> PathBuf {
    let mut bytes = std::fs::read(golden("gguf/specials.gguf")).expect("a golden file");
    let after = |bytes: &[u8], key: &str| {
        bytes.windows(key.len()).position(|window| window == key.as_bytes()).expect("the key") + key.len()
    };
    // A list: its type, its elements' type and their number come first.
    let kind = after(&bytes, "tokenizer.ggml.token_type") + 4 + 4 + 8 + 4 * 287;
    assert_eq!(bytes[kind], 4, "user-defined");
    bytes[kind] = 1;
    let flag = after(&bytes, "tokenizer.ggml.add_bos_token") + 4;
    bytes[flag] = add_bos.into();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).expect("the folder is writable");
    path
}

#[test]
fn convert_and_inspect_say_how_a_text_begins_and_ends_and_run_begins_and_prints_it_so() {
    for (add_bos, begin, tokens) in [(true, "begins with <s> (1)", 3), (false, "begins with its first token", 2)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (model, image) = (model(&folder, add_bos), folder.path().join("model.tbf"));
        let (model, image) = (model.to_str().expect("UTF-8"), image.to_str().expect("UTF-8"));
        let (code, said, errors) = thumbformer(&["convert", model, "-o", image]);
        assert_eq!(code, Some(0), "{errors}");
        let line = said.lines().find(|line| line.starts_with("text: ")).expect("a line");
        assert_eq!(line, format!("text: {begin}, ends at </s> (2) or <|eot|> (288)"));
        let (_, said, _) = thumbformer(&["inspect", image]);
        let begin = begin.replace("<s> (1)", "token 1");
        assert!(said.contains(&format!("\ntext         {begin}, ends at token 2 or token 288\n")), "{said}");
        let (code, said, errors) = thumbformer(&["run", image, "--prompt", "the cat", "--steps", "2"]);
        assert_eq!(code, Some(0), "{errors}");
        assert!(said.starts_with("the cat") && errors.contains(&format!("{tokens} prompt tokens")), "{said}{errors}");
        let (code, _, errors) = thumbformer(&["run", image, "--steps", "1"]);
        assert_eq!(code, Some(if add_bos { 0 } else { 1 }), "an empty prompt: {errors}");
    }
}

#[test]
fn inspect_s_json_has_begin_and_ends() {
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories/stories.tbf");
    let (_, said, _) = thumbformer(&["inspect", image.to_str().expect("UTF-8"), "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        report["text"],
        serde_json::json!({"begin": {"id": 1, "name": null}, "ends": [{"id": 2, "name": null}]})
    );
}

#[test]
fn what_an_image_cannot_do_around_or_within_a_text_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("model.tbf");
    let image = image.to_str().expect("UTF-8");
    let user_defined = golden("gguf/specials.gguf");
    let (code, _, errors) = thumbformer(&["convert", user_defined.to_str().expect("UTF-8"), "-o", image]);
    assert!(code == Some(1) && errors.contains("added token 287 `<|user|>`"), "{errors}");
    let path = model(&folder, true);
    let mut bytes = std::fs::read(&path).expect("the model");
    let key = b"tokenizer.ggml.add_eos_token";
    let place = bytes.windows(key.len()).position(|window| window == key).expect("the key") + key.len() + 4;
    bytes[place] = 1;
    std::fs::write(&path, bytes).expect("the folder is writable");
    let (code, _, errors) = thumbformer(&["convert", path.to_str().expect("UTF-8"), "-o", image]);
    assert!(code == Some(1) && errors.contains("[<s> (1)] before and [</s> (2)] after"), "{errors}");
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
