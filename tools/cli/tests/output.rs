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

/// Names of the files in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[cfg(unix)]
#[test]
fn an_output_keeps_its_mode_and_its_link_and_nothing_is_left_beside_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let convert = |output: &Path| {
        let output = output.to_str().expect("UTF-8");
        let ended = thumbformer(&["convert", "models/motion/checkpoint", "-o", output]).output().expect("it starts");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    };
    std::fs::create_dir(path("other")).expect("a folder");
    std::os::unix::fs::symlink("other/image.tbf", path("link.tbf")).expect("a link");
    // First the link leads nowhere, then to a file of its own mode.
    for mode in [None, Some(0o640)] {
        if let Some(mode) = mode {
            std::fs::set_permissions(path("other/image.tbf"), PermissionsExt::from_mode(mode)).expect("a mode");
        }
        convert(&path("link.tbf"));
        assert!(path("link.tbf").is_symlink(), "the link was replaced");
        assert_eq!(names(&path("other")), ["image.tbf"]);
        let found = std::fs::metadata(path("other/image.tbf")).expect("the image").permissions().mode() & 0o777;
        std::fs::write(path("new"), "").expect("a file");
        let usual = std::fs::metadata(path("new")).expect("a file").permissions().mode() & 0o777;
        assert_eq!(found, mode.unwrap_or(usual), "{found:o}");
    }
    assert_eq!(names(folder.path()), ["link.tbf", "new", "other"]);
}

#[test]
fn processes_that_write_one_file_leave_one_of_their_files_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image.tbf");
    let output = image.to_str().expect("UTF-8");
    let checkpoints = ["models/motion/checkpoint", "models/digits/checkpoint"];
    let all: Vec<_> = (0..6)
        .map(|index| thumbformer(&["convert", checkpoints[index % 2], "-o", output]).spawn().expect("it starts"))
        .collect();
    for mut process in all {
        assert!(process.wait().expect("it ends").success());
    }
    let ended = thumbformer(&["inspect", output]).output().expect("it starts");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(names(folder.path()), ["image.tbf"]);
}
