//! Choice of the backend: one pure function of the build script's inputs.
//!
//! `CARGO_CFG_TARGET_FEATURE` is deliberately not read: stable compilers never list `dsp` or `mve` there for thumb
//! targets, nightly and bootstrapped ones do, so a choice made from it would differ between a user's machine and CI.

/// Inputs of the choice: facts about the build.
pub struct Build<'a> {
    /// The target triple (`TARGET`).
    pub target: &'a str,
    /// The flags given to the compiler, one per item (`CARGO_ENCODED_RUSTFLAGS`, split at 0x1f).
    pub rustflags: &'a [&'a str],
    /// True if the feature `portable-simd` is on: the backend `simd` exists.
    pub portable_simd: bool,
    /// The environment variable `THUMBFORMER_BACKEND`, which tests use to force a backend.
    pub forced: Option<&'a str>,
}

/// Name of the backend, and a warning where the user should change something.
pub fn backend(build: &Build) -> Result<(&'static str, Option<&'static str>), String> {
    let has_dsp = has_dsp(build);
    match build.forced {
        Some("scalar") => return Ok(("scalar", None)),
        Some("nosimd") if has_no_simd(build.target) => return Ok(("nosimd", None)),
        Some("nosimd") => {
            return Err(format!(
                "THUMBFORMER_BACKEND=nosimd is for Cortex-M0, M0+, M3 and M23, not for {}",
                build.target
            ));
        }
        Some("dsp") if has_dsp => return Ok(("dsp", None)),
        Some("dsp") => {
            return Err(format!(
                "THUMBFORMER_BACKEND=dsp, but {} with these flags has no DSP extension: use thumbv7em-*, or \
                 thumbv8m.main-* with -C target-cpu=cortex-m33",
                build.target
            ));
        }
        Some("helium") if has_helium(build) => return Ok(("helium", None)),
        Some("helium") => {
            return Err(format!(
                "THUMBFORMER_BACKEND=helium, but {} with these flags has no Helium: use thumbv8m.main-none-eabihf with \
                 -C target-cpu=cortex-m55",
                build.target
            ));
        }
        Some("simd") if build.portable_simd => return Ok(("simd", None)),
        Some("simd") => {
            return Err("THUMBFORMER_BACKEND=simd needs the feature `portable-simd`".into());
        }
        Some(other) => {
            return Err(format!("THUMBFORMER_BACKEND={other}: expected scalar, nosimd, dsp, helium or simd"));
        }
        None => {}
    }
    // A core's own backend first: a feature that somebody else turned on does not take it away.
    if has_helium(build) {
        Ok(("helium", None))
    } else if has_dsp {
        Ok(("dsp", None))
    } else if has_no_simd(build.target) {
        Ok(("nosimd", None))
    } else if build.portable_simd {
        Ok(("simd", None))
    } else if build.target.starts_with("thumbv8m.main") && !without_dsp(build) {
        let warning = "thumbv8m.main without a target-cpu: the slow `scalar` backend is used. Add \
                       `-C target-cpu=cortex-m33` (or your core) to rustflags in .cargo/config.toml";
        Ok(("scalar", Some(warning)))
    } else {
        Ok(("scalar", None))
    }
}

/// True if the hardware computes floats; without it kernels convert by shifting bits, with the same result.
///
/// For architectures that may lack an FPU the triple tells; where it does not, the shifts are never slow.
pub fn has_fpu(target: &str) -> bool {
    let (architecture, rest) = target.split_once('-').unwrap_or((target, ""));
    let is = |names: &[&str]| names.iter().any(|name| architecture.starts_with(name));
    if rest.contains("softfloat") {
        false
    } else if is(&["thumb", "arm"]) && !is(&["arm64"]) {
        rest.ends_with("hf")
    } else if let Some(extensions) = architecture.strip_prefix("riscv").and_then(|name| name.get(2..)) {
        // `riscv64-linux-android` names none and has all; `a23` is a profile with an FPU.
        extensions.is_empty() || extensions.starts_with("a2") || extensions.contains(['f', 'd', 'g'])
    } else if is(&["xtensa"]) {
        rest.starts_with("esp32-") || rest.starts_with("esp32s3-")
    } else {
        // What remains are desktops, servers and their relatives, and the architectures nobody has tried.
        is(&["x86_64", "i586", "i686", "aarch64", "arm64", "powerpc", "s390x", "loongarch", "sparc", "wasm"])
    }
}

/// True if a compiler accepts unstable features in the crate with this name, by `rustc --version` and `RUSTC_BOOTSTRAP`.
pub fn takes_unstable(version: &str, bootstrap: Option<&str>, name: &str) -> bool {
    match bootstrap {
        Some("-1") => false,
        Some(names) if names == "1" || names.split(',').any(|wanted| wanted == name) => true,
        // 1.98.0-nightly (…), 1.98.0-dev
        _ => version.split_whitespace().nth(1).is_some_and(|v| v.ends_with("-nightly") || v.ends_with("-dev")),
    }
}

/// Error message of a build whose features do not match its target.
pub fn refusal(target: &str, std: bool, portable_simd: bool, takes_unstable: bool) -> Option<&'static str> {
    // By convention: `thumbv7em-none-eabihf`, `riscv32imc-unknown-none-elf`; this is where `target_os` is `none`.
    if std && target.split('-').skip(1).any(|part| part == "none") {
        Some("the feature `std` is for the host: leave it out of `features` in the firmware's Cargo.toml")
    } else if portable_simd && !takes_unstable {
        Some(
            "the feature `portable-simd` needs a nightly compiler: build with `cargo +nightly`, or leave the feature out, \
             which no core needs for its own backend",
        )
    } else {
        None
    }
}

/// True if the core multiplies 32 by 32 to 64 bits (`SMULL`): all but ARMv6-M and ARMv8-M Baseline.
pub fn has_long_multiply(target: &str) -> bool {
    !target.starts_with("thumbv6m") && !target.starts_with("thumbv8m.base")
}

/// True if the core has no SIMD at all, as those of `nosimd`: M0, M0+, M3, M23.
pub fn has_no_simd(target: &str) -> bool {
    ["thumbv6m", "thumbv7m-", "thumbv8m.base"].iter().any(|family| target.starts_with(family))
}

/// True if the assembler accepts the DSP extension (`smlad`) in this build.
fn has_dsp(build: &Build) -> bool {
    if build.target.starts_with("thumbv7em") {
        return true;
    }
    let cpus = ["cortex-m33", "cortex-m35p", "cortex-m55", "cortex-m85"];
    build.target.starts_with("thumbv8m.main")
        && !without_dsp(build)
        && (mentions(build, "+dsp") || cpus.iter().any(|cpu| has_cpu(build, cpu)))
}

/// True if the assembler accepts Helium (the M-profile vector extension) in this build.
pub fn has_helium(build: &Build) -> bool {
    let cpus = ["cortex-m52", "cortex-m55", "cortex-m85"];
    let without = mentions(build, "nomve") || mentions(build, "-mve");
    build.target.starts_with("thumbv8m.main") && !without && cpus.iter().any(|cpu| has_cpu(build, cpu))
}

/// True if the user's flags turn the extension off.
fn without_dsp(build: &Build) -> bool {
    mentions(build, "nodsp") || mentions(build, "-dsp")
}

fn has_cpu(build: &Build, cpu: &str) -> bool {
    build.rustflags.iter().any(|flag| flag.split('=').next_back().is_some_and(|value| value.trim() == cpu))
}

/// True if a `target-feature` or `target-cpu` flag contains `item`.
fn mentions(build: &Build, item: &str) -> bool {
    let target_flags = build.rustflags.iter().filter(|flag| flag.contains("target-"));
    target_flags.flat_map(|flag| flag.split(['=', ',', '+'])).any(|part| {
        let wanted = item.trim_start_matches('+');
        part == wanted
    })
}
