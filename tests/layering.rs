//! The rules of the house that a compiler does not check, read from the sources.

use std::path::{Path, PathBuf};

/// A source file, without its unit tests.
struct Source {
    path: String,
    text: String,
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        for path in paths {
            if path.is_dir() {
                folders.extend((path.file_name() != Some("target".as_ref())).then_some(path));
            } else if path.extension() == Some("rs".as_ref()) {
                let text = std::fs::read_to_string(&path).expect("a source file");
                let path = path.strip_prefix(root).expect("below the root").display().to_string();
                found.push(Source { path, text });
            }
        }
    }
    assert!(!found.is_empty(), "{folder}: no sources");
    found
}

/// Lines of code with their numbers: no comments, no unit tests at a file's end.
fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let is_test_file = source.path.ends_with("tests.rs");
    let end = source.text.find("#[cfg(test)]\nmod tests {").unwrap_or(source.text.len());
    let text = if is_test_file { "" } else { &source.text[..end] };
    text.lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Where any of these words stands in the code of these files.
fn places(files: &[Source], within: impl Fn(&str) -> bool, words: &[&str]) -> Vec<String> {
    let mut places = Vec::new();
    for source in files.iter().filter(|source| within(&source.path)) {
        for (number, line) in code(source) {
            if words.iter().any(|word| line.contains(word)) {
                places.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    places
}

#[test]
fn unsafe_code_stands_in_arch_only() {
    let core = sources("src");
    let words = ["unsafe ", "unsafe{", "allow(unsafe_code)"];
    let found = places(&core, |path| !path.starts_with("src/arch/"), &words);
    assert!(found.is_empty(), "{found:#?}");
    assert!(!places(&core, |path| path.starts_with("src/arch/"), &words).is_empty(), "the search finds nothing at all");
}

/// The searches below are as good as what they find.
#[test]
fn the_search_finds_code_and_leaves_comments_and_unit_tests_out() {
    let text = "//! unsafe { } in words\nfn f() {\n    unsafe { g() } // here\n    // unsafe { }\n}\n#[cfg(test)]\nmod tests {\n    unsafe { }\n}\n";
    let source = |path: &str| Source { path: path.into(), text: text.into() };
    let files = [source("src/a.rs"), source("src/arch/b.rs"), source("src/arch/tests.rs")];
    assert_eq!(places(&files, |path| path != "src/arch/b.rs", &["unsafe "]), ["src/a.rs:3: unsafe { g() } // here"]);
    assert_eq!(places(&files, |_| true, &["unsafe "]).len(), 2);
    // Unit tests end their file: nothing after them would be searched.
    for source in sources("src") {
        if let Some((_, tests)) = source.text.split_once("#[cfg(test)]\nmod tests {\n") {
            let (_, after) = tests.split_once("\n}\n").expect("the end of the tests");
            assert!(after.is_empty(), "{}: code after the unit tests", source.path);
        }
    }
}

#[test]
fn arch_knows_no_transformer_and_the_block_knows_no_instruction_set() {
    let core = sources("src");
    let above = [
        "crate::block",
        "crate::image",
        "crate::model",
        "crate::state",
        "crate::kernels",
        "crate::dims",
        "crate::Dims",
    ];
    let found = places(&core, |path| path.starts_with("src/arch/"), &above);
    assert!(found.is_empty(), "{found:#?}");
    // Whatever way it is written: from the rest of the crate arch takes nothing.
    let found = places(&core, |path| path.starts_with("src/arch/"), &["crate::", "super::super"]);
    assert!(found.is_empty(), "{found:#?}");
    let below = ["target_arch", "target_feature", "core::arch", "core::simd", "thumbformer_backend", "asm!"];
    let found = places(&core, |path| !path.starts_with("src/arch/"), &below);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn kernels_know_no_model() {
    let core = sources("src");
    let above = ["crate::block", "crate::model", "crate::state", "crate::image", "crate::text"];
    let found = places(&core, |path| path.starts_with("src/kernels/"), &above);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_core_allocates_nothing_and_uses_std_only_in_the_parts_for_the_host() {
    let core = sources("src");
    let host = |path: &str| ["src/image/write.rs", "src/arch/pack.rs", "src/state.rs"].contains(&path);
    for (path, gate) in [
        ("src/image/mod.rs", "#[cfg(feature = \"std\")]\nmod write;"),
        ("src/arch/mod.rs", "#[cfg(feature = \"std\")]\nmod pack;"),
        ("src/state.rs", "#[cfg(feature = \"std\")]\nmod host {"),
    ] {
        let source = core.iter().find(|source| source.path == path).expect("the file");
        assert!(source.text.contains(gate), "{path}: expected {gate:?}");
        // Before the gate the file is for firmware as well.
        let text = source.text.split(gate).next().unwrap_or_default().into();
        let before = [Source { path: path.into(), text }];
        let found = places(&before, |_| true, &["std::", "alloc::", "Vec<"]);
        assert!(found.is_empty(), "{found:#?}");
    }
    let found =
        places(&core, |path| !host(path), &["std::", "alloc::", "extern crate alloc", "Vec<", "Box<", "String"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_core_holds_no_panicking_macro_and_no_unfinished_work() {
    let core = sources("src");
    let words =
        [".unwrap()", ".expect(", "panic!", "assert!", "assert_eq!", "unreachable!", "todo!", "unimplemented!", "dbg!"];
    // The macro's own checks run in the compiler.
    let found = places(&core, |path| path != "src/macros.rs", &words);
    assert!(found.is_empty(), "{found:#?}");
    for folder in ["tools", "boards"] {
        let found = places(&sources(folder), |_| true, &["todo!", "unimplemented!", "dbg!", "#[ignore"]);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn every_file_is_a_room_of_at_most_five_hundred_lines() {
    for folder in ["src", "tools", "boards", "tests", "build"] {
        for source in sources(folder) {
            let lines = source.text.lines().count();
            assert!(lines <= 500, "{}: {lines} lines; has it two jobs?", source.path);
        }
    }
}

#[test]
fn the_readme_s_firmware_is_the_example_that_users_copy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let example = read("examples/firmware/src/main.rs");
    let (_, rest) = example.split_once("// README: begin\n").expect("the mark");
    let (shown, _) = rest.split_once("// README: end").expect("the mark");
    assert!(read("README.md").contains(shown.trim()), "copy the example's marked part into the README");
}

#[test]
fn the_example_of_a_firmware_is_five_files_that_need_nothing_but_the_engine() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/firmware");
    let (mut files, mut folders) = (Vec::new(), vec![folder.clone()]);
    while let Some(below) = folders.pop() {
        for entry in std::fs::read_dir(&below).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            match path.is_dir() {
                true if name != "target" => folders.push(path),
                false if name != "Cargo.lock" => files.push(path),
                _ => (),
            }
        }
    }
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file of text");
        for below in ["boards/", "tools/"] {
            assert!(!text.contains(below), "{}: copies have no {below}", file.display());
        }
    }
}
