//! Nordic's nRF51 and nRF52: the crystal, and the UART without DMA.

use crate::{SerialPort, soon};
use nrf_pac::gpio::Gpio;
use nrf_pac::{CLOCK, UART0, uart};

/// From the internal oscillator to the crystal (CLOCK, HFXO); the core's clock stays as it is.
///
/// A crystal that never starts leaves the internal oscillator running: text may be garbled then, results are not.
pub fn start_crystal(looks: u32) {
    CLOCK.events_hfclkstarted().write_value(0);
    CLOCK.tasks_hfclkstart().write_value(1);
    let _started = soon(looks, || CLOCK.events_hfclkstarted().read() != 0);
}

/// UART0, open.
pub struct Port(());

impl Port {
    /// 115200 baud, 8 bits, no parity, one stop bit as after reset; `select` gives the UART its pins.
    pub fn open(gpio: Gpio, tx_pin: u8, select: impl FnOnce()) -> Port {
        // The pin idles high until the UART takes it over.
        gpio.outset().write(|w| w.0 = 1 << tx_pin);
        gpio.dirset().write(|w| w.0 = 1 << tx_pin);
        select();
        UART0.baudrate().write(|w| w.set_baudrate(uart::vals::Baudrate::Baud115200));
        UART0.enable().write(|w| w.set_enable(uart::vals::Enable::Enabled));
        UART0.tasks_starttx().write_value(1);
        UART0.tasks_startrx().write_value(1);
        Port(())
    }
}

impl SerialPort for Port {
    fn send(&mut self, byte: u8) {
        UART0.events_txdrdy().write_value(0);
        UART0.txd().write(|w| w.set_txd(byte));
        while UART0.events_txdrdy().read() == 0 {}
    }

    fn received(&mut self) -> Option<u8> {
        (UART0.events_rxdrdy().read() != 0).then(|| {
            // In this order: a byte that arrives in between sets the event again.
            UART0.events_rxdrdy().write_value(0);
            UART0.rxd().read().rxd()
        })
    }
}
