//! Arm MPS2+ with the AN500 image, a Cortex-M7, in QEMU.
#![no_std]

// UART 0: Arm DAI 0400, table 3-2.
mps2::board!(uart: 0x4000_4000);
