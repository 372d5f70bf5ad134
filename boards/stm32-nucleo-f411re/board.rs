//! ST Nucleo-F411RE: a Cortex-M4F whose flash is three wait states away at full speed, behind ST's ART accelerator.
//!
//! ```text
//! HSI 16 MHz ──► PLL ──► 100 MHz core, 50 MHz APB1 ──► USART2, PA2 and PA3 ──► ST-LINK's virtual COM port: text
//!    └── the PLL does not lock: the core stays at 16 MHz, and says so
//! ```
//! HSI is within 1 % at room temperature, which serves a serial port. Sections are those of ST's RM0383.
#![no_std]

use firmware::Board;
use firmware::counter::Dwt;
use stm32_metapac::flash::vals::Latency;
use stm32_metapac::gpio::vals::Moder;
use stm32_metapac::pwr::vals::Vos;
use stm32_metapac::rcc::vals::{Pllm, Plln, Pllp, Pllq, Pllsrc, Ppre, Sw};
use stm32_metapac::{FLASH, GPIOA, PWR, RCC, USART2};

const HSI_HZ: u32 = 16_000_000;
const FULL_HZ: u32 = 100_000_000;
const BAUD: u32 = 115_200;

/// What a look at the receiver takes at least: nobody is taken to send any more after a second of looking.
const LOOK_CYCLES: u32 = 8;

/// The board.
pub type ThisBoard = NucleoF411re;

/// A board whose clocks and serial port are set up.
pub struct NucleoF411re {
    counter: Dwt,
    clock_hz: u32,
}

impl Board for NucleoF411re {
    const NAME: &'static str = "stm32-nucleo-f411re";
    const BACKEND: &'static str = "dsp";
    type Counter = Dwt;

    fn take() -> NucleoF411re {
        let Some(mut core) = cortex_m::Peripherals::take() else { panic!("the board was taken before") };
        accelerate_flash();
        let (clock_hz, usart_hz) = if full_speed() { (FULL_HZ, FULL_HZ / 2) } else { (HSI_HZ, HSI_HZ) };
        open_serial_port(usart_hz);
        NucleoF411re { counter: Dwt::start(&mut core.DCB, &mut core.DWT), clock_hz }
    }

    fn counter(&mut self) -> &mut Dwt {
        &mut self.counter
    }

    fn clock_hz(&self) -> u32 {
        self.clock_hz
    }

    fn print(&mut self, text: &[u8]) {
        for &byte in text {
            while !USART2.sr().read().txe() {}
            USART2.dr().write(|w| w.set_dr(byte.into()));
        }
    }

    fn receive(&mut self) -> Option<u8> {
        let arrived = (0..self.clock_hz / LOOK_CYCLES).any(|_| USART2.sr().read().rxne());
        arrived.then(|| USART2.dr().read().dr() as u8)
    }

    fn exit(&mut self, code: u8) -> ! {
        while !USART2.sr().read().tc() {}
        probe::exit(code)
    }
}

/// Prefetch, instruction and data cache of the flash (3.4.2), and the wait states of 100 MHz at 2.7 to 3.6 V (3.4.1,
/// table 5): FLASH_ACR, 3.8.1.
fn accelerate_flash() {
    FLASH.acr().write(|w| {
        w.set_latency(Latency::WS3);
        w.set_prften(true);
        w.set_icen(true);
        w.set_dcen(true);
    });
}

/// 16 MHz / 8 · 100 / 2 = 100 MHz (6.3.2), APB1 at 50 MHz (6.3.3); false when the PLL does not lock.
fn full_speed() -> bool {
    RCC.apb1enr().modify(|w| w.set_pwren(true));
    // Above 84 MHz the regulator must be in scale 1; it gets there once the PLL runs (5.4.1).
    PWR.cr1().modify(|w| w.set_vos(Vos::SCALE1));
    RCC.pllcfgr().write(|w| {
        w.set_pllsrc(Pllsrc::HSI);
        w.set_pllm(Pllm::DIV8);
        w.set_plln(Plln::MUL100);
        w.set_pllp(Pllp::DIV2);
        // 40 MHz for USB and SDIO, which nothing here uses; 0 and 1 are not allowed.
        w.set_pllq(Pllq::DIV5);
    });
    RCC.cr().modify(|w| w.set_pllon(true));
    let locked = soon(|| RCC.cr().read().pllrdy()) && soon(|| PWR.csr1().read().vosrdy());
    if !locked || !soon(|| FLASH.acr().read().latency() == Latency::WS3) {
        return false;
    }
    RCC.cfgr().modify(|w| {
        w.set_ppre1(Ppre::DIV2);
        w.set_sw(Sw::PLL1_P);
    });
    soon(|| RCC.cfgr().read().sws() == Sw::PLL1_P)
}

/// Whether a condition comes true in a while: the PLL locks in 300 µs (DS10314, table 41), at 16 MHz 4800 cycles.
fn soon(condition: impl Fn() -> bool) -> bool {
    (0..10_000).any(|_| condition())
}

/// PA2 and PA3 to USART2 (alternate function 7: DS10314, table 9), 8 bits, no parity, one stop bit: what is reset
/// (19.6.4); the divider is in sixteenths (19.3.4). UM1724, 6.8: the ST-LINK listens there.
fn open_serial_port(clock_hz: u32) {
    RCC.ahb1enr().modify(|w| w.set_gpioaen(true));
    RCC.apb1enr().modify(|w| w.set_usart2en(true));
    // A peripheral's clock comes two cycles after its enable bit (errata ES0287); reading back takes as long.
    let _ = RCC.apb1enr().read();
    for pin in [2, 3] {
        GPIOA.afr(0).modify(|w| w.set_afr(pin, 7));
        GPIOA.moder().modify(|w| w.set_moder(pin, Moder::ALTERNATE));
    }
    USART2.brr().write(|w| w.set_brr(((clock_hz + BAUD / 2) / BAUD) as u16));
    USART2.cr1().write(|w| {
        w.set_ue(true);
        w.set_te(true);
        w.set_re(true);
    });
}
