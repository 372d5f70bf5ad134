//! Arm MPS2+ with the AN505 image, a Cortex-M33, in QEMU.
#![no_std]

/// The machine.
pub struct An505;

impl mps2::Machine for An505 {
    const NAME: &'static str = "qemu-mps2-an505";
    const BACKEND: &'static str = "dsp";
    // the secure view; Arm DAI 0505, table 3-2.
    const UART: usize = 0x5020_0000;
    const CLOCK_HZ: u32 = 20_000_000;
}

/// The board.
pub type Here = mps2::Mps2<An505>;
