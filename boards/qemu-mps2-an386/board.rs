//! Arm MPS2+ with the AN386 image, a Cortex-M4F, in QEMU.
#![no_std]

// UART 0: Arm DAI 0386, table 3-2.
mps2::board!(uart: 0x4000_4000);
