//! Committed cases of the fuzz targets: what was found, and inputs that reach every edge that fuzzing has reached.

use std::path::PathBuf;
use thumbformer_fuzz::{TARGETS, cases};

/// Files of a folder.
fn files(folder: PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn every_case_of_every_target_gives_a_result_or_an_error() {
    let mut failed = Vec::new();
    for target in TARGETS {
        let files = files(cases().join(target.name));
        assert!(!files.is_empty(), "{}: no case", target.name);
        for file in files {
            let data = std::fs::read(&file).expect("a case");
            if std::panic::catch_unwind(|| (target.run)(&data)).is_err() {
                failed.push(file);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_folder_of_cases_has_a_target_and_all_are_small() {
    let mut bytes = 0;
    for folder in files(cases()) {
        let name = folder.file_name().expect("a name").to_string_lossy();
        assert!(thumbformer_fuzz::target(&name).is_some(), "{name}: no such target");
        bytes += files(folder.clone()).iter().map(|file| file.metadata().expect("a file").len()).sum::<u64>();
    }
    assert!(bytes <= 2 << 20, "{bytes} bytes of cases, expected at most 2 MiB: minimise them by `cargo xtask fuzz`");
}
