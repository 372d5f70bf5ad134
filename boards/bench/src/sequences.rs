//! Runs the sequences of `sequences/`, once each: their cycles are what `cargo xtask cycles --sequences` compares.
#![no_std]
#![no_main]

use core::arch::global_asm;
use semihosting as _;

macro_rules! assemble {
    ($($file:literal),*) => {
        global_asm!(include_str!("../sequences/begin.s"), $(include_str!(concat!("../sequences/", $file)),)*
            include_str!("../sequences/end.s"), options(raw));
    };
}

// `sequences` is set by the build script: which of the files the core has the instructions for.
#[cfg(sequences = "v6m")]
assemble!("v6m.s");
#[cfg(sequences = "v7m")]
assemble!("v6m.s", "v7m.s");
#[cfg(sequences = "dsp")]
assemble!("v6m.s", "v7m.s", "dsp.s", "fpu.s");

unsafe extern "C" {
    /// Reads and writes 64 words of memory, of which the ninth must be the address of the first.
    fn sequences(memory: *mut u32);
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut MEMORY: [u32; 64] = [0; 64];
    let memory = MEMORY.as_mut_ptr();
    MEMORY[8] = memory as u32;
    // SAFETY: the memory is as it must be and nobody else's; the function keeps the registers of its caller.
    #[allow(unsafe_code)]
    unsafe {
        sequences(memory);
    }
    semihosting::process::exit(0)
}
