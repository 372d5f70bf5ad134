//! Raspberry Pi Pico 2: a Cortex-M33 with DSP and FPU at 150 MHz (RP2350); the program stays in external flash, read
//! through a cache (XIP), and the weights are copied to RAM.
//!
//! ```text
//! boot ROM ──► image definition, of chips::rp ──► flash is mapped ──► program
//! crystal 12 MHz ──► PLL ──► 150 MHz core, UART0 ──► GP0 and GP1, pins 1 and 2 ──► the Debug Probe's serial port: text
//!         └── crystal or PLL do not get ready: the core stays at its ring oscillator, some 11 MHz, and says so
//! ```
#![no_std]

use chips::rp::{self, Port};
use chips::{Chip, OnChip, Peripherals};
use firmware::counter::Dwt;

/// The ring oscillator after the boot ROM (RP2350 datasheet, 8.3); it is no precise one, so that text is garbled at that speed.
const RING_HZ: u32 = 11_000_000;

chips::board!(Pico2, counter: Dwt, port: Port, start: start);

fn start(mut core: Peripherals) -> OnChip<Pico2> {
    let clock_hz = if rp::full_speed(Pico2::CLOCK_HZ) { Pico2::CLOCK_HZ } else { RING_HZ };
    let port = Port::open(clock_hz);
    OnChip { counter: Dwt::start(&mut core.DCB, &mut core.DWT), port, clock_hz }
}
