//! Chooses the backend and tells the crate with `cfg(thumbformer_backend = "…")`; see `choice.rs`.

mod choice;

use std::env::{var, var_os};

fn main() {
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-env-changed=THUMBFORMER_BACKEND");
    println!("cargo:rerun-if-env-changed=RUSTC_BOOTSTRAP");
    println!(
        "cargo:rustc-check-cfg=cfg(thumbformer_backend, values(\"scalar\", \"nosimd\", \"dsp\", \"helium\", \"simd\"))"
    );
    println!("cargo:rustc-check-cfg=cfg(thumbformer_fpu, thumbformer_long_multiply, thumbformer_armv8m)");
    let target = var("TARGET").unwrap_or_default();
    let feature = |name: &str| var_os(format!("CARGO_FEATURE_{name}")).is_some();
    let portable_simd = feature("PORTABLE_SIMD");
    if let Some(refusal) = choice::refusal(&target, feature("STD"), portable_simd, portable_simd && takes_unstable()) {
        return println!("cargo::error={refusal}");
    }
    let encoded = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let rustflags: Vec<&str> = encoded.split('\x1f').filter(|flag| !flag.is_empty()).collect();
    let forced = var("THUMBFORMER_BACKEND").ok();
    let build = choice::Build { target: &target, rustflags: &rustflags, portable_simd, forced: forced.as_deref() };
    if choice::has_fpu(&target) {
        println!("cargo:rustc-cfg=thumbformer_fpu");
    }
    if choice::has_long_multiply(&target) {
        println!("cargo:rustc-cfg=thumbformer_long_multiply");
    }
    if target.starts_with("thumbv8m") {
        println!("cargo:rustc-cfg=thumbformer_armv8m");
    }
    match choice::backend(&build) {
        Ok((backend, warning)) => {
            println!("cargo:rustc-cfg=thumbformer_backend=\"{backend}\"");
            if let Some(warning) = warning {
                println!("cargo:warning={warning}");
            }
        }
        // Ends the build, with this sentence and nothing else.
        Err(error) => println!("cargo::error={error}"),
    }
}

/// True if the compiler of this build accepts unstable features.
fn takes_unstable() -> bool {
    let rustc = var_os("RUSTC").unwrap_or("rustc".into());
    let version = std::process::Command::new(rustc).arg("--version").output();
    let version = version.map(|printed| String::from_utf8_lossy(&printed.stdout).into_owned()).unwrap_or_default();
    choice::takes_unstable(&version, var("RUSTC_BOOTSTRAP").ok().as_deref(), "thumbformer")
}
