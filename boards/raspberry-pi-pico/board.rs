//! Raspberry Pi Pico: a Cortex-M0+ at 125 MHz (RP2040); program and weights stay in external flash, read through a
//! cache (XIP).
//!
//! ```text
//! boot ROM ──► BOOT2, of chips::rp ──► flash is mapped ──► program
//! crystal 12 MHz ──► PLL ──► 125 MHz core, UART0 ──► GP0 and GP1, pins 1 and 2 ──► the Debug Probe's serial port: text
//!         └── crystal or PLL do not get ready: the core stays at its ring oscillator, some 6 MHz, and says so
//! ```
#![no_std]

use chips::rp::{Port, full_speed};
use chips::{Chip, OnChip, Peripherals};
use firmware::counter::SysTick;

/// The ring oscillator after the boot ROM (RP2040 datasheet, 2.17); it is no precise one, so that text is garbled at that speed.
const RING_HZ: u32 = 6_500_000;

chips::board!(Pico, counter: SysTick, port: Port, start: start);

fn start(core: Peripherals) -> OnChip<Pico> {
    let clock_hz = if full_speed(Pico::CLOCK_HZ) { Pico::CLOCK_HZ } else { RING_HZ };
    OnChip { counter: SysTick::cycles(core.SYST), port: Port::open(clock_hz), clock_hz }
}
