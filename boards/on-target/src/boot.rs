//! Blocks that the Picos' boot ROMs look for beside the program; the boards' `memory.x` say where they go.

/// The RP2040's second-stage boot loader, for the flash of the Pico (W25Q16JV).
#[cfg(feature = "rp2040")]
// SAFETY: the ROM alone reads this section, which the linker script puts where it looks.
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

/// The RP2350's image definition: secure code for Arm (RP2350 datasheet, 5.9.5.1).
#[cfg(feature = "rp2350")]
// SAFETY: the ROM alone reads this section, which the linker script puts where it looks.
#[unsafe(link_section = ".start_block")]
#[used]
static IMAGE_DEFINITION: [u32; 5] = [0xffff_ded3, 0x1021_0142, 0x0000_01ff, 0, 0xab12_3579];
