//! STM32F405: a Cortex-M4F whose flash is five wait states away at full speed, behind ST's ART accelerator.
//!
//! ```text
//! HSI 16 MHz ──► PLL ──► 168 MHz core, 84 MHz APB2 ──► USART1 on PA9, PA10: text, 115200 baud
//!    └── the PLL does not lock: the core stays at 16 MHz, and says so
//! ```
//! No crystal is used, as it differs between boards with this chip; HSI is within 1 % at room temperature. Sections are
//! those of ST's RM0090.
#![no_std]

use firmware::counter::Dwt;
use firmware::{Board, LINE};
use stm32_metapac::flash::vals::Latency;
use stm32_metapac::gpio::vals::Moder;
use stm32_metapac::rcc::vals::{Pllm, Plln, Pllp, Pllq, Pllsrc, Ppre, Sw};
use stm32_metapac::{FLASH, GPIOA, RCC, USART1};

const HSI_HZ: u32 = 16_000_000;
const FULL_HZ: u32 = 168_000_000;
const BAUD: u32 = 115_200;

/// What a look at the receiver takes at least: nobody is taken to send any more after a second of looking.
const LOOK_CYCLES: u32 = 8;

/// The board.
pub type ThisBoard = Stm32f405;

/// A board whose clocks and serial port are set up.
pub struct Stm32f405 {
    counter: Dwt,
    clock_hz: u32,
}

impl Board for Stm32f405 {
    const NAME: &'static str = "stm32f405";
    const BACKEND: &'static str = "dsp";
    type Counter = Dwt;

    fn take() -> Stm32f405 {
        let Some(mut core) = cortex_m::Peripherals::take() else { panic!("the board was taken before") };
        accelerate_flash();
        let (clock_hz, usart_hz) = if full_speed() { (FULL_HZ, FULL_HZ / 2) } else { (HSI_HZ, HSI_HZ) };
        open_serial_port(usart_hz);
        Stm32f405 { counter: Dwt::start(&mut core.DCB, &mut core.DWT), clock_hz }
    }

    fn counter(&mut self) -> &mut Dwt {
        &mut self.counter
    }

    fn clock_hz(&self) -> u32 {
        self.clock_hz
    }

    fn print(&mut self, text: &[u8]) {
        for &byte in text {
            while !USART1.sr().read().txe() {}
            USART1.dr().write(|w| w.set_dr(byte.into()));
        }
    }

    fn receive(&mut self) -> Option<u8> {
        let arrived = (0..self.clock_hz / LOOK_CYCLES).any(|_| USART1.sr().read().rxne());
        arrived.then(|| USART1.dr().read().dr() as u8)
    }

    fn arguments<'line>(&self, line: &'line mut [u8; LINE]) -> Option<&'line str> {
        if is_emulated() { probe::arguments(line) } else { Some("") }
    }

    fn exit(&mut self, code: u8) -> ! {
        while !USART1.sr().read().tc() {}
        probe::exit(code)
    }
}

/// QEMU's machine has no clock control, its registers read 0; in a chip HSI at least is on (RCC_CR, 7.3.1).
fn is_emulated() -> bool {
    RCC.cr().read().0 == 0
}

/// Prefetch, instruction and data cache of the flash (3.5.2), and the wait states of 168 MHz (3.5.1, table 10):
/// FLASH_ACR, 3.9.1.
fn accelerate_flash() {
    FLASH.acr().write(|w| {
        w.set_latency(Latency::WS5);
        w.set_prften(true);
        w.set_icen(true);
        w.set_dcen(true);
    });
}

/// 16 MHz / 8 · 168 / 2 = 168 MHz (7.3.2), APB1 at 42 and APB2 at 84 MHz (7.3.3); false when the PLL does not lock.
///
/// The regulator's scale 1, which this speed needs, is the F405's reset value (5.4.1).
fn full_speed() -> bool {
    RCC.pllcfgr().write(|w| {
        w.set_pllsrc(Pllsrc::HSI);
        w.set_pllm(Pllm::DIV8);
        w.set_plln(Plln::MUL168);
        w.set_pllp(Pllp::DIV2);
        // 48 MHz for USB, which nothing here uses; 0 and 1 are not allowed.
        w.set_pllq(Pllq::DIV7);
    });
    RCC.cr().modify(|w| w.set_pllon(true));
    if !soon(|| RCC.cr().read().pllrdy()) || !soon(|| FLASH.acr().read().latency() == Latency::WS5) {
        return false;
    }
    RCC.cfgr().modify(|w| {
        w.set_ppre1(Ppre::DIV4);
        w.set_ppre2(Ppre::DIV2);
        w.set_sw(Sw::PLL1_P);
    });
    soon(|| RCC.cfgr().read().sws() == Sw::PLL1_P)
}

/// Whether a condition comes true in a while: the PLL locks in 300 µs (DS8626, table 36), at 16 MHz 4800 cycles.
fn soon(condition: impl Fn() -> bool) -> bool {
    (0..10_000).any(|_| condition())
}

/// PA9 and PA10 to USART1 (alternate function 7: DS8626, table 9), 8 bits, no parity, one stop bit: what is reset
/// (30.6.4); the divider is in sixteenths (30.3.4).
fn open_serial_port(clock_hz: u32) {
    RCC.ahb1enr().modify(|w| w.set_gpioaen(true));
    RCC.apb2enr().modify(|w| w.set_usart1en(true));
    // A peripheral's clock comes two cycles after its enable bit (errata ES0182, 2.2.13); reading back takes as long.
    let _ = RCC.apb2enr().read();
    for pin in [9, 10] {
        GPIOA.afr(pin / 8).modify(|w| w.set_afr(pin % 8, 7));
        GPIOA.moder().modify(|w| w.set_moder(pin, Moder::ALTERNATE));
    }
    USART1.brr().write(|w| w.set_brr(((clock_hz + BAUD / 2) / BAUD) as u16));
    USART1.cr1().write(|w| {
        w.set_ue(true);
        w.set_te(true);
        w.set_re(true);
    });
}
