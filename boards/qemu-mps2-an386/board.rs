//! Arm MPS2+ with the AN386 image, a Cortex-M4F, in QEMU.
#![no_std]

/// The machine.
pub struct An386;

impl mps2::Machine for An386 {
    const NAME: &'static str = "qemu-mps2-an386";
    const BACKEND: &'static str = "dsp";
    // Arm DAI 0386, table 3-2.
    const UART: usize = 0x4000_4000;
    const CLOCK_HZ: u32 = 25_000_000;
}

/// The board.
pub type Here = mps2::Mps2<An386>;
