//! The linker's arguments. They stand here, not in `.cargo/config.toml`, where a build from another folder or one with
//! `RUSTFLAGS` set would lose them and link an empty program.

fn main() {
    println!("cargo:rerun-if-changed=memory.x");
    // link.x is cortex-m-rt's, and includes memory.x.
    println!("cargo:rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    // Sections follow each other in flash without gaps to the next page.
    println!("cargo:rustc-link-arg-bins=--nmagic");
}
