//! `convert --calibrate` prints the method that made an image's integers, and falls back where the better one has too little text.

use std::path::{Path, PathBuf};
use std::process::Command;

const STORY: &str = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park with her \
    friends. One day, she saw a big dog. The dog was very sad. Lily asked, \"What is wrong?\" The dog said, \"I lost my \
    ball.\" Lily wanted to help. They looked for the ball all day. At last, they found it under a tree. The dog was happy. \
    Lily and the dog were best friends. They went home and told her mom about the ball. Her mom was proud of Lily.\n<|end|>\n";

/// A decoder that is too small to take long: the vocabulary of a golden tokenizer, a context of 64 tokens, weights of no meaning.
fn decoder(folder: &Path) -> PathBuf {
    const SIZES: [i32; 7] = [16, 32, 2, 2, 2, 315, 64];
    let [d_model, d_ff, n_layers, .., vocab, max_seq] = SIZES.map(|size| size as usize);
    let matrices = n_layers * (2 * d_model + 4 * d_model * d_model + 3 * d_model * d_ff);
    let floats = vocab * d_model + matrices + d_model + max_seq * d_model / 2;
    let mut file: Vec<u8> = SIZES.iter().flat_map(|size| size.to_le_bytes()).collect();
    file.extend((0..floats).flat_map(|i| ((i * i % 251) as f32 / 250.0 - 0.5).to_le_bytes()));
    let path = folder.join("model.bin");
    std::fs::write(&path, file).expect("the folder is writable");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/llama2c_tokenizer/tokenizer.bin");
    std::fs::copy(golden, folder.join("tokenizer.bin")).expect("the golden tokenizer");
    path
}

/// Output of the command for a text of so many stories.
fn said(stories: usize, steps: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let (text, image) = (folder.path().join("text.txt"), folder.path().join("image.tbf"));
    std::fs::write(&text, STORY.repeat(stories)).expect("the folder is writable");
    let output = Command::new(env!("CARGO_BIN_EXE_thumbformer"))
        .arg("convert")
        .arg(decoder(folder.path()))
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
    let message = said(32, "4");
    assert!(message.contains("distilled") && !message.contains("layer by layer"), "{message}");
    let message = said(10, "4");
    assert!(
        message.contains("layer by layer") && message.contains("10 windows of up to 64 tokens; give at least 20"),
        "{message}"
    );
    let message = said(32, "0");
    assert!(message.is_empty(), "{message}");
}
