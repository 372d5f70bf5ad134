//! libFuzzer on the target that the environment variable `TARGET` names: one program, linked once.

#![no_main]

use std::sync::LazyLock;
use thumbformer_fuzz::{Target, target};

static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("TARGET").expect("TARGET names a target: run `cargo xtask fuzz`");
    target(&name).unwrap_or_else(|| panic!("no target {name}"))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (CHOSEN.run)(data));
