//! Arm MPS2+ with the AN505 image, a Cortex-M33, in QEMU.
#![no_std]

// UART 0: the secure view; Arm DAI 0505, table 3-2.
mps2::board!(uart: 0x5020_0000);
