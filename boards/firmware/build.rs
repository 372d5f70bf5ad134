//! Says whether the core is one of ARMv6-M, which has no DWT cycle counter, as the crate cortex-m does, or of ARMv8-M, whose stack has a
//! limit; and has the log tell what runs unless `DEFMT_LOG` says otherwise.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEFMT_LOG");
    println!("cargo:rustc-check-cfg=cfg(armv6m, armv8m)");
    for (name, prefix) in [("armv6m", "thumbv6m"), ("armv8m", "thumbv8m")] {
        if std::env::var("TARGET").is_ok_and(|target| target.starts_with(prefix)) {
            println!("cargo:rustc-cfg={name}");
        }
    }
    if std::env::var_os("DEFMT_LOG").is_none() {
        println!("cargo:rustc-env=DEFMT_LOG=info");
    }
}
