//! `convert --calibrate` prints the method that made an image's integers, and falls back where the better one has too little text.

use std::path::{Path, PathBuf};
use std::process::Command;

const STORY: &str = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park with her \
    friends. One day, she saw a big dog. The dog was very sad. Lily asked, \"What is wrong?\" The dog said, \"I lost my \
    ball.\" Lily wanted to help. They looked for the ball all day. At last, they found it under a tree. The dog was happy. \
    Lily and the dog were best friends. They went home and told her mom about the ball. Her mom was proud of Lily.\n<|end|>\n";

/// The default model, and a decoder that is too small to take long.
const DECODERS: [&str; 2] = ["models/stories/checkpoint", "tests/golden/gguf/tokenizer.gguf"];

/// Output of the command for a text.
fn said(folder: &Path, decoder: &str, stories: usize, steps: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (text, image) = (folder.join("text.txt"), folder.join("image.tbf"));
    std::fs::write(&text, STORY.repeat(stories)).expect("the folder is writable");
    let output = Command::new(env!("CARGO_BIN_EXE_thumbformer"))
        .arg("convert")
        .arg(root.join(decoder))
        .args(["--quant", "q4", "--distill", steps, "--calibrate"])
        .arg(&text)
        .arg("--output")
        .arg(&image)
        .output()
        .expect("the command starts");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{message}");
    let words = thumbformer_cli::read_image(&image).expect("an image");
    assert!(thumbformer_cli::model(&words, &image).expect("a model").image().has_int4());
    message
}

#[test]
fn enough_text_is_distilled_and_too_little_is_used_layer_by_layer() {
    let folder = tempfile::tempdir().expect("a folder");
    let message = said(folder.path(), DECODERS[0], 16, "4");
    assert!(message.contains("distilled") && !message.contains("layer by layer"), "{message}");
    let message = said(folder.path(), DECODERS[0], 2, "4");
    assert!(message.contains("layer by layer") && message.contains("windows of 128 tokens"), "{message}");
    let message = said(folder.path(), DECODERS[1], 64, "0");
    assert!(message.is_empty(), "{message}");
}
