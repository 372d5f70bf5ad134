//! The table of which build gets which backend.

#[path = "../build/choice.rs"]
mod choice;

use choice::{Build, backend, has_fpu, has_helium, has_long_multiply, is_small};

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
        case("thumbv6m-none-eabi", &[], "scalar"),
        case("thumbv7m-none-eabi", &[], "scalar"),
        case("thumbv7em-none-eabi", &[], "dsp"),
        case("thumbv7em-none-eabihf", &[], "dsp"),
        case("thumbv7em-none-eabihf", &["-C", "target-cpu=cortex-m7"], "dsp"),
        case("thumbv8m.base-none-eabi", &[], "scalar"),
        case(m33, &["-C", "target-cpu=cortex-m33"], "dsp"),
        case(m33, &["-Ctarget-cpu=cortex-m33"], "dsp"),
        case(m33, &["-C", "target-cpu=cortex-m55"], "dsp"),
        case(m33, &["-C", "target-feature=+dsp"], "dsp"),
        case(m33, &["-C", "target-feature=+fp-armv8d16sp,+dsp"], "dsp"),
        case(m33, &["-C", "target-cpu=cortex-m33+nodsp"], "scalar"),
        case(m33, &["-C", "target-cpu=cortex-m33", "-C", "target-feature=-dsp"], "scalar"),
        // A flag that only mentions a core does not choose it.
        Case { warns: true, ..case(m33, &["-C", "link-arg=-Tcortex-m33.x"], "scalar") },
        Case { warns: true, ..case(m33, &[], "scalar") },
        Case { warns: true, ..case("thumbv8m.main-none-eabi", &["-C", "link-arg=-Tlink.x"], "scalar") },
        Case { portable_simd: true, ..case(host, &[], "portable") },
        Case { portable_simd: true, ..case("thumbv7em-none-eabihf", &[], "portable") },
        Case { portable_simd: true, forced: Some("dsp"), ..case("thumbv7em-none-eabihf", &[], "dsp") },
        Case { portable_simd: true, forced: Some("portable"), ..case(host, &[], "portable") },
        Case { forced: Some("scalar"), ..case("thumbv7em-none-eabihf", &[], "scalar") },
        Case { forced: Some("dsp"), expected: Err("no DSP extension"), ..case(host, &[], "") },
        Case { forced: Some("portable"), expected: Err("portable-simd"), ..case(host, &[], "") },
        Case { forced: Some("helium"), expected: Err("expected scalar, dsp or portable"), ..case(host, &[], "") },
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
            (has_fpu(target), has_long_multiply(target), is_small(target)),
            (fpu, long_multiply, small),
            "{target}"
        );
    }
}

#[test]
fn this_build_has_the_backend_that_the_table_gives_it() {
    let forced = std::env::var("THUMBFORMER_BACKEND").ok();
    let expected = forced.as_deref().unwrap_or(if cfg!(feature = "portable-simd") { "portable" } else { "scalar" });
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
