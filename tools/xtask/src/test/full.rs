//! Checks of `cargo xtask test full`: slow, or with tools of others, which are installed below `target/`.

use super::Outcome;
use crate::shell::{cargo, in_path, output, root, text};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every set of the core's features that needs no nightly.
pub fn powerset() -> Result<Outcome> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml"))?;
    let manifest: toml::Table = manifest.parse().context("Cargo.toml")?;
    let features = manifest.get("features").and_then(toml::Value::as_table).context("Cargo.toml: no features")?;
    let features: Vec<&str> =
        features.keys().map(String::as_str).filter(|name| !["default", "portable-simd"].contains(name)).collect();
    for set in 0..1_u32 << features.len() {
        let chosen: Vec<&str> =
            features.iter().enumerate().filter(|(index, _)| set >> index & 1 == 1).map(|(_, name)| *name).collect();
        let mut command = cargo();
        command.args(["check", "--lib", "--package", "thumbformer", "--no-default-features", "--features"]);
        command.arg(chosen.join(",")).env("RUSTFLAGS", "-D warnings").args(["--target-dir", "target/powerset"]);
        output(&mut command)?;
    }
    Ok(Outcome::Passed(format!("{} sets of {}", 1 << features.len(), features.join(", "))))
}

/// The oldest compiler that Cargo.toml promises.
pub fn msrv() -> Result<Outcome> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml"))?;
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \""));
    let version = version.and_then(|rest| rest.strip_suffix('"')).context("Cargo.toml: no rust-version")?;
    let toolchain = format!("+{version}");
    if text(crate::setup::cargo_of(&toolchain).arg("--version")).is_none() {
        return Ok(Outcome::Skipped(format!("no Rust {version}: `rustup toolchain install {version}`")));
    }
    let mut command = crate::setup::cargo_of(&toolchain);
    output(command.args(["check", "--workspace", "--target-dir", "target/msrv"]))?;
    Ok(Outcome::Passed(format!("Rust {version} compiles the workspace")))
}

/// The golden vectors, made anew by the frameworks and compared.
pub fn goldens() -> Result<Outcome> {
    let folder = root().join("tests/golden");
    let python = venv("golden", &folder.join("requirements.txt"))?;
    let printed = output(Command::new(python).args(["generate.py", "--check"]).current_dir(&folder))?;
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    Ok(Outcome::Passed(format!("{} files are the same", printed.lines().count())))
}

/// Python of a virtual environment with pinned packages.
fn venv(name: &str, requirements: &Path) -> Result<PathBuf> {
    let folder = root().join("target/venv").join(name);
    let python = folder.join("bin/python");
    if !python.is_file() {
        ensure!(in_path("python3").is_some(), "no python3: install it, or leave this check out");
        eprintln!("setup: a virtual environment in {}", folder.display());
        output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    eprintln!("setup: pip install -r {}", requirements.display());
    output(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements))?;
    Ok(python)
}

/// The book, built by mdBook; links between its pages are checked by tests/links.rs.
pub fn book() -> Result<Outcome> {
    if !root().join("docs/book.toml").is_file() {
        return Ok(Outcome::Skipped("docs/ is no book yet".into()));
    }
    let tools = root().join("target/tools");
    let mdbook = in_path("mdbook").unwrap_or_else(|| tools.join("bin/mdbook"));
    if !mdbook.is_file() {
        eprintln!("setup: cargo install mdbook into {}", tools.display());
        output(cargo().args(["install", "mdbook", "--locked", "--root"]).arg(&tools))?;
    }
    let built = root().join("target/book");
    output(Command::new(mdbook).arg("build").arg(root().join("docs")).arg("--dest-dir").arg(&built))?;
    ensure!(built.join("index.html").is_file(), "{}: no index.html", built.display());
    Ok(Outcome::Passed(format!("{}", built.display())))
}
