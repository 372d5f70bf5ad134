//! Arm MPS2+ with the AN385 image, a Cortex-M3, in QEMU.
#![no_std]

// UART 0: Arm DAI 0385, table 3-2.
mps2::board!(uart: 0x4000_4000);
