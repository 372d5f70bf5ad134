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

/// Places of any of these words in the code of these files.
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

/// Clippy sees only what the host compiles; the assembly of the other cores says what it asks of its callers, too.
#[test]
fn every_unsafe_function_says_what_makes_it_safe() {
    let (mut functions, mut silent) = (0, Vec::new());
    for source in sources("src") {
        let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate() {
            let is_function = line.contains("unsafe fn ") || line.contains("unsafe extern \"C\" fn ");
            // The type of a function is no function.
            if !is_function || line.starts_with("//") || line.contains(": unsafe ") {
                continue;
            }
            functions += 1;
            let above =
                lines[..number].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with("#["));
            if !above.into_iter().any(|line| line.contains("# Safety")) {
                silent.push(format!("{}:{}: {line}", source.path, number + 1));
            }
        }
    }
    assert!(functions > 40, "the search finds {functions} functions");
    assert!(silent.is_empty(), "no `# Safety`: {silent:#?}");
}

/// Docs begin with the noun (CONTRIBUTING.md).
#[test]
fn no_doc_begins_with_what_whether_how_or_where() {
    let (mut docs, mut found) = (0, Vec::new());
    for source in ["src", "tests", "tools", "boards", "benches", "examples", "fuzz"].into_iter().flat_map(sources) {
        for (number, line) in source.text.lines().enumerate() {
            let line = line.trim_start();
            let Some(text) = line.strip_prefix("/// ").or_else(|| line.strip_prefix("//! ")) else { continue };
            docs += 1;
            if ["What ", "Whether ", "How ", "Where "].iter().any(|word| text.starts_with(word)) {
                found.push(format!("{}:{}: {line}", source.path, number + 1));
            }
        }
    }
    assert!(docs > 1000, "the search finds {docs} lines");
    assert!(found.is_empty(), "{found:#?}");
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
fn arch_knows_nothing_of_the_crate_and_the_rest_knows_no_instruction_set() {
    let core = sources("src");
    let mut found = places(&core, |path| path.starts_with("src/arch/"), &["crate::", "super::super"]);
    // A macro, which needs the whole path of what is `arch`'s own.
    found.retain(|place| !place.contains("$crate::arch::"));
    assert!(found.is_empty(), "{found:#?}");
    let below = ["target_arch", "target_feature", "core::arch", "core::simd", "thumbformer_backend", "asm!"];
    let found = places(&core, |path| !path.starts_with("src/arch/"), &below);
    assert!(found.is_empty(), "{found:#?}");
}

/// All modules of the core: each uses only those below it. `lib` is the crate's root, a folder stands for its `mod.rs`.
const FLOORS: &str = "
    bench macros lib budget session model head embed dense
    block block/attention block/mlp block/norm block/step
    text text/tests text/host text/encode text/sampler text/tokenizer text/merge text/added logits_crc
    image image/write/reopen image/write image/constant image/parse image/check image/header image/view image/shape image/contents image/round image/layout
    inputs
    state state/host state/memory state/regions state/kv_cache state/take
    cycles observe
    bounds
    kernels kernels/float kernels/matrix kernels/softmax kernels/quantize kernels/scaled
    weights
    audio
    audio/make audio/make/words audio/make/presets audio/make/filters audio/make/config audio/make/mfcc audio/make/window
    audio/clip audio/extractor audio/host audio/memory audio/frame audio/parse audio/front_end audio/layout audio/fft audio/log2
    outputs dims error tensors options
    arch
";

/// The place of a module, given as its path, in the list; one inside `arch` is `arch`.
fn floor(path: &[&str]) -> Option<usize> {
    let path = if path.first() == Some(&"arch") { &path[..1] } else { path };
    let name = if path.is_empty() { "lib".into() } else { path.join("/") };
    FLOORS.split_whitespace().position(|floor| floor == name)
}

/// The module that a source file is, as its path from the root.
fn module(file: &str) -> Vec<&str> {
    let path = file.strip_prefix("src/").and_then(|file| file.strip_suffix(".rs")).expect("a file of the core");
    path.split('/').filter(|&name| name != "mod" && name != "lib").collect()
}

/// All paths that begin at the start of a text, those of a tree of imports one by one.
fn paths<'t>(text: &mut &'t str, before: &[&'t str], found: &mut Vec<Vec<&'t str>>) {
    let mut path = before.to_vec();
    loop {
        *text = text.trim_start();
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        if end > 0 {
            path.push(&text[..end]);
            *text = &text[end..];
            match text.strip_prefix("::") {
                Some(rest) => *text = rest,
                None => return found.push(path),
            }
        } else if let Some(rest) = text.strip_prefix('{') {
            *text = rest;
            while !text.trim_start().starts_with('}') && !text.is_empty() {
                paths(text, &path, found);
                // ` as name`, and what separates the branches.
                let end = text.find([',', '}']).unwrap_or(text.len());
                *text = text[end..].strip_prefix(',').unwrap_or(&text[end..]);
            }
            *text = text.trim_start().strip_prefix('}').unwrap_or(text);
            return;
        } else {
            return found.push(path);
        }
    }
}

/// Modules that a file uses: what follows `crate::`, `super::` and `self::` in its code, and the modules of its folder.
fn used(source: &Source) -> Vec<(String, usize)> {
    let (own, mut used) = (module(&source.path), Vec::new());
    let text: String = code(source).map(|(_, line)| format!("{line}\n")).collect();
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for (at, _) in text.match_indices("::") {
        let start = text[..at].rfind(|c| !is_name(c)).map_or(0, |before| before + 1);
        let first = &text[start..at];
        let is_sibling = floor(&[&own[..], &[first]].concat()).is_some();
        // With a colon it is a path that another turn begins with, or one of another crate.
        if first.is_empty() || first.contains(':') || !(["crate", "super", "self"].contains(&first) || is_sibling) {
            continue;
        }
        let mut found = Vec::new();
        paths(&mut &text[start..], &[], &mut found);
        for path in found {
            let mut full = if path[0] == "crate" { Vec::new() } else { own.clone() };
            for &name in &path {
                match name {
                    "crate" | "self" => {}
                    "super" => _ = full.pop(),
                    name => full.push(name),
                }
            }
            // The end of a path is no module: the longest part of it that is one counts.
            let floor = (0..=full.len()).rev().find_map(|end| floor(&full[..end])).expect("the root at least");
            used.push((path.join("::"), floor));
        }
    }
    used
}

/// Uses of what does not stand below.
fn upward(source: &Source) -> Vec<String> {
    let own = floor(&module(&source.path)).unwrap_or_else(|| panic!("{}: put it into the list", source.path));
    let up = used(source).into_iter().filter(|&(_, floor)| floor < own);
    up.map(|(path, _)| format!("{} uses {path}, which stands above it", source.path)).collect()
}

#[test]
fn a_module_uses_only_what_stands_below_it() {
    let core = sources("src");
    let found: Vec<String> = core.iter().flat_map(upward).collect();
    assert!(found.is_empty(), "{found:#?}");
    // A name in the list that is no module would be a hole in it.
    let modules: Vec<usize> = core.iter().filter_map(|source| floor(&module(&source.path))).collect();
    for (place, name) in FLOORS.split_whitespace().enumerate() {
        assert!(modules.contains(&place), "{name}: no such module");
    }
}

#[test]
fn the_search_for_uses_follows_every_way_to_write_a_path() {
    let uses = |path: &str, text: &str| upward(&Source { path: path.into(), text: text.into() }).len();
    let table = [
        ("src/dims.rs", "use crate::block::head_words;", 1),
        ("src/dims.rs", "use crate::{error::Error, state::{regions::{self, Regions}, take}};", 3),
        ("src/dims.rs", "use crate::{\n    arch as a,\n    block::{Block as B},\n};", 1),
        ("src/dims.rs", "fn f() -> usize { crate::model::f(super::session::g) }", 2),
        ("src/dims.rs", "use super::options::Options;\nuse crate::arch;\n// use crate::block;", 0),
        ("src/dims.rs", "fn f(d: &crate::Dims) {}", 1),
        ("src/state/kv_cache.rs", "use super::take::take;", 0),
        ("src/state/take.rs", "use super::kv_cache::HeadCache;", 1),
        ("src/state/take.rs", "use super::Memory;", 1),
        ("src/state/mod.rs", "mod memory;\npub use memory::Memory;", 0),
        ("src/state/take.rs", "use super::super::model::Model;", 1),
    ];
    for (path, text, expected) in table {
        assert_eq!(uses(path, text), expected, "{path}: {text}");
    }
}

#[test]
fn the_core_allocates_nothing_and_uses_std_only_in_the_parts_for_the_host() {
    let core = sources("src");
    let host = |path: &str| {
        let files = [
            "src/image/write.rs",
            "src/arch/packing/pack.rs",
            "src/state/host.rs",
            "src/audio/host.rs",
            "src/text/host.rs",
        ];
        files.contains(&path) || ["src/audio/make/", "src/image/write/"].iter().any(|folder| path.starts_with(folder))
    };
    for (path, gate) in [
        (
            "src/image/mod.rs",
            "#[cfg(feature = \"std\")]
mod write;",
        ),
        (
            "src/audio/mod.rs",
            "#[cfg(feature = \"std\")]
mod host;",
        ),
        (
            "src/audio/mod.rs",
            "#[cfg(feature = \"std\")]
mod make;",
        ),
        (
            "src/arch/packing/mod.rs",
            "#[cfg(feature = \"std\")]
mod pack;",
        ),
        (
            "src/state/mod.rs",
            "#[cfg(feature = \"std\")]
mod host;",
        ),
        (
            "src/text/mod.rs",
            "#[cfg(feature = \"std\")]
mod host;",
        ),
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
    // The macro's own checks run in the compiler, as those of a constant without a name do.
    let mut found = places(&core, |path| path != "src/macros.rs", &words);
    found.retain(|place| !place.contains(": const _: () = assert!("));
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
