//! Arm MPS3 with the AN547 image, a Cortex-M55 with Helium, in QEMU.
#![no_std]

// UART 0: the secure view; Arm DAI 0547, table 3-2.
mps2::board!(uart: 0x5930_3000);
