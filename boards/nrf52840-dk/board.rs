//! Nordic nRF52840-DK: a Cortex-M4F at 64 MHz; its flash has a cache for instructions, none for data.
//!
//! ```text
//! crystal 32 MHz ──► 64 MHz core
//!         └──► UART0, P0.06 and P0.08 ──► J-Link's virtual COM port: text, 115200 baud
//! ```
//! Chapters are those of Nordic's nRF52840 Product Specification; the UART is the one without DMA.
#![no_std]

use firmware::Board;
use firmware::counter::Dwt;
use nrf_pac::shared::vals::Connect;
use nrf_pac::{APPROTECT, CLOCK, NVMC, P0, UART0, approtect, uart};

const CLOCK_HZ: u32 = 64_000_000;

/// P0.06 and P0.08 (nRF52840-DK hardware guide, virtual COM port).
const TX_PIN: u8 = 6;
const RX_PIN: u8 = 8;

/// What a look at the receiver takes at least: nobody is taken to send any more after a second of looking.
const LOOK_CYCLES: u32 = 8;

/// The board.
pub type ThisBoard = Nrf52840Dk;

/// A board whose clocks and serial port are set up.
pub struct Nrf52840Dk {
    counter: Dwt,
}

impl Board for Nrf52840Dk {
    const NAME: &'static str = "nrf52840-dk";
    const BACKEND: &'static str = "dsp";
    type Counter = Dwt;

    fn take() -> Nrf52840Dk {
        let Some(mut core) = cortex_m::Peripherals::take() else { panic!("the board was taken before") };
        keep_debugger();
        start_crystal();
        // NVMC, register ICACHECNF.
        NVMC.icachecnf().write(|w| w.set_cacheen(true));
        open_serial_port();
        Nrf52840Dk { counter: Dwt::start(&mut core.DCB, &mut core.DWT) }
    }

    fn counter(&mut self) -> &mut Dwt {
        &mut self.counter
    }

    fn clock_hz(&self) -> u32 {
        CLOCK_HZ
    }

    fn print(&mut self, text: &[u8]) {
        for &byte in text {
            UART0.events_txdrdy().write_value(0);
            UART0.txd().write(|w| w.set_txd(byte));
            while UART0.events_txdrdy().read() == 0 {}
        }
    }

    fn receive(&mut self) -> Option<u8> {
        let arrived = (0..CLOCK_HZ / LOOK_CYCLES).any(|_| UART0.events_rxdrdy().read() != 0);
        arrived.then(|| {
            // In this order: a byte that arrives in between sets the event again.
            UART0.events_rxdrdy().write_value(0);
            UART0.rxd().read().rxd()
        })
    }

    fn exit(&mut self, code: u8) -> ! {
        probe::exit(code)
    }
}

/// Chips from revision 3 on lock the debugger out at every reset unless the program opens it (Debug and trace, access
/// port protection); older ones ignore this.
fn keep_debugger() {
    APPROTECT.disable().write(|w| w.set_disable(approtect::vals::Disable::SwDisable));
}

/// From the internal oscillator to the crystal (CLOCK, HFXO); the core's clock stays 64 MHz.
fn start_crystal() {
    CLOCK.events_hfclkstarted().write_value(0);
    CLOCK.tasks_hfclkstart().write_value(1);
    // A crystal that never starts leaves the internal oscillator running: text may be garbled then, results are not.
    let _started = (0..1_000_000).any(|_| CLOCK.events_hfclkstarted().read() != 0);
}

/// 115200 baud, 8 bits, no parity, one stop bit (UART, registers BAUDRATE and CONFIG).
fn open_serial_port() {
    // The pin idles high until the UART takes it over (UART, pin configuration).
    P0.outset().write(|w| w.0 = 1 << TX_PIN);
    P0.dirset().write(|w| w.0 = 1 << TX_PIN);
    let pins = [(UART0.psel().txd(), TX_PIN), (UART0.psel().rxd(), RX_PIN)];
    for (select, pin) in pins {
        select.write(|w| {
            w.set_pin(pin);
            w.set_connect(Connect::Connected);
        });
    }
    UART0.baudrate().write(|w| w.set_baudrate(uart::vals::Baudrate::Baud115200));
    UART0.enable().write(|w| w.set_enable(uart::vals::Enable::Enabled));
    UART0.tasks_starttx().write_value(1);
    UART0.tasks_startrx().write_value(1);
}
