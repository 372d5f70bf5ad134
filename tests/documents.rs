//! The documents: links lead somewhere, the book lists its pages, the README stays short.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All documents of the repository, but for what is built or belongs to others.
fn documents() -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                folders.extend((name != "target" && !name.starts_with('.')).then_some(path));
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    found
}

/// The targets of a document's links, without those to other sites and without code.
fn links(text: &str) -> Vec<&str> {
    let mut code = false;
    let lines = text.lines().filter(move |line| {
        code ^= line.starts_with("```");
        !code && !line.starts_with("    ")
    });
    let targets = lines.flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    targets.filter(|target| !target.contains("://")).collect()
}

/// A heading as an anchor, as renderers of Markdown make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn faults(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let folder = file.parent().expect("a folder");
    let mut faults = Vec::new();
    for link in links(&text) {
        let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() { file.to_path_buf() } else { folder.join(path) };
        if !target.exists() {
            faults.push(format!("{}: {link}: no such file", file.display()));
        } else if !fragment.is_empty() {
            let target = std::fs::read_to_string(&target).unwrap_or_default();
            let mut headings = target.lines().filter(|line| line.starts_with('#'));
            if !headings.any(|line| anchor(line.trim_start_matches('#').trim()) == fragment) {
                faults.push(format!("{}: {link}: no such heading", file.display()));
            }
        }
    }
    faults
}

#[test]
fn relative_links_lead_to_files_and_headings_that_exist() {
    let documents = documents();
    assert!(documents.len() > 10, "{documents:?}");
    let faults: Vec<String> = documents.iter().flat_map(|file| faults(file)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn links_are_found_and_code_is_not() {
    let text = "See [a](b.md#c-d) and [e](https://f).\n```\n[g](h)\n```\n    [i](j)\n![k](l.svg)\n";
    assert_eq!(links(text), ["b.md#c-d", "l.svg"]);
    assert_eq!(anchor("The same bits, always"), "the-same-bits-always");
}

#[test]
fn the_book_lists_all_of_its_pages() {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).expect("docs/SUMMARY.md");
    let pages = links(&summary);
    for entry in std::fs::read_dir(root().join("docs")).expect("docs") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let is_page = name.ends_with(".md") && name != "SUMMARY.md";
        assert!(!is_page || pages.contains(&name.as_str()), "docs/{name} is not in docs/SUMMARY.md");
    }
}

#[test]
fn the_readme_fits_two_screens() {
    let lines = std::fs::read_to_string(root().join("README.md")).expect("README.md").lines().count();
    assert!(lines <= 80, "README.md: {lines} lines, at most 80; details belong to docs/");
}
