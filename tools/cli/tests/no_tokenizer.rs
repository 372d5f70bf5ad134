//! An image without its tokenizer: token ids go in, and the network is that of the image with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn checkpoint() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories/checkpoint")
}

fn thumbformer(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_thumbformer")).args(arguments).output().expect("the command starts")
}

fn printed(arguments: &[&str]) -> String {
    let output = thumbformer(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_image_without_its_tokenizer_runs_from_ids_and_is_verified_by_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("a UTF-8 path").to_string();
    let (with, without, ids) = (file("with.tbf"), file("without.tbf"), file("ids.json"));
    let checkpoint = checkpoint();
    let checkpoint = checkpoint.to_str().expect("a UTF-8 path");
    printed(&["convert", checkpoint, "-o", &with]);
    let said = printed(&["convert", checkpoint, "-o", &without, "--no-tokenizer"]);
    assert!(said.contains("NO TOKENIZER") && said.contains("--tokens"), "{said}");
    std::fs::write(&ids, "[1, 403, 407, 261, 378]").expect("the folder is writable");
    let steps = |image: &str| {
        let said = printed(&["run", image, "--tokens", &ids, "--steps", "5", "--logits-crc"]);
        said.lines().last().expect("the CRC of all logits").to_string()
    };
    assert_eq!(steps(&with), steps(&without));
    // Ids at random are no text of the model's: the usual bounds do not hold.
    let wide = ["--min-top1", "0", "--max-kl", "1", "--max-perplexity-change", "1", "--min-sqnr", "15"];
    printed(&[&["verify", &without, "--reference", checkpoint, "--tokens", &ids], &wide[..]].concat());
    let refused = thumbformer(&["run", &without, "--prompt", "a"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("no tokenizer"));
    let both = thumbformer(&["convert", checkpoint, "-o", &file("x.tbf"), "--no-tokenizer", "--tokenizer", &ids]);
    assert!(!both.status.success(), "one of them means nothing");
}
