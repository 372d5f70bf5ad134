//! Checks of `cargo xtask test full`: slow, or with tools of others, which are installed below `target/`.

use super::Outcome;
use crate::boards;
use crate::checkasm;
use crate::cores::Core;
use crate::setup;
use crate::shell::{cargo, in_path, output, root, text};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every set of the core's features that needs no nightly, each with the features that it brings.
pub fn powerset() -> Result<Outcome> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml"))?;
    let manifest: toml::Table = manifest.parse().context("Cargo.toml")?;
    let features = manifest.get("features").and_then(toml::Value::as_table).context("Cargo.toml: no features")?;
    let brought = |name: &str| features[name].as_array().into_iter().flatten().filter_map(toml::Value::as_str);
    // `checkasm` is for one program, which its check builds.
    let left_out = ["default", "portable-simd", "checkasm"];
    let names: Vec<&str> = features.keys().map(String::as_str).filter(|name| !left_out.contains(name)).collect();
    let mut sets = 0;
    for set in 0..1_u32 << names.len() {
        let chosen: Vec<&str> =
            names.iter().enumerate().filter(|(index, _)| set >> index & 1 == 1).map(|(_, name)| *name).collect();
        // Without what a feature brings, the set is another one.
        let is_whole = |name: &&str| brought(name).all(|other| chosen.contains(&other) || !names.contains(&other));
        if !chosen.iter().all(is_whole) {
            continue;
        }
        sets += 1;
        let mut command = cargo();
        command.args(["check", "--lib", "--package", "thumbformer", "--no-default-features", "--features"]);
        command.arg(chosen.join(",")).env("RUSTFLAGS", "-D warnings").args(["--target-dir", "target/powerset"]);
        output(&mut command)?;
    }
    Ok(Outcome::Passed(format!("{sets} sets of {}", names.join(", "))))
}

/// The oldest compiler that Cargo.toml promises.
pub fn msrv() -> Result<Outcome> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml"))?;
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \""));
    let version = version.and_then(|rest| rest.strip_suffix('"')).context("Cargo.toml: no rust-version")?;
    let toolchain = format!("+{version}");
    let has_it = || text(setup::cargo_of(&toolchain).arg("--version")).is_some();
    if !has_it() && in_path("rustup").is_some() {
        eprintln!("setup: rustup toolchain install {version}");
        output(Command::new("rustup").args(["toolchain", "install", version, "--profile", "minimal"]))?;
    }
    if !has_it() {
        return Ok(Outcome::Skipped(format!("no Rust {version} and no rustup: install one of them")));
    }
    let mut command = setup::cargo_of(&toolchain);
    output(command.args(["check", "--workspace", "--target-dir", "target/msrv"]))?;
    Ok(Outcome::Passed(format!("Rust {version} compiles the workspace")))
}

/// The tests of tests/miri.rs under Miri, on a machine of 32 bits as the chips are, whose square root `libm` computes in Rust.
pub fn miri() -> Result<Outcome> {
    let mut command = setup::cargo_of(setup::miri()?);
    command.args(["miri", "test", "--package", "thumbformer", "--test", "miri", "--target-dir", "target/miri"]);
    super::host::run_tests(command.args(["--target", "arm-unknown-linux-gnueabi"]))
}

/// The core's tests with the sanitizer of addresses, by the backend `simd`, which has the most unsafe code of those that a host runs.
pub fn asan() -> Result<Outcome> {
    let nightly = setup::installed_nightly()?;
    let versions = output(setup::cargo_of(nightly).arg("-vV"))?;
    let versions = String::from_utf8_lossy(&versions.stdout).into_owned();
    let host = versions.lines().find_map(|line| line.strip_prefix("host: ")).context("cargo -vV: no host")?;
    let mut command = setup::cargo_of(nightly);
    command.args(["test", "--package", "thumbformer", "--tests", "--features", "portable-simd", "--target", host]);
    super::host::run_tests(command.args(["--target-dir", "target/asan"]).env("RUSTFLAGS", "-Zsanitizer=address"))
}

/// The golden vectors, made anew by the frameworks and compared; and the front ends' table of docs/front-ends.md, from all frames.
pub fn goldens() -> Result<Outcome> {
    let folder = root().join("tests/golden");
    let python = venv("golden", &folder.join("requirements.txt"))?;
    // Exporters that need another transformers have an environment of their own.
    let exporters = venv("exporters", &folder.join("requirements-exporters.txt"))?;
    let mut files = 0;
    for (python, script) in [(&python, "generate.py"), (&exporters, "exporter_files.py")] {
        let printed = output(Command::new(python).args([script, "--check"]).current_dir(&folder))?;
        files += String::from_utf8_lossy(&printed.stdout).lines().count();
    }
    let frames = root().join("target/golden-audio");
    output(Command::new(&python).args(["audio_files.py", "whole"]).arg(&frames).current_dir(&folder))?;
    let mut compared = cargo();
    compared.args(["test", "--package", "thumbformer-checkpoint", "--test", "front_end", "frames"]);
    output(compared.env("THUMBFORMER_AUDIO_FRAMES", &frames))?;
    Ok(Outcome::Passed(format!("{files} files are the same, docs/front-ends.md as from all frames")))
}

/// Proofs of the kernels in assembly that pack integers, from the machine code of the programs of `checkasm`.
pub fn proofs() -> Result<Outcome> {
    let folder = root().join("tests/proofs");
    let python = venv("proofs", &folder.join("requirements.txt"))?;
    let mut command = Command::new(&python);
    command.arg("packings.py").arg(root().join("src/arch")).current_dir(&folder);
    for core in [Core::M0Plus, Core::M3, Core::M4, Core::M7, Core::M33] {
        let mut argument = OsString::from(format!("{}=", core.name()));
        argument.push(checkasm::build(core)?.1);
        command.arg(argument);
    }
    let printed = output(&mut command)?;
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    Ok(Outcome::Passed(printed.lines().last().context("packings.py printed nothing")?.to_string()))
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

/// A board's program built by cargo alone: from another folder, and with flags that replace those of the board's folder. It runs, or
/// the build is refused; it is never an empty program.
pub fn elsewhere() -> Result<Outcome> {
    let board = board_manifest::find(&root().join("boards"), "qemu-mps2-an386")?;
    setup::ensure(&board.target)?;
    let manifest = board.folder.join("Cargo.toml");
    let build = |folder: &Path, arguments: &[&str], rustflags: Option<&str>| {
        let mut command = cargo();
        command.args(["build", "--release", "--bin", "classify", "--manifest-path"]).arg(&manifest).args(arguments);
        command.args(["--target-dir"]).arg(root().join("target/elsewhere")).current_dir(folder).env_remove("RUSTFLAGS");
        rustflags.map(|flags| command.env("RUSTFLAGS", flags));
        output(&mut command)
    };
    // By the board's build script, or before it by a crate that exists for Arm only.
    ensure!(build(&root(), &[], None).is_err(), "a program for this machine must be refused");
    let empty = root().join("target/elsewhere/release/classify");
    ensure!(!empty.exists(), "{}: a build for this machine was refused, and left a program", empty.display());
    let elf = root().join("target/elsewhere").join(&board.target).join("release/classify");
    let target = ["--target", board.target.as_str()];
    for (folder, arguments, rustflags) in
        [(root(), &target[..], None), (board.folder.clone(), &[][..], Some("-C debuginfo=1"))]
    {
        _ = std::fs::remove_file(&elf);
        build(&folder, arguments, rustflags)?;
        let results: Vec<serde_json::Value> = boards::results(&board.clone().into(), &elf, &[])?;
        ensure!(results.iter().any(|result| result["as_host"] == true), "not as on the host: {results:?}");
    }
    let folders = runs_in_every_folder()?;
    Ok(Outcome::Passed(format!(
        "from another folder and with RUSTFLAGS, the program of the board; without a target, refused; `cargo xtask` works in \
         {folders} folders"
    )))
}

/// `cargo xtask` in every folder of the repository, whatever workspace it is in, but for the crate that users copy out of it.
fn runs_in_every_folder() -> Result<usize> {
    const COPIED: &str = "examples/firmware";
    let listed = output(Command::new("git").args(["ls-files"]).current_dir(root()))?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let folders: BTreeSet<&Path> = listed.lines().flat_map(|file| Path::new(file).ancestors().skip(1)).collect();
    let mut works = 0;
    for folder in folders.into_iter().filter(|folder| !folder.starts_with(COPIED)) {
        let mut command = cargo();
        command.args(["xtask", "test", "--list"]).current_dir(root().join(folder)).env_remove("CARGO_TARGET_DIR");
        let printed = output(&mut command).with_context(|| format!("`cargo xtask` in {}", folder.display()))?.stdout;
        ensure!(
            printed.starts_with(b"fmt "),
            "`cargo xtask test --list` in {} printed something else",
            folder.display()
        );
        works += 1;
    }
    Ok(works)
}

/// The package as it would be published, unpacked outside the repository, and its tests, compiled on the stable compiler.
pub fn package() -> Result<Outcome> {
    let target = root().join("target/package");
    output(cargo().args(["package", "--package", "thumbformer", "--allow-dirty", "--target-dir"]).arg(&target))?;
    let name = format!("thumbformer-{}", env!("CARGO_PKG_VERSION"));
    // Below the repository, cargo would take it for a member of this workspace.
    let unpacked = std::env::temp_dir().join(format!("thumbformer package {}", std::process::id()));
    std::fs::create_dir_all(&unpacked).with_context(|| format!("{}", unpacked.display()))?;
    let archive = target.join("package").join(format!("{name}.crate"));
    output(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&unpacked))?;
    let test = |what| {
        let features = ["test", what, "--features", "std,audio,qk-norm,ends,defmt", "--target-dir"];
        output(cargo().args(features).arg(target.join("tests")).current_dir(unpacked.join(&name)))
    };
    let compiled = test("--no-run").and_then(|_| test("--doc")).and_then(|_| minimal(&unpacked.join(&name)));
    _ = std::fs::remove_dir_all(&unpacked);
    compiled?;
    let bytes = std::fs::metadata(&archive).with_context(|| format!("{}", archive.display()))?.len();
    Ok(Outcome::Passed(format!(
        "{bytes} bytes; it builds, with the oldest versions of its dependencies, too; its tests compile, and the examples of its \
         documentation run"
    )))
}

/// Compiles the core with the oldest versions that its manifest allows, by a lock file that a nightly makes.
fn minimal(package: &Path) -> Result<std::process::Output> {
    let nightly = setup::installed_nightly()?;
    let mut lock = setup::cargo_of(nightly);
    output(lock.args(["generate-lockfile", "-Zdirect-minimal-versions"]).current_dir(package))?;
    let features = ["check", "--locked", "--lib", "--features", "std,audio,qk-norm,ends,defmt,fft-2048,front-ends"];
    let target = root().join("target/package/minimal");
    output(cargo().args(features).arg("--target-dir").arg(target).current_dir(package))
}

/// Licences and sources of the crates of every workspace, by deny.toml.
pub fn deny() -> Result<Outcome> {
    let deny = tool("cargo-deny")?;
    let workspaces = ["", "boards", "fuzz/libfuzzer", "tools/probe", "tools/cycles-plugin"];
    for workspace in workspaces {
        let mut command = Command::new(&deny);
        command.arg("--manifest-path").arg(root().join(workspace).join("Cargo.toml")).arg("--locked");
        command.arg("--config").arg(root().join("deny.toml")).args(["check", "licenses", "bans", "sources"]);
        output(command.current_dir(root())).with_context(|| format!("workspace {workspace:?}"))?;
    }
    Ok(Outcome::Passed(format!("crates of {} workspaces", workspaces.len())))
}

/// A program of a crate with its name, found or installed below `target/`.
fn tool(name: &str) -> Result<PathBuf> {
    let tools = root().join("target/tools");
    let program = in_path(name).unwrap_or_else(|| tools.join("bin").join(name));
    if !program.is_file() {
        eprintln!("setup: cargo install {name} into {}", tools.display());
        output(cargo().args(["install", name, "--locked", "--root"]).arg(&tools))?;
    }
    Ok(program)
}

/// The book, built by mdBook; links between its pages are checked by tests/documents.rs.
pub fn book() -> Result<Outcome> {
    let mdbook = tool("mdbook")?;
    let built = root().join("target/book");
    output(Command::new(mdbook).arg("build").arg(root().join("docs")).arg("--dest-dir").arg(&built))?;
    ensure!(built.join("index.html").is_file(), "{}: no index.html", built.display());
    Ok(Outcome::Passed("target/book".into()))
}
