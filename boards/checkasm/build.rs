//! The board's memory; the end of the machine's is left to the buffers.

/// Bytes of the stack, at the other end.
const STACK: usize = 64 * 1024;
/// Bytes at the end of the memory that are not the variables': buffers, and what must not be read behind them.
const BUFFERS: u64 = 192 * 1024;
const BEHIND: u64 = 64 * 1024;
/// End of the RAM of the emulated MPS2 with cores of ARMv6-M and ARMv7-M; a board may take less of it.
const MPS2_END: u64 = 0x2040_0000;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(armv8m)");
    let ram = board_build::link_as("..".as_ref(), &["link.x"], |_| STACK).ram;
    let is_armv8m = std::env::var("TARGET").is_ok_and(|target| target.starts_with("thumbv8m"));
    let end = if is_armv8m { u64::from(ram.origin) + ram.length as u64 } else { MPS2_END };
    if is_armv8m {
        println!("cargo:rustc-cfg=armv8m");
    }
    for (name, number) in [("RAM_END", end), ("BUFFERS", BUFFERS), ("BEHIND", BEHIND)] {
        println!("cargo:rustc-env={name}={number}");
    }
}
