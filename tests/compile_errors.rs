//! `model!` lets the compiler check the model: what is wrong with it stops the build with a sentence that says so.

mod common;

use common::{SHAPES, entry, image, repair};
use std::path::Path;
use std::process::Command;
use thumbformer::Tensor;
use thumbformer::image::layout::header;

/// Builds a crate that includes this image with these arguments of the macro, and returns what the compiler says.
fn build(name: &str, words: &[u32], arguments: &str) -> (bool, String) {
    let root = env!("CARGO_MANIFEST_DIR");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile_errors").join(name);
    std::fs::create_dir_all(folder.join("src")).expect("the target folder is writable");
    let write =
        |file: &str, bytes: &[u8]| std::fs::write(folder.join(file), bytes).expect("the target folder is writable");
    let manifest = format!(
        "[package]\nname = \"user\"\nedition = \"2024\"\n[dependencies]\nthumbformer = {{ path = {root:?} }}\n[workspace]\n"
    );
    write("Cargo.toml", manifest.as_bytes());
    write("Cargo.lock", &std::fs::read(Path::new(root).join("Cargo.lock")).expect("Cargo.lock"));
    write("image.tbf", thumbformer::image::bytes(words));
    let program = format!(
        "thumbformer::model!(mod m = \"../image.tbf\"{arguments});\n\
         fn main() {{ println!(\"{{}} {{}}\", size_of::<m::State>(), m::MODEL.dims().vocab); }}\n"
    );
    write("src/main.rs", program.as_bytes());
    let output = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet"])
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", folder.parent().expect("a parent").join("target"))
        .output()
        .expect("cargo starts");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into())
}

#[test]
fn the_compiler_accepts_a_sound_model_and_says_what_is_wrong_with_another() {
    let sound = image(&SHAPES[0], 1);
    let changed = |index: usize, value: u32, mend: bool| {
        let mut words = sound.clone();
        words[index] = value;
        if mend {
            repair(&mut words);
        }
        words
    };
    let query = entry(&sound, Tensor::Query, 0);
    let cut = sound[..sound.len() - 4].to_vec();
    let table: [(&str, &[u32], &str, Option<&str>); 13] = [
        ("sound", &sound, "", None),
        ("sound_with_limits", &sound, ", max_seq = 8, ram <= 4096", None),
        ("damaged", &changed(500, 7, false), "", Some("CRC-32 is wrong")),
        ("cut", &cut, "", Some("it was cut off")),
        ("version", &changed(1, 1, false), "", Some("format version is not supported")),
        ("unsupported", &changed(5, 9, true), "", Some("an option that this version does not support")),
        (
            "feature",
            &changed(query, u32::from_le_bytes(Tensor::QueryNorm.kind()), true),
            "",
            Some("cargo feature `qk-norm`"),
        ),
        ("ends", &changed(header::EMBEDDING_ACTIVATION, 1, true), "", Some("cargo feature `ends`")),
        (
            "newer",
            &changed(query, u32::from_le_bytes(*b"what"), true),
            "",
            Some("a section of a kind that this version does not know"),
        ),
        ("not_an_image", &changed(0, 2, true), "", Some("not a thumbformer image")),
        ("context", &sound, ", max_seq = 25", Some("longer than the model's context")),
        ("ram", &sound, ", ram <= 3000", Some(" fits; lower it or batch, or raise the budget")),
        ("no_ram", &sound, ", ram <= 1000", Some("the RAM budget 1000: no context is short enough")),
    ];
    for (name, words, arguments, expected) in table {
        let (built, said) = build(name, words, arguments);
        match expected {
            None => assert!(built, "{name}: {said}"),
            Some(expected) => assert!(!built && said.contains(expected), "{name}: expected {expected:?} in: {said}"),
        }
    }
}
