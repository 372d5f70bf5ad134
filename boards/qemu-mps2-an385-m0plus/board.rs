//! Arm MPS2+ with the AN385 image, a Cortex-M3, in QEMU: with the instructions of ARMv6-M alone it stands for a Cortex-M0+.
#![no_std]

/// The machine.
pub struct An385M0Plus;

impl mps2::Machine for An385M0Plus {
    const NAME: &'static str = "qemu-mps2-an385-m0plus";
    const BACKEND: &'static str = "scalar";
    // Arm DAI 0385, table 3-2.
    const UART: usize = 0x4000_4000;
    const CLOCK_HZ: u32 = 25_000_000;
}

/// The board.
pub type Here = mps2::Mps2<An385M0Plus>;
