//! Table of names for `--pack`: boards and cores with their packing, from the boards' manifests.
//!
//! ```text
//! boards/*/Cargo.toml ──► names ──► OUT_DIR/packs.rs
//! packs.in, committed ────────────► the same, where the package was built without the repository
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn main() {
    let folder = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("packs.rs");
    let (boards, committed) = (folder.join("../../boards"), folder.join("packs.in"));
    println!("cargo:rerun-if-changed=build.rs");
    let text = if boards.join("Cargo.toml").is_file() {
        // Not the folder, in which cargo would find every program that was built since. A new board is in the lock file.
        println!("cargo:rerun-if-changed={}", boards.join("Cargo.lock").display());
        table(&boards)
    } else {
        println!("cargo:rerun-if-changed={}", committed.display());
        std::fs::read_to_string(committed).expect("packs.in of the package")
    };
    std::fs::write(out, text).expect("OUT_DIR is writable");
}

/// A Rust expression: pairs of a name and its packing, sorted by name.
fn table(boards: &Path) -> String {
    let mut packs = BTreeMap::new();
    let folders = std::fs::read_dir(boards).expect("boards/").map(|entry| entry.expect("a folder").path());
    for folder in folders.filter(|folder| folder.join("Cargo.toml").is_file()) {
        let file = folder.join("Cargo.toml");
        println!("cargo:rerun-if-changed={}", file.display());
        let manifest = std::fs::read_to_string(&file).expect("a manifest");
        let manifest: toml::Table = manifest.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let board = manifest["package"].get("metadata").and_then(|metadata| metadata.get("board"));
        let fact = |key: &str| board.and_then(|board| board.get(key)).and_then(toml::Value::as_str);
        let (Some(cpu), Some(target), Some(pack)) = (fact("cpu"), fact("target"), fact("pack")) else { continue };
        let core = cpu.trim_start_matches("cortex-");
        let mut names = vec![folder.file_name().unwrap_or_default().to_string_lossy().into_owned(), core.into()];
        // The manuals' name of a core with a floating-point unit.
        names.extend(target.ends_with("hf").then(|| format!("{core}f")));
        packs.extend(names.into_iter().map(|name| (name, pack.to_string())));
    }
    let rows: String = packs.iter().map(|(name, pack)| format!("    ({name:?}, {pack:?}),\n")).collect();
    format!("// Generated from boards/*/Cargo.toml by build.rs.\n[\n{rows}]\n")
}
