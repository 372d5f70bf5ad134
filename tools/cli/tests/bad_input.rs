//! Whatever is wrong with a file or an argument, the command says what, where, and what would help, and ends with code 1.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use thumbformer_checkpoint::{Checkpoint, Pooling, Tensor};
use thumbformer_cli::convert::{Settings, computed, convert};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn stories() -> PathBuf {
    root().join("models/stories/stories.tbf")
}

fn thumbformer(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_thumbformer")).args(arguments).output().expect("the command starts")
}

/// Demands exit code 1 and every one of these words in the message.
fn refused(arguments: &[&str], words: &[&str]) {
    let output = thumbformer(arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
    assert!(message.starts_with("error: ") && !message.contains("panicked"), "{arguments:?}: {message}");
    for word in words {
        assert!(message.contains(word), "{arguments:?}: expected {word:?} in {message}");
    }
}

fn accepted(arguments: &[&str]) {
    let output = thumbformer(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

type Damage = fn(&mut Vec<u8>);

/// Damages the default image and writes it to a folder.
fn damaged(folder: &TempDir, name: &str, damage: Damage) -> PathBuf {
    let mut bytes = std::fs::read(stories()).expect("models/stories/stories.tbf");
    damage(&mut bytes);
    let file = folder.path().join(name);
    std::fs::write(&file, bytes).expect("the folder is writable");
    file
}

#[test]
fn a_damaged_image_is_refused_by_every_command_with_its_name_and_its_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = root().join("models/stories/checkpoint");
    let table: [(&str, Damage, &[&str]); 7] = [
        ("empty.tbf", |bytes| bytes.clear(), &["empty.tbf", "convert"]),
        ("short.tbf", |bytes| bytes.truncate(1000), &["short.tbf", "found 1000", "cut off"]),
        ("odd.tbf", |bytes| bytes.truncate(1001), &["odd.tbf", "cut off"]),
        ("long.tbf", |bytes| bytes.extend([0; 64]), &["long.tbf", "expected "]),
        ("flipped.tbf", |bytes| bytes[123_456] ^= 4, &["flipped.tbf", "CRC-32", "damaged"]),
        ("version.tbf", |bytes| bytes[4] = 9, &["version.tbf", "expected 4, found 9", "convert"]),
        ("other.tbf", |bytes| bytes[..4].copy_from_slice(b"\x7fELF"), &["other.tbf", "not a thumbformer image"]),
    ];
    for (name, damage, words) in table {
        let file = damaged(&folder, name, damage);
        refused(&["run", text(&file), "--prompt", "Once"], words);
        refused(&["inspect", text(&file)], words);
        refused(&["verify", text(&file), "--reference", text(&checkpoint), "--text", text(&stories())], words);
    }
    refused(&["inspect", "no/such.tbf"], &["no/such.tbf", "convert"]);
}

#[test]
fn an_argument_out_of_range_is_refused_with_the_range() {
    let stories = stories();
    let run = |arguments: &[&str], words: &[&str]| refused(&[&["run", text(&stories)], arguments].concat(), words);
    let long = "a long story ".repeat(400);
    run(&["--prompt", &long], &["the prompt has", "512", "shorten"]);
    run(&["--prompt", "Once upon a time", "--max-seq", "3"], &["6 tokens", "3", "--max-seq"]);
    run(&["--max-seq", "513"], &["513", "512"]);
    run(&["--max-seq", "0"], &["0", "512"]);
    run(&["--temperature=-1"], &["temperature"]);
    run(&["--temperature", "NaN"], &["temperature"]);
    run(&["--temperature", "1", "--top-p", "0"], &["top_p"]);
    refused(&["inspect", text(&stories), "--max-seq", "600"], &["600", "512"]);
}

#[test]
fn verify_refuses_what_it_cannot_compare() {
    let folder = tempfile::tempdir().expect("a folder");
    let (stories, checkpoint) = (stories(), root().join("models/stories/checkpoint"));
    let golden = root().join("tests/golden/llama/checkpoint");
    let write = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).expect("the folder is writable");
        file
    };
    let (words, empty, binary) =
        (write("words.txt", b"A dog."), write("empty.txt", b"\n"), write("binary.txt", b"\xff\xfe"));
    let verify = |reference: &Path, file: &Path, words: &[&str]| {
        refused(&["verify", text(&stories), "--reference", text(reference), "--text", text(file)], words);
    };
    verify(&golden, &words, &["the image has", "converted from"]);
    verify(&checkpoint, &empty, &["empty.txt", "longer"]);
    verify(&checkpoint, &binary, &["binary.txt", "UTF-8"]);
    verify(&checkpoint, Path::new("no/such.txt"), &["no/such.txt"]);
    verify(Path::new("no/such"), &words, &["no/such"]);
}

#[test]
fn convert_refuses_a_checkpoint_without_touching_an_image_that_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image.tbf");
    std::fs::write(&image, b"as it was").expect("the folder is writable");
    let copy = folder.path().join("checkpoint");
    std::fs::create_dir(&copy).expect("the folder is writable");
    for name in ["config.json", "model.safetensors"] {
        let from = root().join("tests/golden/llama/checkpoint").join(name);
        std::fs::copy(from, copy.join(name)).expect("a golden checkpoint");
    }
    let config = std::fs::read_to_string(copy.join("config.json")).expect("config.json");
    let table = [
        (config.replace("llama", "gpt_neox"), &["config.json", "gpt_neox"][..]),
        (config.replace("\"hidden_size\": ", "\"hidden_size\": 1"), &["checkpoint"]),
        ("{".to_string(), &["config.json"]),
    ];
    for (text_of_config, words) in table {
        assert_ne!(text_of_config, config, "the damage must do something");
        std::fs::write(copy.join("config.json"), text_of_config).expect("the folder is writable");
        refused(&["convert", text(&copy), "-o", text(&image)], words);
        assert_eq!(std::fs::read(&image).expect("the image"), b"as it was");
    }
    std::fs::write(copy.join("config.json"), &config).expect("the folder is writable");
    let long = ["convert", text(&copy), "-o", text(&image), "--max-seq", "99999"];
    refused(&long, &["99999", "context"]);
    std::fs::write(copy.join("model.safetensors"), b"not a safetensors file").expect("the folder is writable");
    refused(&["convert", text(&copy), "-o", text(&image)], &["model.safetensors"]);
    assert_eq!(std::fs::read(&image).expect("the image"), b"as it was");
    refused(&["convert", "no/such", "-o", text(&image)], &["no/such"]);
}

#[test]
fn convert_names_the_option_that_the_engine_lacks() {
    type Change = fn(&mut Checkpoint);
    let table: [(&str, Change); 3] = [
        ("pooling = Mean with mask = Causal", |c| c.config.options.pooling = Pooling::Mean),
        ("pooling = Class with mask = Causal", |c| c.config.options.pooling = Pooling::Class),
        ("without a gate", |c| drop(c.tensors.remove(Tensor::Gate, 1))),
    ];
    let sound = Checkpoint::load(&root().join("tests/golden/llama/checkpoint"), None).expect("a golden checkpoint");
    computed(&sound).expect("a Llama");
    for (words, change) in table {
        let mut changed = sound.clone();
        change(&mut changed);
        let error = computed(&changed).expect_err(words).to_string();
        assert!(error.contains(words) && error.contains("; "), "expected {words:?} in {error}");
        assert!(convert(&changed, Settings::default(), &mut |_| ()).is_err(), "{words}");
    }
}

#[test]
fn checkpoints_of_all_families_become_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image.tbf");
    for model in
        ["torch_pre_gelu", "torch_post_gelu", "torch_pre_relu", "torch_post_relu", "bert", "distilbert", "gpt2", "vit"]
    {
        let checkpoint = root().join("tests/golden").join(model).join("checkpoint");
        accepted(&["convert", text(&checkpoint), "-o", text(&image)]);
        accepted(&["inspect", text(&image)]);
    }
}

#[test]
fn verify_ends_with_code_1_and_all_its_figures_when_a_bound_is_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let story = folder.path().join("story.txt");
    std::fs::write(&story, "Once upon a time, there was a dog.").expect("the folder is writable");
    let (image, checkpoint) = (stories(), root().join("models/stories/checkpoint"));
    let verify = |more: &[&str]| {
        let arguments = ["verify", text(&image), "--reference", text(&checkpoint), "--text", text(&story)];
        thumbformer(&[&arguments, more].concat())
    };
    let lenient = ["--min-top1", "0.5", "--max-kl", "1", "--max-perplexity-change", "0.5", "--min-sqnr", "10"];
    let kept = verify(&lenient);
    assert_eq!(kept.status.code(), Some(0), "{}", String::from_utf8_lossy(&kept.stderr));
    let missed = verify(&[&lenient[..6], &["--min-sqnr", "200"]].concat());
    assert_eq!(missed.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&missed.stdout);
    assert_eq!((printed.matches(" ok ").count(), printed.matches(" FAIL ").count()), (3, 1), "{printed}");
    assert!(String::from_utf8_lossy(&missed.stderr).contains("accuracy check failed: SQNR of the logits"));
    let json: serde_json::Value =
        serde_json::from_slice(&verify(&[&lenient[..], &["--json"]].concat()).stdout).expect("JSON");
    assert!(json["tokens"].as_u64().is_some_and(|tokens| tokens > 8) && json["sqnr"].as_f64().is_some(), "{json}");
}

#[test]
fn inspect_s_json_has_the_numbers_of_its_text() {
    let image = stories();
    let json = thumbformer(&["inspect", text(&image), "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let printed = thumbformer(&["inspect", text(&image)]).stdout;
    let printed = String::from_utf8_lossy(&printed);
    assert_eq!(json["dims"]["d_model"], 64);
    for number in [&json["flash"], &json["ram"]["total"], &json["ram"]["kv_cache"], &json["macs"]["weights"]] {
        assert!(printed.contains(&format!(" {number} ")), "{number} in {printed}");
    }
}
