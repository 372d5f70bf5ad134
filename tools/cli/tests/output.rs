//! Output: a closed pipe ends a command quietly, a full disk is an error, an input is never written over, half a file is never left.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn thumbformer(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thumbformer"));
    command.current_dir(root()).args(arguments);
    command
}

const IMAGE: &str = "models/stories/stories.tbf";
/// Verbs that print at once, one after the other, and more than a pipe holds.
const PRINTING: [&[&str]; 4] = [
    &["inspect", IMAGE],
    &["inspect", IMAGE, "--json"],
    &["run", IMAGE, "--prompt", "Once", "--steps", "200", "--logits-crc"],
    &["explain", "stream"],
];

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_every_verb_quietly() {
    for arguments in PRINTING {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = thumbformer(arguments).stdout(writer).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(141), ""), "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_says_so() {
    for arguments in PRINTING {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
        let output = thumbformer(arguments).stdout(full).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("error: standard output cannot be written: No space left"), "{arguments:?}: {said}");
    }
}

#[test]
fn convert_never_writes_over_what_it_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = folder.path().join("checkpoint");
    std::fs::create_dir(&checkpoint).expect("a folder");
    for entry in std::fs::read_dir(root().join("models/motion/checkpoint")).expect("a checkpoint") {
        let file = entry.expect("a file").path();
        std::fs::copy(&file, checkpoint.join(file.file_name().expect("a name"))).expect("a copy");
    }
    let weights = checkpoint.join("model.safetensors");
    let before = std::fs::read(&weights).expect("weights");
    let path = |path: &Path| path.to_str().expect("UTF-8").to_string();
    for output in ["model.safetensors", "config.json", "../checkpoint/./config.json"] {
        let output = checkpoint.join(output);
        let ended = thumbformer(&["convert", &path(&checkpoint), "-o", &path(&output)]).output().expect("it starts");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && said.contains("is an input of the command"), "{output:?}: {said}");
    }
    assert_eq!(std::fs::read(&weights).expect("weights"), before);
    // Beside the checkpoint, and again over the older image.
    for _ in 0..2 {
        let image = path(&checkpoint.join("model.tbf"));
        let ended = thumbformer(&["convert", &path(&checkpoint), "-o", &image]).output().expect("it starts");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
}

#[cfg(unix)]
#[test]
fn a_special_file_is_written_to_and_not_replaced() {
    use std::os::unix::fs::FileTypeExt;
    let convert = ["convert", "models/motion/checkpoint", "-o", "/dev/null"];
    let ended = thumbformer(&convert).output().expect("it starts");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let kind = std::fs::metadata("/dev/null").expect("/dev/null").file_type();
    assert!(kind.is_char_device(), "/dev/null was replaced");
}
