//! Abuse: large files of lists within a bounded memory, a signal at any time, an output that cannot be; each with its true cause.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn checkpoint() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories/checkpoint")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// Bytes of each file.
const SIZE: usize = 24 << 20;
/// Memory of the command itself: its code, its stacks.
const OWN: usize = 64 << 20;

/// Converts in an address space of the command's own memory and a multiple of the file's.
fn convert_within(memory: usize, input: &Path) -> Output {
    let script = format!("ulimit -v {}; exec \"$0\" convert \"$1\" -o \"$2\"", memory / 1024);
    let output = input.with_extension("tbf");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_thumbformer"), text(input), text(&output)]);
    command.env("MALLOC_ARENA_MAX", "1").output().expect("it starts")
}

/// A GGUF file of one key.
fn gguf(kind: u32, count: usize, values: &[u8]) -> Vec<u8> {
    let head = [&b"GGUF"[..], &3_u32.to_le_bytes(), &0_u64.to_le_bytes(), &1_u64.to_le_bytes()].concat();
    let key = [&1_u64.to_le_bytes()[..], b"k", &9_u32.to_le_bytes()].concat();
    [&head, &key, &kind.to_le_bytes()[..], &(count as u64).to_le_bytes(), values].concat()
}

/// A llama2.c file: its header, and one number everywhere.
fn llama2c() -> Vec<u8> {
    let (d, ff, layers, heads, vocab, seq) = (512, 1408, 2, 8, 512, 256);
    let floats = vocab * d + layers * (2 * d + 4 * d * d + 3 * d * ff) + d + seq * d / heads;
    let header = [d, ff, layers, heads, heads, vocab, seq].map(|size| (size as i32).to_le_bytes()).concat();
    [header, 0.01_f32.to_le_bytes().repeat(floats)].concat()
}

#[test]
fn importers_take_at_most_four_times_the_memory_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let short_texts = [&1_u64.to_le_bytes()[..], b"a"].concat();
    let unnamed = "none named by general.architecture";
    let table = [
        ("bytes.gguf", gguf(0, SIZE, &vec![0; SIZE]), unnamed),
        ("texts.gguf", gguf(8, SIZE / 9, &short_texts.repeat(SIZE / 9)), unnamed),
        ("floats.bin", llama2c(), ""),
    ];
    for (name, bytes, refused) in table {
        let file = folder.path().join(name);
        fs::write(&file, &bytes).expect("a file");
        let output = convert_within(OWN + 4 * bytes.len(), &file);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(i32::from(!refused.is_empty())), "{name}: {said}");
        assert!(said.contains(refused), "{name}: {said}");
    }
    // The limit holds: the file alone does not fit.
    let output = convert_within(OWN / 2, &folder.path().join("bytes.gguf"));
    assert!(!output.status.success());
}

#[test]
fn json_that_is_too_large_to_be_what_it_is_named_is_refused_by_name() {
    let json = format!(r#"{{"model_type": "llama", "x": [{}0]}}"#, "0,".repeat(SIZE / 2));
    let header = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    let table: [(&str, &[u8]); 3] =
        [("config.json", json.as_bytes()), ("tokenizer.json", json.as_bytes()), ("model.safetensors", &header)];
    for (name, bytes) in table {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            fs::copy(checkpoint().join(file), folder.path().join(file)).expect("a copy");
        }
        fs::write(folder.path().join(name), bytes).expect("a file");
        let output = convert_within(OWN + 4 * bytes.len(), folder.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(name) && said.contains("bytes of JSON, expected at most"), "{name}: {said}");
    }
}

#[test]
fn a_signal_at_any_time_leaves_no_part_of_an_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("model.tbf");
    let names = || -> Vec<String> {
        let entries = fs::read_dir(folder.path()).expect("the folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_thumbformer"));
    command.args(["convert", text(&checkpoint()), "-o", text(&output)]).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().expect("it starts").success());
    let whole = fs::read(&output).expect("an image");
    fs::write(&output, b"before").expect("a file");
    let mut interrupted = 0;
    for round in 0..16 {
        let mut child = command.spawn().expect("it starts");
        // When its temporary file is there; in every third round at once.
        while round % 3 > 0 && names().len() == 1 && child.try_wait().expect("a child").is_none() {}
        // In a shell's background, SIGINT is ignored.
        let signal = if round % 4 == 3 { "-INT" } else { "-TERM" };
        // It may have ended by itself.
        let _ = Command::new("kill").args([signal, &child.id().to_string()]).output();
        interrupted += u32::from(!child.wait().expect("it ends").success());
        assert_eq!(names(), ["model.tbf"], "round {round}");
        let found = fs::read(&output).expect("a file");
        assert!(found == b"before" || found == whole, "round {round}: half an image of {} bytes", found.len());
    }
    assert!(interrupted >= 4, "{interrupted} of 16 were interrupted");
}

#[test]
fn an_output_that_cannot_be_written_is_refused_with_its_true_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("file"), b"").expect("a file");
    for (output, cause) in [
        ("no/model.tbf", "there is no such folder"),
        ("file/model.tbf", "a part of its path is a file"),
        (".", "it is a folder"),
    ] {
        let output = folder.path().join(output);
        let mut command = Command::new(env!("CARGO_BIN_EXE_thumbformer"));
        let ended = command.args(["convert", text(&checkpoint()), "-o", text(&output)]).output().expect("it starts");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code() == Some(1) && said.contains(cause), "{output:?}: {said}");
    }
}
