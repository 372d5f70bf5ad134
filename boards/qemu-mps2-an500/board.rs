//! Arm MPS2+ with the AN500 image, a Cortex-M7, in QEMU.
#![no_std]

/// The machine.
pub struct An500;

impl mps2::Machine for An500 {
    const NAME: &'static str = "qemu-mps2-an500";
    const BACKEND: &'static str = "dsp";
    // Arm DAI 0400, table 3-2.
    const UART: usize = 0x4000_4000;
    const CLOCK_HZ: u32 = 25_000_000;
}

/// The board.
pub type Here = mps2::Mps2<An500>;
