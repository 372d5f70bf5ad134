//! Arm MPS2+ with the AN385 image, a Cortex-M3, in QEMU: with the instructions of ARMv6-M alone it stands for a Cortex-M0+.
#![no_std]

// UART 0: Arm DAI 0385, table 3-2.
mps2::board!(uart: 0x4000_4000);
