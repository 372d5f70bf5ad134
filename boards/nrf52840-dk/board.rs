//! Nordic nRF52840-DK: a Cortex-M4F at 64 MHz; its flash has a cache for instructions, none for data.
//!
//! ```text
//! crystal 32 MHz ──► 64 MHz core
//!         └──► UART0, P0.06 and P0.08 ──► J-Link's virtual COM port: text, 115200 baud
//! ```
//! Chapters are those of Nordic's nRF52840 Product Specification; the UART is the one without DMA.
#![no_std]

use chips::nrf::{Port, start_crystal};
use chips::{Chip, OnChip, Peripherals};
use firmware::counter::Dwt;
use nrf_pac::shared::vals::Connect;
use nrf_pac::{APPROTECT, NVMC, P0, UART0, approtect};

/// P0.06 and P0.08 (nRF52840-DK hardware guide, virtual COM port).
const PINS: [u8; 2] = [6, 8];

chips::board!(Nrf52840Dk, counter: Dwt, port: Port, start: start);

fn start(mut core: Peripherals) -> OnChip<Nrf52840Dk> {
    keep_debugger();
    start_crystal(1_000_000);
    // NVMC, register ICACHECNF.
    NVMC.icachecnf().write(|w| w.set_cacheen(true));
    OnChip {
        port: Port::open(P0, PINS[0], select_pins),
        counter: Dwt::start(&mut core.DCB, &mut core.DWT),
        clock_hz: Nrf52840Dk::CLOCK_HZ,
    }
}

/// Chips from revision 3 on lock the debugger out at every reset unless the program opens it (Debug and trace, access
/// port protection); older ones ignore this.
fn keep_debugger() {
    APPROTECT.disable().write(|w| w.set_disable(approtect::vals::Disable::SwDisable));
}

/// UART, pin configuration.
fn select_pins() {
    for (select, pin) in [UART0.psel().txd(), UART0.psel().rxd()].into_iter().zip(PINS) {
        select.write(|w| {
            w.set_pin(pin);
            w.set_connect(Connect::Connected);
        });
    }
}
