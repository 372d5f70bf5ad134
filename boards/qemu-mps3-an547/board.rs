//! Arm MPS3 with the AN547 image, a Cortex-M55 with Helium, in QEMU.
#![no_std]

/// The machine.
pub struct An547;

impl mps2::Machine for An547 {
    const NAME: &'static str = "qemu-mps3-an547";
    const BACKEND: &'static str = "helium";
    // the secure view; Arm DAI 0547, table 3-2.
    const UART: usize = 0x5930_3000;
    const CLOCK_HZ: u32 = 32_000_000;
}

/// The board.
pub type Here = mps2::Mps2<An547>;
