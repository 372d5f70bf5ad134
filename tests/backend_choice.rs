//! The table of which build gets which backend.

#[path = "../build/choice.rs"]
mod choice;

use choice::{Build, backend, has_fpu, has_helium, has_long_multiply, has_no_simd, refusal, takes_unstable};

struct Case {
    target: &'static str,
    rustflags: &'static [&'static str],
    portable_simd: bool,
    forced: Option<&'static str>,
    /// The backend, or a part of the error.
    expected: Result<&'static str, &'static str>,
    warns: bool,
}

const fn case(target: &'static str, rustflags: &'static [&'static str], expected: &'static str) -> Case {
    Case { target, rustflags, portable_simd: false, forced: None, expected: Ok(expected), warns: false }
}

#[test]
fn every_target_gets_its_backend_on_every_compiler() {
    let host = "x86_64-unknown-linux-gnu";
    let m33 = "thumbv8m.main-none-eabihf";
    let cases = [
        case(host, &[], "scalar"),
        case("thumbv6m-none-eabi", &[], "nosimd"),
        case("thumbv7m-none-eabi", &[], "nosimd"),
        case("thumbv7em-none-eabi", &[], "dsp"),
        case("thumbv7em-none-eabihf", &[], "dsp"),
        case("thumbv7em-none-eabihf", &["-C", "target-cpu=cortex-m7"], "dsp"),
        case("thumbv8m.base-none-eabi", &[], "nosimd"),
        case(m33, &["-C", "target-cpu=cortex-m33"], "dsp"),
        case(m33, &["-Ctarget-cpu=cortex-m33"], "dsp"),
        case(m33, &["-C", "target-cpu=cortex-m55"], "helium"),
        case(m33, &["-Ctarget-cpu=cortex-m85"], "helium"),
        case(m33, &["-Ctarget-cpu=cortex-m55", "-Ctarget-feature=-mve"], "dsp"),
        case("riscv32imc-unknown-none-elf", &[], "scalar"),
        case(m33, &["-C", "target-feature=+dsp"], "dsp"),
        case(m33, &["-C", "target-feature=+fp-armv8d16sp,+dsp"], "dsp"),
        case(m33, &["-C", "target-cpu=cortex-m33+nodsp"], "scalar"),
        case(m33, &["-C", "target-cpu=cortex-m33", "-C", "target-feature=-dsp"], "scalar"),
        // A flag that only mentions a core does not choose it.
        Case { warns: true, ..case(m33, &["-C", "link-arg=-Tcortex-m33.x"], "scalar") },
        Case { warns: true, ..case(m33, &[], "scalar") },
        Case { warns: true, ..case("thumbv8m.main-none-eabi", &["-C", "link-arg=-Tlink.x"], "scalar") },
        Case { portable_simd: true, ..case(host, &[], "simd") },
        // The feature takes no core its own backend away.
        Case { portable_simd: true, ..case("thumbv6m-none-eabi", &[], "nosimd") },
        Case { portable_simd: true, ..case("thumbv7em-none-eabihf", &[], "dsp") },
        Case { portable_simd: true, ..case(m33, &["-Ctarget-cpu=cortex-m55"], "helium") },
        Case { portable_simd: true, forced: Some("simd"), ..case("thumbv7em-none-eabihf", &[], "simd") },
        Case { portable_simd: true, forced: Some("simd"), ..case(m33, &["-Ctarget-cpu=cortex-m55"], "simd") },
        Case { portable_simd: true, forced: Some("simd"), ..case(host, &[], "simd") },
        Case { forced: Some("dsp"), ..case(m33, &["-Ctarget-cpu=cortex-m55"], "dsp") },
        Case { forced: Some("helium"), ..case(m33, &["-Ctarget-cpu=cortex-m55"], "helium") },
        Case { forced: Some("helium"), expected: Err("has no Helium"), ..case(m33, &["-Ctarget-cpu=cortex-m33"], "") },
        Case { forced: Some("scalar"), ..case("thumbv6m-none-eabi", &[], "scalar") },
        Case { forced: Some("nosimd"), ..case("thumbv7m-none-eabi", &[], "nosimd") },
        Case { forced: Some("nosimd"), expected: Err("M0+, M3 and M23"), ..case("thumbv7em-none-eabihf", &[], "") },
        Case { forced: Some("scalar"), ..case("thumbv7em-none-eabihf", &[], "scalar") },
        Case { forced: Some("dsp"), expected: Err("no DSP extension"), ..case(host, &[], "") },
        Case { forced: Some("simd"), expected: Err("portable-simd"), ..case(host, &[], "") },
        Case {
            forced: Some("portable"),
            expected: Err("expected scalar, nosimd, dsp, helium or simd"),
            ..case(host, &[], "")
        },
    ];
    let mut wrong = Vec::new();
    for case in &cases {
        let build = Build {
            target: case.target,
            rustflags: case.rustflags,
            portable_simd: case.portable_simd,
            forced: case.forced,
        };
        let found = backend(&build);
        let right = match (&found, case.expected) {
            (Ok((found, warning)), Ok(expected)) => *found == expected && warning.is_some() == case.warns,
            (Err(found), Err(expected)) => found.contains(expected),
            _ => false,
        };
        if !right {
            wrong.push(format!("{} {:?} {:?}: {found:?}", case.target, case.rustflags, case.forced));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_the_core_computes_in_hardware_follows_from_the_target() {
    let table = [
        ("x86_64-unknown-linux-gnu", true, true, false),
        ("thumbv6m-none-eabi", false, false, true),
        ("thumbv7m-none-eabi", false, true, true),
        ("thumbv7em-none-eabi", false, true, false),
        ("thumbv7em-none-eabihf", true, true, false),
        ("thumbv8m.base-none-eabi", false, false, true),
        ("thumbv8m.main-none-eabi", false, true, false),
        ("thumbv8m.main-none-eabihf", true, true, false),
    ];
    for (target, fpu, long_multiply, small) in table {
        assert_eq!(
            (has_fpu(target), has_long_multiply(target), has_no_simd(target)),
            (fpu, long_multiply, small),
            "{target}"
        );
    }
}

#[test]
fn this_build_has_the_backend_that_the_table_gives_it() {
    let forced = std::env::var("THUMBFORMER_BACKEND").ok();
    let expected = forced.as_deref().unwrap_or(if cfg!(feature = "portable-simd") { "simd" } else { "scalar" });
    assert_eq!(thumbformer::BACKEND, expected);
}

#[test]
fn helium_is_taken_from_the_core_and_can_be_refused() {
    let m = "thumbv8m.main-none-eabihf";
    let table: [(&str, &[&str], bool); 7] = [
        (m, &["-Ctarget-cpu=cortex-m55"], true),
        (m, &["-C", "target-cpu=cortex-m85"], true),
        (m, &["-Ctarget-cpu=cortex-m33"], false),
        (m, &["-Ctarget-cpu=cortex-m55+nomve"], false),
        (m, &["-Ctarget-cpu=cortex-m55", "-Ctarget-feature=-mve"], false),
        (m, &[], false),
        ("thumbv7em-none-eabihf", &["-Ctarget-cpu=cortex-m7"], false),
    ];
    for (target, rustflags, expected) in table {
        let build = Build { target, rustflags, portable_simd: true, forced: None };
        assert_eq!(has_helium(&build), expected, "{target} {rustflags:?}");
    }
}

#[test]
fn an_fpu_is_read_from_triples_of_every_architecture() {
    let with = [
        "x86_64-unknown-linux-gnu",
        "i686-pc-windows-msvc",
        "aarch64-apple-darwin",
        "aarch64-unknown-none",
        "arm64ec-pc-windows-msvc",
        "armv7-unknown-linux-gnueabihf",
        "armv8r-none-eabihf",
        "thumbv7em-none-eabihf",
        "riscv32imafc-unknown-none-elf",
        "riscv32gc-unknown-linux-gnu",
        "riscv64gc-unknown-none-elf",
        "riscv64a23-unknown-linux-gnu",
        "riscv64-linux-android",
        "xtensa-esp32s3-none-elf",
        "xtensa-esp32-none-elf",
        "wasm32-unknown-unknown",
    ];
    let without = [
        "thumbv7em-none-eabi",
        "armv7a-none-eabi",
        "armv5te-unknown-linux-gnueabi",
        "aarch64-unknown-none-softfloat",
        "x86_64-unknown-none-softfloat",
        "loongarch64-unknown-none-softfloat",
        "riscv32i-unknown-none-elf",
        "riscv32imc-unknown-none-elf",
        "riscv32imc-esp-espidf",
        "riscv32imac-unknown-none-elf",
        "riscv32emc-unknown-none-elf",
        "riscv64imac-unknown-none-elf",
        "xtensa-esp32s2-none-elf",
        "msp430-none-elf",
        "avr-none",
        "mipsel-unknown-none",
    ];
    let wrong: Vec<&str> = with.into_iter().filter(|target| !has_fpu(target)).collect();
    assert!(wrong.is_empty(), "with an FPU: {wrong:?}");
    let wrong: Vec<&str> = without.into_iter().filter(|target| has_fpu(target)).collect();
    assert!(wrong.is_empty(), "without an FPU: {wrong:?}");
}

#[test]
fn unstable_features_are_for_nightly_compilers_and_for_bootstrapped_ones() {
    let (stable, nightly) = ("rustc 1.95.0 (59807616e 2026-04-14)", "rustc 1.98.0-nightly (f4a3a9d2b 2026-11-01)");
    let table = [
        (stable, None, false),
        (stable, Some("1"), true),
        (stable, Some("thumbformer"), true),
        (stable, Some("other,thumbformer"), true),
        (stable, Some("other"), false),
        (stable, Some("0"), false),
        ("rustc 1.96.0-beta.2 (f4a3a9d2b 2026-05-01)", None, false),
        (nightly, None, true),
        (nightly, Some("-1"), false),
        ("rustc 1.96.0-dev", None, true),
        ("", None, false),
    ];
    for (version, bootstrap, expected) in table {
        assert_eq!(takes_unstable(version, bootstrap, "thumbformer"), expected, "{version} {bootstrap:?}");
    }
}

#[test]
fn features_that_do_not_fit_the_build_are_refused_with_one_sentence() {
    let (host, m4) = ("x86_64-unknown-linux-gnu", "thumbv7em-none-eabihf");
    let table = [
        (host, true, true, true, None),
        (host, true, false, false, None),
        (host, false, true, false, Some("cargo +nightly")),
        (m4, false, false, false, None),
        (m4, false, true, true, None),
        (m4, true, false, false, Some("`std` is for the host")),
        (m4, true, true, false, Some("`std` is for the host")),
        ("riscv32imc-unknown-none-elf", true, false, false, Some("`std` is for the host")),
        ("x86_64-unknown-nonesuch", true, false, false, None),
    ];
    for (target, std, portable_simd, unstable, expected) in table {
        let found = refusal(target, std, portable_simd, unstable);
        let right = match (found, expected) {
            (Some(found), Some(expected)) => found.contains(expected),
            (None, None) => true,
            _ => false,
        };
        assert!(right, "{target} std {std} portable-simd {portable_simd}: {found:?}");
    }
}

#[test]
fn no_firmware_asks_for_more_than_a_stable_compiler() {
    let boards = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("boards");
    let (mut found, mut unstable) = (0, Vec::new());
    for entry in std::fs::read_dir(boards).expect("boards/") {
        let folder = entry.expect("an entry").path();
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        let manifest = read("Cargo.toml");
        if !manifest.contains("[package.metadata.board]") {
            continue;
        }
        found += 1;
        let files = [manifest, read(".cargo/config.toml"), read("build.rs")].concat();
        if ["RUSTC_BOOTSTRAP", "portable-simd", "nightly"].iter().any(|word| files.contains(word)) {
            unstable.push(folder);
        }
    }
    assert!(found >= 14, "{found} boards");
    assert!(unstable.is_empty(), "{unstable:?}");
}
