//! Chooses the backend and tells the crate with `cfg(thumbformer_backend = "…")`; see `choice.rs`.

mod choice;

fn main() {
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-env-changed=THUMBFORMER_BACKEND");
    println!("cargo:rustc-check-cfg=cfg(thumbformer_backend, values(\"scalar\", \"dsp\", \"portable\"))");
    println!(
        "cargo:rustc-check-cfg=cfg(thumbformer_fpu, thumbformer_long_multiply, thumbformer_armv8m, thumbformer_small, \
         thumbformer_helium)"
    );
    let target = std::env::var("TARGET").unwrap_or_default();
    let encoded = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let rustflags: Vec<&str> = encoded.split('\x1f').filter(|flag| !flag.is_empty()).collect();
    let forced = std::env::var("THUMBFORMER_BACKEND").ok();
    let build = choice::Build {
        target: &target,
        rustflags: &rustflags,
        portable_simd: std::env::var_os("CARGO_FEATURE_PORTABLE_SIMD").is_some(),
        forced: forced.as_deref(),
    };
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
            if backend == "scalar" && choice::is_small(&target) {
                println!("cargo:rustc-cfg=thumbformer_small");
            }
            if backend == "portable" && choice::has_helium(&build) {
                println!("cargo:rustc-cfg=thumbformer_helium");
            }
            if let Some(warning) = warning {
                println!("cargo:warning={warning}");
            }
        }
        Err(error) => {
            println!("cargo:warning={error}");
            std::process::exit(1);
        }
    }
}
