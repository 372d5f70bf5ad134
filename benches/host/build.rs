//! Tells the program what it was built with: a ratio without its compiler, flags and rival's version says little.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=Cargo.lock");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(compiler).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    // `rustc 1.95.0 (59807616e 2026-04-14)`: hash and Debian's additions are left out.
    let version = String::from_utf8_lossy(&version);
    let version: Vec<&str> = version.split_whitespace().collect();
    let date = version.get(3).map(|date| date.trim_end_matches(')')).filter(|_| version[1].contains("nightly"));
    let version = version.iter().take(2).copied().chain(date).collect::<Vec<_>>().join(" ");
    println!("cargo:rustc-env=HOST_BENCH_COMPILER={version}");

    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().replace('\x1f', " ");
    println!("cargo:rustc-env=HOST_BENCH_FLAGS={flags}");

    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    let candle = lock.split_once("name = \"candle-core\"\nversion = \"").and_then(|(_, rest)| rest.split('"').next());
    println!("cargo:rustc-env=HOST_BENCH_CANDLE={}", candle.unwrap_or("?"));
}
