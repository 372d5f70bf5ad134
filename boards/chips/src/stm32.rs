//! STM32: USARTs and their pins.

use crate::{BAUD, SerialPort};
use stm32_metapac::gpio::Gpio;
use stm32_metapac::gpio::vals::Moder;
use stm32_metapac::usart::Usart;

/// An open USART.
pub struct Port(Usart);

impl Port {
    /// 8 bits, no parity, one stop bit as after reset; the divider is in sixteenths of the port's clock. The chip has enabled that clock.
    pub fn open(usart: Usart, clock_hz: u32) -> Port {
        usart.brr().write(|w| w.set_brr(((clock_hz + BAUD / 2) / BAUD) as u16));
        usart.cr1().write(|w| {
            w.set_ue(true);
            w.set_te(true);
            w.set_re(true);
        });
        Port(usart)
    }
}

/// The USARTs of the STM32F4: one register for what is sent and what arrives.
#[cfg(feature = "stm32f4")]
impl SerialPort for Port {
    fn send(&mut self, byte: u8) {
        while !self.0.sr().read().txe() {}
        self.0.dr().write(|w| w.set_dr(byte.into()));
    }

    fn received(&mut self) -> Option<u8> {
        self.0.sr().read().rxne().then(|| self.0.dr().read().dr() as u8)
    }

    fn flush(&mut self) {
        while !self.0.sr().read().tc() {}
    }
}

/// The USARTs of later families.
#[cfg(not(feature = "stm32f4"))]
impl SerialPort for Port {
    fn send(&mut self, byte: u8) {
        while !self.0.isr().read().txe() {}
        self.0.tdr().write(|w| w.set_dr(byte.into()));
    }

    fn received(&mut self) -> Option<u8> {
        self.0.isr().read().rxne().then(|| self.0.rdr().read().dr() as u8)
    }

    fn flush(&mut self) {
        while !self.0.isr().read().tc() {}
    }
}

/// Gives pins of a port, whose clock is enabled, to a peripheral by the number of its alternate function.
pub fn connect(gpio: Gpio, pins: [usize; 2], function: u8) {
    for pin in pins {
        gpio.afr(pin / 8).modify(|w| w.set_afr(pin % 8, function));
        gpio.moder().modify(|w| w.set_moder(pin, Moder::ALTERNATE));
    }
}
