//! Fuzz targets as plain functions: every reader of bytes that a user brings, and the inference behind it.
//!
//! ```text
//! libFuzzer (cargo xtask fuzz) ──┐
//! cases/TARGET/* (cargo test)  ──┴─► target(data) ─► an error or a result; a panic, an endless loop or gigabytes are a case
//! ```
//! A text of lines changes a sound file where bytes alone reach nothing: `script`.

mod checkpoints;
mod front_ends;
mod image;
mod model;
#[path = "../../tests/common/mod.rs"]
mod networks;
mod recordings;
mod sampler;
mod script;
mod tokenizers;
mod verify;

use cap::Cap;
use std::alloc::System;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Most memory at a time: inputs have kilobytes, and what a model of them needs is limited by the targets.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 1 << 30);

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the target and of its folder of cases.
    pub name: &'static str,
    /// Function on an input: panics where a promise is broken.
    pub run: fn(&[u8]),
}

/// Declares the targets; a new reader is a new row.
macro_rules! targets {
    ($($name:ident => $run:expr;)*) => {
        /// The targets.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $run },)*];
    };
}

targets! {
    image => image::changed;
    image_words => image::words;
    llama => checkpoints::llama;
    qwen3 => checkpoints::qwen3;
    gpt2 => checkpoints::gpt2;
    bert => checkpoints::bert;
    vit => checkpoints::vit;
    pytorch => checkpoints::pytorch;
    native => checkpoints::native;
    gguf => checkpoints::gguf;
    onnx => checkpoints::onnx;
    llama2c => checkpoints::llama2c;
    pickle => checkpoints::pickle;
    tokenizer_json => tokenizers::json;
    tokenizer_llama2c => tokenizers::llama2c;
    tokenizer_gguf => tokenizers::gguf;
    sampler => sampler::sampled;
    front_end_table => front_ends::table;
    front_end_config => front_ends::config;
    preprocessor => front_ends::preprocessor;
    wav => recordings::wav;
    csv => recordings::csv;
    expected_npy => verify::npy;
    expected_npz => verify::npz;
    expected_safetensors => verify::safetensors;
    expected_json => verify::json;
}

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

/// Folder of the committed cases, with one folder for each target.
pub fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// A golden file.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name)
}

/// A golden file of JSON.
fn golden_json(name: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(golden(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Calls `f` with a folder for files, which the inputs of a thread share.
fn in_folder<T>(f: impl FnOnce(&Path) -> T) -> T {
    thread_local! {
        static FOLDER: RefCell<Option<TempDir>> = const { RefCell::new(None) };
    }
    FOLDER.with_borrow_mut(|folder| {
        f(folder.get_or_insert_with(|| tempfile::tempdir().expect("a folder for the files")).path())
    })
}
